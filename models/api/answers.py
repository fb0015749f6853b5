"""Answers in OpenAI's shapes. Knows no engine and no HTTP."""

from __future__ import annotations

import json
import secrets
import time
from base64 import b64encode
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from botdaemon.ports import ImageEngine, TextEngine
    from botdaemon.types import Picture, Piece

Json = dict[str, Any]
Kind = Literal["chat", "completion"]

DONE = b"data: [DONE]\n\n"


def models(text: Mapping[str, TextEngine], images: Mapping[str, ImageEngine], born: int) -> Json:
    """The list of models. `max_model_len` is vLLM's word for the context; `card` is what
    `models.remote` wants to know of an image model."""
    entries: list[Json] = [
        {"id": name, "max_model_len": engine.card.context} for name, engine in text.items()
    ]
    for name, engine in images.items():
        card = asdict(engine.card)
        entries.append({"id": name, "card": card | {"words": sorted(card["words"])}})
    common = {"object": "model", "created": born, "owned_by": "botdaemon"}
    return {"object": "list", "data": [entry | common for entry in entries]}


def error(text: str, *, status: int, where: str = "", code: str | None = None) -> Json:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": text, "type": kind, "param": where or None, "code": code}}


def pictures(drawn: Sequence[Picture]) -> Json:
    """`unsafe` and `notes` are words of the house."""
    return {
        "created": int(time.time()),
        "data": [
            {
                "b64_json": b64encode(picture.content).decode(),
                "unsafe": picture.unsafe,
                "notes": list(picture.notes),
            }
            for picture in drawn
        ],
    }


def event(data: Json) -> bytes:
    """One event of a stream."""
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


class Answer:
    """The answers to one request, from their pieces: whole, or chunk by chunk."""

    def __init__(self, kind: Kind, model: str, count: int) -> None:
        self._kind = kind
        self._head = {
            "id": ("chatcmpl-" if kind == "chat" else "cmpl-") + secrets.token_hex(12),
            "created": int(time.time()),
            "model": model,
        }
        self._texts = [""] * count
        self._finishes = ["stop"] * count
        self._tokens = [0] * count
        self._prompt_tokens = 0
        self._begun: set[int] = set()

    def add(self, index: int, piece: Piece) -> Json:
        """Take in a piece of an answer; the result is its chunk."""
        self._texts[index] += piece.text
        self._tokens[index] = piece.tokens
        self._prompt_tokens = piece.prompt_tokens or self._prompt_tokens
        if piece.finish:
            self._finishes[index] = piece.finish
        choice: Json = {"index": index, "finish_reason": piece.finish or None}
        if self._kind == "chat":
            opening = {} if index in self._begun else {"role": "assistant"}
            choice["delta"] = {**opening, "content": piece.text}
        else:
            choice["text"] = piece.text
        self._begun.add(index)
        return self._chunk(choices=[choice])

    def last(self) -> Json:
        """The chunk that counts tokens."""
        return self._chunk(choices=[], usage=self._usage())

    def whole(self) -> Json:
        choices: list[Json] = []
        for index, (text, finish) in enumerate(zip(self._texts, self._finishes, strict=True)):
            said: Json = {"text": text}
            if self._kind == "chat":
                said = {"message": {"role": "assistant", "content": text}}
            choices.append({"index": index, **said, "finish_reason": finish})
        kind = "chat.completion" if self._kind == "chat" else "text_completion"
        return {**self._head, "object": kind, "choices": choices, "usage": self._usage()}

    def _chunk(self, **fields: Any) -> Json:
        kind = "chat.completion.chunk" if self._kind == "chat" else "text_completion"
        return {**self._head, "object": kind, **fields}

    def _usage(self) -> Json:
        tokens = sum(self._tokens)
        return {
            "prompt_tokens": self._prompt_tokens,
            "completion_tokens": tokens,
            "total_tokens": self._prompt_tokens + tokens,
        }
