"""When schedules have their slots, and how times are written and read. Pure: knows no clock, no
store and no bot.

The calendar is APScheduler's (its triggers, without its job stores), with a policy of ours for the
days on which the clock on the wall is changed: a time that does not exist there comes as much later
as the clock was put forward, and one that comes twice counts once.
"""

from __future__ import annotations

import difflib
import math
import random
import re
import zoneinfo
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from botdaemon.errors import Refused
from botdaemon.types import Cron, Every, Once, QuietHours, Silence, When

#: seconds; shorter ones are no schedule but noise
SHORTEST = 60.0
#: a crontab line that does not come within so many days never does (29 February, at most 8 years)
_NEVER = 3660
#: seconds by which clocks are put forward at most (two hours, in Antarctica), and one more
_GAP = 10_800.0

_UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
    **dict.fromkeys(("w", "week", "weeks"), 604_800),
}
_AMOUNT = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)\s*([a-z]+)", re.IGNORECASE)
_CLOCK = re.compile(r"(\d{1,2})(?:[:.](\d{2}))?\s*(am|pm)?", re.IGNORECASE)


# --- slots -----------------------------------------------------------------------------------


def next_slot(when: When, after: float, anchor: float) -> float | None:
    """The first slot later than `after`; None when there is none, and for `Silence`, whose slots
    depend on what is said. `anchor` is where `Every` counts from. Times are whole seconds.

    Raises `Refused` for a crontab line or a time zone that cannot be.
    """
    match when:
        case Cron():
            return _next_cron(when, after)
        case Every():
            from apscheduler.triggers.interval import IntervalTrigger

            start = datetime.fromtimestamp(math.ceil(anchor + when.seconds), UTC)
            return _next(IntervalTrigger(seconds=when.seconds, start_date=start), after)
        case Once():
            return when.at if when.at > after else None
        case Silence():
            return None


def delay(schedule: int, slot: float, jitter: float) -> float:
    """By how many seconds a slot comes late, from 0 to `jitter`: always the same for the same slot,
    so that a restart does not draw again."""
    return random.Random(f"{schedule} {slot}").uniform(0, jitter) if jitter else 0.0


def crontab(expression: str) -> None:
    """Raises `Refused` for what is no crontab line, or never comes."""
    if next_slot(Cron(expression, "UTC"), 0.0, 0.0) is None:
        raise Refused(f'"{expression}" never comes')


def _next(trigger: Any, after: float) -> float | None:
    now = datetime.fromtimestamp(math.floor(after) + 1, UTC)
    found: datetime | None = trigger.get_next_fire_time(None, now)
    return None if found is None else found.timestamp()


def _next_cron(when: Cron, after: float) -> float | None:
    """APScheduler counts by the clock on the wall, as if that were never changed: left to itself it
    skips days that begin at one in the morning, and says what comes twice twice."""
    timezone = zone(when.timezone)
    trigger = _crontab(when.expression)
    start = _wall(after, timezone) - _GAP
    trigger.end_date = datetime.fromtimestamp(start, UTC) + timedelta(days=_NEVER)
    found, wall = None, _next(trigger, start)
    while wall is not None:
        local = datetime.fromtimestamp(wall, UTC).replace(tzinfo=timezone)
        if (at := local.timestamp()) > after:
            found = at if found is None else min(found, at)
            if wall >= _wall(found, timezone):  # else it was put forward, perhaps past another
                break
        wall = _next(trigger, wall)
    return found


def _wall(at: float, timezone: ZoneInfo) -> float:
    """What the clock on the wall says, in seconds as if that were UTC."""
    return datetime.fromtimestamp(at, timezone).replace(tzinfo=UTC).timestamp()


