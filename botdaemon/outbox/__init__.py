"""From the store to the platforms: letters and live drafts. Knows no bot and no platform.

Each adapter has an outbox of its own (`lanes`), so a slow platform delays only itself; each address
in it has a lane, so letters arrive in order and one address that must wait holds up no other.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from botdaemon.metrics import Metrics
from botdaemon.outbox.lanes import Outbox
from botdaemon.outbox.sketch import Sketch
from botdaemon.ports import Adapter, Courier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

    from botdaemon.store import Store
    from botdaemon.types import Address, Draft, Obligation

__all__ = ["Outbox", "Outboxes"]

log = logging.getLogger(__name__)


class Outboxes:
    """All adapters' outboxes, and the live side of a turn. `tasks` owns what is under way: what it
    cancels stays in the store."""

    def __init__(
        self,
        adapters: Mapping[str, Adapter],
        store: Store,
        tasks: asyncio.TaskGroup,
        metrics: Metrics | None = None,
    ) -> None:
        self._adapters = adapters
        self._store = store
        self._tasks = tasks
        metrics = metrics or Metrics()
        self.by_adapter = {
            name: Outbox(adapter, store, tasks, metrics)
            for name, adapter in adapters.items()
            if isinstance(adapter, Courier)
        }

    def post(self, addresses: Iterable[Address]) -> None:
        """There are letters for these addresses."""
        for address in addresses:
            if outbox := self.by_adapter.get(address.adapter):
                outbox.post(address)

    async def resume(self) -> None:
        """Take up what was not delivered when the daemon last stopped."""
        for name in self.by_adapter:
            self.post(await self._store.open_places(name))

    async def drained(self) -> None:
        """Wait until nothing is left that could be delivered now."""
        for outbox in self.by_adapter.values():
            await outbox.drained()

    @asynccontextmanager
    async def live(self, obligation: Obligation) -> AsyncIterator[Callable[[Draft], None]]:
        """Typing at all addresses of a turn for as long as the context lasts.

        Yields a function that shows the answer so far, throttled as each platform asks.
        """
        ended = asyncio.Event()
        sketches = []
        for address in obligation.addresses:
            adapter = self._adapters.get(address.adapter)
            if adapter is None:  # it left the configuration; its letters wait for its return
                continue
            outbox = self.by_adapter.get(address.adapter)
            self._tasks.create_task(
                _typing(adapter, outbox, address, obligation.bot, ended), name=f"typing {address}"
            )
            if adapter.traits.edits_per_second:
                sketches.append(Sketch(adapter, outbox, self._store, obligation, address))

        def show(draft: Draft) -> None:
            for sketch in sketches:
                sketch.show(draft, self._tasks)

        try:
            yield show
        finally:
            ended.set()
            for sketch in sketches:
                sketch.close()


async def _typing(
    adapter: Adapter, outbox: Outbox | None, address: Address, bot: str, ended: asyncio.Event
) -> None:
    """Typing until the turn has ended and its last part is delivered. A courtesy, and a task of its
    own: a platform that is slow at it, or refuses it, keeps nobody from answering."""
    try:
        async with adapter.typing(address, bot):
            await ended.wait()
            if outbox is not None:
                await outbox.quiet(address)
    except Exception as error:
        log.info(
            "no typing: %s",
            error or type(error).__name__,
            extra={"event": "typing_failed", "adapter": address.adapter},
        )
