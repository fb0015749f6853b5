"""Hearing and speech models of a model process, as the daemon asks them. Imports no model
library."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from botdaemon.errors import BotdaemonError
from botdaemon.types import Speech, Transcript
from models import frames

if TYPE_CHECKING:
    from botdaemon.types import HearingRequest, SpeechRequest
    from models.process import ModelProcess


class ModelHearingEngine:
    """A `HearingEngine`."""

    def __init__(self, process: ModelProcess, model: str) -> None:
        self._process = process
        self._model = model

    async def hear(self, request: HearingRequest) -> Transcript:
        request = replace(request, model=self._model)
        life = await self._process.life()
        with life.request("hear", frames.pack_hearing_request(request)) as inbox:
            heard = await inbox.get()
        if isinstance(heard, BotdaemonError):
            raise heard
        assert isinstance(heard, Transcript)
        return heard


class ModelSpeechEngine:
    """A `SpeechEngine`."""

    def __init__(self, process: ModelProcess, model: str) -> None:
        self._process = process
        self._model = model

    async def speak(self, request: SpeechRequest) -> Speech:
        request = replace(request, model=self._model)
        life = await self._process.life()
        with life.request("speak", asdict(request)) as inbox:
            spoken = await inbox.get()
        if isinstance(spoken, BotdaemonError):
            raise spoken
        assert isinstance(spoken, Speech)
        return spoken
