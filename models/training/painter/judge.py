"""Whether a picture shows a scene, read from its pixels alone. Knows no model.

Every pixel is given to the nearest colour of the palette; connected pixels of a thing's colour are
compared with the outlines of all kinds of things. So "red star" means: there is a red patch, its
outline is nearer to a star's than to anything else's, and there is only one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise, permutations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from models.training.painter.render import (
    DULL_SKY,
    GROUND,
    MOON,
    PAINT,
    RADIUS,
    RAIN,
    RAINBOW,
    SKY,
    SLATE,
    paint,
)
from models.training.painter.world import KINDS, Backdrop, Scene, Thing

Mask = NDArray[np.bool_]
Labels = NDArray[np.intp]

_PALETTE = {
    **PAINT, **GROUND, **SKY, "dull": DULL_SKY, "slate": SLATE, "moon": MOON, "rain": RAIN,
}  # fmt: skip
_NAMES = list(_PALETTE)
_SIDE = 128  # pixels that a picture is reduced to before anything is read from it
_GRID = 20  # outlines are compared at this many cells a side
_LEAST = 40  # pixels of a patch that may be a thing
_ALIKE = 0.2  # mean difference of outlines below which something is that kind of thing
_STRAY = 0.025  # of the picture may be neither asked for nor backdrop


@dataclass(frozen=True, slots=True)
class Patch:
    """Connected pixels of one colour. Places and sizes are parts of the picture's side."""

    mask: Mask
    x: float
    y: float
    width: float
    height: float
    area: int


@dataclass(frozen=True, slots=True)
class Found:
    """A patch that looks like the thing that was looked for."""

    x: float
    y: float
    radius: float


def shows(picture: Image.Image, scene: Scene) -> bool:
    """Whether the picture shows the scene: its things, where they are, and what is behind them."""
    return fault(picture, scene) == ""


def fault(picture: Image.Image, scene: Scene) -> str:
    """What is wrong with the picture: things, places, backdrop, weather, stray; or nothing."""
    labels = _labels(picture)
    found = {thing: find(labels, thing, scene) for thing in set(scene.things)}
    for thing in set(scene.things):
        if len(found[thing]) != scene.things.count(thing):
            return "things"
    spots = _arranged(scene, found)
    if spots is None:
        return "places"
    if not _behind(labels, scene):
        return "backdrop"
    if not all(_weather(labels, item, spots, scene) for item in scene.weather):
        return "weather"
    return "" if _stray(labels, scene, spots) < _STRAY else "stray"


def _labels(picture: Image.Image) -> Labels:
    colours = np.array(list(_PALETTE.values()), dtype=np.int32)
    small = picture.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    pixels = np.asarray(small, dtype=np.int32)
    distance = ((pixels[:, :, None, :] - colours) ** 2).sum(axis=3)
    nearest: Labels = distance.argmin(axis=2)
    return nearest


def _is(labels: Labels, *names: str) -> Mask:
    return np.isin(labels, [_NAMES.index(name) for name in names])


def patches(mask: Mask, least: int = _LEAST) -> list[Patch]:
    """The connected parts of a mask that have at least `least` pixels."""
    todo = mask.copy()
    found = []
    for start in zip(*np.nonzero(mask), strict=True):
        if not todo[start]:
            continue
        todo[start] = False
        stack, members = [start], []
        while stack:
            y, x = stack.pop()
            members.append((y, x))
            for spot in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                inside = 0 <= spot[0] < mask.shape[0] and 0 <= spot[1] < mask.shape[1]
                if inside and todo[spot]:
                    todo[spot] = False
                    stack.append(spot)
        if len(members) >= least:
            found.append(_patch(np.array(members)))
    return found


def _patch(members: NDArray[np.intp]) -> Patch:
    top, left = members.min(axis=0)
    bottom, right = members.max(axis=0) + 1
    mask = np.zeros((bottom - top, right - left), dtype=np.bool_)
    mask[members[:, 0] - top, members[:, 1] - left] = True
    return Patch(
        mask, (left + right) / 2 / _SIDE, (top + bottom) / 2 / _SIDE,
        (right - left) / _SIDE, (bottom - top) / _SIDE, len(members),
    )  # fmt: skip


def find(labels: Labels, thing: Thing, scene: Scene) -> list[Found]:
    """Everything in the picture that has the thing's colour, outline and size."""
    solid = scene.layout == "inside" and thing == scene.things[1]
    found = []
    for patch in patches(_is(labels, thing.colour)):
        outline, aspect = _outline(patch, solid), np.log(patch.width / patch.height)
        best, kind, radius = 9.0, "", 0.0
        for candidate in _candidates(thing.colour, solid):
            difference = float(np.abs(outline - candidate.outline).mean())
            difference += 0.2 * abs(aspect - candidate.aspect)
            if difference < best:
                best, kind = difference, candidate.kind
                radius = candidate.radius * np.sqrt(
                    patch.width * patch.height / (candidate.width * candidate.height)
                )
        if kind == thing.kind and best < _ALIKE and (solid or _sized(radius, thing, scene)):
            found.append(Found(patch.x, patch.y, radius))
    return found


def _sized(radius: float, thing: Thing, scene: Scene) -> bool:
    if scene.layout in ("row", "inside"):
        return True  # there is room for one size alone
    if thing.size == "small":
        return radius < 0.13
    return thing.size == "medium" or radius > (0.14 if scene.layout == "above" else 0.17)


@dataclass(frozen=True, slots=True)
class _Candidate:
    kind: str
    outline: NDArray[np.float64]
    aspect: float
    radius: float
    width: float
    height: float


