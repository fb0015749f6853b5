"""The watchdog's food: systemd hears that the daemon lives only while all of it does. Knows of each
part how long it has been silent, and of none what it does.

The event loop is what feeds. Adapters beat (`Pulse`), model processes answer pings, the store's
writer is asked for a transaction that changes nothing. A part that hangs is first begun anew by
whoever looks after it; the watchdog is for when that did not help.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdaemon import systemd
from botdaemon.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from botdaemon.store import Store

log = logging.getLogger(__name__)

#: seconds without a beat after which an adapter is begun anew
SILENCE = 300.0
#: more seconds, after which that has not helped
GRACE = 120.0
#: seconds between two questions to the store
ASK = 10.0


@dataclass(slots=True)
class Pulse:
    """When a part last showed a sign of life; `limit` is in seconds."""

    limit: float = SILENCE
    clock: Callable[[], float] = time.monotonic
    at: float = math.inf

    def rest(self) -> None:
        """It is not there at the moment, and nobody expects anything of it."""
        self.at = math.inf

    def beat(self) -> None:
        """It is in order."""
        self.at = self.clock()

    @property
    def left(self) -> float:
        """Seconds until it has been silent for too long; below 0 it has."""
        return self.at + self.limit - self.clock()


async def ask_store(store: Store, pulse: Pulse) -> None:
    """Keep asking whether transactions come to an end, whatever end that is."""
    while True:
        with suppress(StoreError):
            await store.ping()
        pulse.beat()
        await asyncio.sleep(ASK)


async def feed(silent: Callable[[], Iterable[str]], limit: float) -> None:
    """Tell systemd in time that the daemon lives, while nobody is `silent`. `limit` is the
    watchdog's, in seconds; 0: there is none."""
    before: list[str] = []
    while limit:
        if names := sorted(silent()):
            if names != before:
                words = f"hangs, and will be killed: {', '.join(names)}"
                log.critical("%s", words, extra={"event": "watchdog_starves"})
                systemd.status(words)
        else:
            systemd.alive()
        before = names
        await asyncio.sleep(limit / 4)
