"""Who text bots are, from the configuration, and what that takes of their models. Knows models only
as a way of counting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdaemon.bots.packing import Packer, Shares, budget, opening
from botdaemon.bots.personas import dialogue, told
from botdaemon.check import Overhead

if TYPE_CHECKING:
    from botdaemon.bots.packing import Count
    from botdaemon.config import Config, TextBotConfig
    from botdaemon.types import ChatLine


def persona(config: Config, table: TextBotConfig) -> str:
    """All that a bot is told of itself, as one text."""
    return told(
        base=config.persona.base if table.base else "",
        persona=table.persona,
        style=table.style,
        language=table.language,
    )


def examples(table: TextBotConfig) -> tuple[ChatLine, ...]:
    """Its example exchanges, as lines of a conversation."""
    return dialogue((example.person, example.bot) for example in table.examples)


def shares(table: TextBotConfig) -> Shares:
    """What parts of its prompt may take."""
    return Shares(
        examples=table.budget.examples,
        lasting=table.budget.lasting,
        passing=table.budget.passing,
    )


async def weighed(
    config: Config, table: TextBotConfig, count: Count, context: int, reply: int
) -> Overhead:
    """Where the context of its model goes. `reply`: tokens kept free for an answer."""
    packer = Packer(persona(config, table), examples(table), shares(table))
    base = config.persona.base.strip() if table.base else ""
    form = await count(opening(""))
    shared = max(await count(opening(base)) - form, 0) if base else 0
    fitting, cost = await packer.fitting_examples(count, context)
    return Overhead(
        context=context,
        format=form,
        base=shared,
        persona=max(await packer.opening(count, context) - form - shared, 0),
        examples=cost,
        shown=len(fitting) // 2,
        of=len(table.examples),
        notes=budget(table.budget.lasting, context) + budget(table.budget.passing, context),
        reply=reply,
    )
