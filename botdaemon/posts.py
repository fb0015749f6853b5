"""Short posts: where an answer is cut, and how it becomes several messages. Pure: knows no bot, no
platform and no clock.

Lengths are counted in characters (code points). What is shown of a growing answer is always a
beginning of what it ends as: `begun` belongs to `cut`, and `first` to `several`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import regex  # type: ignore[import-untyped]  # it comes without types

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: between the messages of an answer in its thread, where it is one text
BETWEEN = "\n\n"
#: seconds that all pauses of an answer take together at most
LONGEST = 20.0

# Marks count with what follows them: "3.14" and "a:b" go on. Those of Chinese and Japanese do not.
_CLAUSE = re.compile(r"[.!?…,;:]+[\"'”’)\]]*(?=\s)|[。！？…、，；：]|(?=\n)")  # noqa: RUF001
_WORD = re.compile(r"(?=\s)")
_OPEN_ENDED = " \t\r\n,;:、，；：-–—"  # noqa: RUF001
_PARAGRAPH = re.compile(r"\n(?:[ \t]*\n)+")
_FENCE = re.compile(r"^ {0,3}(?:```|~~~)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Several:
    """How many messages a bot makes of an answer, and how fast they come."""

    most: int = 1
    #: what stands between messages in what the bot writes; empty: every paragraph is one
    separator: str = ""
    characters_per_second: float = 25.0
    #: seconds before one message
    longest_pause: float = 6.0


#: one message, whatever is in the answer
ALONE = Several()


def cut(text: str, most: int) -> str:
    """At most so many characters of a text: up to the last clause that fits, or else the last word,
    or else as much as there is space for. 0: the whole text."""
    text = text.strip()
    if not most or len(text) <= most:
        return text
    return begun(text, most) or _whole_characters(text, most)


def begun(text: str, most: int) -> str:
    """What of a growing text is certain to stay when it is cut: whole clauses, or else words."""
    if not most:
        return text
    text = text.lstrip()
    for boundary in (_CLAUSE, _WORD):
        end = max((m.end() for m in boundary.finditer(text) if m.end() <= most), default=0)
        if kept := text[:end].rstrip(_OPEN_ENDED):
            return kept
    return ""


def _whole_characters(text: str, most: int) -> str:
    """What looks like one character stays whole, unless it is longer than there is space for."""
    end = 0
    for match in regex.finditer(r"\X", text):
        if match.end() > most:
            break
        end = match.end()
    return text[: end or most]


def several(text: str, most: int, how: Several) -> tuple[str, ...]:
    """An answer as its messages, with at most `most` characters in all of them together and what
    is between them; none for an empty one."""
    pieces = list(_pieces(text, how.separator)) if how.most > 1 else [text]
    pieces[how.most - 1 :] = [BETWEEN.join(pieces[how.most - 1 :])]
    kept: list[str] = []
    space = most
    for piece in pieces:
        if not piece.strip():
            continue
        if not most or len(piece) <= space:
            kept.append(piece)
            space -= len(piece) + len(BETWEEN)
            continue
        if not kept:
            kept.append(cut(piece, most))
        elif space > 0 and (rest := begun(piece, space)):
            kept.append(rest)
        break
    return tuple(kept)


def first(text: str, how: Several) -> str:
    """The first message of a growing answer, as far as it is certain."""
    if how.most <= 1:
        return text
    pieces = [*_pieces(text, how.separator), ""]
    if len(pieces) == 2:  # it may just be ending
        end = next(
            (n for n in range(len(how.separator) - 1, 0, -1) if text.endswith(how.separator[:n])), 0
        )
        return text[: len(text) - end].strip()
    return pieces[0]


def _pieces(text: str, separator: str) -> Iterator[str]:
    """What stands between separators, or between the blank lines that are outside of code."""
    if separator:
        yield from filter(None, map(str.strip, text.split(separator)))
        return
    start = 0
    for gap in _PARAGRAPH.finditer(text):
        if len(_FENCE.findall(text, start, gap.start())) % 2 == 0:
            if piece := text[start : gap.start()].strip():
                yield piece
            start = gap.end()
    if piece := text[start:].strip():
        yield piece


def pauses(messages: Sequence[str], how: Several) -> list[float]:
    """When each message is sent, in seconds after the first: as long as it takes to type those
    between."""
    each = [min(how.longest_pause, len(m) / how.characters_per_second) for m in messages[1:]]
    share = min(1.0, LONGEST / total) if (total := sum(each)) else 1.0
    at = [0.0]
    for seconds in each:
        at.append(at[-1] + share * seconds)
    return at[: len(messages)]
