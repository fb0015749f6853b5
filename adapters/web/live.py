"""The live socket of a page: frames in, frames out, and how it ends. Knows no message's meaning."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING

from aiohttp import ClientConnectionResetError, WSCloseCode, WSMsgType, web

from adapters.web.hub import Close, Listener
from adapters.web.wire import Nonsense, Open, Press, dump, read_frame
from botdaemon.errors import Refused, StoreError

if TYPE_CHECKING:
    from adapters.web.desk import Desk
    from adapters.web.hub import Hub

log = logging.getLogger(__name__)

#: bytes of a frame; a page sends none near it
FRAME_BYTES = 64 * 2**10
#: bytes after which the connection is cut without having been read to the end
SOCKET_BYTES = 2**20
HEARTBEAT_SECONDS = 20.0
#: how long a page may take to read the last frames before it is cut
GOODBYE_SECONDS = 5.0
#: news that somebody types is passed on at most this often for each page
TYPING_SECONDS = 1.0


class Live:
    """GET /api/live: frames are JSON objects with a `type`.

    A page sends `open` (room, after) first, and again to watch another room; `typing`; `press`.
    It is sent `ready` in answer to `open`, with the changes since `after` and who is at work, and
    from then on `changes`, each with the position `seq` to come back with. `complete: false` says
    that the changes are not all it missed, so that it has to load the room anew. What passes has
    no position: `draft`, `working`, `typing`, `threads`, `rooms`, and `activity` of other rooms.
    """

    def __init__(self, desk: Desk, hub: Hub, hello_seconds: float) -> None:
        self._desk = desk
        self._hub = hub
        self._hello_seconds = hello_seconds

    def mount(self, app: web.Application) -> None:
        app.router.add_get("/api/live", self._serve)
        app.on_shutdown.append(self._shut)

    async def _shut(self, app: web.Application) -> None:
        self._hub.close()

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        _ = self._desk.deliver  # raises while the daemon is not ready for it
        socket = web.WebSocketResponse(
            timeout=GOODBYE_SECONDS,
            heartbeat=HEARTBEAT_SECONDS,
            max_msg_size=SOCKET_BYTES,
            compress=False,
        )
        await socket.prepare(request)
        transport = request.transport
        if transport is None:  # gone already
            return socket
        listener = Listener(drop=transport.abort)
        self._hub.join(listener)
        try:
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(_write(socket, listener))
                listener.push(await self._converse(socket, listener))
                try:
                    async with asyncio.timeout(GOODBYE_SECONDS):
                        await writer
                except TimeoutError:
                    transport.abort()
        finally:
            self._hub.leave(listener)
        return socket

    async def _converse(self, socket: web.WebSocketResponse, listener: Listener) -> Close:
        """Do what the page asks until it goes or sends nonsense; how to close it then."""
        typed = 0.0
        while True:
            try:
                message = await socket.receive(None if listener.room else self._hello_seconds)
            except TimeoutError:
                error = (
                    f'no room was opened within {self._hello_seconds:g} s; send {{"type":"open"}}'
                )
                return _end(listener, WSCloseCode.POLICY_VIOLATION, error)
            if message.type is WSMsgType.BINARY:
                error = "frames are JSON text, not binary"
                return _end(listener, WSCloseCode.UNSUPPORTED_DATA, error)
            if message.type is not WSMsgType.TEXT:
                return Close(WSCloseCode.OK, "")
            if len(message.data) > FRAME_BYTES:
                error = f"a frame has at most {FRAME_BYTES:,} characters"
                return _end(listener, WSCloseCode.MESSAGE_TOO_BIG, error)
            try:
                frame = read_frame(message.data)
            except Nonsense as nonsense:
                return _end(listener, WSCloseCode.POLICY_VIOLATION, str(nonsense))
            try:
                if isinstance(frame, Open):
                    room = await self._desk.room(frame.room)
                    await self._hub.watch(listener, room.name, frame.after)
                elif not listener.room:
                    return _end(listener, WSCloseCode.POLICY_VIOLATION, "open a room first")
                elif isinstance(frame, Press):
                    await self._desk.press(
                        listener.room,
                        frame.thread,
                        frame.name,
                        frame.control,
                        frame.message,
                        frame.text,
                    )
                elif time.monotonic() - typed >= TYPING_SECONDS:
                    typed = time.monotonic()
                    _, thread = await self._desk.place(listener.room, frame.thread)
                    self._hub.typing(thread, frame.name, listener)
            except (Refused, StoreError) as refusal:
                listener.push(dump({"type": "error", "error": str(refusal)}))


def _end(listener: Listener, code: int, error: str) -> Close:
    listener.push(dump({"type": "error", "error": error}))
    # A reason has at most 123 bytes; the frame before it has the whole sentence.
    return Close(code, error.encode()[:120].decode(errors="ignore"))


async def _write(socket: web.WebSocketResponse, listener: Listener) -> None:
    """Send what is pushed, until the last frame or the end of the connection."""
    with contextlib.suppress(ClientConnectionResetError):
        while not isinstance(frame := await listener.next(), Close):
            await socket.send_str(frame)
        await socket.close(code=frame.code, message=frame.reason.encode())
