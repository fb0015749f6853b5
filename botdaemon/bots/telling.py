"""What a bot is told for a turn, asked for once and noted with its answer, so that somebody can see
later how it came about. Knows no store: what it notes goes with the final draft."""

from __future__ import annotations

import logging
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from botdaemon.errors import BotdaemonError
from botdaemon.types import Note, Origin

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from botdaemon.bots.enriching import Enricher
    from botdaemon.ports import Bot, Briefing
    from botdaemon.types import Draft, Turn

log = logging.getLogger(__name__)


class Telling:
    """The briefings of one bot. The bot is told `notes`; around it stands a `ToldBot`."""

    def __init__(
        self, model: str, briefings: Sequence[Briefing] = (), enricher: Enricher | None = None
    ) -> None:
        """`model` is what the bot thinks with."""
        self._model = model
        self._briefings = briefings
        self._enricher = enricher
        self._told: dict[int, list[Note]] = {}

    async def notes(self, turn: Turn) -> Sequence[Note]:
        """A `Briefing`: what was found out for the turn when it began."""
        return self._told.get(turn.id, [])

    async def begin(self, turn: Turn) -> Origin:
        """Ask for everything. A briefing that fails costs its notes, not the turn."""
        notes: list[Note] = []
        for briefing in self._briefings:
            try:
                notes += await briefing(turn)
            except BotdaemonError as error:
                log.warning("a note is left out: %s", error, extra={"event": "note_left_out"})
        origin = Origin(model=self._model, notes=tuple(dict.fromkeys(n.topic for n in notes)))
        if self._enricher and (found := await self._enricher.enrich(turn, notes)):
            text = f"What is meant: {found.meant}"
            # The bot's model may count more tokens than the one that wrote it.
            most = 2 * self._enricher.tokens
            notes.append(Note(topic="question", text=text, most=most, weight=3))
            origin = replace(
                origin,
                question=found.question,
                meant=found.meant,
                rewriter=self._enricher.model,
            )
        self._told[turn.id] = notes
        return origin

    def end(self, turn: Turn) -> None:
        self._told.pop(turn.id, None)


class ToldBot:
    """A bot whose final drafts say how they came about."""

    def __init__(self, bot: Bot, telling: Telling) -> None:
        self._bot = bot
        self._telling = telling

    async def reply(self, turn: Turn) -> AsyncGenerator[Draft]:
        origin = await self._telling.begin(turn)
        try:
            async with aclosing(self._bot.reply(turn)) as drafts:
                async for draft in drafts:
                    yield replace(draft, origin=origin) if draft.final else draft
        finally:
            self._telling.end(turn)
