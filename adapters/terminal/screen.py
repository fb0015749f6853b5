"""What stands on a terminal's last lines, and how it is changed there. Knows no letters."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

import click
from rich.cells import cell_len

if TYPE_CHECKING:
    from collections.abc import Callable

#: What would move the cursor or worse: all control characters but line ends and tabs.
_CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
_CLEAR_LINE = "\r\x1b[K"
_CLEAR_BELOW = "\r\x1b[J"


class Screen:
    """The last lines of a terminal: finished text above; below it the prompt, or a sign that a bot
    is at work, or a message that still grows."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._redraw: Callable[[], str] | None = None
        self._sign = ""
        self._key = ""
        self._text = ""

    def ask(self, redraw: Callable[[], str]) -> None:
        """The prompt is the input's from now on; `redraw` gives it back after a disturbance."""
        self._redraw = redraw
        self._write(redraw())

    def asked(self, *, newline: bool) -> None:
        """The person is done with the prompt."""
        self._redraw = None
        if newline:
            self._write("\n")

    def working(self, bot: str) -> None:
        """Show, or with "" hide, that a bot is at work. What is there to read hides it, too."""
        if (bot or self._sign) and self._redraw is None and not self._key:
            self._sign = bot
            self._write(_CLEAR_LINE + (click.style(f"{bot} is writing …", dim=True) if bot else ""))

    def aside(self, text: str) -> None:
        """Something that nobody in the conversation says."""
        self._above(click.style(text, dim=True))

    def say(self, key: str, speaker: str, text: str, *, final: bool) -> None:
        """Show a message, growing under the same key until it is final."""
        block = f"{click.style(speaker, fg='cyan', bold=True)}: {text}" if speaker else text
        if self._redraw is not None or self._key not in ("", key):
            if final:  # what cannot grow in place is shown when it is whole
                self._above(block)
            return
        if not self._key:
            self._write(_CLEAR_LINE if self._sign else "")
            self._write(block)
        elif text.startswith(self._text):
            self._write(text[len(self._text) :])
        else:
            self._write(self._erase(f"{speaker}: {self._text}") + block)
        self._key, self._text, self._sign = key, text, ""
        if final:
            self._key = ""
            self._write("\n")

    def _above(self, block: str) -> None:
        """Print a block of its own, and leave below it what was there."""
        if self._redraw is not None:
            self._write(f"{_CLEAR_LINE}{block}\n{self._redraw()}")
        elif self._sign:
            self._write(f"{_CLEAR_LINE}{block}\n")
            self.working(self._sign)
        else:
            self._write(f"\n{block}\n" if self._key else f"{block}\n")
            self._key = ""

    def _erase(self, text: str) -> str:
        """Back to where this text began, as far as it is still on the screen."""
        try:
            width, height = os.get_terminal_size(self._out.fileno())
        except OSError:
            width, height = 80, 24
        rows = sum(max(1, -(-cell_len(line) // (width or 80))) for line in text.split("\n")) - 1
        return (f"\x1b[{min(rows, height)}A" if rows else "") + _CLEAR_BELOW

    def _write(self, text: str) -> None:
        with suppress(OSError):  # the terminal is gone: the end of the input will say so
            self._out.write(text)
            self._out.flush()


def clean(text: str, out: TextIO) -> str:
    """Text that cannot play tricks on the terminal, in characters that it can show."""
    encoding = out.encoding or "utf-8"
    text = text.translate(_CONTROLS).expandtabs(4)
    return text.encode(encoding, "replace").decode(encoding)
