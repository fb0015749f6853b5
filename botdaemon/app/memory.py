"""The memories that the configuration describes, made. Knows no life of any part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdaemon.app.manners import make_manners
from botdaemon.app.personas import persona
from botdaemon.config import TextBotConfig
from botdaemon.dispatcher import Remembers
from botdaemon.memory import Habits, Scribe
from botdaemon.memory.summaries import Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdaemon.app.engines import Engines
    from botdaemon.config import Config


def make_remembers(config: Config) -> Iterator[tuple[str, Remembers]]:
    """What bots with a memory keep of what people tell them by hand."""
    for name, table in config.bots.items():
        if isinstance(table, TextBotConfig) and table.memory is not None:
            yield name, Remembers(scope=table.memory.scope, most=table.memory.most_facts)


def all_habits(config: Config, engines: Engines) -> list[Habits]:
    """Those of all bots that remember."""
    return [habits for name in config.bots if (habits := make_habits(config, name, engines))]


def make_habits(config: Config, name: str, engines: Engines) -> Habits | None:
    """How a bot remembers; None when it does not."""
    table = config.bots[name]
    if not isinstance(table, TextBotConfig) or table.memory is None:
        return None
    memory = table.memory

    def scribe(model: str | None) -> Scribe | None:
        return Scribe(engines.text[model], model) if model else None

    return Habits(
        bot=name,
        scope=memory.scope,
        facts=scribe(memory.facts),
        summaries=scribe(memory.summarise),
        facts_tokens=memory.facts_tokens,
        summary_tokens=memory.summary_tokens,
        most_facts=memory.most_facts,
        window=Window(
            bot=name,
            persona=persona(config, table),
            model=table.model,
            engine=engines.text[table.model],
            messages=table.history_messages,
            answer=table.sampling.max_tokens,
            notes=memory.facts_tokens + memory.summary_tokens,
        ),
        hear=dict(make_manners(config, engines.classifiers))[name].hear_one,
    )
