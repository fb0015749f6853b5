"""The life of the daemon: starting is the order of the contexts in `running`, stopping the numbered
plan in `serve`. Knows parts, not what they are made of."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botdaemon import systemd
from botdaemon.app import imports, judges, parts, watch
from botdaemon.app.beside import Beside
from botdaemon.app.control import listening
from botdaemon.app.data import make_upkeep
from botdaemon.app.engines import make_engines, wanted
from botdaemon.app.gauges import Gauges, Sources, watch_lag
from botdaemon.app.keep import is_up, keep
from botdaemon.app.reload import ANSWERING, Reload
from botdaemon.app.told import Told
from botdaemon.config import ChatConfig, Config, WebConfig
from botdaemon.dispatcher import Dispatcher
from botdaemon.metrics import Metrics
from botdaemon.outbox import Outboxes
from botdaemon.records.along import Journal, write_along
from botdaemon.schedule import Clock
from botdaemon.store import Store, open_store
from botdaemon.tasks import background
from botdaemon.types import Reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from botdaemon.ports import Adapter
    from botdaemon.types import Address
    from botdaemon.web import Server

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Stop:
    """How the daemon is asked to end: once politely, twice at once."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    at_once: asyncio.Event = field(default_factory=asyncio.Event)

    def ask(self) -> None:
        """Finish the turns under way, then end; the second time, end."""
        (self.at_once if self.asked.is_set() else self.asked).set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """Everything that runs, as `running` yields it."""

    store: Store
    dispatcher: Dispatcher
    outboxes: Outboxes
    adapters: Mapping[str, Adapter]
    servers: Mapping[str, Server]
    #: takes over what the configuration says now
    reload: Reload
    #: names what has shown no sign of life for too long
    silent: Callable[[], list[str]]
    #: where its data is
    directory: Path
    #: ends when the last adapter that can end by itself has
    left: asyncio.Event


async def serve(config: Config, *, on_ready: Callable[[Daemon], None] = lambda _: None) -> None:
    """Run until SIGTERM or SIGINT. Raises what kept it from starting or ended it."""
    stop, reload = Stop(), asyncio.Event()
    with _signals(stop, reload):
        async with running(config) as daemon:
            async with _attended(daemon, reload):
                on_ready(daemon)
                # What is there now stays: no collection need look at it again (the longest one
                # took 4 ms instead of 24 in the benchmark).
                gc.freeze()
                systemd.ready(ANSWERING)
                log.info("ready", extra={"event": "ready"})
                await _either(stop.asked, daemon.left)
            systemd.stopping("finishing answers")
            log.info("stopping", extra={"event": "stopping"})
            # 1. No new turns; messages are still recorded.
            # 2. Turns under way finish within the grace period, and
            # 3. the outboxes deliver what can be delivered. A second signal skips the waiting.
            await _wind_down(daemon, stop, daemon.reload.config.daemon.grace_seconds)
            # 4. What is left is cancelled; it is on disk and taken up at the next start.
            log.info(
                "stopped",
                extra={
                    "event": "stopped",
                    "turns_left": daemon.dispatcher.turns.running + daemon.dispatcher.turns.waiting,
                },
            )
        # 5. Adapters, model processes and the store end as their contexts do.


@asynccontextmanager
async def _attended(daemon: Daemon, reload: asyncio.Event) -> AsyncIterator[None]:
    """Somebody may ask for something, and systemd watches."""

    async def reload_when_asked() -> None:
        while True:
            await reload.wait()
            reload.clear()
            with suppress(Exception):  # the log has it, and all is as it was
                await daemon.reload()

    async with listening(daemon.directory, {"reload": daemon.reload}), background() as tasks:
        tasks.create_task(reload_when_asked(), name="reload")
        tasks.create_task(watch.feed(daemon.silent, systemd.watchdog()), name="watchdog")
        yield


async def _either(*events: asyncio.Event) -> None:
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


