"""espeak-ng, the voice that comes with pip: a formant synthesiser in about a hundred languages,
without any weights. Knows no other voice.

The library is one of a kind in a process, and keeps what was set last; it is called in one model's
turn at a time. What its functions take and return is in its speak_lib.h
(https://github.com/espeak-ng/espeak-ng/blob/1.52.0/src/include/espeak-ng/speak_lib.h). It is
licensed under the GPL, which is why it is an extra, and loaded by the model process alone.
"""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import espeakng_loader  # type: ignore[import-untyped]  # it comes without types
import numpy as np

from botdaemon.errors import EngineFailed, ModelUnusable

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SYNCHRONOUS, _DO_NOT_EXIT, _UTF8, _POSITION_IS_CHARACTER = 2, 0x8000, 1, 1
_RATE_PARAMETER, _WORDS_PER_MINUTE = 1, 175

_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class Espeak:
    """A `Talker`."""

    bytes = 0

    def __init__(self, language: str, speed: float) -> None:
        """`speed`: times as fast as usual. Raises `ModelUnusable` for a language that it does not
        speak; `files.speech` says which it does."""
        self._language = language.encode()
        self._speed = speed
        self.rate, library = _library()
        if library.espeak_SetVoiceByName(self._language):
            raise ModelUnusable(f'espeak-ng does not speak "{language}"')

    def say(self, sentence: str) -> NDArray[np.float32]:
        """Raises `EngineFailed`."""
        _, library = _library()
        blocks: list[bytes] = []

        def take(wave: Any, count: int, events: Any) -> int:
            if wave and count:
                blocks.append(ctypes.string_at(wave, count * ctypes.sizeof(ctypes.c_short)))
            return 0

        callback = _Callback(take)
        text = sentence.replace("\0", " ").encode("utf-8", "replace")
        library.espeak_SetSynthCallback(callback)
        library.espeak_SetVoiceByName(self._language)
        library.espeak_SetParameter(_RATE_PARAMETER, int(_WORDS_PER_MINUTE * self._speed), 0)
        failed = library.espeak_Synth(
            text, len(text) + 1, 0, _POSITION_IS_CHARACTER, 0, _UTF8, None, None
        )
        if failed or library.espeak_Synchronize():
            raise EngineFailed("espeak-ng could not speak it")
        return np.frombuffer(b"".join(blocks), np.int16).astype(np.float32) / np.float32(32768)


@functools.cache
def _library() -> tuple[int, Any]:
    """Samples a second, and the library's functions."""
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    library.espeak_Synth.argtypes = [
        *(ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint),
        *(ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p),
    ]
    home = str(Path(espeakng_loader.get_data_path()).parent).encode()
    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, home, _DO_NOT_EXIT)
    if rate <= 0:
        raise ModelUnusable("espeak-ng does not start; install espeakng-loader again")
    return int(rate), library
