"""Keeps the clock: looks at schedules when they are due, and hands on the turns that come of it.

The table in the store is the truth. What is kept here is when to look at it next, by APScheduler's
in-memory scheduler; its job stores are not used. Knows no bot's inside and no platform.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from botdaemon.errors import StoreError
from botdaemon.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from botdaemon.store import Decided, Store
    from botdaemon.store.slots import Govern
    from botdaemon.types import Obligation

log = logging.getLogger(__name__)

#: seconds after which it looks at the latest: the clock may be set, and the machine may sleep
LONGEST = 60.0
#: seconds between two attempts when the store cannot be written
PAUSE = 5.0


class Clock:
    """`bots` are the names of those there are, `painters` of those that draw; `take` takes a turn
    on. The time is the store's."""

    def __init__(
        self,
        store: Store,
        govern: Govern,
        *,
        bots: Collection[str],
        painters: Collection[str],
        take: Callable[[Obligation], None],
        metrics: Metrics | None = None,
    ) -> None:
        self._store = store
        self._take = take
        self._metrics = metrics or Metrics()
        self._rang = asyncio.Event()
        self.live_by(govern, bots=bots, painters=painters)

    def live_by(self, govern: Govern, *, bots: Collection[str], painters: Collection[str]) -> None:
        """Other rules and other bots from now on."""
        self._govern = govern
        self._bots = frozenset(bots)
        self._painters = frozenset(painters)
        self.wake()

    def wake(self) -> None:
        """There may be something that is due earlier than what was known."""
        self._rang.set()

    async def look(self) -> None:
        """Decide about every slot that is due, and begin the turns that come of it."""
        for schedule in await self._store.due_schedules():
            decided = await self._store.decide_slot(
                schedule, self._govern, self._bots, self._painters
            )
            if decided is None:
                continue
            self._metrics.decisions.labels(decided.decision.ruling.reason.value).inc()
            _tell(decided)
            if decided.obligation is not None:
                self._take(decided.obligation)

    async def run(self) -> None:
        """Look whenever something is due, until cancelled."""
        with _ringing(self._rang) as ring_in:
            while True:
                self._rang.clear()
                try:
                    await self.look()
                    due_in = await self._store.due_in()
                    ring_in(LONGEST if due_in is None else min(LONGEST, due_in))
                except StoreError as error:  # nothing is lost: what is due stays due
                    log.error("schedules wait: %s", error, extra={"event": "schedules_wait"})
                    ring_in(PAUSE)
                await self._rang.wait()


@contextmanager
def _ringing(rang: asyncio.Event) -> Iterator[Callable[[float], None]]:
    """Yields what sets the clock to ring in so many seconds, in place of the time it was set to."""
    # Imported where it is needed: it takes a good part of the time in which a daemon starts.
    from apscheduler.schedulers.asyncio import AsyncIOScheduler

    scheduler = AsyncIOScheduler(timezone=UTC)

    async def ring() -> None:
        rang.set()

    def ring_in(seconds: float) -> None:
        scheduler.add_job(
            ring,
            "date",
            run_date=datetime.now(UTC) + timedelta(seconds=max(0.0, seconds)),
            id="ring",
            replace_existing=True,
            # By default it is dropped when the loop was busy for a second.
            misfire_grace_time=None,
        )

    scheduler.start()
    try:
        yield ring_in
    finally:
        scheduler.shutdown(wait=False)


def _tell(decided: Decided) -> None:
    it, decision = decided.schedule, decided.decision
    log.info(
        "schedule %s: %s",
        it.name or it.id,
        decision.ruling.reason,
        extra={
            "event": "schedule",
            "schedule": it.id,
            "bot": it.bot,
            "decision": decision.ruling.reason.value,
            "slot": round(decision.slot),
            "turn": decision.turn,
        },
    )
