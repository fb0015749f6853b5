"""What can be in a picture, and how scenes are drawn by lot. Knows neither pixels nor words."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from random import Random

COLOURS = (
    "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "grey",
)  # fmt: skip
SHAPES = ("circle", "square", "triangle", "star", "heart", "diamond", "cross", "ring")
DIGITS = tuple("0123456789")
FACES = ("happy face", "sad face", "surprised face")
LAND_THINGS = ("house", "tree", "flower", "car", "cat")
SEA_THINGS = ("boat", "fish")
KINDS = (*SHAPES, *DIGITS, *FACES, *LAND_THINGS, *SEA_THINGS)

GROUNDS = ("grass", "sand", "sea", "snow")
SKIES = ("day", "night", "sunset")
PLACES = (
    "top left", "top", "top right", "left", "middle", "right",
    "bottom left", "bottom", "bottom right",
)  # fmt: skip

WEATHERS = ("sun", "moon", "stars", "cloud", "rain", "snow", "rainbow")
_TOGETHER: dict[str, tuple[tuple[str, ...], ...]] = {
    "day": ((), (), ("sun",), ("sun",), ("cloud",), ("sun", "cloud"), ("rain",), ("snow",),
            ("rainbow",), ("sun", "rainbow")),
    "night": ((), ("moon",), ("stars",), ("moon", "stars")),
    "sunset": ((), ("sun",)),
}  # fmt: skip

Size = Literal["small", "medium", "big"]
# left: the first thing is left of the second; above: over it; inside: on it, and smaller.
# Right of and under are the same scenes, told from the other end.
Layout = Literal["nothing", "alone", "left", "above", "inside", "row"]

# Every twentieth combination of things is never trained on.
HELD_OUT = 20


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that has a colour and a size of its own."""

    kind: str
    colour: str
    size: Size = "medium"


@dataclass(frozen=True, slots=True)
class Backdrop:
    """Plain paper of one colour, or (paper is empty) ground below a sky."""

    paper: str = ""
    ground: str = ""
    sky: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture as one would describe it; where exactly things are is left to the drawing."""

    things: tuple[Thing, ...]
    layout: Layout
    backdrop: Backdrop
    place: str = ""
    weather: tuple[str, ...] = ()

    @property
    def held_out(self) -> bool:
        """Whether training must not see it. Decided by what is in it, not by the backdrop."""
        key = repr((self.layout, self.place, self.things))
        digest = hashlib.sha256(key.encode()).digest()
        return bool(self.things) and digest[0] % HELD_OUT == 0


def usual_backdrop(things: tuple[Thing, ...]) -> Backdrop:
    """What is behind these things when nobody says anything about it."""
    kinds = {thing.kind for thing in things}
    if not things or kinds & set(LAND_THINGS):
        return Backdrop(ground="grass", sky="day")
    if kinds & set(SEA_THINGS):
        return Backdrop(ground="sea", sky="day")
    return Backdrop(paper="grey" if any(thing.colour == "white" for thing in things) else "white")


def draw_scene(rng: Random, *, held_out: bool = False) -> Scene:
    """A scene by lot, of those trained on or of those that are not."""
    while True:
        scene = _any_scene(rng)
        if scene.held_out == held_out:
            return scene


def _any_scene(rng: Random) -> Scene:
    layouts: tuple[Layout, ...] = ("alone", "left", "above", "row", "inside", "nothing")
    layout = rng.choices(layouts, (55, 19, 12, 4, 3, 7))[0]
    things = _things(rng, layout)
    backdrop = _backdrop(rng, layout, things)
    place = ""
    if layout == "alone" and rng.random() < 0.6:
        place = rng.choice(PLACES if backdrop.paper else ("left", "middle", "right"))
    return Scene(things, layout, backdrop, place, _weather(rng, backdrop, layout, place))


def _things(rng: Random, layout: Layout) -> tuple[Thing, ...]:
    if layout == "nothing":
        return ()
    if layout == "alone":
        return (Thing(_kind(rng), rng.choice(COLOURS), _size(rng)),)
    if layout == "row":
        if rng.random() < 0.5:  # so many of the same
            kind = rng.choice((*SHAPES, *FACES, *LAND_THINGS, *SEA_THINGS))
            thing = Thing(kind, rng.choice(COLOURS), rng.choice(("small", "medium")))
            return (thing,) * rng.choice((2, 3))
        return tuple(Thing(_kind(rng), rng.choice(COLOURS), "medium") for _ in range(3))
    if layout == "inside":
        inner, outer = rng.sample(COLOURS, 2)
        return (
            Thing(rng.choice((*SHAPES, *DIGITS)), inner, "small"),
            Thing(rng.choice(("circle", "square", "diamond", "heart")), outer, "big"),
        )
    while True:
        pair = tuple(Thing(_kind(rng), rng.choice(COLOURS), _size(rng)) for _ in range(2))
        if pair[0] != pair[1]:
            return pair


def _kind(rng: Random) -> str:
    group = rng.choices((SHAPES, DIGITS, FACES, LAND_THINGS, SEA_THINGS), (64, 5, 8, 15, 8))[0]
    return rng.choice(group)


def _size(rng: Random) -> Size:
    sizes: tuple[Size, ...] = ("small", "medium", "big")
    return rng.choices(sizes, (30, 40, 30))[0]


def _backdrop(rng: Random, layout: Layout, things: tuple[Thing, ...]) -> Backdrop:
    colours = {thing.colour for thing in things}
    usual = usual_backdrop(things)
    if layout == "nothing":
        return Backdrop(ground=rng.choice(GROUNDS), sky=rng.choice(SKIES))
    while True:
        chance = rng.random()
        if chance < 0.6 or (layout == "inside" and chance < 0.75):
            backdrop = usual
        elif chance < 0.8 or layout == "inside":
            backdrop = Backdrop(paper=rng.choice(COLOURS))
        else:
            backdrop = Backdrop(ground=rng.choice(GROUNDS), sky=rng.choice(SKIES))
        unseen = {"snow": "white", "night": "black"}
        hidden = {backdrop.paper, unseen.get(backdrop.ground, ""), unseen.get(backdrop.sky, "")}
        if not colours & hidden:
            return backdrop
        if backdrop == usual:  # a white thing and a grey one: no usual paper shows both
            usual = Backdrop(paper=rng.choice(COLOURS))


def landscapes() -> list[Scene]:
    """All that can be without things. Too few to hold any out."""
    return [
        Scene((), "nothing", Backdrop(ground=ground, sky=sky), weather=weather)
        for ground in GROUNDS
        for sky in SKIES
        for weather in sorted(set(_TOGETHER[sky]))
    ]


def _weather(rng: Random, backdrop: Backdrop, layout: Layout, place: str) -> tuple[str, ...]:
    if backdrop.paper:
        if layout in ("inside", "above") or place or backdrop.paper in ("yellow", "orange"):
            return ()  # no room for it, or no contrast
        return rng.choices(((), ("sun",), ("cloud",)), (80, 14, 6))[0]
    return rng.choice(_TOGETHER[backdrop.sky])
