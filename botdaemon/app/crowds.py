"""Bots that speak as a crowd, and what text bots are told before they answer, made. Knows no life
of any part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdaemon.bots.crowd import CrowdBot
from botdaemon.bots.enriching import TASK, Enricher

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdaemon.app.engines import Engines
    from botdaemon.config import Config, CrowdConfig, EnrichConfig
    from botdaemon.ports import Bot
    from botdaemon.store import Store
    from botdaemon.types import Turn


def as_crowd(bot: Bot, table: CrowdConfig | None, config: Config, store: Store | None) -> Bot:
    """The bot, or where it is to speak as one, a crowd of it. Its names are nobody's whom the store
    knows, and no bot's."""
    if table is None or store is None:
        return bot
    from botdaemon.bots import names  # its word lists take a tenth of a second

    bots = {one for name, other in config.bots.items() for one in (name, *other.names)}

    async def namer(turn: Turn, count: int) -> Sequence[str]:
        taken = bots | await store.known_names()
        return names.draw(f"{turn.id}", count, table.names, taken)

    return CrowdBot(bot, namer, fewest=table.fewest, most=table.most)


def make_enricher(table: EnrichConfig | None, speaker: str, engines: Engines) -> Enricher | None:
    if table is None:
        return None
    return Enricher(
        engines.text[table.model],
        table.model,
        speaker,
        task=table.instruction or TASK,
        messages=table.messages,
        tokens=table.most_tokens,
        seconds=table.seconds,
    )
