"""Looking at models without starting anything, for `botdaemon check`. Imports no model library."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from botdaemon.app import imports
from botdaemon.bots.text import opening
from botdaemon.check import Overhead
from botdaemon.config import Config, EchoConfig, ModelConfig, TextBotConfig, TransformersConfig

if TYPE_CHECKING:
    from botdaemon.ports import TextEngine


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
        engine: TextEngine = imports.named(imports.ECHO)()
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
    directory = imports.named(imports.RESOLVE)(
        str(table.path or table.hub), base=config.path.parent, revision=table.revision
    )
    return imports.named(imports.FORMAT)(directory)
