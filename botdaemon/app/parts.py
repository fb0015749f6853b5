"""What the configuration describes, made. Knows every kind of part and nothing of their lives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botdaemon import logs
from botdaemon.access import Access
from botdaemon.app import crowds, imports, judges, knowledge
from botdaemon.app.feelings import make_briefings, make_character
from botdaemon.app.gauges import CONTENT_TYPE
from botdaemon.app.manners import make_filter, make_manners
from botdaemon.app.memory import make_habits, make_remembers
from botdaemon.app.personas import examples, persona, shares
from botdaemon.app.sound import make_aloud, make_listening
from botdaemon.app.told import Told, file_limit, served, shared
from botdaemon.bots.canned import CannedBot
from botdaemon.bots.image import ImageBot
from botdaemon.bots.improver import Improver
from botdaemon.bots.telling import Telling, ToldBot
from botdaemon.bots.text import TextBot
from botdaemon.config import (
    BotConfig,
    CannedBotConfig,
    ChatConfig,
    Config,
    DiffusersConfig,
    ImageBotConfig,
    SlackConfig,
    TextBotConfig,
    WebConfig,
    read_token,
)
from botdaemon.dispatcher import TEXT, Arranging, House, Limits
from botdaemon.governor import Governor, RoomRules, Rules
from botdaemon.memory import briefing_of
from botdaemon.metrics import Metrics
from botdaemon.ports import Adapter, Bot, Briefing, Courier, Painter, PromptOf
from botdaemon.routes import Router, Triggers
from botdaemon.timetable import quiet_hours
from botdaemon.types import Address, Cue, QuietHours, Room, Schedule
from botdaemon.web import Server, metrics_page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from botdaemon.app.engines import Engines
    from botdaemon.app.gauges import Gauges
    from botdaemon.knowledge.briefing import Librarian
    from botdaemon.store import Store


def _mirrors(config: Config) -> list[str]:
    return [name for name, table in config.adapters.items() if isinstance(table, WebConfig)]


async def settle(config: Config, store: Store) -> None:
    """What is on disk of the configuration is as it says now, in one transaction. Raises `Refused`
    for a schedule that never comes."""
    rooms = {
        name: Room(id=0, name=name, bots=tuple(table.bots), host=table.host, configured=True)
        for name, table in config.rooms.items()
    }
    channels = {
        Address(*channel.split(":", 1)): name
        for name, table in config.rooms.items()
        for channel in table.channels
    }
    scheduled = (
        Schedule(
            name=table.name,
            bot=table.bot,
            when=table.when(config.governor.timezone),
            cue=Cue(say=table.say, prompt=table.prompt),
            room=table.room,
            address=Address(*table.channel.split(":", 1)) if table.channel else None,
            account=table.person,
            missed=table.missed,
            jitter=60 * table.jitter_minutes,
        )
        for table in config.schedules
    )
    await store.settle_rooms(
        rooms, channels, mirrors=_mirrors(config), bots=config.bots, scheduled=scheduled
    )


def make_governor(config: Config) -> Governor:
    table = config.governor
    return Governor(
        Rules(
            timezone=table.timezone,
            quiet_hours=_hours(table.quiet_hours),
            most_unanswered=table.most_unanswered,
            pause=60 * table.pause_minutes,
            most_a_day=table.most_a_day,
            settled=60 * table.settle_minutes,
            rooms={
                name: RoomRules(quiet_hours=_hours(room.quiet_hours), timezone=room.timezone)
                for name, room in config.rooms.items()
            },
        )
    )


def _hours(text: str) -> QuietHours | None:
    return quiet_hours(text) if text else None


def make_adapters(
    config: Config, store: Store, told: Told, prompt_of: PromptOf
) -> Iterator[Adapter]:
    for name, table in config.adapters.items():
        make = imports.named(imports.ADAPTERS[table.kind])
        if isinstance(table, WebConfig):
            yield make(
                name,
                store,
                told.about,
                config.limits.message_characters,
                file_limit=file_limit(config),
                prompt_of=prompt_of,
            )
        elif isinstance(table, ChatConfig):
            yield make(name, table, *tokens(config, name), told.around[name])
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


def make_server(
    config: Config, name: str, adapter: Any, ready: Mapping[str, bool | str], gauges: Gauges
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
        mounts=[adapter.mount, metrics_page(gauges.page, CONTENT_TYPE)],
        ready=lambda: ready,
        token=token,
        hosts=table.host_names,
    )


def make_writer(
    config: Config, name: str, engines: Engines, briefings: Sequence[Briefing] = ()
) -> TextBot:
    """A text bot alone: what its model writes."""
    table = config.bots[name]
    if not isinstance(table, TextBotConfig):
        raise TypeError(f"{name} is no text bot")
    return TextBot(
        name=name,
        persona=persona(config, table),
        model=table.model,
        adapter=table.adapter,
        engine=engines.text[table.model],
        sampling=table.sampling.chosen(),
        history_messages=table.history_messages,
        examples=examples(table),
        stop=table.stop,
        shares=shares(table),
        briefings=briefings,
    )


def make_bot(
    config: Config,
    name: str,
    engines: Engines,
    store: Store | None = None,
    librarian: Librarian | None = None,
) -> Bot:
    """A bot that draws keeps its pictures in the store, one that writes knows people by it, and a
    crowd looks there for names that nobody has. `librarian`: who looks things up for it."""
    table = config.bots[name]
    match table:
        case TextBotConfig():
            telling = Telling(
                table.model,
                tuple(_briefings(config, name, engines, store, librarian)),
                crowds.make_enricher(table.enrich, name, engines),
            )
            writer = make_writer(config, name, engines, [telling.notes])
            bot = ToldBot(crowds.as_crowd(writer, table.crowd, config, store), telling)
            return knowledge.citing(config, name, bot, librarian) if librarian else bot
        case CannedBotConfig():
            canned = CannedBot(
                name, table.lines, table.characters_per_second, table.longest_typing_seconds
            )
            return crowds.as_crowd(canned, table.crowd, config, store)
        case ImageBotConfig():
            if store is None:
                raise TypeError(f"{name} has nowhere to keep pictures")
            return ImageBot(
                name=name,
                model=table.model,
                engine=engines.image[table.model],
                keep=store.keep,
                path=store.file,
                source_of=imports.named(imports.SOURCE_OF),
                options=table.options,
                styles=table.styles,
                improver=Improver(engines.text[table.improve], table.improve, name)
                if table.improve
                else None,
                adapters=_adapters(config, table.model),
                unsafe=table.unsafe,
                checker=judges.make_checker(table.checker, engines.classifiers[table.checker.model])
                if table.checker
                else None,
                most_pictures=table.most_pictures,
                most_steps=table.most_steps,
                largest_side=table.largest_side,
            )


def make_bots(config: Config, engines: Engines, store: Store) -> dict[str, Bot]:
    """All of them."""
    librarians = {
        name: knowledge.librarian(config, name, engines) for name in knowledge.tables(config)
    }
    return {
        name: make_bot(config, name, engines, store, librarians.get(name)) for name in config.bots
    }


def _briefings(
    config: Config,
    name: str,
    engines: Engines,
    store: Store | None,
    librarian: Librarian | None,
) -> Iterator[Briefing]:
    """Who has something to tell a bot for a turn."""
    if librarian is not None:
        yield librarian.brief
    table = config.bots[name]
    if store is None or not isinstance(table, TextBotConfig):  # nothing is known
        return
    yield from make_briefings(make_character(config, table), store)
    if (habits := make_habits(config, name, engines)) is not None:
        yield briefing_of(habits, store.memories)


def _adapters(config: Config, model: str) -> tuple[str, ...]:
    table = config.models[model]
    return tuple(table.adapters) if isinstance(table, DiffusersConfig) else ()


def _line(table: BotConfig) -> str | None:
    """The line that a bot waits in: all text bots in one, since their requests are answered
    together, and those who draw in one for each model."""
    match table:
        case TextBotConfig():
            return TEXT
        case ImageBotConfig():
            return f"pictures of {table.model}"
        case CannedBotConfig():
            return None


def make_house(
    config: Config,
    bots: Mapping[str, Bot],
    adapters: Mapping[str, Adapter],
    engines: Engines,
    changed: Callable[[], None] = lambda: None,
    metrics: Metrics | None = None,
) -> House:
    """`changed` is told when a schedule may be due earlier than the next one was."""
    serving = {name: served(config, name) for name in adapters}
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
        painters={name: bot for name, bot in bots.items() if isinstance(bot, Painter)},
        lines={name: line for name, table in config.bots.items() if (line := _line(table))},
        couriers={
            name: adapter.traits
            for name, adapter in adapters.items()
            if isinstance(adapter, Courier)
        },
        serving=serving,
        route=Router(triggers, serving, free=free, bots_in_a_row=config.limits.bots_in_a_row),
        access=Access({name: table.access for name, table in chats.items()}),
        ours={name: free[name] | shared(config, name) for name in chats},
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
        arranging=Arranging(
            timezone=config.governor.timezone,
            most=config.governor.schedules_per_person,
            shortest=60 * config.governor.shortest_every_minutes,
            changed=changed,
        ),
        remembers=dict(make_remembers(config)),
        longest_message=config.limits.message_characters,
        heard=make_filter(config.filters.heard),
        heard_judges=judges.of_what_is_heard(config.filters, engines.classifiers),
        manners=dict(make_manners(config, engines.classifiers)),
        listening=make_listening(config, engines),
        aloud=make_aloud(config, engines),
        characters={name: make_character(config, table) for name, table in config.bots.items()},
        status=engines.status,
        metrics=metrics or Metrics(),
    )
