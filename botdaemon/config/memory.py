"""The table about what a bot remembers, `[bots.NAME.memory]`. Knows no other table."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from botdaemon.config.base import Table


class MemoryConfig(Table):
    """What a bot remembers of people and of what was said."""

    scope: Literal["room", "person", "person-in-room", "private"] = "person-in-room"
    """where it uses what it remembers of a person; what it is told alone reaches no room"""
    facts: str | None = None
    """the name of a text model that notes what people say of themselves"""
    summarise: str | None = None
    """the name of a text model that summarises what the bot does not read any more"""
    facts_tokens: int = Field(default=120, ge=1)
    """tokens of the bot's prompt for facts"""
    summary_tokens: int = Field(default=180, ge=30)
    """tokens of the bot's prompt for summaries"""
    most_facts: int = Field(default=50, ge=1, le=1000)
    """facts about one person in one place; told longest ago, they go first"""
