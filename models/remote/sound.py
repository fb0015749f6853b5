"""Hearing and speech models on servers that speak OpenAI's protocol. Knows no server's health.

Of what a server speaks a voice note is made here: its form and its loudness are what chat platforms
want, whatever the server sends.
"""

from __future__ import annotations

import asyncio
import importlib.util
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from botdaemon.errors import EngineFailed
from botdaemon.types import Transcript
from models.remote.engine import RemoteEngine
from models.remote.troubles import NotTheProtocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from botdaemon.config import OpenAIConfig
    from botdaemon.types import HearingRequest, Speech, SpeechRequest
    from models.remote.servers import Server

#: samples a second of a voice note
_RATE = 48_000


class RemoteHearingEngine(RemoteEngine):
    """A `HearingEngine`. `hear` raises like `RemoteTextEngine.generate`. The length of a recording
    is the server's to bound."""

    async def hear(self, request: HearingRequest) -> Transcript:
        async def ask(server: Server) -> AsyncGenerator[Transcript]:
            options: dict[str, Any] = {
                "model": self._table.model,
                "file": (request.name, request.sound),
                "response_format": "json",
            }
            said = await server.create(server.client.audio.transcriptions.create, options, {})
            text = getattr(said, "text", None)
            if not isinstance(text, str):
                raise NotTheProtocol("its answer has no text")
            yield Transcript(" ".join(text.split()))

        async with aclosing(self._servers.answered(ask)) as answers:
            return await anext(answers)


class RemoteSpeechEngine(RemoteEngine):
    """A `SpeechEngine`. `speak` raises likewise."""

    def __init__(self, name: str, table: OpenAIConfig, key: str | None) -> None:
        if importlib.util.find_spec("av") is None:  # said at the start, though imported later
            raise ModuleNotFoundError("No module named 'av'", name="av")
        super().__init__(name, table, key)

    async def speak(self, request: SpeechRequest) -> Speech:
        async def ask(server: Server) -> AsyncGenerator[Speech]:
            options: dict[str, Any] = {
                "model": self._table.model,
                "voice": self._table.speaker,
                "input": request.text,
                "response_format": "wav",
            }
            said = await server.create(server.client.audio.speech.create, options, {})
            yield await asyncio.to_thread(_voice_note, said.content, request.most_seconds)

        async with aclosing(self._servers.answered(ask)) as answers:
            return await anext(answers)


def _voice_note(content: bytes, most_seconds: float) -> Speech:
    """Raises `EngineFailed` for one that is too long, and `NotTheProtocol`."""
    from models.sound import decoding, encoding

    try:
        return encoding.voice_note(decoding.samples(content, most_seconds, _RATE), _RATE)
    except decoding.TooLong:
        raise EngineFailed(f"what was spoken is longer than {most_seconds:g} s") from None
    except EngineFailed:
        raise NotTheProtocol("what it sent is no sound") from None
