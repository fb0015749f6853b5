"""Tables as lines of text in a font of fixed width. Knows no Markdown."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_CELL = 40  # columns of a table are padded to this at most, or one long cell fills every row


def aligned(rows: Sequence[Sequence[str]], right: Sequence[bool]) -> list[str]:
    """The rows, the head first, with a line under it; `right` are columns that stand there."""
    widths = [min(_CELL, max(map(width, column))) for column in zip(*rows, strict=True)]
    lines = [" | ".join(map(_padded, row, widths, right)).rstrip() for row in rows]
    lines.insert(1, "-+-".join("-" * columns for columns in widths))
    return lines


def width(text: str) -> int:
    """Columns that the text takes."""
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(unicodedata.combining(char) != 0 for char in text)


def _padded(text: str, columns: int, right: bool) -> str:
    blanks = " " * (columns - width(text))
    return blanks + text if right else text + blanks
