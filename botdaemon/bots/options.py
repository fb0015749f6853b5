"""The options people type after a prompt: "a cat's hat --steps 4 --no dogs". Knows no model, no bot
and no picture.

An option begins with two hyphens, or with the dash that phones make of them, at the start of a
word. Options and prompt may stand in any order: what follows an option's value belongs to the
prompt. Only `--no` takes everything up to the next option.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, fields
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from botdaemon.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from botdaemon.types import ImageCard, ImageRequest

#: every program that reads JSON, and every generator, takes it
MOST_SEED = 2**53 - 1
_MOST_GUIDANCE = 100.0
_MOST_WEIGHT = 2.0
#: pixels; no model draws less
_SMALLEST_SIDE = 16

_OPTION = re.compile(r"(?<!\S)(--|[\u2013\u2014])([^\W\d_][\w-]*)")
_SIZE = re.compile(r"(\d{1,9})[x\u00d7*](\d{1,9})", re.IGNORECASE)
#: Sides for a model whose longer side is 6.
_SHAPES = {"square": (6, 6), "wide": (6, 4), "tall": (4, 6)}
#: Every pipeline draws sides that this divides.
_GRID = 16
_NAMES = (
    *("steps", "seed", "size", "width", "height", *_SHAPES, "guidance", "no", "number", "style"),
    *("strength", "lora"),
)
#: Characters of a wrong value that are shown again.
_SHOWN = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What may be asked for."""

    #: pictures and steps at most, and pixels of the longer side
    pictures: int
    steps: int
    side: int
    styles: Collection[str] = ()
    adapters: Collection[str] = ()
    #: pixels that the model draws when nobody asks for others: what --wide is measured by
    width: int = 512
    height: int = 512

    def over(self, card: ImageCard) -> Options:
        """What must be said so that a model does not go beyond these limits by itself."""
        return Options(
            steps=self.steps if card.steps > self.steps else None,
            width=self.side if card.width > self.side else None,
            height=self.side if card.height > self.side else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What somebody said about how to draw; None where nothing was said. All but `style` are named
    as in `ImageRequest`. As a string it is what one could have typed."""

    steps: int | None = None
    seed: int | None = None
    width: int | None = None
    height: int | None = None
    guidance: float | None = None
    negative: str | None = None
    count: int | None = None
    #: "": none, though one is usual here
    style: str | None = None
    strength: float | None = None
    adapters: tuple[tuple[str, float], ...] | None = None

    @classmethod
    def of(cls, request: ImageRequest) -> Options:
        """The options that a request was made with."""
        return cls(
            steps=request.steps,
            seed=request.seed,
            width=request.width,
            height=request.height,
            guidance=request.guidance,
            negative=request.negative or None,
            count=request.count,
            strength=request.strength,
            adapters=request.adapters or None,
        )

    def over(self, base: Options) -> Options:
        """What is said here, else what `base` says."""
        return Options(**(base._said() | self._said()))

    def changes(self) -> dict[str, Any]:
        """The fields of an `ImageRequest` that were spoken of."""
        return {name: value for name, value in self._said().items() if name != "style"}

    def _said(self) -> dict[str, Any]:
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in said.items() if value is not None}

    def __str__(self) -> str:
        said: list[tuple[str, object]] = []
        if self.width and self.height:
            said.append(("size", f"{self.width}x{self.height}"))
        else:
            said += [("width", self.width), ("height", self.height)]
        said += [
            ("steps", self.steps),
            ("seed", self.seed),
            ("guidance", self.guidance),
            ("strength", self.strength),
            ("number", self.count),
            ("style", self.style if self.style != "" else "none"),
            *(("lora", f"{name}:{_plain(weight)}") for name, weight in self.adapters or ()),
            ("no", self.negative),
        ]
        return " ".join(
            f"--{name} {_plain(value) if isinstance(value, float) else value}"
            for name, value in said
            if value is not None
        )


def read(text: str, limits: Limits) -> tuple[str, Options]:
    """The prompt and the options in what somebody typed. Said twice, the last value holds;
    `--lora` and `--no` add up. Raises `Refused` for an option that does not exist, or a value that
    cannot be."""
    found = [
        match
        for match in _OPTION.finditer(text)
        # A dash before a word is also punctuation, so there it must be an option's name.
        if match[1] == "--" or match[2].casefold() in _NAMES
    ]
    prompt = [text[: found[0].start()] if found else text]
    values: dict[str, Any] = {}
    for match, following in zip_longest(found, found[1:]):
        rest = text[match.end() : following.start() if following else len(text)]
        name = match[2].casefold()
        if name == "no":
            words = " ".join(rest.split()).strip(" ,=")
            if not words:
                raise Refused("After `--no` comes what should not be seen, such as `--no clouds`.")
            values["negative"] = ", ".join(filter(None, (values.get("negative"), words)))
        elif name in _SHAPES:
            values |= _shape(name, limits)
            prompt.append(rest)
        else:
            value, rest = _value(rest)
            values |= _read_one(name, value, values, limits)
            prompt.append(rest)
    return " ".join(" ".join(prompt).split()), Options(**values)


def read_options(text: str, limits: Limits) -> Options:
    """Options alone. Raises `Refused` like `read`, and for any other words."""
    prompt, options = read(text, limits)
    if prompt:
        raise Refused(
            f"{_quoted(prompt)} is no option. Options look like `--steps 20 --size 512x512`."
        )
    return options


def _value(rest: str) -> tuple[str, str]:
    """An option's value, and the words after it. People put commas after values."""
    value, rest = [*rest.lstrip("=").split(maxsplit=1), "", ""][:2]
    return value.rstrip(",;."), rest


def _read_one(name: str, value: str, so_far: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    match name:
        case "steps":
            return {"steps": _whole(name, value, 1, limits.steps)}
        case "seed":
            return {"seed": _whole(name, value, 0, MOST_SEED)}
        case "number":
            return {"count": _whole(name, value, 1, limits.pictures)}
        case "width" | "height":
            return {name: _whole(name, value, _SMALLEST_SIDE, limits.side)}
        case "size":
            return _size(value, limits)
        case "guidance":
            return {"guidance": _real(name, value, 0.0, _MOST_GUIDANCE)}
        case "strength":
            return {"strength": _real(name, value, 0.01, 1.0)}
        case "style":
            if value.casefold() == "none":
                return {"style": ""}
            return {"style": _one_of("style", value, limits.styles)}
        case "lora":
            adapter, colon, weight = value.partition(":")
            pair = (
                _one_of("LoRA adapter", adapter, limits.adapters),
                _real("lora NAME:WEIGHT", weight, 0.0, _MOST_WEIGHT) if colon else 1.0,
            )
            return {"adapters": tuple((dict(so_far.get("adapters", ())) | dict([pair])).items())}
    likely = difflib.get_close_matches(name, _NAMES, 1)
    known = f"Did you mean `--{likely[0]}`?" if likely else f"I know {_all_of(_NAMES)}."
    raise Refused(f"I do not know the option {_quoted(f'--{name}')}. {known}")


def _whole(name: str, value: str, least: int, most: int) -> int:
    if re.fullmatch(r"\d{1,20}", value) and least <= int(value) <= most:
        return int(value)
    raise Refused(f"`--{name}` takes a whole number from {least} to {most}{_instead(value)}.")


def _real(name: str, value: str, least: float, most: float) -> float:
    try:
        number = float(value.replace(",", "."))  # half of the world writes 7,5
    except ValueError:
        number = -1.0
    if least <= number <= most:
        return number
    raise Refused(f"`--{name}` takes a number from {least:g} to {most:g}{_instead(value)}.")


def _size(value: str, limits: Limits) -> dict[str, int]:
    if match := _SIZE.fullmatch(value):
        width, height = int(match[1]), int(match[2])
        if _SMALLEST_SIDE <= min(width, height) and max(width, height) <= limits.side:
            return {"width": width, "height": height}
    raise Refused(
        "`--size` takes WIDTHxHEIGHT in pixels, such as `512x512`, each from "
        f"{_SMALLEST_SIDE} to {limits.side}{_instead(value)}."
    )


def _shape(name: str, limits: Limits) -> dict[str, int]:
    longer = min(max(limits.width, limits.height), limits.side)
    width, height = (max(longer * part // 6 // _GRID, 1) * _GRID for part in _SHAPES[name])
    return {"width": width, "height": height}


def _one_of(what: str, value: str, names: Collection[str]) -> str:
    for name in names:
        if name.casefold() == value.casefold():
            return name
    if not names:
        raise Refused(f"There is no {what} to choose here{_instead(value)}.")
    there = ", ".join(f"`{name}`" for name in names)
    raise Refused(f"There is no {what} {_quoted(value)}. There is: {there}.")


def _all_of(names: Collection[str]) -> str:
    return ", ".join(f"`--{name}`" for name in names)


def _instead(value: str) -> str:
    return f", not {_quoted(value)}" if value else ""


def _quoted(value: str) -> str:
    """A person's words in a code span, where they format nothing and call nobody."""
    value = value.replace("`", "'")
    return f"`{value[:_SHOWN]}…`" if len(value) > _SHOWN else f"`{value}`"


def _plain(number: float) -> str:
    return repr(float(number)).removesuffix(".0")
