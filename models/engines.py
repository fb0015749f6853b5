"""What the model process asks of a loaded model. Knows no model library.

A loaded model is not thread-safe: one thread calls it, and never while another model of the device
computes (`models.turnstile`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdaemon.errors import EngineFailed
    from botdaemon.types import (
        EmbedRequest,
        HearingRequest,
        ImageRequest,
        Picture,
        Piece,
        Progress,
        Speech,
        SpeechRequest,
        TextRequest,
        Transcript,
    )


class Slot(Protocol):
    """A text request under way."""

    @property
    def tokens(self) -> int:
        """Tokens generated so far."""


class LoadedModel(Protocol):
    """A model on its device."""

    @property
    def bytes(self) -> int:
        """What its weights take there."""

    def relieve(self) -> bool:
        """After an out-of-memory error: need less from now on (a smaller batch, a shorter memory).
        False when it needs as little as it can already."""

    def rest(self) -> None:
        """Leave the device for RAM, until `wake`."""

    def wake(self) -> None:
        """Come back to the device."""


class LoadedTextModel(LoadedModel, Protocol):
    """Continues many conversations at once."""

    def start(self, request: TextRequest) -> Slot:
        """Take a request in; it gets its first token in a later `step`. Raises `EngineFailed` for
        one that can never be answered, such as a prompt longer than the context."""

    def step(self) -> Sequence[tuple[Slot, Piece | EngineFailed]]:
        """Advance: a token for each slot that has been read, a slice of the prompts that have not.
        A slot is gone after its last piece (`finish` is set) or its error. Nothing when idle.
        After any exception the slots are as before the step, and it may be called again."""

    def drop(self, slot: Any) -> None:
        """The answer of this slot, one of the model's own, is not wanted any more."""

    @property
    def busy(self) -> bool:
        """Whether a `step` would do anything."""


class LoadedClassifier(LoadedModel, Protocol):
    """Tells of what kind one thing at a time is."""

    def classify(self, what: str | bytes) -> dict[str, float]:
        """The probability of each label for a text or an encoded picture. Raises `EngineFailed`."""


class Cancelled(Exception):
    """Raised by `emit`: the pictures are not wanted any more."""


Emit = Callable[["Progress | Picture"], None]
"""Takes what a model has drawn so far. Others get their turn on the device meanwhile."""


class LoadedImageModel(LoadedModel, Protocol):
    """Draws one request at a time."""

    def draw(self, request: ImageRequest, emit: Emit) -> None:
        """Draw, and call `emit` after each step and with each picture. What `emit` raises passes
        through and leaves the model ready for the next request. Raises `EngineFailed`."""


class LoadedEmbedder(LoadedModel, Protocol):
    """Puts texts into vectors, one request at a time."""

    def embed(self, request: EmbedRequest, between: Callable[[], None]) -> list[bytes]:
        """A vector of length 1 for each text, in floats of 32 bits, little-endian. `between` is
        called after each part of them; what it raises passes through. Raises `EngineFailed`."""


class LoadedHearingModel(LoadedModel, Protocol):
    """Writes down one recording at a time."""

    def hear(self, request: HearingRequest, pause: Callable[[], None]) -> Transcript:
        """Write it down, and call `pause` now and then. What `pause` raises passes through, as with
        `Emit`. Raises `EngineFailed`."""


class LoadedSpeechModel(LoadedModel, Protocol):
    """Speaks one text at a time."""

    def speak(self, request: SpeechRequest, pause: Callable[[], None]) -> Speech:
        """Likewise."""
