"""The page and the JSON API over HTTP. Knows no dispatcher and no guard."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from aiohttp import web
from pydantic import BaseModel

from adapters.web import wire
from adapters.web.desk import NotOpen, TooLong, Unknown
from adapters.web.uploads import MOST, Upload
from botdaemon.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from adapters.web.desk import Desk
    from adapters.web.hub import Hub
    from botdaemon.types import Message

STATIC = Path(__file__).with_name("static")
#: what a browser may show in place; everything else is a download (an SVG can hold scripts)
IMAGES = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})
SOUNDS = frozenset(
    f"audio/{kind}" for kind in ("aac", "flac", "mp4", "mpeg", "ogg", "wav", "webm", "x-wav")
)

Shape = TypeVar("Shape", bound=BaseModel)


class Api:
    """Answers programs and pages. Errors are raised as HTTP exceptions with a sentence."""

    def __init__(self, desk: Desk, hub: Hub, file_limit: int) -> None:
        self._desk = desk
        self._file_limit = file_limit
        self._hub = hub
        # A character takes up to 12 bytes as JSON. The rest lets a message that is far too long
        # still be counted in characters.
        self._body_bytes = max(2 * 2**20, 12 * desk.limit)

    def mount(self, app: web.Application) -> None:
        app.middlewares.append(_refusals)
        app.add_routes(
            [
                web.get("/", self._page),
                web.static("/static", STATIC),
                web.get("/api/limits", self._limits),
                web.get("/api/bots", self._bots),
                web.get("/api/rooms", self._rooms),
                web.post("/api/rooms", self._create_room),
                web.get("/api/rooms/{room}/threads", self._threads),
                web.post("/api/rooms/{room}/threads", self._open_thread),
                web.get(r"/api/rooms/{room}/threads/{thread:\d{1,18}}/recent", self._recent),
                web.get(
                    r"/api/rooms/{room}/threads/{thread:\d{1,18}}/messages/{message:\d{1,18}}/prompt",
                    self._prompt,
                ),
                web.get("/api/rooms/{room}/messages", self._messages),
                web.post("/api/rooms/{room}/messages", self._post),
                web.get("/files/{sha256:[0-9a-f]{64}}", self._file),
            ]
        )

    async def _page(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(STATIC / "index.html")

    async def _limits(self, request: web.Request) -> web.Response:
        """What a message may have: characters, files, and bytes of each file."""
        characters = self._desk.limit
        return _json({"characters": characters, "files": MOST, "file_bytes": self._file_limit})

    async def _bots(self, request: web.Request) -> web.Response:
        return _json([{"name": name, "about": about} for name, about in self._desk.bots.items()])

    async def _rooms(self, request: web.Request) -> web.Response:
        archive = self._desk.archive
        rooms = await archive.rooms()
        return _json([wire.room_json(room, await archive.threads(room.name)) for room in rooms])

    async def _create_room(self, request: web.Request) -> web.Response:
        asked = await self._body(request, wire.NewRoom)
        archive = self._desk.archive
        try:
            room = await archive.create_room(asked.name, asked.bots, asked.host)
        except Refused as refusal:
            name = asked.name.casefold()
            taken = any(room.name.casefold() == name for room in await archive.rooms())
            raise (web.HTTPConflict if taken else web.HTTPUnprocessableEntity)(
                text=str(refusal)
            ) from refusal
        self._hub.rooms_changed()
        return _json(wire.room_json(room, await archive.threads(room.name)), status=201)

    async def _threads(self, request: web.Request) -> web.Response:
        room = await self._desk.room(request.match_info["room"])
        await self._desk.archive.find_thread(room.name)  # made on first use, and always listed
        return _json([wire.thread_json(one) for one in await self._desk.archive.threads(room.name)])

    async def _open_thread(self, request: web.Request) -> web.Response:
        asked = await self._body(request, wire.NewThread)
        room = await self._desk.room(request.match_info["room"])
        thread = await self._desk.archive.open_thread(room.name, asked.title)
        self._hub.threads_changed(room.name)
        return _json(wire.thread_json(thread), status=201)

    async def _recent(self, request: web.Request) -> web.Response:
        """What a page shows of a thread, with the position to watch the room from."""
        asked = _query(request, wire.Before)
        room, thread = request.match_info["room"], int(request.match_info["thread"])
        await self._desk.place(room, thread)
        archive = self._desk.archive
        # The position comes first: a change between the two is then told twice, never lost.
        seq = await archive.latest()
        messages = await archive.recent(thread, before=asked.before, limit=asked.limit)
        return _json({"seq": seq, "messages": self._shown(messages)})

    async def _prompt(self, request: web.Request) -> web.Response:
        """What the picture in a message was drawn from, to be edited."""
        matched = request.match_info
        thread, message = int(matched["thread"]), int(matched["message"])
        return _json({"prompt": await self._desk.prompt(matched["room"], thread, message)})

    async def _messages(self, request: web.Request) -> web.Response:
        asked = _query(request, wire.Since)
        room = await self._desk.room(request.match_info["room"])
        if asked.thread is not None:
            await self._desk.place(room.name, asked.thread)
        messages = await self._desk.archive.messages(
            room.name, thread=asked.thread, after=asked.after, limit=asked.limit
        )
        return _json(self._shown(messages))

    def _shown(self, messages: list[Message]) -> list[dict[str, object]]:
        return [wire.message_json(message, self._desk.name) for message in messages]

    async def _post(self, request: web.Request) -> web.Response:
        room = request.match_info["room"]
        if request.content_type == "multipart/form-data":
            message = await self._uploaded(request, room)
        else:
            message = await self._desk.message(room, await self._body(request, wire.Post))
        id = await self._desk.say(message)
        return _json({"id": id, "thread": int(message.address.topic)}, status=202)

    async def _uploaded(self, request: web.Request, room: str) -> Message:
        """A message with its files. Unlike JSON, a form of another site could be sent here without
        the browser asking first: it is the guards that refuse it by its origin."""
        upload = Upload(request)
        said = _read(wire.Said, await upload.message(self._body_bytes))
        message = await self._desk.message(room, said)
        files = await upload.files(self._desk.archive, self._file_limit)
        if not files and not said.text.strip():
            raise web.HTTPBadRequest(text="the message has neither words nor files")
        return replace(message, files=files)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        """A kept file. Whatever is in it, it never runs as a page of ours."""
        sha256 = request.match_info["sha256"]
        kept = await self._desk.archive.describe(sha256)
        path = self._desk.archive.file(sha256)
        if kept is None or not await asyncio.to_thread(path.is_file):
            raise web.HTTPNotFound(text="there is no such file")
        shown = kept.media_type in IMAGES | SOUNDS
        how = "inline" if shown else "attachment"
        return web.FileResponse(
            path,
            headers={
                "Content-Type": kept.media_type if shown else "application/octet-stream",
                "Content-Disposition": f"{how}; filename*=UTF-8''{quote(kept.name, safe='')}",
                "Content-Security-Policy": "default-src 'none'; sandbox",
                # Its name is its content, so it never changes.
                "Cache-Control": "private, max-age=31536000, immutable",
            },
        )

    async def _body(self, request: web.Request, shape: type[Shape]) -> Shape:
        """The request's JSON. Insisting on its content type is what keeps forms on other
        sites from posting here: a browser asks before it sends this one."""
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(
                text='send JSON with the header "Content-Type: application/json"'
            )
        body = bytearray()
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > self._body_bytes:
                size = request.content_length
                length = f"{size:,} bytes" if size else f"more than {self._body_bytes:,} bytes"
                raise TooLong(
                    f"the request has {length} and a message at most {self._desk.limit:,} "
                    "characters (limits.message_characters); send it in parts"
                )
        return _read(shape, bytes(body))


@web.middleware
async def _refusals(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Give what this adapter refuses its HTTP status; the sentence stays."""
    try:
        return await handler(request)
    except Unknown as unknown:
        raise web.HTTPNotFound(text=str(unknown)) from unknown
    except NotOpen as closed:
        raise web.HTTPServiceUnavailable(text=str(closed)) from closed
    except TooLong as long:
        size = request.content_length or 0
        raise web.HTTPRequestEntityTooLarge(0, size, text=str(long)) from long


def _read(shape: type[Shape], body: bytes) -> Shape:
    try:
        return wire.read(shape, body)
    except wire.Nonsense as nonsense:
        raise web.HTTPBadRequest(text=str(nonsense)) from None


def _query(request: web.Request, shape: type[Shape]) -> Shape:
    try:
        return wire.read_query(shape, request.query)
    except wire.Nonsense as nonsense:
        raise web.HTTPBadRequest(text=str(nonsense)) from None


def _json(value: object, status: int = 200) -> web.Response:
    return web.json_response(text=wire.dump(value), status=status)
