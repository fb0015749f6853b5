"""How recordings are listened to and which bots speak, as configured. Knows no life of any part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdaemon.config import CannedBotConfig, TextBotConfig
from botdaemon.dispatcher import Aloud, Listening

if TYPE_CHECKING:
    from botdaemon.app.engines import Engines
    from botdaemon.config import Config, SpokenConfig


def make_listening(config: Config, engines: Engines) -> Listening | None:
    """None where nobody listens."""
    table = config.hearing
    if not table.model:
        return None
    return Listening(
        engine=engines.hearing[table.model],
        model=table.model,
        most_seconds=60 * table.most_minutes,
        most_bytes=int(table.most_megabytes * 1_000_000),
        show=table.show,
    )


def make_aloud(config: Config, engines: Engines) -> dict[str, Aloud]:
    """How each of the bots speaks that do."""
    return {
        name: Aloud(
            engine=engines.speech[table.model],
            model=table.model,
            when=table.when,
            most_seconds=table.most_seconds,
            text=table.text,
        )
        for name, table in speaking(config).items()
    }


def speaking(config: Config) -> dict[str, SpokenConfig]:
    """The bots that speak."""
    return {
        name: bot.speech
        for name, bot in config.bots.items()
        if isinstance(bot, TextBotConfig | CannedBotConfig) and bot.speech is not None
    }
