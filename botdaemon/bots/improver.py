"""A text model that writes better prompts for pictures. Knows no picture and no image model."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from botdaemon.bots.sidecar import one_line
from botdaemon.errors import BotdaemonError

if TYPE_CHECKING:
    from botdaemon.ports import TextEngine

log = logging.getLogger(__name__)

#: What a better prompt may take.
_SECONDS = 30.0
_TOKENS = 120
_TASK = (
    "You write prompts for a model that draws pictures. Rewrite what you are told as one better"
    " prompt: keep every thing that is asked for, and add light, colours and style in a few words."
    " Answer with the prompt alone, in one line."
)


class Improver:
    """Asks one text model; `speaker` is the bot in whose name it writes."""

    def __init__(self, engine: TextEngine, model: str, speaker: str) -> None:
        self._engine = engine
        self._model = model
        self._speaker = speaker

    async def improve(self, prompt: str) -> str:
        """A better prompt, or "" when there is none, for whatever reason: no picture is to be lost
        for it."""
        try:
            return await one_line(
                self._engine,
                self._model,
                self._speaker,
                _TASK,
                prompt,
                tokens=_TOKENS,
                seconds=_SECONDS,
            )
        except (BotdaemonError, TimeoutError) as error:
            log.warning("no better prompt: %r", error, extra={"event": "not_improved"})
            return ""
