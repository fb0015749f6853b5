"""What clients of OpenAI's protocol send, checked and put into the terms of the house. Knows no
engine and no server.

Fields that are not known are left aside, as the protocol's own servers do; those that are known and
not done here, but would change the answer, are refused.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from botdaemon.types import ChatLine, ImageRequest, Role, Sampling, TextRequest

#: answers to one request
MOST = 8
#: the name of whoever answers, where the conversation does not say
_SPEAKER = "Assistant"
_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
# What is not done here, with the values that ask for nothing.
_NOT_DONE: dict[str, tuple[Any, ...]] = {
    "tools": ([],),
    "functions": ([],),
    "response_format": ({"type": "text"}, {}),
    "logprobs": (False, 0),
    "top_logprobs": (0,),
    "prompt_logprobs": (0,),
    "logit_bias": ({},),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "modalities": (["text"], []),
    "audio": (),
    "echo": (False,),
    "suffix": ("",),
    "best_of": (1,),
}
_NOT_DRAWN: dict[str, tuple[Any, ...]] = {
    "stream": (False,),
    "mask": (),
    "background": ("auto", "opaque"),
    "output_format": ("png",),
}
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")


class BadRequest(Exception):
    """A request that cannot be taken; `where` is the field that is at fault, or empty."""

    def __init__(self, text: str, where: str = "") -> None:
        super().__init__(text)
        self.where = where


class _Asked(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    model: str = Field(min_length=1)
    n: int | None = Field(default=None, ge=1, le=MOST)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)

    @property
    def count(self) -> int:
        return self.n or 1


class _StreamOptions(BaseModel):
    include_usage: bool = False


class TextAsked(_Asked, ABC):
    """What /chat/completions and /completions have in common."""

    stream: bool | None = False
    stream_options: _StreamOptions | None = None
    temperature: float | None = Field(default=None, ge=0, le=5)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=-1)
    min_p: float | None = Field(default=None, ge=0, le=1)
    repetition_penalty: float | None = Field(default=None, gt=0, le=10)
    no_repeat_ngram_size: int | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    stop: str | list[str] | None = None

    @model_validator(mode="before")
    @classmethod
    def _nothing_else(cls, data: Any) -> Any:
        return _refuse(data, _NOT_DONE)

    @property
    def usage_wanted(self) -> bool:
        """Whether the stream should end with a chunk that counts tokens."""
        return self.stream_options is not None and self.stream_options.include_usage

    @abstractmethod
    def lines(self) -> tuple[ChatLine, ...]:
        """The conversation."""

    def request(self) -> TextRequest:
        lines = self.lines()
        names = (line.name for line in reversed(lines) if line.role == "assistant" and line.name)
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return TextRequest(
            model=self.model,
            speaker=next(names, _SPEAKER),
            lines=lines,
            sampling=Sampling(
                temperature=self.temperature,
                top_p=self.top_p,
                top_k=0 if self.top_k == -1 else self.top_k,  # both are "no limit"
                min_p=self.min_p,
                repetition_penalty=self.repetition_penalty,
                no_repeat_ngram=self.no_repeat_ngram_size,
                max_tokens=self.max_completion_tokens or self.max_tokens,
                seed=self.seed,
            ),
            stop=tuple(filter(None, stop)),
        )


class _Message(BaseModel):
    role: str
    content: str | None = None
    name: str | None = None

    @field_validator("role")
    @classmethod
    def _is_known(cls, role: str) -> str:
        if role not in _ROLES:
            raise ValueError(f'there is no role "{role}" here; there are {", ".join(_ROLES)}')
        return role

    @field_validator("content", mode="before")
    @classmethod
    def _in_one(cls, content: Any) -> Any:
        """A text may come in parts, each with its type."""
        if not isinstance(content, list):
            return content
        for part in content:
            if not isinstance(part, dict) or not isinstance(part.get("text"), str):
                kind = part.get("type") if isinstance(part, dict) else part
                raise ValueError(f'only text can be read here, not "{kind}"')
        return "\n".join(part["text"] for part in content)

    def line(self) -> ChatLine:
        role = _ROLES[self.role]
        name = "" if role == "system" else self.name or ""
        return ChatLine(role=role, text=self.content or "", name=name)


class ChatAsked(TextAsked):
    """The body of /chat/completions."""

    messages: list[_Message] = Field(min_length=1)

    def lines(self) -> tuple[ChatLine, ...]:
        return tuple(message.line() for message in self.messages)


class CompletionAsked(TextAsked):
    """The body of /completions. The prompt is taken for what a user says, because an engine writes
    its model's prompt itself."""

    prompt: str

    def lines(self) -> tuple[ChatLine, ...]:
        return (ChatLine(role="user", text=self.prompt),)


class TokenizeAsked(BaseModel):
    """The body of vLLM's /tokenize: a conversation or a prompt."""

    model: str | None = None
    messages: list[_Message] | None = None
    prompt: str | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.messages is None) == (self.prompt is None):
            raise ValueError("give either messages or a prompt")
        return self

    def request(self) -> TextRequest:
        said = [message.line() for message in self.messages or ()]
        if self.prompt is not None:
            said = [ChatLine(role="user", text=self.prompt)]
        return TextRequest(model=self.model or "", speaker=_SPEAKER, lines=tuple(said))


class ImageAsked(_Asked):
    """The body of /images/generations, with vLLM-Omni's further fields, and the form of
    /images/edits."""

    prompt: str
    size: str | None = None
    response_format: Literal["b64_json"] | None = None
    negative_prompt: str | None = None
    num_inference_steps: int | None = Field(default=None, ge=1, le=1000)
    guidance_scale: float | None = Field(default=None, ge=0, le=100)
    strength: float | None = Field(default=None, gt=0, le=1)
    enlarge: int = Field(default=1, ge=1, le=4)

    @model_validator(mode="before")
    @classmethod
    def _nothing_else(cls, data: Any) -> Any:
        return _refuse(data, _NOT_DRAWN)

    @field_validator("size")
    @classmethod
    def _is_a_size(cls, size: str | None) -> str | None:
        if size in (None, "auto"):
            return None
        if not _SIZE.fullmatch(size):
            raise ValueError('a size is written like "512x512"')
        return size

    def request(self, source: bytes = b"") -> ImageRequest:
        width, height = map(int, self.size.split("x")) if self.size else (None, None)
        return ImageRequest(
            model=self.model,
            prompt=self.prompt,
            negative=self.negative_prompt,
            seed=self.seed,
            steps=self.num_inference_steps,
            guidance=self.guidance_scale,
            width=width,
            height=height,
            count=self.count,
            source=source,
            strength=self.strength if source else None,
            enlarge=self.enlarge,
        )


Shape = TypeVar("Shape", bound=BaseModel)


def read(shape: type[Shape], data: Any) -> Shape:
    """The fields of a request. Raises `BadRequest`, with a sentence about the first mistake."""
    try:
        return shape.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"] if not _is_branch(step))
        said = first["msg"].removeprefix("Value error, ")
        raise BadRequest(f"{where}: {said}" if where else said, where) from None


def _is_branch(step: int | str) -> bool:
    """Which of several types was tried, as pydantic writes it: nothing for people."""
    return isinstance(step, str) and (step in ("str", "int") or "[" in step)


def _refuse(data: Any, not_done: dict[str, tuple[Any, ...]]) -> Any:
    if isinstance(data, dict):
        for key, nothing in not_done.items():
            if data.get(key) is not None and data[key] not in nothing:
                raise ValueError(f'"{key}" is not done here; leave it out')
    return data
