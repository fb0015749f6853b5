"""The line before the models: so many turns think at once, the others wait and know their place.

Knows nothing of turns but that they come and go.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

Moved = Callable[[int], None]
"""Told the new place in line whenever it changes; 1 is next."""


@dataclass(slots=True, eq=False)
class _Ticket:
    called: asyncio.Future[None]
    moved: Moved


class Line:
    """First come, first served, by `slots` at a time."""

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._waiting: deque[_Ticket] = deque()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @asynccontextmanager
    async def slot(self, moved: Moved) -> AsyncIterator[None]:
        """Wait in line, then hold a slot for as long as the context lasts."""
        if self._free:
            self._free -= 1
        else:
            await self._wait(moved)
        try:
            yield
        finally:
            self._release()

    async def _wait(self, moved: Moved) -> None:
        ticket = _Ticket(asyncio.get_running_loop().create_future(), moved)
        self._waiting.append(ticket)
        moved(len(self._waiting))
        try:
            await ticket.called
        except asyncio.CancelledError:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
                self._announce()
            elif not ticket.called.cancelled():
                self._release()  # called and cancelled at the same moment: the slot goes on
            raise

    def _release(self) -> None:
        while self._waiting:
            called = self._waiting.popleft().called
            if not called.done():  # else cancelled at this moment, and not gone from the line yet
                called.set_result(None)
                self._announce()
                return
        self._free += 1

    def _announce(self) -> None:
        for place, ticket in enumerate(self._waiting, 1):
            ticket.moved(place)