@cache
def _candidates(colour: str, solid: bool) -> list[_Candidate]:
    """How each kind of thing looks in this colour, at each size."""
    behind = "grey" if colour == "white" else "pink" if colour == "grey" else "grey"
    candidates = []
    for kind in KINDS:
        for radius in RADIUS.values():
            image = Image.new("RGB", (4 * _SIDE, 4 * _SIDE), PAINT[behind])
            middle = 2 * _SIDE
            paint(ImageDraw.Draw(image), Thing(kind, colour), middle, middle, radius * 4 * _SIDE)
            found = patches(_is(_labels(image), colour))
            if not found:
                continue
            patch = max(found, key=lambda patch: patch.area)
            aspect = float(np.log(patch.width / patch.height))
            candidates.append(
                _Candidate(kind, _outline(patch, solid), aspect, radius, patch.width, patch.height)
            )
    return candidates


def _outline(patch: Patch, solid: bool) -> NDArray[np.float64]:
    """The mask at _GRID x _GRID cells, 0 to 1; without its holes if it is to be solid."""
    mask = patch.mask
    if solid:
        padded = np.pad(mask, 1)
        outside = max(patches(~padded, 1), key=lambda part: part.width * part.height)
        mask = ~outside.mask[1:-1, 1:-1]
    grey = Image.fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(grey.resize((_GRID, _GRID), Image.Resampling.BOX), dtype=np.float64) / 255


def _arranged(scene: Scene, found: dict[Thing, list[Found]]) -> list[Found] | None:
    """Where the things are, in the scene's order, if they are where they should be."""
    choices = [spot for thing in dict.fromkeys(scene.things) for spot in found[thing]]
    for spots in permutations(choices, len(scene.things)):
        fits = all(spot in found[thing] for spot, thing in zip(spots, scene.things, strict=True))
        if fits and _in_place(scene, list(spots)):
            return list(spots)
    return None


def _in_place(scene: Scene, spots: list[Found]) -> bool:
    if scene.layout == "alone":
        return not scene.place or _at(scene.place, spots[0], land=not scene.backdrop.paper)
    if scene.layout == "row":
        return all(b.x - a.x > 0.1 for a, b in pairwise(spots))
    if scene.layout == "nothing":
        return True
    a, b = spots
    across, down = b.x - a.x, b.y - a.y
    if scene.layout == "left":
        return across > 0.15 and across > abs(down)
    if scene.layout == "above":
        return down > 0.15 and down > abs(across)
    return abs(across) < 0.1 and abs(down) < 0.12 and a.radius < b.radius


def _at(place: str, spot: Found, *, land: bool) -> bool:
    across = "left" if "left" in place else "right" if "right" in place else "middle"
    down = "top" if "top" in place else "bottom" if "bottom" in place else "middle"
    return _third(spot.x, across) and (land or _third(spot.y, down))


def _third(value: float, name: str) -> bool:
    if name in ("left", "top"):
        return value < 0.4
    return value > 0.6 if name in ("right", "bottom") else 0.36 < value < 0.66


def _behind(labels: Labels, scene: Scene) -> bool:
    backdrop = scene.backdrop
    if backdrop.paper:
        frame = np.concatenate([labels[:3].ravel(), labels[-3:].ravel(), labels[:, :3].ravel(),
                                labels[:, -3:].ravel()])  # fmt: skip
        return bool(_is(frame, backdrop.paper).mean() > 0.75)
    top, bottom = labels[:6], labels[-8:]
    return bool(_is(top, _sky(scene)).mean() > 0.6 and _is(bottom, backdrop.ground).mean() > 0.6)


def _sky(scene: Scene) -> str:
    return "dull" if {"rain", "snow"} & set(scene.weather) else scene.backdrop.sky


def _weather(labels: Labels, item: str, spots: list[Found], scene: Scene) -> bool:
    upper = labels[: round(0.55 * _SIDE)]
    if item == "rainbow":
        return sum(int(_is(labels, colour).sum() > 40) for colour in RAINBOW) >= 5
    if item == "stars":
        return len(patches(_is(upper, "moon", "white"), 2)) >= 8
    if item == "rain":
        return len(patches(_is(upper, "rain", "blue", "sea", "grey", "slate"), 3)) >= 8
    if item == "snow":
        return len(patches(_is(upper, "white", "snow"), 4)) >= 8
    names = {"sun": ("yellow",), "moon": ("moon",), "cloud": ("white", "day", "snow")}[item]
    if item == "cloud" and scene.backdrop.paper in ("white", "grey"):
        names = ("day", "snow")
    elif item == "cloud":
        names = ("white", "snow")
    top = labels[: round(0.35 * _SIDE)]
    return any(
        not _covers(spots, patch.x, patch.y)
        for patch in patches(_is(top, *names), 60)
        if patch.y < 0.35 and patch.width < 0.4
    )


def _covers(spots: list[Found], x: float, y: float) -> bool:
    return any(abs(x - s.x) < 0.8 * s.radius and abs(y - s.y) < 0.8 * s.radius for s in spots)


def _stray(labels: Labels, scene: Scene, spots: list[Found]) -> float:
    """Which part of the picture is neither backdrop nor thing nor weather."""
    backdrop: Backdrop = scene.backdrop
    if {"rain", "snow", "stars", "rainbow"} & set(scene.weather):
        return 0.0  # these are everywhere
    behind = [backdrop.paper] if backdrop.paper else [backdrop.ground, _sky(scene)]
    stray = ~_is(labels, *behind)
    places = (np.arange(_SIDE) + 0.5) / _SIDE
    for spot in spots:
        reach = 1.5 * spot.radius
        rows, columns = abs(places - spot.y) < reach, abs(places - spot.x) < reach
        stray[np.ix_(rows, columns)] = False
    if scene.weather:
        stray[: round(0.3 * _SIDE)] = False
    return float(stray.mean())
