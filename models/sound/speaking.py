"""A text sentence by sentence into one voice note. Knows no library that speaks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

import numpy as np

from botdaemon.errors import EngineFailed
from models.sound.encoding import voice_note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from botdaemon.types import Speech, SpeechRequest

#: where a sentence ends, or a line
_END = re.compile(r"(?<=[.!?\u2026\u3002\uff01\uff1f])\s+|\s*\n\s*")
#: seconds between two sentences
_PAUSE = 0.25


class Talker(Protocol):
    """What makes sound of words."""

    @property
    def rate(self) -> int:
        """Samples a second."""

    @property
    def bytes(self) -> int:
        """What its weights take."""

    def say(self, sentence: str) -> NDArray[np.float32]:
        """Mono samples between -1 and 1; none for what cannot be said."""


class Speaking:
    """A `LoadedSpeechModel`: one text at a time."""

    def __init__(self, talker: Talker) -> None:
        self._talker = talker
        self.bytes = talker.bytes

    def speak(self, request: SpeechRequest, pause: Callable[[], None]) -> Speech:
        """As many sentences as fit; `pause` is called after each. Raises `EngineFailed`."""
        rate, most = self._talker.rate, int(request.most_seconds * self._talker.rate)
        silence = np.zeros(int(_PAUSE * rate), np.float32)
        parts: list[NDArray[np.float32]] = []
        count, whole = 0, True
        for sentence in sentences(request.text):
            said = self._talker.say(sentence)
            if not said.size:
                continue
            count += len(said) + len(silence)
            if count - len(silence) > most:
                whole = False
                break
            parts += [said, silence]
            pause()
        if not parts:
            why = "nothing in it can be spoken" if whole else "its first sentence is too long"
            raise EngineFailed(f"the text was not spoken: {why}")
        return voice_note(np.concatenate(parts[:-1]), rate, whole=whole)

    def relieve(self) -> bool:
        return False

    def rest(self) -> None:
        raise NotImplementedError("a speech model is loaded again rather than kept in RAM")

    wake = rest


def sentences(text: str) -> Iterator[str]:
    """Its sentences, and lines."""
    return (part.strip() for part in _END.split(text) if any(map(str.isalnum, part)))
