"""From a file's blocks to passages. Knows no file format.

A passage never crosses a heading or the end of a page, so that what is said of where it stands is
true of all of it. About 200 tokens are what embedders of the usual size read best, and what a small
model has space for. Passages do not overlap: each carries its headings instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from botdaemon.types import Passage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: characters of a passage at most: about 200 tokens of English
MOST = 800
#: characters of the headings of a passage, of which the innermost matter most
MOST_HEADING = 200

_SENTENCE = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|(?<=[。！？])|\n+")  # noqa: RUF001
_WORD = re.compile(r"\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A paragraph, a list, a table: what is not divided without need."""

    text: str
    #: outermost first
    headings: tuple[str, ...] = ()
    #: of a PDF, from 1
    page: int = 0
    #: of other files, from 1
    line: int = 0


def passages(blocks: Iterable[Block]) -> Iterator[Passage]:
    """The blocks as passages, several short ones in one and a long one in several."""
    waiting: Passage | None = None
    for block in blocks:
        heading = _heading(block.headings)
        for text in _pieces(block.text.strip(), MOST):
            together = f"{waiting.text}\n\n{text}" if waiting else ""
            if waiting and len(together) <= MOST and _same_place(waiting, heading, block.page):
                waiting = replace(waiting, text=together)
                continue
            if waiting:
                yield waiting
            waiting = Passage(
                file="", text=text, heading=heading, page=block.page, last_page=block.page,
                line=block.line,
            )  # fmt: skip
    if waiting:
        yield waiting


def _same_place(passage: Passage, heading: str, page: int) -> bool:
    return (passage.heading, passage.page) == (heading, page)


def _heading(headings: tuple[str, ...]) -> str:
    """The headings in one line, without the outermost ones where they are too long."""
    names = [" ".join(name.split()) for name in headings]
    while len(names) > 1 and len(" > ".join(names)) > MOST_HEADING:
        names.pop(0)
    return " > ".join(filter(None, names))[:MOST_HEADING]


def _pieces(text: str, most: int) -> Iterator[str]:
    """A text in pieces of at most so many characters: between sentences, or else words."""
    while len(text) > most:
        end = 0
        for boundary in (_SENTENCE, _WORD):
            ends = [match.end() for match in boundary.finditer(text, 0, most)]
            if ends and ends[-1] > most // 4:
                end = ends[-1]
                break
        end = end or most
        if piece := text[:end].strip():
            yield piece
        text = text[end:].lstrip()
    if text:
        yield text
