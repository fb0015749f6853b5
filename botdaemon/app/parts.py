"""What the configuration describes, made. Knows every kind of part and nothing of their lives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botdaemon import logs
from botdaemon.access import Access
from botdaemon.app import imports
from botdaemon.bots.canned import CannedBot
from botdaemon.bots.text import TextBot
from botdaemon.commands import COMMANDS
from botdaemon.config import (
    ChatConfig,
    Config,
    EchoConfig,
    SlackConfig,
    TerminalConfig,
    TextBotConfig,
    WebConfig,
    read_token,
)
from botdaemon.dispatcher import House, Limits
from botdaemon.ports import Adapter, Bot, Courier, Surroundings, TextEngine
from botdaemon.routes import Router, Triggers
from botdaemon.types import Address, Room
from botdaemon.web import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AsyncExitStack

    from botdaemon.store import Store


def _mirrors(config: Config) -> list[str]:
    return [name for name, table in config.adapters.items() if isinstance(table, WebConfig)]


async def settle_rooms(config: Config, store: Store) -> None:
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


def make_adapters(config: Config, store: Store) -> Iterator[Adapter]:
    for name, table in config.adapters.items():
        make = imports.named(imports.ADAPTERS[table.kind])
        if isinstance(table, WebConfig):
            about = {bot: one.about for bot, one in config.bots.items()}
            yield make(name, store, about, config.limits.message_characters)
        elif isinstance(table, ChatConfig):
            yield make(name, table, *tokens(config, name), surroundings(config, name, store))
        else:
            yield make(name, table.bot)


def tokens(config: Config, name: str) -> list[str]:
    """The secrets of a chat platform's adapter, which no log shows from here on."""
    found = [read_token(config, name)]
    if isinstance(config.adapters[name], SlackConfig):
        found.append(read_token(config, name, "app_token"))
    named = [token for token in found if token is not None]
    for token in named:
        logs.redact(token)
    return named


def surroundings(config: Config, name: str, store: Store) -> Surroundings:
    """What the adapter of a chat platform is told of the house."""
    bots = _served(config, name)
    return Surroundings(
        shelf=store,
        bots={bot: config.bots[bot].about for bot in bots},
        pictures={bot: url for bot in bots if (url := config.bots[bot].picture)},
        commands=COMMANDS,
        shared=_shared(config, name),
        file_limit=config.limits.file_megabytes * 1_000_000,
    )


def _served(config: Config, adapter: str) -> tuple[str, ...]:
    """The bots that an adapter's account speaks for, the default first."""
    table = config.adapters.get(adapter)
    if isinstance(table, TerminalConfig):
        return (table.bot,)
    named = table.bots if isinstance(table, ChatConfig) else ()
    return tuple(named or config.bots)


def _shared(config: Config, adapter: str) -> frozenset[str]:
    """The channels of an adapter that are part of a room."""
    channels = (
        channel.split(":", 1) for room in config.rooms.values() for channel in room.channels
    )
    return frozenset(channel for owner, channel in channels if owner == adapter)


def make_server(config: Config, name: str, adapter: Any, ready: Mapping[str, bool | str]) -> Server:
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


async def make_engines(
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
            engines[name] = imports.named(imports.ECHO)(delay=table.delay_seconds)
        else:
            local[name] = imports.named(imports.SPEC)(
                path=str(table.path or table.hub),
                revision=table.revision,
                device=table.device,
                dtype=table.dtype,
            )
    if not local:
        return engines, lambda: [f"models: {', '.join(engines)}"]
    process = await stack.enter_async_context(
        imports.named(imports.PROCESS)(name="models", models=local, base=config.path.parent)
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


def make_bot(config: Config, name: str, engines: Mapping[str, TextEngine]) -> Bot:
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


def make_house(
    config: Config,
    bots: Mapping[str, Bot],
    adapters: Mapping[str, Adapter],
    status: Callable[[], list[str]],
) -> House:
    serving = {name: _served(config, name) for name in adapters}
    chats = {
        name: table for name, table in config.adapters.items() if isinstance(table, ChatConfig)
    }
    free = {name: frozenset(table.free_channels) for name, table in chats.items()}
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
        route=Router(triggers, serving, free=free, bots_in_a_row=config.limits.bots_in_a_row),
        access=Access({name: table.access for name, table in chats.items()}),
        ours={name: free[name] | _shared(config, name) for name in chats},
        stale=60 * config.limits.stale_minutes,
        limits=Limits(
            queue=config.limits.queue,
            queue_per_person=config.limits.queue_per_person,
            turns_at_once=config.limits.turns_at_once,
            merge=config.limits.merge_seconds,
            turn=config.limits.turn_seconds,
            per_person=config.limits.answers_per_minute_person,
            per_channel=config.limits.answers_per_minute_channel,
            per_server=config.limits.answers_per_minute_server,
            to_bots=config.limits.answers_to_bots_per_hour,
        ),
        longest_message=config.limits.message_characters,
        status=status,
    )
