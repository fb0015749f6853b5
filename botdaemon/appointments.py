"""Reads when somebody wants a bot to write: "in 20 minutes stir the soup", "monday 9:00 …". Pure:
knows no schedule but its time, and no command."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from botdaemon import timetable
from botdaemon.errors import Refused
from botdaemon.types import Cron, Every, Once, QuietHours, Silence, When

HOW_TO_REMIND = (
    "Say when and of what: `/remind in 20 minutes stir the soup`, `/remind at 18:30 …`, "
    "`/remind tomorrow 9:00 …`, `/remind friday 17:00 …`, `/remind 2026-12-24 18:00 …`"
)
HOW_OFTEN = (
    "Say how often and what: `/every day 9:00 …`, `/every weekday 8:30 …`, `/every monday 9:00 …`, "
    '`/every 2 hours …`, `/every 3 hours of silence …`. What is in "quotes" is said as it stands, '
    "anything else is what the bot writes about."
)
HOW_QUIET = (
    "Say for how many hours, or in which: `/quiet 3`, `/quiet 22:00-7:00`, and `/quiet off` to "
    "lift it."
)
#: years; what is further off is a slip of the finger
_FURTHEST = 5

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = "|".join(
    (
        r"mon(?:day)?s?|tue(?:s|sday)?s?|wed(?:nesday)?s?|thu(?:r|rs|rsday)?s?|fri(?:day)?s?",
        r"sat(?:urday)?s?|sun(?:day)?s?",
    )
)
_TIME = r"(?P<time>\d{1,2}[:.]\d{2}(?:\s?[ap]m\b)?|\d{1,2}\s?[ap]m\b)"
# With its unit, so that "2 3 eggs" is none.
_FURTHER = r"[ ,]+\d+(?:\.\d+)?\s*(?:[dhms]|days?|h\w*rs?|min\w*|sec\w*)\b"
_LENGTH = rf"(?P<length>\d+(?:\.\d+)?\s*[a-z]+\b(?:{_FURTHER})*)"
_TEXT = r"[\s,:]+(?:to\s+|of\s+)?(?P<text>\S.*)"


def _pattern(when: str) -> re.Pattern[str]:
    return re.compile(rf"(?:me\s+)?{when}{_TEXT}", re.IGNORECASE | re.DOTALL)


_IN = _pattern(rf"in\s+{_LENGTH}")
_AT = _pattern(
    rf"(?:(?P<date>\d{{4}}-\d{{2}}-\d{{2}})\s+|(?P<tomorrow>tomorrow)\s+|(?:on\s+)?(?P<day>{_DAY})\s+)?"
    rf"(?:at\s+)?{_TIME}"
)
_CALENDAR = _pattern(rf"(?P<day>day|weekday|{_DAY})\s+(?:at\s+)?{_TIME}")
_SILENT = _pattern(rf"{_LENGTH}\s+of\s+silence")
_AGAIN = _pattern(_LENGTH)


def reminder(text: str, now: float, timezone: str) -> tuple[Once, str]:
    """When, and of what. Raises `Refused` for what cannot be read, has been, or is years away."""
    if match := _IN.fullmatch(text):
        at = now + timetable.duration(match["length"])
    elif match := _AT.fullmatch(text):
        at = _next_time(match, now, timezone)
    else:
        raise Refused(HOW_TO_REMIND)
    if at > now + timedelta(days=366 * _FURTHEST).total_seconds():
        raise Refused(f"I do not look ahead more than {_FURTHEST} years.")
    return Once(float(round(at))), match["text"].strip()


def repetition(text: str, timezone: str, shortest: float) -> tuple[When, str]:
    """How often, and what. `shortest` is how many seconds have to lie between two. Raises
    `Refused`."""
    if match := _CALENDAR.fullmatch(text):
        hour, minute = divmod(timetable.clock(match["time"]), 60)
        word = match["day"].lower()
        days = {"day": "*", "weekday": "mon-fri"}.get(word, word[:3])
        return Cron(f"{minute} {hour} * * {days}", timezone), match["text"].strip()
    match = _SILENT.fullmatch(text) or _AGAIN.fullmatch(text)
    if match is None:
        raise Refused(HOW_OFTEN)
    try:
        seconds = timetable.duration(match["length"])
    except Refused:
        raise Refused(HOW_OFTEN) from None
    if seconds < shortest:
        raise Refused(f"Not more often than every {timetable.lasting(shortest)}, please.")
    when = Silence(seconds) if match.re is _SILENT else Every(seconds)
    return when, match["text"].strip()


def quiet(text: str) -> float | QuietHours:
    """For how many seconds nobody is to write first (0: it is lifted), or in which hours of any
    day. Raises `Refused`."""
    words = text.strip().lower()
    if words in ("off", "no", "stop", "over", "0"):
        return 0.0
    if re.fullmatch(r"\d+(\.\d+)?", words):
        seconds = 3600 * float(words)
    elif re.search(r"\d\s*(am|pm)?\s*[-\N{EN DASH}]", words):
        return timetable.quiet_hours(words)
    else:
        try:
            seconds = timetable.duration(words)
        except Refused:
            raise Refused(HOW_QUIET) from None
    if seconds > timedelta(days=366).total_seconds():
        raise Refused("Quiet may last a year. /schedules delete NUMBER ends a schedule for good.")
    return seconds


def _next_time(match: re.Match[str], now: float, timezone: str) -> float:
    zone = timetable.zone(timezone)
    here = datetime.fromtimestamp(now, zone)
    hour, minute = divmod(timetable.clock(match["time"]), 60)
    if match["date"]:
        try:
            day = datetime.fromisoformat(match["date"])
        except ValueError:
            raise Refused(f"There is no {match['date']}.") from None
        at = day.replace(hour=hour, minute=minute, tzinfo=zone)
        if at.timestamp() <= now:
            raise Refused(f"{timetable.written(at.timestamp(), timezone)} has been.")
        return at.timestamp()
    today = here.replace(hour=hour, minute=minute, second=0, microsecond=0, fold=0)
    if match["tomorrow"]:
        return (today + timedelta(days=1)).timestamp()
    ahead = 0
    if match["day"]:
        ahead = (_DAYS.index(match["day"][:3].lower()) - here.weekday()) % 7
    at = today + timedelta(days=ahead)
    if at.timestamp() <= now:
        at += timedelta(days=7 if match["day"] else 1)
    return at.timestamp()
