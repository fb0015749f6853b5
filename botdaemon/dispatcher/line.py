"""A line before the models: so many turns think at once, the others wait and know their place.

It is fair between people: next is whoever was served longest ago, so that five wishes of one person
hold up nobody's first. Knows nothing of turns but who asked for them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import zip_longest

Moved = Callable[[int], None]
"""Told the place in line whenever it is another; 1 is next."""

#: seconds in which changes of places are gathered before people are told
GATHER = 0.05


@dataclass(slots=True, eq=False)
class _Ticket:
    turn: int
    who: int
    called: asyncio.Future[None]
    moved: Moved
    #: the place it was last told
    place: int = 0


class Line:
    """Serves `slots` turns at a time, people in rotation, one person's turns as they came."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        #: seconds a turn takes, smoothed; 0 while nobody knows
        self.pace = 0.0
        self._free = slots
        self._waiting: dict[int, deque[_Ticket]] = {}  # by person, who came first being first
        self._served: dict[int, int] = {}  # the number of a person's last call
        self._calls = 0
        self._telling: asyncio.TimerHandle | None = None

    def waiting(self) -> list[int]:
        """The turns that wait, in the order in which they will be called as things stand."""
        return [ticket.turn for ticket in self._order()]

    def seconds(self, place: int) -> float:
        """How long a place in line probably still waits; 0 while nobody knows."""
        return place * self.pace / self.slots

    def took(self, seconds: float) -> None:
        """A turn took so long."""
        self.pace = seconds if not self.pace else 0.8 * self.pace + 0.2 * seconds

    @asynccontextmanager
    async def slot(self, turn: int, who: int, moved: Moved) -> AsyncIterator[None]:
        """Wait in line, then hold a slot for as long as the context lasts."""
        if self._free > 0:
            self._free -= 1
            self._serve(who)
        else:
            await self._wait(turn, who, moved)
        try:
            yield
        finally:
            self._release()

    async def _wait(self, turn: int, who: int, moved: Moved) -> None:
        ticket = _Ticket(turn, who, asyncio.get_running_loop().create_future(), moved)
        self._waiting.setdefault(who, deque()).append(ticket)
        self._changed()
        try:
            await ticket.called
        except asyncio.CancelledError:
            if ticket in self._waiting.get(who, ()):
                self._leave(ticket)
            elif not ticket.called.cancelled():
                self._release()  # called and cancelled at the same moment: the slot goes on
            raise

    def _release(self) -> None:
        while self._waiting and self._free >= 0:
            ticket = self._waiting[min(self._waiting, key=self._last_call)][0]
            self._leave(ticket)
            if not ticket.called.done():  # else cancelled at this moment
                self._serve(ticket.who)
                ticket.called.set_result(None)
                return
        self._free += 1
        if self._free == self.slots:
            self._served.clear()  # whoever comes now finds nobody before them

    def resize(self, slots: int) -> None:
        """Serve so many at a time from now on. Nobody who is served already has to leave."""
        more, self.slots = slots - self.slots, slots
        for _ in range(more):
            self._release()
        self._free += min(more, 0)  # below 0 until enough of those who are served have left

    def _serve(self, who: int) -> None:
        self._calls += 1
        self._served[who] = self._calls

    def _last_call(self, who: int) -> int:
        return self._served.get(who, 0)

    def _leave(self, ticket: _Ticket) -> None:
        tickets = self._waiting[ticket.who]
        tickets.remove(ticket)
        if not tickets:
            del self._waiting[ticket.who]
        self._changed()

    def _order(self) -> list[_Ticket]:
        """Whoever is called goes behind all others, so this is one ticket of each, then one more
        of each, and so on."""
        people = sorted(self._waiting, key=self._last_call)
        rounds = zip_longest(*(self._waiting[who] for who in people))
        return [ticket for one_each in rounds for ticket in one_each if ticket is not None]

    def _changed(self) -> None:
        if self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(GATHER, self._tell)

    def _tell(self) -> None:
        self._telling = None
        for place, ticket in enumerate(self._order(), 1):
            if place != ticket.place:
                ticket.place = place
                ticket.moved(place)
