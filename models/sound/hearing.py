"""A hearing model on its device: what is said in a recording, with faster-whisper. Knows no
frames."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from faster_whisper import WhisperModel  # type: ignore[import-untyped]  # it comes without types

from botdaemon.types import Transcript
from models.sound import decoding
from models.sound.files import size_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from botdaemon.types import HearingRequest

# It logs how long each recording is, and every stretch of silence.
logging.getLogger("faster_whisper").setLevel(logging.WARNING)


class Whisper:
    """A `LoadedHearingModel`: one recording at a time."""

    def __init__(self, directory: Path, *, device: str, dtype: str, language: str) -> None:
        """`language`: what is spoken, as "en"; empty to find out from each recording."""
        kind, _, number = device.partition(":")
        self._language = language or None
        self._model = WhisperModel(
            str(directory),
            device=kind,
            device_index=int(number or 0),
            compute_type=dtype,
            # A core is left to the daemon, as with text models.
            cpu_threads=max(1, len(os.sched_getaffinity(0)) - 1),
            local_files_only=True,
        )
        self.bytes = size_of(directory)

    def hear(self, request: HearingRequest, pause: Callable[[], None]) -> Transcript:
        """Write it down; `pause` is called after each stretch. Raises `EngineFailed`."""
        samples = decoding.samples(request.sound, request.most_seconds)
        pause()
        # Silence is left out, since Whisper makes words of it; and one stretch does not lead to the
        # next, since a mistake would go on to the end.
        stretches, _ = self._model.transcribe(
            samples, language=self._language, vad_filter=True, condition_on_previous_text=False
        )
        words = []
        for stretch in stretches:
            words.append(stretch.text.strip())
            pause()
        return Transcript(" ".join(filter(None, words)))

    def relieve(self) -> bool:
        return False

    def rest(self) -> None:
        raise NotImplementedError("a hearing model is loaded again rather than kept in RAM")

    wake = rest
