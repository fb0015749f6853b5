"""What crosses between the daemon and a model process, and how. Knows neither end's work.

A frame is four bytes of length and a JSON object, over a socket pair. From the daemon:

    {"do": "hello", "models": {NAME: {"directory", "device", "dtype"}}}     first, once
    {"do": "generate", "id": N, "request": {...}}
    {"do": "cancel", "id": N}

From the model process, which is over when the socket is:

    {"is": "ready"}                                                         first, once
    {"is": "loaded", "model": NAME}
    {"is": "piece", "id": N, "text", "tokens", "prompt_tokens", "finish"}
    {"is": "failed", "id": N, "error": CLASS, "message"}                    ends N
    {"is": "cancelled", "id": N, "tokens"}                                  ends N
    {"is": "log", "level", "logger", "message"}

Ids let any number of requests be under way at once, in any order.
"""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from botdaemon.types import ChatLine, Sampling, TextRequest

if TYPE_CHECKING:
    import socket

Frame = dict[str, Any]

LIMIT = 32 * 2**20
"""Bytes of one frame: far above any prompt, far below what would hurt."""


class Malformed(ConnectionError):
    """The other end does not speak this protocol, or broke off within a frame."""


def pack(frame: Frame) -> bytes:
    body = json.dumps(frame, separators=(",", ":")).encode()
    if len(body) > LIMIT:
        raise ValueError(f"a frame of {len(body)} bytes is over the limit of {LIMIT}")
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
