"""Whether a bot may write first now. Pure rules, asked before any model runs: knows no store, no
clock and no schedule."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from botdaemon import timetable
from botdaemon.types import QuietHours, Reason, Ruling, Situation

if TYPE_CHECKING:
    from collections.abc import Mapping

#: seconds after which it is looked again whether an answer is still under way
LOOK_AGAIN = 30.0
#: doublings of the pause after which it no longer grows
_DOUBLINGS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomRules:
    """Of one room; what is not set is as everywhere."""

    quiet_hours: QuietHours | None = None
    timezone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Times are in seconds."""

    #: where nobody says otherwise
    timezone: str = "UTC"
    #: by the clock of the place: the person's in a direct channel, the room's, or the one above
    quiet_hours: QuietHours | None = None
    #: first messages in a row that may be left unanswered
    most_unanswered: int = 2
    #: after one that is unanswered; twice as long after the second, and so on
    pause: float = 3600.0
    #: first messages in a room within a day
    most_a_day: int = 6
    #: nobody is talking any more when nothing was said for so long
    settled: float = 300.0
    rooms: Mapping[str, RoomRules] = field(default_factory=dict)


class Governor:
    """Decides by rules."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def __call__(self, situation: Situation) -> Ruling:
        """Whether a slot may be used at `situation.now`, and if not, why and until when."""
        rules, now = self._rules, situation.now
        if situation.quiet_until > now:
            return Ruling(Reason.QUIET, situation.quiet_until)
        for hours, timezone in self._quiet_hours(situation):
            if end := quiet_until(hours, timezone, now):
                return Ruling(Reason.QUIET_HOURS, end)
        if situation.answering:
            return Ruling(Reason.ANSWERING, now + LOOK_AGAIN)
        if situation.asked:
            return Ruling(Reason.SPEAKS)
        if (end := situation.last_said + rules.settled) > now:
            return Ruling(Reason.CONVERSATION, end)
        if len(situation.unanswered) >= rules.most_unanswered:
            return Ruling(Reason.UNANSWERED)
        if situation.unanswered:
            doublings = min(len(situation.unanswered) - 1, _DOUBLINGS)
            if (end := situation.unanswered[-1] + rules.pause * 2**doublings) > now:
                return Ruling(Reason.PAUSE, end)
        today, tomorrow = _day(now, self.timezone(situation.room, situation.timezone))
        if sum(at >= today for at in situation.recent) >= rules.most_a_day:
            return Ruling(Reason.BUDGET, tomorrow)
        return Ruling(Reason.SPEAKS)

    def timezone(self, room: str, person: str) -> str:
        """The clock of a place: of the person in a direct channel, else the room's."""
        return person or self._room(room).timezone or self._rules.timezone

    def _quiet_hours(self, situation: Situation) -> list[tuple[QuietHours, str]]:
        """Those of the operator, and those that people chose: nobody writes in either. But who asks
        at night to be reminded in ten minutes means that."""
        usual = self._room(situation.room).quiet_hours or self._rules.quiet_hours
        found = []
        if usual is not None and not situation.asked:
            found.append((usual, self.timezone(situation.room, situation.timezone)))
        if situation.hours is not None:
            zone = situation.hours_timezone
            found.append((situation.hours, zone or self.timezone(situation.room, "")))
        return found

    def _room(self, room: str) -> RoomRules:
        return self._rules.rooms.get(room) or RoomRules()


def quiet_until(hours: QuietHours, timezone: str, now: float) -> float:
    """When the quiet hours that it is now are over; 0 when it is none. The clock on the wall
    decides: an hour that comes twice is quiet twice."""
    local = datetime.fromtimestamp(now, timetable.zone(timezone))
    if not _is_quiet(hours, local):
        return 0.0
    # Today or tomorrow, and on the days on which the clock is changed perhaps one day later.
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    for days in range(4):
        for fold in (0, 1):
            end = (midnight + timedelta(days=days)).replace(
                hour=hours.ends // 60, minute=hours.ends % 60, fold=fold
            )
            at = end.timestamp()
            if at > now and not _is_quiet(hours, datetime.fromtimestamp(at, local.tzinfo)):
                return at
    raise ValueError(f"{hours} never end in {timezone}")


def _is_quiet(hours: QuietHours, local: datetime) -> bool:
    minute = 60 * local.hour + local.minute
    if hours.begins < hours.ends:
        return hours.begins <= minute < hours.ends
    return minute >= hours.begins or minute < hours.ends


def _day(now: float, timezone: str) -> tuple[float, float]:
    """When the day there began, and when the next one does."""
    local = datetime.fromtimestamp(now, timetable.zone(timezone))
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    return midnight.timestamp(), (midnight + timedelta(days=1)).timestamp()
