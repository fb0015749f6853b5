"""Samples into a voice note: OGG with Opus, and how loud it is over its length. Knows no model and
no platform."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import av
import numpy as np

from botdaemon.types import Speech

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: of Opus; speech needs no more bits
_RATE, _BITS = 48_000, 32_000
#: samples that are handed to the encoder at once
_BLOCK = 48_000
#: of a waveform as Discord wants it: bytes at most, and seconds for each at least
#: (https://discord.com/developers/docs/resources/message#attachment-object)
MOMENTS, MOMENT = 256, 0.1


def voice_note(samples: NDArray[np.float32], rate: int, *, whole: bool = True) -> Speech:
    """Mono samples between -1 and 1, so many a second, as a voice note."""
    return Speech(
        content=_opus(samples, rate),
        seconds=len(samples) / rate,
        waveform=waveform(samples, rate),
        whole=whole,
    )


def waveform(samples: NDArray[np.float32], rate: int) -> bytes:
    """How loud each moment is, 0 to 255 for the loudest there is."""
    moments = max(1, min(MOMENTS, int(len(samples) / rate / MOMENT)))
    loud = np.array([np.sqrt(np.mean(part**2)) for part in np.array_split(samples, moments)])
    peak = float(loud.max()) or 1.0
    return (loud / peak * 255).astype(np.uint8).tobytes()


def _opus(samples: NDArray[np.float32], rate: int) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=_RATE, layout="mono", bit_rate=_BITS)
        for start in range(0, len(samples), _BLOCK):
            block = samples[start : start + _BLOCK].astype(np.float32).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(block, format="flt", layout="mono")
            frame.sample_rate = rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()
