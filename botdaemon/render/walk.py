"""The walk through styled text, and plain text, which needs no more. Knows no dialect's signs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdaemon.render.flow import Kind, Run, Stack

# Keeps two marks, or a mark and a letter, from being read as one; it takes no room on the screen.
ZERO = "\u200b"
# The beginning of an address in which no platform looks for names.
_HOST = re.compile(r"https?://(?:[\w-]+\.)+[\w-]+(?::\d+)?[/?#]")


class Mark(NamedTuple):
    open: str
    close: str
    #: stands on a line of its own
    block: bool = False


class Plain:
    """No markup at all; also the walk that the other dialects share."""

    #: what a line of a quote begins with, for each level up to `levels`
    quote = "> "
    levels = 3
    #: marks are characters that could also be text, so neighbours must be kept apart
    delimited = False
    #: a letter right outside a mark turns the mark into text
    words_only = False
    #: an @ that calls somebody here, wherever it stands in a text
    calls: ClassVar[re.Pattern[str] | None] = None

    def __init__(self) -> None:
        self.out: list[str] = []
        self.open: list[Mark] = []
        self.prefix = ""
        #: nothing is on this line yet, not even the prefix
        self.empty = True
        #: only a prefix, blanks and list markers are on this line
        self.start = True
        #: the last character of text on this line
        self.before = ""
        #: the end of an inline mark was written last
        self.ended = False

    # -- what a dialect defines --

    def shown(self, stack: Stack) -> Stack:
        """The styles that can be shown together."""
        return stack

    def marks(self, stack: Stack) -> list[Mark]:
        """The marks of these styles, outermost first."""
        return [Mark("", f" ({style.arg})") for style in stack if style.kind == "link"]

    def escape(self, text: str, kind: Kind | None, after: str) -> str:
        """One line's text under a style; `after` is the character that follows it."""
        return text

    def blank(self, prefix: str) -> str:
        """A line without text that has this prefix."""
        return prefix.rstrip()

    # -- the walk --

    def paint(self, runs: Sequence[Run]) -> str:
        for at, run in enumerate(runs):
            stack = self.shown(run.stack)
            depth = min(self.levels, sum(style.kind == "quote" for style in stack))
            self.turn(self.marks(stack), self.quote * depth)
            kind = stack[-1].kind if stack else None
            lines = run.text.split("\n")
            for number, line in enumerate(lines):
                if number:
                    self.newline()
                if line:
                    last = number == len(lines) - 1
                    after = runs[at + 1].text[0] if last and at + 1 < len(runs) else ""
                    self.line(self.calm(line, run.stack, after), kind, after)
        self.turn([], "")
        return "".join(self.out)

    def line(self, line: str, kind: Kind | None, after: str) -> None:
        if self.words_only and self.ended and _is_joined(line[0]):
            self.write(ZERO)
        self.write(self.escape(line, kind, after))
        self.before = line[-1]
        self.start = self.start and (kind == "marker" or line.isspace())

    def calm(self, line: str, stack: Stack, after: str) -> str:
        """The line with nobody called in it. In code and addresses nobody is."""
        kinds = {style.kind for style in stack}
        if self.calls is None or kinds & {"code", "pre"} or ("url" in kinds and _HOST.match(line)):
            return line
        around = self.calls.sub(f"@{ZERO}", self.before + line + after)
        return around[len(self.before) : len(around) - len(after)]

    def turn(self, marks: list[Mark], prefix: str) -> None:
        """Close and open marks until just these are open."""
        keep = 0
        while keep < min(len(marks), len(self.open)) and marks[keep] == self.open[keep]:
            keep += 1
        for mark in reversed(self.open[keep:]):
            if mark.block:
                self.newline()
            self.write(mark.close)
            self.ended = self.delimited
        self.prefix = prefix
        for mark in marks[keep:]:
            if mark.block:
                if not self.empty:
                    self.newline()
                self.write(mark.open)
                self.newline()
                continue
            if self.ended or (self.words_only and _is_joined(self.before)):
                self.write(ZERO)
            self.write(mark.open)
            self.start = False
        self.open = marks

    def write(self, text: str) -> None:
        if self.empty:
            self.out.append(self.prefix)
            self.empty = False
        self.out.append(text)
        self.ended = False

    def newline(self) -> None:
        if self.empty:
            self.out.append(self.blank(self.prefix))
        self.out.append("\n")
        self.empty = self.start = True
        self.before, self.ended = "", False


def _is_joined(char: str) -> bool:
    """Whether a mark beside it could be taken for a part of its word: letters, and all signs of
    which that is not known."""
    return char.isalnum() or not (char.isascii() or char.isspace() or char == ZERO)