async def _wind_down(daemon: Daemon, stop: Stop, grace: float) -> None:
    async def politely() -> None:
        await daemon.dispatcher.turns.drain()
        await daemon.outboxes.drained()

    waiting = [
        asyncio.create_task(politely(), name="wind down"),
        asyncio.create_task(stop.at_once.wait(), name="second signal"),
    ]
    try:
        await asyncio.wait(waiting, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


@contextmanager
def _signals(stop: Stop, reload: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    handlers = {signal.SIGTERM: stop.ask, signal.SIGINT: stop.ask, signal.SIGHUP: reload.set}
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)


@asynccontextmanager
async def running(
    config: Config,
    *,
    directory: Path | None = None,
    adapters: Callable[[Store], Sequence[Adapter]] | None = None,
) -> AsyncIterator[Daemon]:
    """The whole daemon, connected, for as long as the context lasts.

    `directory` and `adapters` take the place of those of the configuration.
    """
    imports.lie_side_by_side()
    config.needs_bots()
    async with AsyncExitStack() as stack:
        # 1. The store, and with it the lock: nothing else is touched if another daemon runs.
        metrics = Metrics()
        gauges = Gauges(metrics)
        directory = directory or config.daemon.data_dir
        store = await stack.enter_async_context(open_store(directory, metrics=metrics))
        await parts.settle(config, store)

        async def prompt_of(address: Address, platform_id: str) -> str:
            return await dispatcher.prompt_of(address, platform_id)

        # 2. The adapters, and the HTTP servers that some are mounted on.
        pulses = {
            name: watch.Pulse()
            for name, table in config.adapters.items()
            if isinstance(table, ChatConfig)
        }
        told = Told(config, store, prompt_of, {name: it.beat for name, it in pulses.items()})
        connected = {
            adapter.name: adapter
            for adapter in (
                adapters(store) if adapters else parts.make_adapters(config, store, told, prompt_of)
            )
        }
        ready: dict[str, bool | str] = {"daemon": "starting"}
        servers = {
            name: await stack.enter_async_context(
                parts.make_server(config, name, adapter, ready, gauges)
            )
            for name, adapter in connected.items()
            if isinstance(config.adapters.get(name), WebConfig)
        }
        # 3. The models and the bots that think with them.
        engines = await make_engines(config, stack, wanted(config), config.daemon.data_dir)
        judges.needs_labels(config, engines.classifiers)
        bots = parts.make_bots(config, engines, store)
        # 4. From the inside out: what ends first is entered last, the adapters before all: what
        # they still delivered could not be taken on.
        metrics.expect(adapters=connected, bots=bots, reasons=Reason)
        outboxes = Outboxes(
            connected, store, await stack.enter_async_context(background()), metrics
        )
        house = parts.make_house(config, bots, connected, engines, lambda: clock.wake(), metrics)
        dispatcher = Dispatcher(
            store,
            house,
            outboxes,
            await stack.enter_async_context(background()),
        )
        clock = Clock(
            store,
            parts.make_governor(config),
            bots=house.bots,
            painters=house.painters,
            take=dispatcher.turns.take,
            metrics=metrics,
        )
        gauges.sources = Sources(
            store=store,
            turns=dispatcher.turns,
            queue=config.limits.queue,
            adapters=connected,
            up=lambda name: is_up(connected[name], ready),
            processes=engines.processes,
        )
        lives = await stack.enter_async_context(background())
        if config.records.directory is not None:
            journal = Journal(config.records.directory, await store.latest())
            lives.create_task(write_along(journal, store), name="records")
        beside = Beside(store, dispatcher, engines, lives)
        beside.live_by(config)
        # 5. What was left when the daemon last stopped, then what comes.
        await outboxes.resume()
        await dispatcher.recover()
        left = asyncio.Event()
        for name, adapter in connected.items():
            ready[name] = True
            lives.create_task(
                keep(adapter, dispatcher.deliver, ready, left, metrics, pulse=pulses.get(name)),
                name=f"adapter {name}",
            )
        stores_pulse = watch.Pulse()
        lives.create_task(watch.ask_store(store, stores_pulse), name="store")
        lives.create_task(clock.run(), name="schedules")
        lives.create_task(watch_lag(metrics), name="lag")
        turns = dispatcher.turns
        upkeep = make_upkeep(
            config, store, idle=lambda: not turns.running and not turns.waiting, ready=ready
        )
        lives.create_task(upkeep.run(), name="upkeep")
        ready["daemon"] = True

        def silent() -> list[str]:
            beating = {"store": stores_pulse, **pulses}
            hanging = [name for name, pulse in beating.items() if pulse.left < -watch.GRACE]
            return [*hanging, *engines.silent()]

        yield Daemon(
            store=store,
            dispatcher=dispatcher,
            outboxes=outboxes,
            adapters=connected,
            servers=servers,
            reload=Reload(
                config, store, dispatcher, clock, engines, connected, told, beside, metrics
            ),
            silent=silent,
            directory=directory,
            left=left,
        )
