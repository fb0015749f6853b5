"""The daemon put together: the only module that knows everyone.

Adapters and models are named by import string and imported when the configuration asks for them,
so a daemon whose models are elsewhere never imports a model library. Starting is the order of the
contexts in `running`, stopping the numbered plan in `serve`.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import importlib.util
import logging
import signal
import time
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botdaemon import logs, systemd
from botdaemon.bots.canned import CannedBot
from botdaemon.bots.canning import PROMPTS, fill
from botdaemon.bots.text import TextBot, opening
from botdaemon.check import Overhead
from botdaemon.config import (
    CannedBotConfig,
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
from botdaemon.errors import AdapterDown, AdapterRefused, ConfigError
from botdaemon.outbox import Outboxes
from botdaemon.ports import Adapter, Bot, Courier, Deliver, TextEngine
from botdaemon.routes import Router, Triggers
from botdaemon.store import Store, open_store
from botdaemon.tasks import background
from botdaemon.types import Address, Room
from botdaemon.web import Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

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
            # What is there now stays: no collection need look at it again (the longest one took
            # 4 ms instead of 24 in the benchmark).
            gc.freeze()
            systemd.ready("answering")
            log.info("ready", extra={"event": "ready"})
            await _either(stop.asked, daemon.left)
            systemd.stopping("finishing answers")
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
            name: await stack.enter_async_context(_server(config, name, adapter, ready))
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


# --- without the daemon ----------------------------------------------------------------------


async def chat(config: Config, bot: str, once: str | None) -> int:
    """A conversation in the terminal, in a store of its own, so that it is possible beside a
    running daemon. Returns the exit code."""
    name = "terminal"
    make = _import(ADAPTERS["terminal"])
    place = Address(name, bot)
    terminal: Any = None

    def adapters(store: Store) -> list[Adapter]:
        nonlocal terminal
        terminal = make(name, bot, once=once, recent=history)
        return [terminal]

    directory = config.daemon.data_dir / "terminal"
    async with open_store(directory) as store:
        history = await store.recent_at(place, 20) if once is None else []
    solo = config.model_copy(
        update={
            "adapters": {name: TerminalConfig(kind="terminal", bot=bot)},
            "rooms": {},
            "limits": config.limits.model_copy(update={"merge_seconds": 0.0}),
        }
    )
    async with running(solo, directory=directory, adapters=adapters) as daemon:
        await daemon.left.wait()
    return int(terminal.exit_code)


async def can(config: Config, bot: str, count: int, progress: Callable[[int, int], None]) -> None:
    """Fill a canned bot's file from its text bot."""
    table = config.bots[bot]
    if not isinstance(table, CannedBotConfig) or not table.source:
        raise ConfigError(
            config.problem(("bots", bot), 'name the text bot to fill it from: from = "BOT"')
        )
    async with AsyncExitStack() as stack:
        engines, _ = await _engines(config, stack)
        source = _bot(config, table.source, engines)
        if not isinstance(source, TextBot):
            raise TypeError(f"{table.source} is no text bot")
        async with aclosing(fill(source, PROMPTS, count, table.lines)) as added:
            async for done in added:
                progress(done, count)


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


def _server(config: Config, name: str, adapter: Any, ready: Mapping[str, bool | str]) -> Server:
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
            local[name] = _import(SPEC)(
                path=str(table.path or table.hub),
                revision=table.revision,
                device=table.device,
                dtype=table.dtype,
            )
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
            (
                f"model process: {state}, loaded: {loaded}, {now.memory / 2**20:.0f} MiB, "
                f"{now.restarts} restarts"
            ),
        ]

    return engines, status


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
        name: (table.bot,)
        if isinstance(table := config.adapters.get(name), TerminalConfig)
        else tuple(config.bots)
        for name in adapters
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
        thinkers=[name for name, table in config.bots.items() if isinstance(table, TextBotConfig)],
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


# --- looking without starting ----------------------------------------------------------------


def inspect_model(config: Config, table: ModelConfig) -> str:
    """What a model is, in a few words. Raises `ModelUnusable`; imports no model library."""
    if isinstance(table, EchoConfig):
        return "echo"
    card = _format(config, table).card
    return f"{table.hub or table.path}, a context of {card.context} tokens"


def weigh(config: Config, bot: str) -> Overhead:
    """Where the context of a text bot's model goes."""
    table = config.bots[bot]
    if not isinstance(table, TextBotConfig):
        raise TypeError(f"{bot} is no text bot")
    model = config.models[table.model]
    request = opening(bot, table.persona, table.model)
    if isinstance(model, EchoConfig):
        engine: TextEngine = _import(ECHO)()
        card, fixed = engine.card, asyncio.run(engine.count(request))
    else:
        form = _format(config, model)
        card, fixed = form.card, len(form.encode(request))
    return Overhead(
        fixed=fixed,
        reply=min(config.sampling(bot).max_tokens or card.max_tokens, card.context // 2),
        context=card.context,
    )


def _format(config: Config, table: TransformersConfig) -> Any:
    directory = _import(RESOLVE)(
        str(table.path or table.hub), base=config.path.parent, revision=table.revision
    )
    return _import(FORMAT)(directory)


# --- imports ---------------------------------------------------------------------------------


def _import(name: str) -> Any:
    """What an import string names. A package that is missing is said with its remedy; one that
    is broken is not taken for missing."""
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in ("adapters", "models", "botdaemon"):
            raise
        raise ConfigError(
            f"{module} needs the package {error.name}, which is not installed; "
            "install botdaemon with the extra that brings it (see README.md)"
        ) from error


def _lie_side_by_side() -> None:
    """`adapters` and `models` are generic names: make sure that they are ours."""
    here = Path(__file__).resolve().parent.parent
    for name in ("adapters", "models"):
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin).resolve().parent.parent if spec and spec.origin else None
        if origin != here:
            found = f"found in {origin}" if origin else "not found"
            raise ConfigError(
                f"the package {name!r} that belongs to botdaemon should lie in {here} and was "
                f"{found}: another distribution has taken its name; install botdaemon into a "
                "virtual environment of its own"
            )
