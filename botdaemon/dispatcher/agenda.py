"""What people arrange by commands: reminders, schedules, quiet, their time zone. Knows no clock but
the one it is given, and nothing of how schedules are kept."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from botdaemon import appointments, timetable
from botdaemon.dispatcher.letters import plain
from botdaemon.errors import Refused
from botdaemon.store import Quiet
from botdaemon.types import Cue, Once, QuietHours, Reason, Schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from botdaemon.access import Access
    from botdaemon.dispatcher.orders import Order
    from botdaemon.store import Listed, Store
    from botdaemon.types import Identity

#: seconds of quiet when nobody says how long
USUAL_QUIET = 8 * 3600.0
#: characters of a text in a list
_SHOWN = 60
_DELETE = re.compile(r"(?:delete|remove|stop|end)\s+#?(\d{1,12})", re.IGNORECASE)
_CALLED = re.compile(r"@([\w.-]+)[,:]?\s+(\S.*)", re.DOTALL)
_QUOTED = re.compile(
    r"[\"\N{LEFT DOUBLE QUOTATION MARK}](.+)[\"\N{RIGHT DOUBLE QUOTATION MARK}]", re.DOTALL
)

#: why somebody is kept waiting, in words
_WHY = {
    Reason.SPEAKS: "came",
    Reason.MISSED: "left out, I was away",
    Reason.GONE: "left out, there is no such bot any more",
    Reason.NOWHERE: "left out, there was nowhere to write",
    Reason.QUIET: "held back, somebody wants quiet",
    Reason.QUIET_HOURS: "held back in quiet hours",
    Reason.ANSWERING: "held back, an answer was under way",
    Reason.CONVERSATION: "held back, people were talking",
    Reason.UNANSWERED: "held back, nobody answered the ones before",
    Reason.PAUSE: "held back, nobody answered the one before",
    Reason.BUDGET: "held back, enough was written that day",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Arranging:
    """What people may arrange."""

    #: of whoever has not named theirs
    timezone: str = "UTC"
    #: schedules of one person
    most: int = 10
    #: seconds between two slots of one
    shortest: float = 1800.0
    clock: Callable[[], float] = time.time
    #: tells the clock that there may be something earlier than what it waits for
    changed: Callable[[], None] = lambda: None


class Agenda:
    """`serving` are the bots that each adapter speaks for, the default first."""

    def __init__(
        self,
        store: Store,
        access: Access,
        serving: Mapping[str, Sequence[str]],
        arranging: Arranging,
    ) -> None:
        self._store = store
        self._access = access
        self._serving = serving
        self._arranging = arranging

    async def remind(self, order: Order) -> str:
        """A message at a time, for whoever asks for it."""
        timezone = await self._timezone(order.who)
        when, text = appointments.reminder(order.argument, self._arranging.clock(), timezone)
        who = "" if order.direct else f"**{plain(order.who.name)}**: "
        made = await self._add(
            order,
            Schedule(
                bot=(await self._bots(order))[0],
                when=when,
                cue=Cue(say=f"{who}{text}"),
                missed="once",
                asked=True,
            ),
        )
        at = timetable.written(when.at, timezone)
        return (
            f"I will remind you on {at} ({timezone}). `/schedules delete {made.id}` calls it off."
        )

    async def every(self, order: Order) -> str:
        """A schedule in the place where it is asked for."""
        timezone = await self._timezone(order.who)
        when, text = appointments.repetition(order.argument, timezone, self._arranging.shortest)
        bots = await self._bots(order)
        bot = bots[0]
        if called := _CALLED.fullmatch(text):
            named = [one for one in bots if one.casefold() == called[1].casefold()]
            if not named:
                raise Refused(f'There is no bot "{called[1]}" here (there are: {", ".join(bots)})')
            bot, text = named[0], called[2]
        quoted = _QUOTED.fullmatch(text)
        cue = Cue(say=quoted[1].strip()) if quoted else Cue(prompt=text)
        made = await self._add(order, Schedule(bot=bot, when=when, cue=cue))
        next_one = (
            "" if made.slot is None else f" next on {timetable.written(made.slot, timezone)},"
        )
        return (
            f"**{plain(bot)}** will write {timetable.described(when, timezone)},{next_one} when"
            f" that disturbs nobody. `/schedules delete {made.id}` ends it."
        )

    async def schedules(self, order: Order) -> str:
        """What is arranged here, or the end of one's own."""
        if delete := _DELETE.fullmatch(order.argument):
            return await self._end(order, int(delete[1]))
        if order.argument:
            raise Refused("Say `/schedules`, or `/schedules delete NUMBER`.")
        timezone = await self._timezone(order.who)
        listed = await self._store.schedules_at(
            order.thread, order.address, order.who, direct=order.direct
        )
        lines = [self._line(one, timezone) for one in listed]
        quiet = _in_words(await self._quiet_here(order), timezone, self._arranging.clock())
        if not lines:
            return " ".join(filter(None, ("Nothing is arranged here.", quiet)))
        return "\n".join([f"Arranged here (times in {timezone}):", "", *lines, "", quiet]).strip()

    async def quiet(self, order: Order) -> str:
        """Nobody writes first here for a while, or in some hours of every day."""
        here = await self._quiet_here(order)
        timezone = await self._timezone(order.who)
        now = self._arranging.clock()
        wanted = appointments.quiet(order.argument) if order.argument else USUAL_QUIET
        if isinstance(wanted, QuietHours):
            here = replace(here, hours=wanted, timezone=timezone)
        else:
            here = replace(here, until=now + wanted) if wanted else Quiet()
        await self._store.want_quiet(order.thread, order.address, _direct(order), here)
        self._arranging.changed()
        return _in_words(here, timezone, now) or (
            "Bots may write first here again, as far as the house's own rules allow."
        )

    async def timezone(self, order: Order) -> str:
        """The person's time zone."""
        if not order.argument:
            mine = await self._store.timezone_of(order.who)
            if mine:
                return f"Your time zone is {mine}."
            usual = self._arranging.timezone
            return (
                f"You have not named your time zone, so I take {usual}: `/timezone Europe/Berlin`"
            )
        zone = timetable.zone(order.argument.strip()).key
        await self._store.set_timezone(order.who, zone)
        now = timetable.written(self._arranging.clock(), zone)
        return f"Your time zone is {zone}, where it is {now} now."

    # --- parts -------------------------------------------------------------------------------

    async def _add(self, order: Order, wanted: Schedule) -> Schedule:
        made = await self._store.add_schedule(
            replace(wanted, address=order.address, direct=order.direct),
            order.who,
            self._arranging.most,
        )
        self._arranging.changed()
        return made

    async def _end(self, order: Order, id: int) -> str:
        unknown = Refused(f"You have no schedule {id}. /schedules lists what there is.")
        found = await self._store.find_schedule(id, order.who)
        if found is None or not (found.mine or self._access.is_admin(order.who)):
            raise unknown
        if name := found.schedule.name:
            raise Refused(f'"{name}" is in the configuration; it ends when it is taken out there.')
        await self._store.end_schedule(id)
        return f"Schedule {id} is over."

    async def _bots(self, order: Order) -> list[str]:
        """Who can write here, the one that does if nobody else is named first."""
        room = await self._store.room_of(order.thread)
        names = list(self._serving.get(order.address.adapter, ()) if room is None else room.bots)
        if room is not None and room.host in names:
            names.remove(room.host)
            names.insert(0, room.host)
        if not names:
            raise Refused("Nobody answers here.")
        return names

    async def _timezone(self, who: Identity) -> str:
        return await self._store.timezone_of(who) or self._arranging.timezone

    async def _quiet_here(self, order: Order) -> Quiet:
        return await self._store.quiet_at(order.thread, order.address, _direct(order))

    def _line(self, one: Listed, timezone: str) -> str:
        it = one.schedule
        text = " ".join((it.cue.say or it.cue.prompt).split())
        if len(text) > _SHOWN:
            text = f"{text[: _SHOWN - 1]}…"
        when = timetable.described(it.when, timezone)
        next_one = ""
        if it.slot is not None and not isinstance(it.when, Once):
            next_one = f", next {timetable.written(it.slot, timezone)}"
        last = ""
        if one.last is not None:
            last = f"; the last one: {_WHY[one.last.reason]}"
        number = f"`{it.name}`" if it.name else f"`{it.id}`"
        return f"- {number} **{plain(it.bot)}** {when}{next_one}: {plain(text)}{last}"


def _direct(order: Order) -> Identity | None:
    return order.who if order.direct else None


def _in_words(quiet: Quiet, timezone: str, now: float) -> str:
    parts = []
    if quiet.until > now:
        parts.append(f"until {timetable.written(quiet.until, timezone)}")
    if quiet.hours is not None:
        hours = timetable.hours_written(quiet.hours)
        parts.append(f"every day {hours} ({quiet.timezone})")
    if not parts:
        return ""
    return f"Nobody writes first here {' and '.join(parts)}. `/quiet off` lifts that."
