"""Recordings of people, in whatever form, into samples. Knows no model.

What people send is hostile: a container may name other files and addresses to read, and a small
file may say that it lasts for days. So only containers that hold their sound themselves are opened,
only from memory, and no more is decoded than is listened to.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import av
import numpy as np
from av.audio.resampler import AudioResampler

from botdaemon.errors import EngineFailed

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE = 16_000
"""Samples a second, as Whisper wants them."""

#: libavformat's names of the containers that phones, browsers and chat platforms record in; none of
#: them leads anywhere else, as playlists (hls, concat, dash) do
_CONTAINERS = "aac,aiff,amr,caf,flac,matroska,webm,mov,mp4,m4a,mp3,ogg,w64,wav"
_OPTIONS = {"format_whitelist": _CONTAINERS, "protocol_whitelist": ""}
#: frames that cannot be decoded before the rest is given up, too
_MOST_BROKEN = 50


class TooLong(EngineFailed):
    """There is more of it than is listened to."""


def samples(content: bytes, most_seconds: float, rate: int = RATE) -> NDArray[np.float32]:
    """The first sound track as mono samples between -1 and 1. Raises `EngineFailed` with a sentence
    for whoever sent it."""
    try:
        return _samples(content, most_seconds, rate)
    except (av.FFmpegError, ValueError, OverflowError) as error:
        raise EngineFailed("That recording is damaged, or nothing that I can listen to.") from error


def _samples(content: bytes, most_seconds: float, rate: int) -> NDArray[np.float32]:
    resampler = AudioResampler(format="flt", layout="mono", rate=rate)
    most, count, broken = int(most_seconds * rate), 0, 0
    parts: list[NDArray[np.float32]] = []
    with av.open(io.BytesIO(content), "r", options=_OPTIONS, metadata_errors="ignore") as container:
        if not container.streams.audio:
            raise EngineFailed("There is no sound in that.")
        for packet in container.demux(container.streams.audio[0]):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                # Part of a recording is worth hearing.
                broken += 1
                if broken > _MOST_BROKEN:
                    raise
                continue
            for frame in frames:
                for resampled in resampler.resample(frame):
                    parts.append(_flat(resampled))
                    count += len(parts[-1])
                if count > most:
                    length = _length(most_seconds)
                    raise TooLong(f"That recording is longer than the {length} that I listen to.")
        if parts:
            parts += [_flat(one) for one in resampler.resample(None)]
    if not parts:
        raise EngineFailed("There is no sound in that.")
    return np.concatenate(parts)


def _flat(frame: av.AudioFrame) -> NDArray[np.float32]:
    array: NDArray[np.float32] = frame.to_ndarray().astype(np.float32, copy=False).reshape(-1)
    return np.nan_to_num(array).clip(-1.0, 1.0)


def _length(seconds: float) -> str:
    number, unit = (seconds / 60, "minute") if seconds >= 60 else (seconds, "second")
    return f"{number:g} {unit}{'' if number == 1 else 's'}"
