"""The daemon put together: the only module that knows everyone.

Adapters and models are named by import string and imported when the configuration asks for them,
so a daemon whose models are elsewhere never imports a model library. Starting is the order of the
contexts in `running`, stopping the numbered plan in `serve`.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botdaemon import logs, systemd
from botdaemon.bots.canned import CannedBot
from botdaemon.bots.text import TextBot
from botdaemon.check import Overhead
from botdaemon.config import (
    Config,
    EchoConfig,
    ModelConfig,
    TerminalConfig,
    TextBotConfig,
    TransformersConfig,
    WebConfig,
    load,
    read_token,
)
from botdaemon.dispatcher import Dispatcher, House, Limits
from botdaemon.errors import AdapterDown, AdapterRefused, BotdaemonError, ConfigError
from botdaemon.outbox import Outboxes
from botdaemon.ports import Adapter, Bot, Courier, Deliver, TextEngine
from botdaemon.routes import Router, Triggers
from botdaemon.store import Store, open_store
from botdaemon.tasks import background
from botdaemon.types import Address, Room
from botdaemon.web import Server

log = logging.getLogger(__name__)

ADAPTERS = {
    "web": "adapters.web:WebAdapter",
    "terminal": "adapters.terminal:TerminalAdapter",
}
ECHO = "models.echo:EchoEngine"
PROCESS = "models.process:ModelProcess"
SPEC = "models.process:ModelSpec"
RESOLVE = "models.preflight:resolve"
FORMAT = "models.formats:load"

#: seconds before an adapter that is down is started again, doubling up to the longest
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0


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
    #: ends when the last adapter that can end by itself has
    left: asyncio.Event


# --- the life of the daemon ------------------------------------------------------------------


async def serve(config: Config, *, on_ready: Callable[[Daemon], None] = lambda _: None) -> None:
    """Run until SIGTERM or SIGINT. Raises what kept it from starting or ended it."""
    stop = Stop()
    with _signals(stop, config.path):
        async with running(config) as daemon:
            on_ready(daemon)
            systemd.notify("READY=1")
            log.info("ready", extra={"event": "ready"})
            await stop.asked.wait()
            systemd.notify("STOPPING=1")
            log.info("stopping", extra={"event": "stopping"})
            # 1. No new turns; messages are still recorded.
            # 2. Turns under way finish within the grace period, and
            # 3. the outboxes deliver what can be delivered. A second signal skips the waiting.
            await _wind_down(daemon, stop, config.daemon.grace_seconds)
            # 4. What is left is cancelled; it is on disk and taken up at the next start.
            log.info(
                "stopped",
                extra={
                    "event": "stopped",
                    "turns_left": daemon.dispatcher.turns.running + daemon.dispatcher.turns.waiting,
                },
            )
        # 5. Adapters, model processes and the store end as their contexts do.


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
def _signals(stop: Stop, path: Path) -> Iterator[None]:
    def reload() -> None:
        try:
            load(path)
        except ConfigError as error:
            log.error("the new configuration has mistakes, the old one stays:\n%s", error)
        else:
            log.warning("the new configuration is valid; restart to apply it")

    loop = asyncio.get_running_loop()
    handlers = {signal.SIGTERM: stop.ask, signal.SIGINT: stop.ask, signal.SIGHUP: reload}
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
    _lie_side_by_side()
    async with AsyncExitStack() as stack:
        # 1. The store, and with it the lock: nothing else is touched if another daemon runs.
        store = await stack.enter_async_context(open_store(directory or config.daemon.data_dir))
        await _settle_rooms(config, store)
        # 2. The adapters, and the HTTP servers that some are mounted on.
        connected = {
            adapter.name: adapter
            for adapter in (adapters(store) if adapters else _adapters(config, store))
        }
        ready: dict[str, bool | str] = {"daemon": "starting"}
        servers = {
            name: await stack.enter_async_context(
                _server(config, name, adapter, ready)
            )
            for name, adapter in connected.items()
            if isinstance(config.adapters.get(name), WebConfig)
        }
        # 3. The models and the bots that think with them.
        engines, status = await _engines(config, stack)
        bots = {name: _bot(config, name, engines) for name in config.bots}
        # 4. From the inside out: what ends first is entered last.
        lives = await stack.enter_async_context(background())
        outboxes = Outboxes(connected, store, await stack.enter_async_context(background()))
        dispatcher = Dispatcher(
            store,
            _house(config, bots, connected, status),
            outboxes,
            await stack.enter_async_context(background()),
        )
        # 5. What was left when the daemon last stopped, then what comes.
        await outboxes.resume()
        await dispatcher.recover()
        left = asyncio.Event()
        for name, adapter in connected.items():
            ready[name] = True
            lives.create_task(
                _keep(adapter, dispatcher.deliver, ready, left), name=f"adapter {name}"
            )
        ready["daemon"] = True
        yield Daemon(
            store=store,
            dispatcher=dispatcher,
            outboxes=outboxes,
            adapters=connected,
            servers=servers,
            left=left,
        )


async def _keep(
    adapter: Adapter, deliver: Deliver, ready: dict[str, bool | str], left: asyncio.Event
) -> None:
    """Keep an adapter connected. One that is down comes back; one that is refused stays away and
    is said; any other error is a fault of ours and ends the daemon with the adapter's name."""
    pause = FIRST_PAUSE
    with logs.context(adapter=adapter.name):
        while True:
            began = time.monotonic()
            try:
                await adapter.run(deliver)
                left.set()
                return
            except AdapterRefused as error:
                ready[adapter.name] = str(error)
                log.error("refused: %s", error, extra={"event": "adapter_refused"})
                return
            except AdapterDown as error:
                if time.monotonic() - began > LONGEST_PAUSE:
                    pause = FIRST_PAUSE
                ready[adapter.name] = str(error)
                log.warning(
                    "down, next try in %.0f s: %s", pause, error, extra={"event": "adapter_down"}
                )
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            ready[adapter.name] = True


