"""What needs the parts but no running service: a conversation in the terminal, and canning."""

from __future__ import annotations

from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Any

from botdaemon.app import imports, parts
from botdaemon.app.engines import make_engines
from botdaemon.app.life import running
from botdaemon.bots.canning import PROMPTS, fill
from botdaemon.bots.text import TextBot
from botdaemon.config import (
    CannedBotConfig,
    Config,
    TerminalConfig,
    TextBotConfig,
    TransformersConfig,
)
from botdaemon.errors import ConfigError
from botdaemon.store import Store, open_store
from botdaemon.types import Address

if TYPE_CHECKING:
    from collections.abc import Callable

    from botdaemon.ports import Adapter


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
        source_table = config.bots[table.source]
        if not isinstance(source_table, TextBotConfig):
            raise TypeError(f"{table.source} is no text bot")
        engines = await make_engines(config, stack, [source_table.model], config.daemon.data_dir)
        source = parts.make_bot(config, table.source, engines)
        if not isinstance(source, TextBot):
            raise TypeError(f"{table.source} is no text bot")
        async with aclosing(fill(source, PROMPTS, count, table.lines)) as added:
            async for done in added:
                progress(done, count)


async def serve_models(
    config: Config, host: str, port: int, key: str | None, ready: Callable[[str], None]
) -> None:
    """Offer every model of the configuration, and every adapter of it as MODEL:ADAPTER, as an
    OpenAI-compatible service, until SIGTERM or SIGINT. `ready` is told its address."""
    async with AsyncExitStack() as stack:
        engines = await make_engines(config, stack, config.models, config.daemon.data_dir)
        text = dict(engines.text)
        for name, table in config.models.items():
            if isinstance(table, TransformersConfig):
                base: Any = engines.text[name]
                text |= {f"{name}:{voice}": base.speaking(voice) for voice in table.adapters}
        application = imports.named(imports.API)(text, engines.image, key=key)
        await imports.named(imports.SERVE)(application, host, port, ready=ready)
