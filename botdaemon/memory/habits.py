"""How one bot remembers, as the configuration says. Knows no store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from botdaemon.memory.scribe import Scribe
    from botdaemon.memory.summaries import Window
    from botdaemon.types import Message, Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """Those of one bot."""

    bot: str
    scope: Scope
    #: who notes facts, and who summarises; None: nobody
    facts: Scribe | None
    summaries: Scribe | None
    #: tokens of its prompt for each
    facts_tokens: int
    summary_tokens: int
    #: facts about one person in one place
    most_facts: int
    window: Window
    #: a message as the bot hears it; None: not at all
    hear: Callable[[Message], Awaitable[Message | None]]
