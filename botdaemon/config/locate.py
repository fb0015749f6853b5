"""Says on which line of a TOML text each key and list item stands. Knows nothing of what they mean.

tomllib and tomlkit drop positions. The text has already been accepted by tomllib, so this reads
only as much grammar as is needed to find where keys and values begin.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right

Where = tuple[str | int, ...]
"""A place in the document: table names, keys and, from 0, positions in lists."""

_SPACE = re.compile(r"[ \t]*")
_FILLER = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}(?!")'
    r"|'''.*?'{3,5}(?!')"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]+")  # a number, a date or a boolean


def lines(text: str) -> dict[Where, int]:
    """The line, counted from 1, of every table, key and list item of the valid TOML `text`."""
    return _Reader(text).read()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._newlines = [match.start() for match in re.finditer("\n", text)]
        self._found: dict[Where, int] = {}
        #: how many elements each array of tables has so far
        self._elements: dict[Where, int] = {}

    def read(self) -> dict[Where, int]:
        table: Where = ()
        while not self._finished():
            line = self._line()
            if self._take("[["):
                array = self._header()
                index = self._elements.get(array, 0)
                self._elements[array] = index + 1
                self._found.setdefault(array, line)
                table = (*array, index)
                self._note(table, line)
                self._take("]]")
            elif self._take("["):
                table = self._header()
                self._note(table, line)
                self._take("]")
            else:
                self._pair(table)
        return self._found

    def _finished(self) -> bool:
        self._match(_FILLER)
        return self._at == len(self._text)

    def _pair(self, table: Where) -> None:
        line = self._line()
        where = table + self._key()
        self._note(where, line)
        self._take("=")
        self._match(_SPACE)
        self._value(where)

    def _value(self, where: Where) -> None:
        if self._take("["):
            index = 0
            while not self._closed("]"):
                item = (*where, index)
                self._note(item, self._line())
                self._value(item)
                index += 1
        elif self._take("{"):
            while not self._closed("}"):
                self._pair(where)
        elif not self._match(_STRING):
            self._match(_SCALAR)

    def _closed(self, bracket: str) -> bool:
        """Go on to the next item of a list or an inline table, or behind it if there is none."""
        self._match(_FILLER)
        self._take(",")
        self._match(_FILLER)
        return self._take(bracket)

    def _key(self) -> tuple[str, ...]:
        """A key with its dots: `a."b.c".d`."""
        parts: list[str] = []
        while True:
            self._match(_SPACE)
            if bare := self._match(_BARE_KEY):
                parts.append(bare)
            else:
                parts.append(_unquoted(self._match(_STRING)))
            self._match(_SPACE)
            if not self._take("."):
                return tuple(parts)

    def _header(self) -> Where:
        """A header's path: a parent that is an array of tables means its last element."""
        *parents, last = self._key()
        where: Where = ()
        for part in parents:
            where = (*where, part)
            if where in self._elements:
                where = (*where, self._elements[where] - 1)
        return (*where, last)

    def _note(self, where: Where, line: int) -> None:
        for length in range(1, len(where)):
            self._found.setdefault(where[:length], line)
        self._found[where] = line

    def _line(self) -> int:
        return bisect_right(self._newlines, self._at - 1) + 1

    def _take(self, literal: str) -> bool:
        if self._text.startswith(literal, self._at):
            self._at += len(literal)
            return True
        return False

    def _match(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return match.group()


def _unquoted(key: str) -> str:
    name: str = tomllib.loads(f"key = {key}")["key"]
    return name
