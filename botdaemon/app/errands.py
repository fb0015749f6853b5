"""What needs the parts but no running service: a conversation in the terminal, and canning."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from botdaemon.app import imports, parts
from botdaemon.app.engines import make_engines
from botdaemon.app.life import running
from botdaemon.bots.canning import PROMPTS, fill
from botdaemon.bots.text import TextBot
from botdaemon.config import (
    CannedBotConfig,
    ClassifierConfig,
    Config,
    EmbedderConfig,
    RecordsConfig,
    SpeechConfig,
    TerminalConfig,
    TextBotConfig,
    TransformersConfig,
    WhisperConfig,
)
from botdaemon.errors import ConfigError
from botdaemon.store import Store, open_store
from botdaemon.types import Address

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from botdaemon.bots.canning import Screen, Told
    from botdaemon.ports import Adapter

log = logging.getLogger(__name__)


async def chat(config: Config, bot: str, once: str | None) -> int:
    """A conversation in the terminal, in a store of its own, so that it is possible beside a
    running daemon. Returns the exit code."""
    name = "terminal"
    make = imports.named(imports.ADAPTERS["terminal"])
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
            "records": RecordsConfig(),
            "schedules": [],
            "limits": config.limits.model_copy(update={"merge_seconds": 0.0}),
        }
    )
    async with running(solo, directory=directory, adapters=adapters) as daemon:
        await daemon.left.wait()
    return int(terminal.exit_code)


async def can(
    config: Config,
    bot: str,
    count: int,
    progress: Told,
    *,
    at_once: int,
    dataset: Path | None,
    blocked: Sequence[str],
) -> None:
    """Fill a canned bot's file from its text bot, `at_once` lines at a time.

    `dataset`: what the text bot's model was trained on. What people said in it is asked, and no
    line gives its messages away. `blocked`: words that no line may have. Raises `ConfigError`,
    `ModelUnusable`, `ExportUnusable`, `StoreError`, and `Refused` when too little can be kept.
    """
    table = config.bots[bot]
    if not isinstance(table, CannedBotConfig) or not table.source:
        raise ConfigError(
            config.problem(("bots", bot), 'name the text bot to fill it from: from = "BOT"')
        )
    screen = _screen(dataset, blocked)
    heard = imports.named(imports.HEARD)(dataset) if dataset else ()
    async with AsyncExitStack() as stack:
        source_table = config.bots[table.source]
        if not isinstance(source_table, TextBotConfig):
            raise TypeError(f"{table.source} is no text bot")
        engines = await make_engines(config, stack, [source_table.model], config.daemon.data_dir)
        source = parts.make_writer(config, table.source, engines)
        if not isinstance(source, TextBot):
            raise TypeError(f"{table.source} is no text bot")
        await fill(
            source,
            [*PROMPTS, *heard],
            count,
            table.lines,
            progress=progress,
            screen=screen,
            at_once=at_once,
        )


def _screen(dataset: Path | None, blocked: Sequence[str]) -> Screen | None:
    try:
        made: Screen = imports.named(imports.SCREEN)(dataset, blocked).screen
    except ConfigError as error:
        if dataset or blocked:
            raise
        log.warning(
            "no line is looked through for what is private: %s",
            error,
            extra={"event": "lines_unscreened"},
        )
        return None
    return made


async def serve_models(
    config: Config, host: str, port: int, key: str | None, ready: Callable[[str], None]
) -> None:
    """Offer every text and image model of the configuration, and every adapter of it as
    MODEL:ADAPTER, as an OpenAI-compatible service, until SIGTERM or SIGINT. `ready` is told its
    address."""
    async with AsyncExitStack() as stack:
        offered = [
            name
            for name, table in config.models.items()
            if not isinstance(
                table, EmbedderConfig | ClassifierConfig | WhisperConfig | SpeechConfig
            )
        ]
        engines = await make_engines(config, stack, offered, config.daemon.data_dir)
        text = dict(engines.text)
        for name, table in config.models.items():
            if isinstance(table, TransformersConfig):
                base: Any = engines.text[name]
                text |= {f"{name}:{voice}": base.speaking(voice) for voice in table.adapters}
        application = imports.named(imports.API)(text, engines.image, key=key)
        await imports.named(imports.SERVE)(application, host, port, ready=ready)
