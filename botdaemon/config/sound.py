"""The tables about sound: models that hear and speak, `[hearing]`, and `[bots.NAME.speech]`. Knows
no other table."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from botdaemon.config.base import Table
from botdaemon.config.values import Device, File, Language


class _SoundConfig(Table):
    """What models of sound on this machine have in common."""

    load: Literal["start", "demand"] = "demand"
    """when it is loaded: when the daemon starts, or when it is first needed"""
    pinned: bool = False
    """whether it stays loaded, whatever else needs the memory"""
    idle_minutes: float = Field(default=0.0, ge=0)
    """time without a request after which it makes way; 0: only when the memory is needed"""

    @model_validator(mode="after")
    def _pinned_rules(self) -> Self:
        if self.pinned and self.idle_minutes:
            raise ValueError("a pinned model stays loaded: leave out pinned or idle_minutes")
        return self


class WhisperConfig(_SoundConfig):
    """A model that writes down what is said in recordings, on this machine."""

    kind: Literal["whisper"]
    """what runs it"""
    path: File = Field(description="the directory of a Whisper model in CTranslate2's form")
    """the directory of a Whisper model in CTranslate2's form"""
    device: Device = "cpu"
    """where it runs: cpu, cuda or cuda:N"""
    dtype: Literal["auto", "float32", "float16", "bfloat16", "int8", "int8_float16"] = "auto"
    """the numbers it computes with; auto: the fastest that the device has"""
    language: Language = ""
    """what is spoken, as "en"; by default it finds out from each recording"""

    @model_validator(mode="after")
    def _device_rules(self) -> Self:
        if self.device in ("auto", "mps"):
            raise ValueError('a hearing model runs on "cpu", "cuda" or "cuda:N"')
        return self


class SpeechConfig(_SoundConfig):
    """A model that speaks, on this machine."""

    kind: Literal["speech"]
    """what runs it"""
    path: File | None = None
    """a voice of Piper, NAME.onnx with NAME.onnx.json beside it; without, espeak-ng speaks"""
    language: Language = "en"
    """which of espeak-ng's languages, as "de" or "en-US+f3" """
    speaker: int = Field(default=0, ge=0)
    """which of the speakers of a Piper voice, for one that has several"""
    speed: float = Field(default=1.0, ge=0.3, le=3)
    """times as fast as usual"""

    @model_validator(mode="after")
    def _sort_rules(self) -> Self:
        set_here = self.model_fields_set
        if self.path is not None and "language" in set_here:
            raise ValueError("a Piper voice speaks its own language: leave out language or path")
        if self.path is None and "speaker" in set_here:
            raise ValueError("speaker is for a Piper voice: add its path, or choose a language")
        return self


class HearingConfig(Table):
    """What becomes of the voice notes and other recordings that people send."""

    model: str = ""
    """the name of a [models.NAME] table of a hearing model; without one, nobody listens"""
    most_minutes: float = Field(default=5.0, gt=0, le=60)
    """longest recording that is listened to"""
    most_megabytes: float = Field(default=10.0, gt=0, le=40)
    """largest"""
    show: bool = False
    """whether the daemon writes into the conversation what it heard"""


class SpokenConfig(Table):
    """The voice notes of a bot."""

    model: str = Field(description="the name of a [models.NAME] table of a speech model")
    """the name of a [models.NAME] table of a speech model"""
    when: Literal["asked", "spoken to", "always"] = "spoken to"
    """asked: only for /speak; spoken to: also in answer to a voice note; always: every answer"""
    most_seconds: float = Field(default=90.0, ge=1, le=600)
    """longest voice note; further sentences are only written"""
    text: bool = True
    """whether the words of the answer are written, too"""