# --- the parts -------------------------------------------------------------------------------


def _mirrors(config: Config) -> list[str]:
    return [name for name, table in config.adapters.items() if isinstance(table, WebConfig)]


async def _settle_rooms(config: Config, store: Store) -> None:
    rooms = {
        name: Room(id=0, name=name, bots=tuple(table.bots), host=table.host, configured=True)
        for name, table in config.rooms.items()
    }
    channels = {
        Address(*channel.split(":", 1)): name
        for name, table in config.rooms.items()
        for channel in table.channels
    }
    await store.settle_rooms(rooms, channels, mirrors=_mirrors(config), bots=config.bots)


def _adapters(config: Config, store: Store) -> Iterator[Adapter]:
    for name, table in config.adapters.items():
        make = _import(ADAPTERS[table.kind])
        if isinstance(table, WebConfig):
            about = {bot: one.about for bot, one in config.bots.items()}
            yield make(name, store, about, config.limits.message_characters)
        else:
            yield make(name, table.bot)


def _server(
    config: Config, name: str, adapter: Any, ready: Mapping[str, bool | str]
) -> Server:
    table = config.adapters[name]
    if not isinstance(table, WebConfig):
        raise TypeError(f"{name} has no server")
    token = read_token(config, name)
    if token is not None:
        logs.redact(token)
    return Server(
        table.host,
        table.port,
        mounts=[adapter.mount],
        ready=lambda: ready,
        token=token,
        hosts=table.host_names,
    )


async def _engines(
    config: Config, stack: AsyncExitStack
) -> tuple[dict[str, TextEngine], Callable[[], list[str]]]:
    """An engine for each model, and the lines about them for /status."""
    wanted = {bot.model for bot in config.bots.values() if isinstance(bot, TextBotConfig)}
    engines: dict[str, TextEngine] = {}
    local: dict[str, Any] = {}
    for name, table in config.models.items():
        if name not in wanted:
            continue
        if isinstance(table, EchoConfig):
            engines[name] = _import(ECHO)(delay=table.delay_seconds)
        else:
            local[name] = _spec(config, name, table)
    if not local:
        return engines, lambda: [f"models: {', '.join(engines)}"]
    process = await stack.enter_async_context(
        _import(PROCESS)(name="models", models=local, base=config.path.parent)
    )
    engines |= {name: process.engine(name) for name in local}

    def status() -> list[str]:
        now = process.status()
        state = "ready" if now.ready else "starting"
        loaded = ", ".join(now.loaded) or "none yet"
        return [
            f"models: {', '.join(engines)}",
            f"model process: {state}, loaded: {loaded}, {now.memory / 2**20:.0f} MiB, "
            f"{now.restarts} restarts",
        ]

    return engines, status


def _spec(config: Config, name: str, table: TransformersConfig) -> Any:
    bare = next(
        (
            config.sampling(bot)
            for bot, one in config.bots.items()
            if isinstance(one, TextBotConfig)
            and one.model == name
            and one.sampling == type(one.sampling)()
        ),
        None,
    )
    return _import(SPEC)(
        path=str(table.path or table.hub),
        revision=table.revision,
        device=table.device,
        dtype=table.dtype,
        **({"sampling": bare} if bare is not None else {}),
    )


def _bot(config: Config, name: str, engines: Mapping[str, TextEngine]) -> Bot:
    table = config.bots[name]
    if isinstance(table, TextBotConfig):
        sampling = config.sampling(name)
        return TextBot(
            name=name,
            persona=table.persona,
            model=table.model,
            engine=engines[table.model],
            sampling=sampling,
            history_messages=table.history_messages,
            max_tokens=sampling.max_tokens,
        )
    return CannedBot(name, table.lines, table.characters_per_second, table.longest_typing_seconds)


def _house(
    config: Config,
    bots: Mapping[str, Bot],
    adapters: Mapping[str, Adapter],
    status: Callable[[], list[str]],
) -> House:
    serving = {
        name: (table.bot,) if isinstance(table, TerminalConfig) else tuple(config.bots)
        for name, table in config.adapters.items()
    }
    triggers = [
        Triggers(
            bot=name,
            names=(name, *table.names),
            wake=tuple(table.wake),
            chance=table.chance,
            follow_up=table.follow_up,
        )
        for name, table in config.bots.items()
    ]
    return House(
        bots=bots,
        about={name: table.about for name, table in config.bots.items()},
        history={
            name: table.history_messages if isinstance(table, TextBotConfig) else 12
            for name, table in config.bots.items()
        },
        couriers={
            name: adapter.traits
            for name, adapter in adapters.items()
            if isinstance(adapter, Courier)
        },
        serving=serving,
        route=Router(triggers, serving),
        limits=Limits(
            queue=config.limits.queue,
            queue_per_person=config.limits.queue_per_person,
            turns_at_once=config.limits.turns_at_once,
            merge=config.limits.merge_seconds,
            turn=config.limits.turn_seconds,
        ),
        longest_message=config.limits.message_characters,
        status=status,
    )
