"""The line that begins a message in a WhatsApp export: its date, time, speaker. Knows no file, and
nothing of what WhatsApp says by itself."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from models.exports.whatsapp_words import AFTER_NOON, BEFORE_NOON, halved

if TYPE_CHECKING:
    from collections.abc import Sequence

Numbers = tuple[int, int, int]
"""A date as it is written."""

Order = Literal["day", "month", "year"]
"""What comes first in a date. A year of four digits that comes first needs no such."""
ORDERS: tuple[Order, ...] = ("day", "month", "year")

MARKS = "\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ufeff"
"""Characters that only say in which direction to write, as a regular expression's class."""

# \d is any script's digit, and int() reads them all.
_DATE = r"(?P<a>\d{1,4})(?P<between>[./-])\s?(?P<b>\d{1,2})(?P=between)\s?(?P<c>\d{1,4})"
_TIME = r"(?P<hour>\d{1,2})[.:](?P<minute>\d\d)(?:[.:](?P<second>\d\d))?"
_HALF = r"(?P<after>\s?[^\W\d_][^\d\s\[\]:]{0,9}(?:\s[^\d\s\[\]:]{1,2})?)?"
_END = r"(?(bracket)\]|\s[-\u2013])\s?"
_HEADS = tuple(
    re.compile(rf"(?P<bracket>\[)?\s?{beginning}{_END}")
    for beginning in (
        # "12.3.2022 klo 14.08", "2019. 1. 1. \uc624\ud6c4 3:21", "1/1/19, 3:21 PM"
        rf"{_DATE}(?P<before>[^\d\[\]:\n]{{1,16}}?){_TIME}{_HALF}",
        # "14:05, 12/03/2020"
        rf"{_TIME}{_HALF}(?P<before>,\s){_DATE}",
    )
)
_MARK = re.compile(f"[{MARKS}]")
_NAME = re.compile(rf"[{MARKS}]*(?:~\s?)?(?P<name>[^:\n]{{1,100}}):(?:\s(?P<text>.*)|$)", re.DOTALL)
_QUOTATION = frozenset("\u201c\u201d\u201e\u00ab\u00bb\u300c\u300d")

_BEGINNING = 2009
"""WhatsApp's first year."""


@dataclass(frozen=True, slots=True)
class Head:
    """A line that begins a message or a notice."""

    #: what tells one phone's way to write from another's
    style: str
    date: Numbers
    #: local to the phone
    time: datetime.time
    #: a word beside the time that says nothing known; empty for none
    odd: str
    #: empty for a notice
    speaker: str
    text: str


def head(line: str) -> Head | None:
    """What the line begins; None when it goes on with the message before."""
    start = line[:80]
    bare = _MARK.sub("", start)
    matches = (pattern.match(bare) for pattern in _HEADS)
    found = next((match for match in matches if match), None)
    if found is None:
        return None
    half = halved(found["after"] or "") or halved(found["before"])
    hour = int(found["hour"])
    if half in AFTER_NOON and hour < 12:
        hour += 12
    elif half in BEFORE_NOON and hour == 12:
        hour = 0
    try:
        time = datetime.time(hour, int(found["minute"]), int(found["second"] or 0))
    except ValueError:
        return None
    known = not found["after"] or half in AFTER_NOON or half in BEFORE_NOON
    beginning = "time" if found.start("hour") < found.start("a") else "date"
    speaker, text = _spoken(_rest(line, found.end()))
    return Head(
        style=f"{found['bracket'] or '-'}{found['between']}{beginning}",
        date=(int(found["a"]), int(found["b"]), int(found["c"])),
        time=time,
        odd="" if known else half,
        speaker=speaker,
        text=text,
    )


def _rest(line: str, length: int) -> str:
    """What follows so many characters that are no marks."""
    for index, letter in enumerate(line):
        if not length:
            return line[index:]
        length -= not _MARK.match(letter)
    return ""


def _spoken(rest: str) -> tuple[str, str]:
    found = _NAME.match(rest)
    if found is None:
        return "", rest
    name = _MARK.sub("", found["name"]).strip()
    # In a notice that quotes a title with a colon, what precedes the colon is no name.
    if name.count('"') % 2 or not _QUOTATION.isdisjoint(name):
        return "", rest
    return name, found["text"] or ""


def day_of(date: Numbers, order: Order) -> datetime.date | None:
    """The day that is meant, or None where there is none or WhatsApp was not, or is not yet."""
    first, second, third = date
    if order == "year" or first > 999:
        year, month, day = first, second, third
    elif order == "day":
        day, month, year = first, second, third
    else:
        month, day, year = first, second, third
    if year < 100:
        year += 2000
    elif year > 2400:  # the Buddhist calendar, which differs in nothing else
        year -= 543
    if not _BEGINNING <= year <= datetime.datetime.now(datetime.UTC).year + 1:
        return None
    try:
        return datetime.date(year, month, day)
    except ValueError:
        return None


def is_possible(date: Numbers) -> bool:
    """Whether there is such a day, whatever comes first."""
    return any(day_of(date, order) is not None for order in ORDERS)


def wrongs(dates: Sequence[Numbers], order: Order) -> tuple[int, int]:
    """How many of these dates there are not, and how often one is earlier than that before it."""
    days = [day_of(date, order) for date in dates]
    there = [day for day in days if day is not None]
    back = sum(after < before for before, after in pairwise(there))
    return len(days) - len(there), back


def order_of(dates: Sequence[Numbers]) -> Order | None:
    """What comes first in a chat's dates: what makes most of them dates, and those the most in
    order. None where that leaves it open."""
    if all(first > 999 for first, _, _ in dates):
        return "year"
    by_day, by_month = wrongs(dates, "day"), wrongs(dates, "month")
    # Years of two digits rarely come first: only where nothing else fits as well.
    if wrongs(dates, "year") < min(by_day, by_month):
        return "year"
    if by_day == by_month:
        return None
    return "day" if by_day < by_month else "month"
