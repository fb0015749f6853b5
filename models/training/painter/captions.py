"""A scene as words, and all the words there are. Knows no pixels.

Everybody says the same thing differently, so a caption is drawn by lot from what people would type.
What a caption leaves out is what `world.usual_backdrop` fills in, and a size that is not said is
medium.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.training.painter.world import (
    COLOURS,
    DIGITS,
    FACES,
    KINDS,
    Scene,
    Thing,
    usual_backdrop,
)

if TYPE_CHECKING:
    from random import Random

_OPENINGS = (
    "", "a picture of", "an image of", "a drawing of", "a painting of", "picture of", "draw",
    "please draw", "draw me", "please draw me", "paint", "please paint", "paint me", "show me",
    "make", "make me", "can you draw", "could you draw", "can you please draw", "can you paint",
    "i want", "i would like", "draw a picture of", "paint a picture of", "make a picture of",
    "give me", "create", "imagine", "there is", "show me a picture of", "let us draw",
    "draw an image of", "now draw", "hi draw", "hello please draw", "sketch", "an illustration of",
    "generate", "generate an image of", "i want to see", "what about", "how about", "just",
)  # fmt: skip
_CLOSINGS = ("please", "for me", "thanks", "for me please", "thank you", "now")

_SIZES = {
    "small": ("small", "small", "little", "tiny"),
    "medium": ("", "", "", "medium", "normal"),
    "big": ("big", "big", "large", "huge"),
}
_COLOURS = {"grey": ("grey", "gray"), "purple": ("purple", "purple", "violet")}
_KINDS: dict[str, tuple[str, ...]] = {
    "circle": ("circle", "circle", "disc", "dot", "ball"),
    "square": ("square", "square", "box"),
    "cross": ("cross", "cross", "plus"),
    "ring": ("ring", "ring", "donut"),
    "diamond": ("diamond", "diamond", "rhombus"),
    "heart": ("heart",),
    "happy face": ("happy face", "smiling face", "smiley", "happy smiley", "laughing face"),
    "sad face": ("sad face", "sad smiley", "unhappy face"),
    "surprised face": ("surprised face", "surprised smiley", "shocked face"),
    "house": ("house", "house", "home"),
    "cat": ("cat", "cat", "kitten", "cat face"),
    "boat": ("boat", "boat", "ship", "sailing boat"),
    "car": ("car",),
}
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_PLURALS = {
    "box": "boxes", "cross": "crosses", "rhombus": "rhombuses", "plus": "pluses", "fish": "fish",
}  # fmt: skip

_PLACES: dict[str, tuple[str, ...]] = {
    "top left": ("in the top left", "in the top left corner", "in the upper left corner",
                 "at the top left", "top left"),
    "top": ("at the top", "on top", "in the upper half", "at the top of the picture"),
    "top right": ("in the top right", "in the top right corner", "in the upper right corner",
                  "at the top right", "top right"),
    "left": ("on the left", "on the left side", "to the left", "at the left"),
    "middle": ("in the middle", "in the center", "in the centre", "in the middle of the picture"),
    "right": ("on the right", "on the right side", "to the right", "at the right"),
    "bottom left": ("in the bottom left", "in the bottom left corner", "bottom left",
                    "in the lower left corner", "at the bottom left"),
    "bottom": ("at the bottom", "in the lower half", "at the bottom of the picture"),
    "bottom right": ("in the bottom right", "in the bottom right corner", "bottom right",
                     "in the lower right corner", "at the bottom right"),
}  # fmt: skip
_LEFT = ("left of", "to the left of", "on the left of", "left of")
_RIGHT = ("right of", "to the right of", "on the right of", "right of")
_ABOVE = ("above", "over", "on top of", "above")
_UNDER = ("under", "below", "beneath", "underneath", "under")
_BESIDE = ("next to", "beside", "and", "with", "near", "by")
_INSIDE = ("inside", "in", "within", "on")

_GROUNDS: dict[str, tuple[str, ...]] = {
    "grass": ("on the grass", "on grass", "on a meadow", "in a field", "on green grass",
              "in the garden"),
    "sand": ("on the sand", "on the beach", "on a beach", "in the desert", "on sand"),
    "sea": ("in the sea", "on the sea", "in the water", "on the water", "in the ocean", "at sea",
            "on a lake"),
    "snow": ("on the snow", "in the snow", "on snow", "in winter"),
}  # fmt: skip
_SKIES: dict[str, tuple[str, ...]] = {
    "day": ("by day", "in the day", "under a blue sky", "during the day"),
    "night": ("at night", "by night", "in the night", "under a night sky", "under a dark sky"),
    "sunset": ("at sunset", "in the evening", "at dusk", "under a sunset sky"),
}
_LANDS: dict[str, tuple[str, ...]] = {
    "grass": ("grass", "a meadow", "a field", "green grass", "a garden", "a landscape"),
    "sand": ("a beach", "sand", "a desert", "the beach", "the desert"),
    "sea": ("the sea", "the ocean", "water", "a lake", "an ocean"),
    "snow": ("snow", "a snowy field", "snow on the ground", "a winter landscape"),
}
_WEATHER: dict[str, tuple[str, ...]] = {
    "sun": ("under the sun", "under a yellow sun", "with a sun", "and a sun", "with a yellow sun",
            "in the sun", "and the sun", "and a yellow sun", "below a yellow sun"),
    "moon": ("under the moon", "with a moon", "and a moon", "and the moon", "with the moon",
             "under a yellow moon"),
    "stars": ("under the stars", "with stars", "and stars", "with many stars",
              "under a starry sky"),
    "cloud": ("under a cloud", "with a cloud", "and a cloud", "under a white cloud",
              "with a white cloud"),
    "rain": ("in the rain", "with rain", "and rain", "on a rainy day", "in rainy weather"),
    "snow": ("in falling snow", "with snow falling", "while it snows", "with snowflakes",
             "on a snowy day"),
    "rainbow": ("under a rainbow", "with a rainbow", "and a rainbow", "below a rainbow"),
}  # fmt: skip
_WEATHER_ALONE: dict[str, tuple[str, ...]] = {
    "sun": ("a sun", "the sun", "a yellow sun", "sun"),
    "moon": ("a moon", "the moon", "a yellow moon", "moon"),
    "stars": ("stars", "a starry sky", "many stars", "the stars"),
    "cloud": ("a cloud", "a white cloud", "cloud"),
    "rain": ("rain", "a rainy day", "rainy weather", "the rain"),
    "snow": ("falling snow", "a snowy day", "snow falling", "snowflakes"),
    "rainbow": ("a rainbow", "the rainbow", "rainbow"),
}  # fmt: skip
_PAPERS = ("on a {} background", "on {} paper", "on {}", "with a {} background", "on a {} page")


def caption(scene: Scene, rng: Random, *, exact: bool = False) -> str:
    """What somebody might type to get this scene, in lower case, with little punctuation.

    `exact` leaves nothing open: it always says which colour, and never "next to", which does not
    say on which side.
    """
    body = _landscape(scene, rng) if not scene.things else _things(scene, rng, exact)
    tail = [] if not scene.things else _tail(scene, rng)
    if tail and rng.random() < 0.15:  # "at night, a red car"
        words = [tail[0].removeprefix("and "), ",", body, *tail[1:]]
    else:
        words = [body, *tail]
        if rng.random() < 0.25:
            words.insert(0, rng.choice(_OPENINGS))
    if rng.random() < 0.06:
        words.append(rng.choice(_CLOSINGS))
    return " ".join(word for word in words if word).replace(" ,", ",")


def _tail(scene: Scene, rng: Random) -> list[str]:
    """What is behind the things, and over them."""
    backdrop, usual = scene.backdrop, usual_backdrop(scene.things)
    words = []
    if backdrop.paper:
        if backdrop != usual or rng.random() < 0.15:
            colour = rng.choice(_COLOURS.get(backdrop.paper, (backdrop.paper,)))
            words.append(rng.choice(_PAPERS).format(colour))
    else:
        if backdrop.ground != usual.ground or rng.random() < 0.15:
            words.append(rng.choice(_GROUNDS[backdrop.ground]))
        told = backdrop.sky == "night" and {"moon", "stars"} & set(scene.weather)
        # The moon and the stars say that it is night.
        if backdrop.sky != (usual.sky or "day") and not (told and rng.random() < 0.4):
            words.append(rng.choice(_SKIES[backdrop.sky]))
        elif backdrop.sky == "day" and rng.random() < 0.08:
            words.append(rng.choice(_SKIES["day"]))
    words += [rng.choice(_WEATHER[item]) for item in scene.weather]
    return words


def _landscape(scene: Scene, rng: Random) -> str:
    backdrop = scene.backdrop
    at_night = backdrop.sky == "night" and {"moon", "stars"} & set(scene.weather)
    usual = backdrop.ground == "grass" and (backdrop.sky == "day" or at_night)
    if usual and scene.weather and rng.random() < 0.6:  # "a rainbow and a sun"
        return " and ".join(rng.choice(_WEATHER_ALONE[item]) for item in scene.weather)
    words = [rng.choice(_LANDS[backdrop.ground])]
    if backdrop.sky != "day" or rng.random() < 0.2:
        words.append(rng.choice(_SKIES[backdrop.sky]))
    return " ".join(words + [rng.choice(_WEATHER[item]) for item in scene.weather])


def _things(scene: Scene, rng: Random, exact: bool) -> str:
    things = scene.things
    if scene.layout == "alone":
        place = rng.choice(_PLACES[scene.place]) if scene.place else ""
        if place and rng.random() < 0.12:
            return f"{place}, {_name(things[0], rng, exact)}"
        return f"{_name(things[0], rng, exact)} {place}".strip()
    if scene.layout == "row":
        if len(set(things)) == 1:
            row = "a row of " if rng.random() < 0.15 else ""
            return row + _several(things[0], len(things), rng)
        a, b, c = (_name(thing, rng, exact) for thing in things)
        chance = rng.random()
        if chance < 0.25:
            return f"{b} between {a} and {c}"
        return f"{a}, {b} and {c}" if chance < 0.9 or chance > 0.98 else f"{a} and {b} and {c}"
    first, second = (_name(thing, rng, exact) for thing in things)
    if scene.layout == "inside":
        return f"{first} {rng.choice(_INSIDE)} {second}"
    forward, backward = (_LEFT, _RIGHT) if scene.layout == "left" else (_ABOVE, _UNDER)
    chance = rng.random()
    if scene.layout == "left" and chance < 0.2 and not exact:
        return f"{first} {rng.choice(_BESIDE)} {second}"
    if chance < 0.55:
        return f"{second} {rng.choice(backward)} {first}"
    return f"{first} {rng.choice(forward)} {second}"


def _name(thing: Thing, rng: Random, exact: bool) -> str:
    size = rng.choice(_SIZES[thing.size])
    colour = rng.choice(_COLOURS.get(thing.colour, (thing.colour,)))
    if rng.random() < 0.06 and not exact:
        colour = ""  # then any will do
    if thing.kind in DIGITS:
        number = thing.kind if rng.random() > 0.35 else _NUMBERS[int(thing.kind)]
        prefix = rng.choice(("", "", "number ", "digit ")) if rng.random() < 0.5 else ""
        noun = prefix + number
    else:
        noun = rng.choice(_KINDS.get(thing.kind, (thing.kind,)))
    mood, _, face = noun.partition(" ")
    if thing.kind in FACES and face and rng.random() < 0.4:  # "a happy yellow face"
        colour, noun = mood, f"{colour} {face}".strip()
    words = " ".join(word for word in (size, colour, noun) if word)
    if rng.random() < 0.12:
        return words  # people drop articles
    article = "an" if words[0] in "aeiou" else "a"
    return f"{'the' if rng.random() < 0.05 else article} {words}"


def _several(thing: Thing, count: int, rng: Random) -> str:
    size = rng.choice(_SIZES[thing.size])
    colour = rng.choice(_COLOURS.get(thing.colour, (thing.colour,)))
    noun = _plural(rng.choice(_KINDS.get(thing.kind, (thing.kind,))))
    number = _NUMBERS[count] if rng.random() > 0.2 else str(count)
    return " ".join(word for word in (number, size, colour, noun) if word)


def _plural(noun: str) -> str:
    return _PLURALS.get(noun, noun + "s")


def all_words() -> list[str]:
    """Every word a caption can hold, sorted."""
    phrases: list[str] = [*_OPENINGS, *_CLOSINGS, *_NUMBERS, *DIGITS, *KINDS, *COLOURS]
    nouns = [noun for kind in KINDS if kind not in DIGITS for noun in _KINDS.get(kind, (kind,))]
    phrases += map(_plural, nouns)
    tables: tuple[dict[str, tuple[str, ...]], ...] = (
        _SIZES, _COLOURS, _KINDS, _PLACES, _GROUNDS, _SKIES, _LANDS, _WEATHER, _WEATHER_ALONE,
    )  # fmt: skip
    for table in tables:
        for key, values in table.items():
            phrases += [key, *values]
    phrases += ["a an the number digit row of between and"]
    for options in (_LEFT, _RIGHT, _ABOVE, _UNDER, _BESIDE, _INSIDE, _PAPERS):
        phrases += options
    return sorted({word for phrase in phrases for word in phrase.replace("{}", " ").split()})
