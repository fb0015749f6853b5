"""A daemon's web side for tests: real store, adapter, server and sockets, and a talker that stands
where the dispatcher would, so that a test decides what is said when. Knows no bot and no engine."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp

from adapters.web import WebAdapter
from botdaemon.store import Store, open_store
from botdaemon.types import (
    Address,
    Bubble,
    Control,
    Event,
    File,
    Kind,
    Letter,
    Message,
    Part,
    Posted,
    Pressed,
    Room,
)
from botdaemon.web import Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from botdaemon.errors import BotdaemonError

BOTS = {"sunny": "A cheerful companion", "grump": "A grumpy one"}
ROOM = "lobby"
LIMIT = 4000


class House:
    """What a test talks to."""

    def __init__(self, store: Store, adapter: WebAdapter) -> None:
        self.store = store
        self.adapter = adapter
        self.events: list[Event] = []
        #: raised instead of recording, while it is set
        self.trouble: BotdaemonError | None = None
        self.parts: dict[str, bool | str] = {"store": True}
        self.pressed: asyncio.Queue[Pressed] = asyncio.Queue()
        self.http: aiohttp.ClientSession
        self.server = self._serve(0)

    def _serve(self, port: int) -> Server:
        return Server("127.0.0.1", port, mounts=[self.adapter.mount], ready=lambda: self.parts)

    @property
    def url(self) -> str:
        return self.server.url

    async def deliver(self, event: Event) -> int:
        """As the dispatcher would: recorded when it returns."""
        if self.trouble:
            raise self.trouble
        self.events.append(event)
        if isinstance(event, Posted):
            recorded = await self.store.record_posted(
                event, lambda posted, here: [], lambda message, addresses: []
            )
            return recorded.message
        if isinstance(event, Pressed):
            self.pressed.put_nowait(event)
        return 0

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """Nobody answers for as long as the context lasts."""
        await self.server.__aexit__(None, None, None)
        self.server = self._serve(self.server.port)
        yield
        await self.server.__aenter__()

    async def main(self, room: str = ROOM) -> int:
        return (await self.store.find_thread(room))[1]

    def at(self, thread: int, room: str = ROOM) -> Address:
        return Address(self.adapter.name, room, str(thread))

    async def say(
        self,
        thread: int,
        text: str,
        *,
        bot: str = "sunny",
        files: tuple[File, ...] = (),
        bubbles: tuple[Bubble, ...] = (),
    ) -> int:
        """What a bot has to say (the daemon itself for the bot "")."""
        said = Message(
            address=self.at(thread),
            text=text,
            sent_at=time.time(),
            bot=bot,
            kind=Kind.SAID if bot else Kind.NOTICE,
            thread=thread,
            files=files,
            bubbles=bubbles,
        )
        return await self.store.say(said, [])

    async def draft(
        self, thread: int, text: str, bot: str = "sunny", *, preview: bytes = b""
    ) -> None:
        await self.adapter.edit(
            Letter(
                id=0,
                key="",
                address=self.at(thread),
                speaker=bot,
                part=Part(text=text, preview=preview),
                remote="d",
            )
        )

    async def answer(self, thread: int, text: str, *, bot: str = "sunny", pause: float = 0) -> None:
        """Work, stream, and say it; until stop is pressed."""
        words = text.split(" ")
        async with self.adapter.typing(self.at(thread), bot):
            stopped = False
            for count in range(1, len(words) + 1):
                await self.draft(thread, " ".join(words[:count]), bot)
                try:
                    async with asyncio.timeout(pause):
                        while (await self.pressed.get()).control is not Control.STOP:
                            pass
                    stopped = True
                    break
                except TimeoutError:
                    pass
            await self.say(thread, " ".join(words[:count]) if stopped else text, bot=bot)

    async def get(self, path: str, **options: Any) -> tuple[int, Any]:
        async with self.http.get(path, **options) as response:
            return response.status, await response.json()

    async def post(self, path: str, body: object, **options: Any) -> tuple[int, Any]:
        async with self.http.post(path, json=body, **options) as response:
            return response.status, await response.json()

    async def send(
        self, message: object, *files: tuple[str, bytes], **options: Any
    ) -> tuple[int, Any]:
        """Post a message as a form, with files."""
        form = aiohttp.FormData(quote_fields=False)  # as browsers do
        form.add_field("message", io.BytesIO(json.dumps(message).encode()))
        for name, content in files:
            form.add_field("file", io.BytesIO(content), filename=name)
        path = f"/api/rooms/{ROOM}/messages"
        async with self.http.post(path, data=form, **options) as response:
            return response.status, await response.json()

    async def write(self, text: str, author: str = "Ada", **more: object) -> dict[str, int]:
        """Post a message that must be taken."""
        answer: dict[str, int]
        status, answer = await self.post(
            f"/api/rooms/{ROOM}/messages", {"author": author, "text": text, **more}
        )
        assert status == 202, answer
        return answer


@asynccontextmanager
async def house(directory: Path, *, start: bool = True, **options: Any) -> AsyncIterator[House]:
    """A house in a data directory; without `start` nothing takes messages yet."""
    async with open_store(directory) as store:
        room = Room(id=0, name=ROOM, bots=tuple(BOTS), host="sunny", configured=True)
        await store.settle_rooms({ROOM: room}, {}, mirrors=["web"], bots=BOTS)
        it = House(store, WebAdapter("web", store, BOTS, LIMIT, **options))
        await it.server.__aenter__()
        try:
            async with (
                aiohttp.ClientSession(it.url) as it.http,
                running(it) if start else contextlib.nullcontext(),
            ):
                yield it
        finally:
            await it.server.__aexit__(None, None, None)


@asynccontextmanager
async def running(it: House) -> AsyncIterator[None]:
    """The adapter's life."""
    task = asyncio.ensure_future(it.adapter.run(it.deliver))
    while (await it.get("/api/live"))[0] == 503:
        pass  # it does not take messages yet
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
