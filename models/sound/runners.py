"""The threads of hearing and speech models in the model process: what they are asked and
what they answer. Knows no model library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdaemon.types import HearingRequest, SpeechRequest
from models import frames
from models.engines import LoadedHearingModel, LoadedSpeechModel
from models.runners import ResultRunner

if TYPE_CHECKING:
    from collections.abc import Callable


class HearingRunner(ResultRunner[HearingRequest, LoadedHearingModel]):
    """Writes recordings down."""

    in_torch = False

    def _answer(
        self, model: LoadedHearingModel, request: HearingRequest, pause: Callable[[], None]
    ) -> frames.Frame:
        return {"is": "heard", "text": model.hear(request, pause).text}


class SpeechRunner(ResultRunner[SpeechRequest, LoadedSpeechModel]):
    """Speaks."""

    in_torch = False

    def _answer(
        self, model: LoadedSpeechModel, request: SpeechRequest, pause: Callable[[], None]
    ) -> frames.Frame:
        return frames.pack_speech(model.speak(request, pause))
