"""Answers as voice notes. Knows engines by `speak` alone, and no platform."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from botdaemon import render
from botdaemon.errors import BotdaemonError, StoreError
from botdaemon.types import SpeechRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdaemon.ports import SpeechEngine
    from botdaemon.store import Store
    from botdaemon.types import File, Turn

log = logging.getLogger(__name__)

NAME, MEDIA_TYPE = "voice-note.ogg", "audio/ogg"
#: characters that are handed to a model for each second that it may speak: nobody speaks faster
_CHARACTERS = 40
#: seconds that speaking may take, besides what is spoken
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Aloud:
    """How a bot speaks."""

    engine: SpeechEngine
    model: str
    when: Literal["asked", "spoken to", "always"] = "spoken to"
    most_seconds: float = 90.0
    #: what it says is written, too
    text: bool = True


class Note(NamedTuple):
    """A voice note of a bot."""

    file: File
    #: what it says need not be written
    enough: bool


class Speaking:
    """`bots` are those that speak."""

    def __init__(self, store: Store, bots: Mapping[str, Aloud]) -> None:
        self._store = store
        self._bots = bots

    @property
    def anybody(self) -> bool:
        """Whether any bot speaks."""
        return bool(self._bots)

    def speaks(self, bot: str) -> bool:
        """Whether this one does."""
        return bot in self._bots

    def wanted(self, turn: Turn) -> bool:
        """Whether the answer to a turn is spoken."""
        manner = self._bots.get(turn.bot)
        if manner is None or manner.when == "asked":
            return False
        if manner.when == "always":
            return True
        return any(
            file.is_sound
            for message in turn.history[len(turn.history) - turn.fresh :]
            for file in message.files
        )

    def only(self, bot: str) -> bool:
        """Whether what the bot speaks is not written."""
        manner = self._bots.get(bot)
        return manner is not None and not manner.text

    async def note(self, bot: str, text: str) -> Note | None:
        """A text, in Markdown, as the bot speaks it; None, and a line in the log, when it cannot be
        spoken. Raises `StoreError`."""
        try:
            async with asyncio.timeout(_PATIENCE + self._bots[bot].most_seconds):
                return await self._note(self._bots[bot], text)
        except StoreError:
            raise
        except (BotdaemonError, TimeoutError) as error:
            log.warning(
                "not spoken: %s",
                error or type(error).__name__,
                extra={"event": "not_spoken", "bot": bot},
            )
            return None

    async def _note(self, manner: Aloud, text: str) -> Note | None:
        said = render.aloud(text)
        if not any(map(str.isalnum, said)):
            return None
        most = int(manner.most_seconds * _CHARACTERS)
        request = SpeechRequest(
            model=manner.model, text=said[:most], most_seconds=manner.most_seconds
        )
        speech = await manner.engine.speak(request)
        file = await self._store.keep(speech.content, NAME, MEDIA_TYPE)
        return Note(
            replace(file, seconds=speech.seconds, waveform=speech.waveform),
            enough=not manner.text and speech.whole and len(said) <= most,
        )
