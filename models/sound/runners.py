"""The threads of hearing and speech models in the model process: one request after the other, each
with one result. Knows no model library."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, TypeVar

from botdaemon.errors import BotdaemonError, EngineFailed
from botdaemon.types import HearingRequest, SpeechRequest
from models import frames
from models.engines import Cancelled, LoadedHearingModel, LoadedSpeechModel
from models.runners import Runner

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.runners import Job

Asked = TypeVar("Asked", HearingRequest, SpeechRequest)
Loaded = TypeVar("Loaded", LoadedHearingModel, LoadedSpeechModel)


class _SoundRunner(Runner[Asked, Loaded]):
    #: none of these libraries allocates through torch
    in_torch = False

    def _serve(self, model: Loaded) -> None:
        while self._may_begin() and (job := self._next()):
            try:
                with self._turnstile.turn(self.name) as give_way:
                    result = self._answer(model, job.request, _pausing(job, give_way))
                frames.pack(result)  # it may be too large to be handed over
            except Cancelled:
                self._cancelled(job)
            except BotdaemonError as error:
                self._failed(job, error)
            except frames.TooLarge as error:
                self._failed(job, EngineFailed(f"it is too large to be handed over: {error}"))
            except Exception as error:
                self._failed(job, self._foreseen(error))
            else:
                self._end(job)
                self._wire.send({**result, "id": job.id})

    @abstractmethod
    def _answer(self, model: Loaded, request: Asked, pause: Callable[[], None]) -> frames.Frame:
        """The frame that ends the request, without its id."""


def _pausing(job: Job[Asked], give_way: Callable[[], None]) -> Callable[[], None]:
    def pause() -> None:
        if job.cancelled.is_set():
            raise Cancelled
        give_way()

    return pause


class HearingRunner(_SoundRunner[HearingRequest, LoadedHearingModel]):
    """Writes recordings down."""

    def _answer(
        self, model: LoadedHearingModel, request: HearingRequest, pause: Callable[[], None]
    ) -> frames.Frame:
        return {"is": "heard", "text": model.hear(request, pause).text}


class SpeechRunner(_SoundRunner[SpeechRequest, LoadedSpeechModel]):
    """Speaks."""

    def _answer(
        self, model: LoadedSpeechModel, request: SpeechRequest, pause: Callable[[], None]
    ) -> frames.Frame:
        return frames.pack_speech(model.speak(request, pause))
