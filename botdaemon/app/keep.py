"""Keeps an adapter connected. Knows nothing of what it is connected to."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdaemon import logs
from botdaemon.errors import AdapterDown, AdapterRefused
from botdaemon.ports import Connectable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdaemon.app.watch import Pulse
    from botdaemon.metrics import Metrics
    from botdaemon.ports import Adapter, Deliver

log = logging.getLogger(__name__)

#: seconds after which an adapter has been there for long
LONG = 300.0


@dataclass(frozen=True, slots=True)
class Pauses:
    """Seconds before an adapter that ended is started again, doubling from one end to the next."""

    first: float = 2.0
    longest: float = 60.0

    def after(self, ends: int) -> float:
        """After so many ends in a row; never the same for everybody, since after an outage the
        whole world comes back at once."""
        whole = min(self.longest, self.first * 2.0 ** min(ends - 1, 20))
        return whole * random.uniform(0.8, 1.2)


def is_up(adapter: Adapter, ready: Mapping[str, bool | str]) -> bool:
    """Whether an adapter is connected, as far as it can be known: while one is started again,
    `ready` already says that it is there."""
    if isinstance(adapter, Connectable) and not adapter.connected:
        return False
    return ready.get(adapter.name) is True


async def keep(
    adapter: Adapter,
    deliver: Deliver,
    ready: dict[str, bool | str],
    left: asyncio.Event,
    metrics: Metrics,
    pauses: Pauses = Pauses(),
    pulse: Pulse | None = None,
) -> None:
    """Run the adapter until it leaves by itself (`left` is set) or is refused. One that is down
    comes back after a pause, and so does one that failed by a fault of its own: what one platform
    sends must not end the conversations on the others. `ready` says how it is; one that should
    have a `pulse` and has none any more is ended, and begun anew."""
    ends = 0
    with logs.context(adapter=adapter.name):
        while True:
            began = time.monotonic()
            try:
                await (adapter.run(deliver) if pulse is None else _run(adapter, deliver, pulse))
                left.set()
                return
            except AdapterRefused as error:
                ready[adapter.name] = str(error)
                metrics.connections_ended.labels(adapter.name, "refused").inc()
                log.error("refused: %s", error, extra={"event": "adapter_refused"})
                return
            except AdapterDown as error:
                reason, kind = str(error), "down"
            except Exception as error:
                reason, kind = f"a fault of its own: {error!r}", "fault"
                log.exception("the adapter failed", extra={"event": "adapter_failed"})
            # Who stayed for long comes back soon; who ends again and again, ever later.
            metrics.connections_ended.labels(adapter.name, kind).inc()
            ends = 1 if time.monotonic() - began > LONG else ends + 1
            pause = pauses.after(ends)
            ready[adapter.name] = reason
            log.warning(
                "down, next try in %.0f s: %s", pause, reason, extra={"event": "adapter_down"}
            )
            await asyncio.sleep(pause)
            ready[adapter.name] = True


async def _run(adapter: Adapter, deliver: Deliver, pulse: Pulse) -> None:
    pulse.beat()
    running = asyncio.ensure_future(adapter.run(deliver))
    try:
        while not running.done():
            if pulse.left <= 0:
                raise AdapterDown(f"no sign of life for {pulse.limit:.0f} s")
            await asyncio.wait([running], timeout=pulse.left)
        await running
    finally:
        # One that cannot even be ended has no pulse either, and the watchdog sees that.
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        pulse.rest()
