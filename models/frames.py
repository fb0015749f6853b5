"""What crosses between the daemon and a model process, and how. Knows neither end's work.

A frame is four bytes of length and a JSON object, over a socket pair. From the daemon:

    {"do": "hello", "device": NAME, "memory": BYTES, "confined": true,
     "readable": [DIRECTORY, ...], "models": {NAME: {...}}}
                                                                             first, once
    {"do": "ping"}                                                           now and then
    {"do": "generate", "id": N, "request": {...}}
    {"do": "draw", "id": N, "request": {...}}
    {"do": "embed", "id": N, "request": {...}}
    {"do": "classify", "id": N, "request": {"model", "text" or "picture"}}
    {"do": "hear", "id": N, "request": {...}}
    {"do": "speak", "id": N, "request": {...}}
    {"do": "cancel", "id": N}

From the model process, which is over when the socket is:

    {"is": "ready"}                                                          first, once
    {"is": "pong"}                                                           to a ping
    {"is": "models", "states": {NAME: "away" | "loading" | "loaded" | "resting"}}
    {"is": "measured", "model": NAME, "load": BYTES, "peak": BYTES}
    {"is": "device", "memory": BYTES, "used": BYTES, "celsius", "utilisation"}   every few seconds
    {"is": "pieces", "pieces": [[N, text, tokens, prompt_tokens, finish], ...]}
    {"is": "progress", "id": N, "step", "steps", "left", "preview"}
    {"is": "picture", "id": N, "content", "request", "notes", "unsafe"}
    {"is": "drawn", "id": N}                                                 ends N
    {"is": "vectors", "id": N, "vectors": [...]}                             ends N
    {"is": "classified", "id": N, "labels": {LABEL: PROBABILITY}}            ends N
    {"is": "heard", "id": N, "text"}                                         ends N
    {"is": "spoken", "id": N, "content", "seconds", "waveform", "whole"}     ends N
    {"is": "failed", "id": N, "error": CLASS, "message"}                     ends N
    {"is": "cancelled", "id": N, "tokens"}                                   ends N
    {"is": "log", "level", "logger", "message"}

Ids let any number of requests be under way at once, in any order. The tokens of one step travel in
one frame, which costs less than a frame for each. Pictures, vectors and sound are base64.
"""

from __future__ import annotations

