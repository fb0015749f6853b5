"""How a person's lines are read: from a pipe or a file, or from a terminal with editing keys.

Knows nothing of what is done with them.
"""

from __future__ import annotations

import asyncio
import os
import sys
import termios
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_PROMPT = "> "
_CHUNK = 2**16


class Lines:
    """Lines of a pipe, a file or a plain terminal, read when they are wanted, without a thread and
    without making the descriptor non-blocking for whoever shares it."""

    def __init__(self, stream: TextIO | None) -> None:
        self.ended = False
        self._buffer = b""
        try:
            self._fd = stream.fileno() if stream is not None else -1
        except (OSError, ValueError):  # no file behind it, or closed
            self._fd = -1
        self.ended = self._fd < 0

    def redraw(self) -> str:
        return _PROMPT

    def take(self) -> str | None:
        """A whole line if there is one, and after the end what is left."""
        line, newline, rest = self._buffer.partition(b"\n")
        if not newline and not (self.ended and line):
            return None
        self._buffer = rest
        return line.decode(errors="replace")

    @contextmanager
    def watched(self, wake: Callable[[], object]) -> Generator[None]:
        """Read whatever comes in the meantime, and call `wake` for it."""
        loop = asyncio.get_running_loop()

        def ready() -> None:
            self._read()
            wake()

        if self.ended:
            yield
            return
        try:
            loop.add_reader(self._fd, ready)
        except PermissionError:  # a file on disk: never to be waited for
            while not self.ended and b"\n" not in self._buffer:
                self._read()
            yield
            return
        try:
            yield
        finally:
            loop.remove_reader(self._fd)

    def close(self) -> None:
        """Nothing to put back."""

    def _read(self) -> None:
        try:
            chunk = os.read(self._fd, _CHUNK)
        except OSError:  # the other side of the terminal is gone
            chunk = b""
        self._buffer += chunk
        self.ended = not chunk


class Editor:
    """Lines typed at a terminal with readline: editing keys, and the lines before by arrow.

    readline blocks its thread until a line is whole. The thread is a daemon, so that leaving never
    waits for it; what it did to the terminal's settings is put back then."""

    def __init__(self) -> None:
        import readline  # at its start it may write to stdout: not before it is needed

        self._readline = readline
        self._settings = termios.tcgetattr(sys.stdin.fileno())
        self._typed: list[str] = []
        self._asking = False
        self.ended = False

    def redraw(self) -> str:
        return _PROMPT + self._readline.get_line_buffer() if self._asking else ""

    def take(self) -> str | None:
        """The line, once it is whole."""
        return self._typed.pop() if self._typed else None

    @contextmanager
    def watched(self, wake: Callable[[], object]) -> Generator[None]:
        """Ask for a line, and call `wake` when it is there."""
        loop = asyncio.get_running_loop()

        def tell(line: str | None) -> None:
            self._asking = False
            self.ended = line is None
            self._typed += [line] if line is not None else []
            wake()

        def ask() -> None:
            try:
                line = input(_PROMPT)
            except (EOFError, OSError, ValueError):
                line = None
            with suppress(RuntimeError):  # the loop is over: nobody asks any more
                loop.call_soon_threadsafe(tell, line)

        self._asking = True
        threading.Thread(target=ask, name="readline", daemon=True).start()
        yield

    def close(self) -> None:
        """Leave the terminal as it was found."""
        termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, self._settings)
