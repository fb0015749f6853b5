"""Styled text, which can be cut anywhere. Knows neither Markdown nor dialects."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

Kind = Literal[
    "quote", "heading", "bold", "italic", "strike", "link", "url", "code", "pre", "marker"
]


class Style(NamedTuple):
    """One style. `arg` is the heading's level, the link's target or the code block's language."""

    kind: Kind
    arg: str = ""


Stack = tuple[Style, ...]


class Run(NamedTuple):
    """Text under the same styles, outermost first."""

    text: str
    stack: Stack = ()


@dataclass(frozen=True)
class Flow:
    """Styled text that can be cut anywhere."""

    runs: Sequence[Run]

    @cached_property
    def text(self) -> str:
        return "".join(run.text for run in self.runs)

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *accumulate(len(run.text) for run in self.runs)]

    def slice(self, start: int, end: int) -> list[Run]:
        """The runs of `text[start:end]`."""
        found: list[Run] = []
        at = bisect_right(self._starts, start) - 1
        while at < len(self.runs) and self._starts[at] < end:
            run, offset = self.runs[at], self._starts[at]
            text = run.text[max(0, start - offset) : end - offset]
            if text:
                found.append(Run(text, run.stack))
            at += 1
        return found


# What no platform shows and a terminal would obey: control characters, noncharacters, surrogates.
_BAD = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ufffe\uffff\ud800-\udfff]")


def clean(text: str) -> str:
    """The text with plain line ends and without characters that nobody can be shown."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\v", " ").replace("\f", " ")
    return _BAD.sub("\ufffd", text)
