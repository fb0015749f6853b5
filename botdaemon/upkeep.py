"""Keeps the daemon's data in order: does each chore when it is due and nobody needs the daemon.
When a chore was done last is in the store. Knows no chore's inside."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdaemon.errors import BotdaemonError, StoreError
from botdaemon.store import Done

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from botdaemon.store import Store

log = logging.getLogger(__name__)

#: seconds between two looks at what is due, and before the first one
PAUSE = 60.0
#: seconds for which a chore waits for a moment in which nobody needs the daemon
PATIENCE = 6 * 3600.0
#: seconds after which one that failed is tried again
AGAIN = 3600.0

CHECK = "check"
"""The chore that looks for damage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chore:
    """Something to do again and again."""

    name: str
    #: seconds
    every: float
    #: does it and says how it went; raises `BotdaemonError` or `OSError` when it went wrong
    do: Callable[[], Awaitable[str]]


class Upkeep:
    """`idle` says whether nobody needs the daemon; `ready` is told "database": True, or the damage
    that was found. `clock`: seconds since the epoch."""

    def __init__(
        self,
        store: Store,
        chores: Sequence[Chore],
        *,
        idle: Callable[[], bool],
        ready: dict[str, bool | str],
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._chores = tuple(chores)
        self._idle = idle
        self._ready = ready
        self._clock = clock

    async def run(self) -> None:
        """Do what is due, until cancelled. A start is no time for chores."""
        self._tell(await self._store.chores())
        while True:
            await asyncio.sleep(PAUSE)
            try:
                await self.look()
            except StoreError as error:  # it stays due
                log.error("chores wait: %s", error, extra={"event": "chores_wait"})

    async def look(self) -> None:
        """Do every chore that is due now, one after the other."""
        for chore in self._chores:
            late = self._late(chore, (await self._store.chores()).get(chore.name))
            if late >= 0 and (self._idle() or late > PATIENCE):
                await self._do(chore)
        self._tell(await self._store.chores())

    def _late(self, chore: Chore, last: Done | None) -> float:
        """For how many seconds it has been due; less than 0 if it is not."""
        if last is None:
            return 0.0
        pause = chore.every if last.good else min(chore.every, AGAIN)
        since = self._clock() - last.at
        return since - pause if since >= 0 else 0.0  # the clock was set back

    async def _do(self, chore: Chore) -> None:
        began, good = self._clock(), True
        try:
            said = await chore.do()
        except (BotdaemonError, OSError) as error:
            good, said = False, str(error)
        took = max(0.0, self._clock() - began)
        level = logging.INFO if good else logging.ERROR
        log.log(
            level,
            "%s: %s",
            chore.name,
            said,
            extra={"event": "chore", "chore": chore.name, "good": good, "seconds": round(took, 3)},
        )
        await self._store.note_chore(
            chore.name, Done(at=self._clock(), took=took, good=good, said=said)
        )

    def _tell(self, chores: dict[str, Done]) -> None:
        found = chores.get(CHECK)
        self._ready["database"] = True if found is None or found.good else found.said
