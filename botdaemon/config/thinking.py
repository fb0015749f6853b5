"""What bots think with: `[models.NAME]` and `[devices.NAME]`. Knows no other table."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from botdaemon import types
from botdaemon.config.base import Table, TokenConfig
from botdaemon.config.sound import SpeechConfig, WhisperConfig
from botdaemon.config.values import (
    Device,
    File,
    Name,
    Url,
)


class SamplingConfig(Table):
    """How the next token is chosen; what is not set is left to the model."""

    temperature: float | None = Field(default=None, ge=0, le=5)
    """how freely words are chosen; 0 always takes the likeliest"""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """choose among the likeliest tokens that make up this share"""
    top_k: int | None = Field(default=None, ge=0)
    """choose among this many likeliest tokens; 0 is no limit"""
    min_p: float | None = Field(default=None, ge=0, le=1)
    """leave out tokens less likely than this share of the likeliest"""
    repetition_penalty: float | None = Field(default=None, gt=0, le=10)
    """above 1 makes what was already said less likely"""
    no_repeat_ngram: int | None = Field(default=None, ge=0)
    """never repeat a run of this many tokens; 0 allows it"""
    max_tokens: int | None = Field(default=None, ge=1)
    """longest reply, in tokens"""

    def chosen(self) -> types.Sampling:
        """What is set here."""
        return types.Sampling(**self.model_dump())


class _LocalConfig(Table):
    """What all models on this machine have in common."""

    path: File | None = None
    """the model's directory"""
    hub: str | None = Field(default=None, min_length=1)
    """the id of a model in the local Hugging Face cache, instead of path"""
    revision: str | None = Field(default=None, min_length=1)
    """the revision of the hub model"""
    device: Device = "auto"
    """where it runs: auto, cpu, mps, cuda or cuda:N"""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """the numbers it computes with"""
    load: Literal["start", "demand"] = "start"
    """when it is loaded: when the daemon starts, or when it is first needed"""
    pinned: bool = False
    """whether it stays loaded, whatever else needs the memory"""
    idle_minutes: float = Field(default=0.0, ge=0)
    """time without a request after which it makes way; 0: only when the memory is needed"""

    @model_validator(mode="after")
    def _source_rules(self) -> Self:
        if (self.path is None) == (self.hub is None):
            raise ValueError('name either path = "DIRECTORY" or hub = "OWNER/NAME"')
        if self.hub is not None and self.revision is None:
            raise ValueError("a hub model is pinned: add its revision")
        if self.path is not None and self.revision is not None:
            raise ValueError("revision belongs to hub, a directory has none")
        if self.pinned and self.idle_minutes:
            raise ValueError("a pinned model stays loaded: leave out pinned or idle_minutes")
        return self


class _AdaptableConfig(_LocalConfig):
    adapters: dict[Name, File] = Field(default_factory=dict)
    """LoRA adapters trained on this model: a name and a directory each"""


class TransformersConfig(_AdaptableConfig):
    """A text model that runs on this machine."""

    kind: Literal["transformers"]
    """what runs it"""
    quantize: Literal["none", "int8"] = "none"
    """smaller numbers for its weights; int8 is made once and kept beside the model"""
    offload: bool = False
    """whether it waits in RAM, rather than on disk, when it has to leave the card"""
    batch: int = Field(default=16, ge=1, le=512)
    """conversations that it continues at the same time"""
    cache_megabytes: int | None = Field(default=None, ge=16)
    """memory for conversations under way and for what is remembered of the last ones; by default
    512, and 96 for a small machine's int8"""
    sampling: SamplingConfig = SamplingConfig()
    """how its tokens are chosen, when a bot does not say otherwise"""

    @model_validator(mode="after")
    def _int8_rules(self) -> Self:
        if self.quantize == "int8" and self.device not in ("auto", "cpu"):
            raise ValueError('int8 is for small models on a CPU: say device = "cpu"')
        if self.quantize == "int8" and self.adapters:
            raise ValueError("an int8 model takes no adapters: leave out quantize or adapters")
        return self


class DiffusersConfig(_AdaptableConfig):
    """An image model that runs on this machine: the directory of any diffusers pipeline."""

    kind: Literal["diffusers"]
    """what runs it"""
    offload: bool | Literal["always"] = False
    """whether it waits in RAM when it has to leave the card; "always": only the part that works is
    on the card, for models larger than it"""
    checker: bool = True
    """whether the model's safety checker, if it has one, looks at every picture"""


class EmbedderConfig(_LocalConfig):
    """A model that puts the meaning of texts into vectors: any directory of sentence-transformers
    (see docs/knowledge.md)."""

    kind: Literal["embedder"]
    """what runs it"""
    batch: int = Field(default=16, ge=1, le=1024)
    """texts that it reads at the same time"""


class ClassifierConfig(_LocalConfig):
    """A classifier of texts or of pictures that runs on this machine, by transformers."""

    kind: Literal["classifier"]
    """what runs it"""
    offload: bool = False
    """whether it waits in RAM, rather than on disk, when it has to leave the card"""


class OpenAIConfig(TokenConfig):
    """A model on servers that speak OpenAI's protocol, such as vLLM, llama.cpp or this daemon's own
    serve-models."""

    kind: Literal["openai"]
    """what runs it"""
    servers: Annotated[
        tuple[Url, ...], Field(strict=False, min_length=1, description="their addresses")
    ]
    """their addresses, such as "http://127.0.0.1:8000/v1"; the least busy one is asked"""
    model: str = Field(min_length=1, description="the model's name there")
    """the model's name there"""
    api: Literal["chat", "completions", "images", "transcriptions", "speech"] = "chat"
    """which of its interfaces is used; images: it is an image model; transcriptions: a hearing
    model; speech: a speech model"""
    speaker: str = Field(default="alloy", min_length=1)
    """who speaks, by the server's name, with api = "speech" """
    context: int = Field(default=4096, ge=16)
    """tokens that it takes, prompt and reply together"""
    timeout_seconds: float = Field(default=120.0, gt=0)
    """longest time without a sign of life"""
    retries: int = Field(default=2, ge=0, le=10)
    """further attempts at a request that was not begun to be answered"""
    fall_back: str | None = None
    """the [models.NAME] that answers when no server does"""
    sampling: SamplingConfig = SamplingConfig()
    """how its tokens are chosen, when a bot does not say otherwise"""


class EchoConfig(Table):
    """An engine that says what it was told, for trying things."""

    kind: Literal["echo"]
    """what runs it"""
    delay_seconds: float = Field(default=0.0, ge=0, le=3600)
    """how long it pretends to think before each piece of an answer"""


ModelConfig = Annotated[
    TransformersConfig
    | DiffusersConfig
    | EmbedderConfig
    | ClassifierConfig
    | WhisperConfig
    | SpeechConfig
    | OpenAIConfig
    | EchoConfig,
    Field(discriminator="kind"),
]


class DeviceConfig(Table):
    """A device that models run on."""

    memory_gigabytes: float = Field(gt=0, description="how much of its memory models may take")
    """how much of its memory models may take"""