import asyncio
import json
import threading
from base64 import b64decode, b64encode
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from botdaemon.types import (
    ChatLine,
    EmbedRequest,
    HearingRequest,
    ImageRequest,
    Picture,
    Progress,
    Sampling,
    Speech,
    TextRequest,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

Frame = dict[str, Any]

LIMIT = 64 * 2**20
"""Bytes of one frame: far above any prompt or picture, far below what would hurt."""


class Malformed(ConnectionError):
    """The other end does not speak this protocol, or broke off within a frame."""


class TooLarge(ValueError):
    """A frame over the limit; nothing was sent."""


def pack(frame: Frame) -> bytes:
    """Raises `TooLarge`."""
    body = json.dumps(frame, separators=(",", ":")).encode()
    if len(body) > LIMIT:
        raise TooLarge(f"{len(body) / 2**20:.0f} MiB, and the limit is {LIMIT / 2**20:.0f}")
    return len(body).to_bytes(4, "big") + body


def _length(head: bytes) -> int:
    length = int.from_bytes(head, "big")
    if length > LIMIT:
        raise Malformed(f"a frame of {length} bytes was announced, the limit is {LIMIT}")
    return length


def _unpack(body: bytes) -> Frame:
    try:
        frame = json.loads(body)
    except ValueError as error:
        raise Malformed(f"a frame is not JSON: {error}") from error
    if not isinstance(frame, dict):
        raise Malformed("a frame is not a JSON object")
    return frame


async def read(reader: asyncio.StreamReader) -> Frame | None:
    """The next frame, None at the end. Raises `ConnectionError`."""
    try:
        head = await reader.readexactly(4)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise Malformed("the connection ended within a frame") from error
        return None
    try:
        return _unpack(await reader.readexactly(_length(head)))
    except asyncio.IncompleteReadError as error:
        raise Malformed("the connection ended within a frame") from error


class Wire:
    """The model process's end: blocking, one thread reads, any thread writes."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._file = sock.makefile("rb")
        self._sending = threading.Lock()

    def send(self, frame: Frame) -> None:
        """Raises `TooLarge`, and `OSError` when the daemon is gone."""
        data = pack(frame)
        with self._sending:
            self._socket.sendall(data)

    def read(self) -> Frame | None:
        """The next frame, None at the end. Raises `ConnectionError`."""
        head = self._file.read(4)
        if not head:
            return None
        body = self._file.read(_length(head)) if len(head) == 4 else b""
        if len(head) < 4 or len(body) < _length(head):
            raise Malformed("the connection ended within a frame")
        return _unpack(body)

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def pack_request(request: TextRequest) -> Frame:
    return asdict(request)


def unpack_request(data: Frame) -> TextRequest:
    lines = tuple(ChatLine(**line) for line in data.pop("lines"))
    sampling = Sampling(**data.pop("sampling"))
    return TextRequest(lines=lines, sampling=sampling, stop=tuple(data.pop("stop")), **data)


def pack_image_request(request: ImageRequest) -> Frame:
    return asdict(request) | {"source": b64encode(request.source).decode()}


def unpack_image_request(data: Frame) -> ImageRequest:
    adapters = tuple((name, weight) for name, weight in data["adapters"])
    return ImageRequest(**data | {"adapters": adapters, "source": b64decode(data["source"])})


def unpack_embed_request(data: Frame) -> EmbedRequest:
    return EmbedRequest(**data | {"texts": tuple(data["texts"])})


def pack_vectors(vectors: Iterable[bytes]) -> list[str]:
    return [b64encode(vector).decode() for vector in vectors]


def unpack_vectors(packed: Iterable[str]) -> list[bytes]:
    return [b64decode(vector) for vector in packed]


def pack_classified(model: str, what: str | bytes) -> Frame:
    """What is to be classified."""
    if isinstance(what, bytes):
        return {"model": model, "picture": b64encode(what).decode()}
    return {"model": model, "text": what}


def unpack_classified(data: Frame) -> str | bytes:
    return b64decode(data["picture"]) if "picture" in data else str(data["text"])


def pack_drawn(drawn: Progress | Picture) -> Frame:
    """What a model has drawn so far, without the id of its request."""
    if isinstance(drawn, Progress):
        return {
            "is": "progress",
            **asdict(drawn),
            "preview": b64encode(drawn.preview).decode(),
        }
    return {
        "is": "picture",
        "content": b64encode(drawn.content).decode(),
        "request": pack_image_request(drawn.request),
        "notes": drawn.notes,
        "unsafe": drawn.unsafe,
    }


def unpack_drawn(kind: str, data: Frame) -> Progress | Picture:
    if kind == "progress":
        return Progress(**data | {"preview": b64decode(data["preview"])})
    return Picture(
        content=b64decode(data["content"]),
        request=unpack_image_request(data["request"]),
        notes=tuple(data["notes"]),
        unsafe=data["unsafe"],
    )


def pack_hearing_request(request: HearingRequest) -> Frame:
    return asdict(request) | {"sound": b64encode(request.sound).decode()}


def unpack_hearing_request(data: Frame) -> HearingRequest:
    return HearingRequest(**data | {"sound": b64decode(data["sound"])})


def pack_speech(speech: Speech) -> Frame:
    """What a model has spoken, without the id of its request."""
    return {
        "is": "spoken",
        **asdict(speech),
        "content": b64encode(speech.content).decode(),
        "waveform": b64encode(speech.waveform).decode(),
    }


def unpack_speech(data: Frame) -> Speech:
    content, waveform = b64decode(data["content"]), b64decode(data["waveform"])
    return Speech(**data | {"content": content, "waveform": waveform})