def _crontab(expression: str) -> Any:
    # Imported here, since most configurations have no schedule, and it takes as long as the rest.
    from apscheduler.triggers.cron import CronTrigger

    fields = expression.lower().split()
    if len(fields) != 5:
        raise Refused(
            f'"{expression}" has {len(fields)} fields, a crontab line has five: minute, hour, day,'
            ' month, day of the week, as in "0 9 * * mon-fri"'
        )
    if re.search(r"\d", re.sub(r"/\d+", "", fields[4])):
        raise Refused(
            f'"{expression}": name the days of the week (mon, tue, wed, thu, fri, sat, sun), since'
            " 0 is Sunday to some programs and Monday to others"
        )
    try:
        return CronTrigger.from_crontab(" ".join(fields), timezone=UTC)
    except ValueError as error:
        raise Refused(f'"{expression}" is no crontab line: {error}') from None


# --- reading ---------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def zone(name: str) -> ZoneInfo:
    """A time zone of the IANA database. Raises `Refused`."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, zoneinfo.ZoneInfoNotFoundError):  # a directory, "../x", "Mars"
        pass
    known = {
        alias.casefold(): full
        for full in sorted(zoneinfo.available_timezones())
        for alias in (full, full.rpartition("/")[2])
    }
    wanted = name.strip().replace(" ", "_").casefold()
    near = [known[wanted]] if wanted in known else []
    near += [known[alias] for alias in difflib.get_close_matches(wanted, known, 1) if not near]
    hint = f'did you mean "{near[0]}"?' if near else 'write one as "Europe/Berlin"'
    raise Refused(f'there is no time zone "{name}"; {hint}')


def duration(text: str) -> float:
    """ "90 minutes", "1 h 30 min", "2 days" in seconds. Raises `Refused`."""
    seconds, at, text = 0.0, 0, text.strip()
    while match := _AMOUNT.match(text, at):
        unit = _UNITS.get(match[2].lower())
        if unit is None:
            break
        seconds += float(match[1]) * unit
        at = match.end()
        at += len(text[at:]) - len(text[at:].lstrip(" ,"))
    if at != len(text) or not seconds:
        raise Refused(f'"{text}" is no length of time; write it as "90 minutes", "2 h" or "3 days"')
    return seconds


def clock(text: str) -> int:
    """ "9", "18:30" or "6:30 pm" in minutes after midnight. Raises `Refused`."""
    match = _CLOCK.fullmatch(text.strip())
    if match is not None:
        hour, minute = int(match[1]), int(match[2] or 0)
        if match[3] and 1 <= hour <= 12:
            hour = hour % 12 + (12 if match[3].lower() == "pm" else 0)
        elif match[3]:
            hour = 24
        if hour < 24 and minute < 60:
            return 60 * hour + minute
    raise Refused(f'"{text}" is no time of day; write it as "18:30"')


def quiet_hours(text: str) -> QuietHours:
    """ "22:00-07:00". Raises `Refused`."""
    begins, dash, ends = text.replace("\N{EN DASH}", "-").partition("-")
    if not dash:
        raise Refused(f'"{text}" are no hours; write them as "22:00-07:00"')
    hours = QuietHours(clock(begins), clock(ends))
    if hours.begins == hours.ends:
        raise Refused(f'"{text}" begins and ends at the same time; write hours as "22:00-07:00"')
    return hours


# --- writing ---------------------------------------------------------------------------------


def written(at: float, timezone: str) -> str:
    """A time as people write it, "Mon 30 Nov 2026, 09:00"."""
    return f"{datetime.fromtimestamp(at, zone(timezone)):%a %-d %b %Y, %H:%M}"


def lasting(seconds: float) -> str:
    """A length of time as `duration` reads it, "1 h 30 min"."""
    parts = []
    rest = round(seconds)
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts) or "0 s"


def hours_written(hours: QuietHours) -> str:
    """As `quiet_hours` reads them."""
    return "-".join(f"{at // 60:02}:{at % 60:02}" for at in (hours.begins, hours.ends))


def described(when: When, timezone: str) -> str:
    """When a schedule has its slots, in words; `timezone` is the reader's."""
    match when:
        case Cron():
            return f"`{when.expression}` ({when.timezone})"
        case Every():
            return f"every {lasting(when.seconds)}"
        case Once():
            return f"on {written(when.at, timezone)}"
        case Silence():
            return f"after {lasting(when.seconds)} of silence"
