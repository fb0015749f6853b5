"""Questions put so that a model can answer them: another model rewrites what was asked with what is
known. The person's own words stay as they are; what is meant is told beside them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdaemon.bots.sidecar import one_line
from botdaemon.errors import BotdaemonError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdaemon.ports import TextEngine
    from botdaemon.types import Note, Turn

log = logging.getLogger(__name__)

TASK = (
    "You rewrite questions so that somebody who knows nothing of the conversation understands them."
    ' Say in one sentence what the last message asks: put names in place of "it", "he" or'
    ' "there", and add what is known where it helps. Do not answer it.'
)
#: characters of each message, and of all notes together, that the model is shown
_MESSAGE, _NOTES = 500, 2000


@dataclass(frozen=True, slots=True)
class Meant:
    """A question in other words."""

    question: str
    meant: str


class Enricher:
    """Asks one text model, of at most so many tokens and seconds, with the last `messages` before
    the question."""

    def __init__(
        self,
        engine: TextEngine,
        model: str,
        speaker: str,
        *,
        task: str,
        messages: int,
        tokens: int,
        seconds: float,
    ) -> None:
        self._engine = engine
        self.model = model
        self._speaker = speaker
        self._task = task
        self._messages = messages
        self.tokens = tokens
        self._seconds = seconds

    async def enrich(self, turn: Turn, notes: Sequence[Note]) -> Meant | None:
        """What is asked in a turn, in other words; None where there is nothing to add, for whatever
        reason: then it is answered as it was asked."""
        asked = turn.history[len(turn.history) - turn.fresh :] if turn.fresh else ()
        question = "\n".join(message.text for message in asked).strip()
        if not question:
            return None
        try:
            meant = await one_line(
                self._engine,
                self.model,
                self._speaker,
                self._task,
                self._told(turn, question, notes),
                tokens=self.tokens,
                seconds=self._seconds,
            )
        except (BotdaemonError, TimeoutError) as error:
            log.warning("answered as it was asked: %r", error, extra={"event": "not_enriched"})
            return None
        if not meant or meant.casefold() == question.casefold():
            return None
        return Meant(question, meant)

    def _told(self, turn: Turn, question: str, notes: Sequence[Note]) -> str:
        known = " ".join(note.text for note in notes)[:_NOTES]
        before = turn.history[: len(turn.history) - turn.fresh][-self._messages :]
        said = [f"{message.speaker}: {message.text[:_MESSAGE]}" for message in before]
        parts = (
            f"Known: {known}" if known else "",
            "\n".join(["The conversation:", *said]) if said else "",
            f"The last message: {question}",
        )
        return "\n\n".join(filter(None, parts))
