"""Who a text bot is: the keys that stand in its table, or in a file of its own. Knows no bot.

What all bots are told is `[persona]`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from botdaemon.config.base import Table
from botdaemon.config.thinking import SamplingConfig

Stops = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(strict=False)]


class BaseConfig(Table):
    """What all text bots have in common."""

    base: str = ""
    """what every text bot is told before its own persona"""


class ExampleConfig(Table):
    """An exchange that shows how a bot answers."""

    person: str = Field(min_length=1, description="what a person says")
    bot: str = Field(min_length=1, description="what the bot answers")


class PersonaConfig(Table):
    """Who a bot is, and how it speaks."""

    persona: str = ""
    """who it is, said to the model before every conversation"""
    style: str = ""
    """how it writes, in a line or two"""
    language: str = ""
    """the language it answers in; "" leaves that to the person"""
    examples: list[ExampleConfig] = Field(default_factory=list)
    """exchanges that show how it answers; they stand before what was really said"""
    stop: Stops = ()
    """strings that end its answers and are not part of them, besides people's names"""
    sampling: SamplingConfig = SamplingConfig()
    """how tokens are chosen, over what the model says"""


class PersonaFile(PersonaConfig):
    """The same in a file that several bots may name; what stands in a bot's table counts first."""

    about: str = ""
    """one line shown to people"""
    persona: str = Field(
        min_length=1, description="who it is, said to the model before every conversation"
    )


class BudgetConfig(Table):
    """What parts of a prompt may take of the model's context, 0 to 1; what was said gets all that
    is left."""

    examples: float = Field(default=0.2, ge=0, le=0.5)
    """its example exchanges"""
    lasting: float = Field(default=0.15, ge=0, le=0.5)
    """what it is told for many turns, such as how it stands with somebody"""
    passing: float = Field(default=0.25, ge=0, le=0.5)
    """what it is told for one turn, such as what it has looked up"""
