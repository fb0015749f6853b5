"""Engines of sound for tests: they hear and speak at once, with real recordings, and say what they
were asked."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from botdaemon.dispatcher import Aloud, Listening
from botdaemon.types import Speech, Transcript

if TYPE_CHECKING:
    from typing import Any

    from botdaemon.types import HearingRequest, SpeechRequest


@functools.cache
def voice_note(seconds: float = 0.5) -> Speech:
    """A hum, as a real voice note."""
    import numpy as np

    from models.sound.encoding import voice_note as encoded

    rate = 16_000
    times = np.arange(int(seconds * rate), dtype=np.float32) / rate
    hum = np.sin(2 * np.pi * 220 * times) * np.linspace(0.1, 0.8, len(times))
    return encoded(hum.astype(np.float32), rate)


class Hears:
    """Hears the same in every recording, or raises the next of `errors`."""

    def __init__(self, text: str = "what time is it?", *errors: Exception) -> None:
        self.text = text
        self.errors = list(errors)
        self.asked: list[HearingRequest] = []

    async def hear(self, request: HearingRequest) -> Transcript:
        self.asked.append(request)
        if self.errors:
            raise self.errors.pop(0)
        return Transcript(self.text)


class Speaks:
    """Hums for every text, or raises the next of `errors`."""

    def __init__(self, *errors: Exception, whole: bool = True) -> None:
        self.errors = list(errors)
        self.whole = whole
        self.asked: list[str] = []

    async def speak(self, request: SpeechRequest) -> Speech:
        self.asked.append(request.text)
        if self.errors:
            raise self.errors.pop(0)
        note = voice_note()
        return Speech(
            content=note.content, seconds=note.seconds, waveform=note.waveform, whole=self.whole
        )


def listening(engine: Hears, **more: Any) -> Listening:
    options = {"most_seconds": 60.0, "most_bytes": 1_000_000, **more}
    return Listening(engine=engine, model="ears", **options)


def aloud(engine: Speaks, **more: Any) -> dict[str, Aloud]:
    return {"bot": Aloud(engine=engine, model="mouth", **more)}
