"""A voice of Piper: NAME.onnx with NAME.onnx.json beside it. Knows no other voice. Piper is
licensed under the GPL, which is why it is an extra, and loaded by the model process alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from piper import PiperVoice, SynthesisConfig

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class Piper:
    """A `Talker`."""

    def __init__(self, path: Path, *, speaker: int, speed: float) -> None:
        """`speaker`: the number of one of its speakers. `speed`: times as fast as usual."""
        self._voice = PiperVoice.load(path)
        config = self._voice.config
        self._manner = SynthesisConfig(
            speaker_id=speaker if config.num_speakers > 1 else None,
            length_scale=config.length_scale / speed,
        )
        self.rate = int(config.sample_rate)
        self.bytes = path.stat().st_size

    def say(self, sentence: str) -> NDArray[np.float32]:
        chunks = self._voice.synthesize(sentence, self._manner)
        parts = [np.asarray(chunk.audio_float_array, np.float32).reshape(-1) for chunk in chunks]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)
