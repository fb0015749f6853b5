"""A small chat platform over TCP, and the adapter for it: what Discord, Slack and Telegram have in
common, with their faults on demand. Messages people write are delivered until they are confirmed.

One JSON object a line. The platform sends ``{"event": {...}}`` and expects ``{"confirm": key}``;
the adapter sends ``{"call": n, "do": "send" | "edit" | "find" | "remove", ...}``, is answered
``{"call": n, "ok": ...}`` or ``{"call": n, "error": ..., "after": seconds}``.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botdaemon.errors import AdapterDown, Gone, RateLimited, Undeliverable
from botdaemon.ports import Traits
from botdaemon.types import (
    Address,
    Command,
    Control,
    Deleted,
    Edited,
    Event,
    Identity,
    Letter,
    Message,
    Posted,
    Pressed,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from botdaemon.ports import Deliver


@dataclass
class Shown:
    """A message of a bot as people see it."""

    id: str
    key: str
    channel: str
    topic: str
    speaker: str
    text: str
    reply_to: str
    file: str
    controls: list[str]
    only_for: str
    spoiler: bool
    preview: str
    #: every preview it has shown
    previews: list[str] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)


@asynccontextmanager
async def daemon(script: str, *arguments: object) -> AsyncIterator[asyncio.subprocess.Process]:
    """A script of the tests that is a daemon, in a process that is not left behind."""
    here = Path(__file__).parent
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(here / script), *map(str, arguments)),
        cwd=here.parent,
        env={"PYTHONPATH": f"{here.parent}:{here}", "PATH": ""},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


class Platform:
    """The server. `faults` are taken one for each call: "drop" applies it and never answers,
    "refuse" does not apply it, a number answers "try again after", None is no fault."""

    def __init__(self) -> None:
        self.shown: dict[str, Shown] = {}
        #: also what is not shown any more
        self.ever_shown: list[Shown] = []
        self.calls: list[str] = []
        self.faults: deque[Any] = deque()
        self.confirmed: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.typing: list[str] = []
        self.port = 0
        self._unconfirmed: dict[str, dict[str, Any]] = {}
        self._ids = itertools.count(1)
        self._clients: set[asyncio.StreamWriter] = set()
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Platform]:
        server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            try:
                yield self
            finally:
                for writer in list(self._clients):
                    writer.close()

    def say(self, text: str, *, channel: str = "general", who: str = "ada", **more: Any) -> str:
        """A person writes something; returns the platform's id of it."""
        id = f"p{next(self._ids)}"
        event = {"key": id, "id": id, "channel": channel, "who": who, "text": text, **more}
        self._unconfirmed[id] = event
        for writer in self._clients:
            _write(writer, {"event": event})
        return id

    def edit(self, id: str, text: str, channel: str = "general") -> str:
        """A person changes what they wrote."""
        return self.say(text, channel=channel, kind="edited", of=id)

    def delete(self, id: str, channel: str = "general") -> str:
        """A person takes back what they wrote, or a moderator what a bot wrote."""
        self.shown.pop(id, None)
        return self.say("", channel=channel, kind="deleted", of=id)

    def press(self, id: str, control: Control, text: str = "", **more: Any) -> str:
        """A person presses a button under a message, and fills in its form; returns the key."""
        shown = self.shown[id]
        place = {"channel": shown.channel, "topic": shown.topic}
        return self.say(text, kind="pressed", of=id, control=control.value, **place, **more)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition on what is shown or confirmed holds."""
        async with self._changed:
            await self._changed.wait_for(lambda: bool(condition()))

    async def alone(self) -> None:
        """Wait until nobody is connected, and all that they sent is dealt with."""
        await self.until(lambda: not self._clients)

    def answers_to(self, id: str) -> list[Shown]:
        return [shown for shown in self.shown.values() if shown.reply_to == id]

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            for event in list(self._unconfirmed.values()):
                _write(writer, {"event": event})
            async with asyncio.TaskGroup() as tasks:
                while line := await reader.readline():
                    tasks.create_task(self._serve(json.loads(line), writer))
        except* OSError:  # the daemon was killed
            pass
        finally:
            self._clients.discard(writer)
            writer.close()
            async with self._changed:
                self._changed.notify_all()

    async def _serve(self, frame: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        if "confirm" in frame:
            self._unconfirmed.pop(frame["confirm"], None)
            self.confirmed.append(frame["confirm"])
        elif "typing" in frame:
            self.typing.append(frame["typing"])
        else:
            await self.gate.wait()
            self.calls.append(frame["do"])
            fault = self.faults.popleft() if self.faults and frame["do"] != "find" else None
            if fault == "refuse":
                _write(writer, {"call": frame["call"], "error": "never", "after": None})
            elif isinstance(fault, int | float):
                _write(writer, {"call": frame["call"], "error": "busy", "after": fault})
            else:
                answer = self._apply(frame)
                if fault == "drop":
                    writer.close()
                else:
                    _write(writer, {"call": frame["call"], "ok": answer})
        async with self._changed:
            self._changed.notify_all()

    def _apply(self, frame: dict[str, Any]) -> str | None:
        if frame["do"] == "find":
            found = (shown.id for shown in self.shown.values() if shown.key == frame["key"])
            return next(found, None)
        if frame["do"] == "remove":
            return self.shown.pop(frame["id"]).id if frame["id"] in self.shown else "gone"
        if frame["do"] == "edit":
            if frame["id"] not in self.shown:
                return "gone"
            shown = self.shown[frame["id"]]
            for name in ("text", "file", "controls", "spoiler", "preview"):
                setattr(shown, name, frame[name])
            shown.versions.append(shown.text)
            shown.previews.append(shown.preview)
            return shown.id
        id = f"b{next(self._ids)}"
        how = {name: value for name, value in frame.items() if name not in ("call", "do")}
        self.shown[id] = Shown(id=id, versions=[frame["text"]], previews=[frame["preview"]], **how)
        self.ever_shown.append(self.shown[id])
        return id


def _write(writer: asyncio.StreamWriter, frame: dict[str, Any]) -> None:
    if not writer.is_closing():
        writer.write(json.dumps(frame).encode() + b"\n")


class PlatformAdapter:
    """The adapter: confirms a message only when `deliver` has returned."""

    def __init__(self, name: str, port: int, **traits: Any) -> None:
        self._name = name
        self._port = port
        self._traits = Traits(
            **{"dialect": "plain", "text_limit": 2000, "file_limit": 10**9, **traits}
        )
        self._writer: asyncio.StreamWriter | None = None
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count()
        self._connected = asyncio.Event()
        self.delivered: list[int] = []

    @property
    def name(self) -> str:
        return self._name

    @property
    def traits(self) -> Traits:
        return self._traits

    async def run(self, deliver: Deliver) -> None:
        while True:
            try:
                reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError as error:
                raise AdapterDown(str(error)) from error
            self._connected.set()
            try:
                async with asyncio.TaskGroup() as tasks:
                    while line := await reader.readline():
                        tasks.create_task(self._take(json.loads(line), deliver))
            finally:
                self._connected.clear()
                self._writer.close()
                for call in self._calls.values():
                    if not call.done():
                        call.set_exception(ConnectionError("the connection ended"))
                self._calls.clear()

    async def _take(self, frame: dict[str, Any], deliver: Deliver) -> None:
        if "event" in frame:
            event = frame["event"]
            self.delivered.append(await deliver(self._event(event)))
            if self._writer is not None:
                _write(self._writer, {"confirm": event["key"]})
        elif (call := self._calls.pop(frame["call"], None)) and not call.done():
            call.set_result(frame)

    def _event(self, event: dict[str, Any]) -> Event:
        address = Address(self._name, event["channel"], event.get("topic", ""))
        at = time.time()
        match event.get("kind", "posted"):
            case "edited":
                return Edited(
                    key=event["key"],
                    address=address,
                    platform_id=event["of"],
                    text=event["text"],
                    at=at,
                )
            case "deleted":
                return Deleted(key=event["key"], address=address, platform_id=event["of"], at=at)
            case "pressed":
                return Pressed(
                    key=event["key"],
                    address=address,
                    who=self._who(event),
                    control=Control(event["control"]),
                    at=at,
                    platform_id=event["of"],
                    text=event["text"],
                    direct=event.get("direct", False),
                    server=event.get("server", ""),
                )
            case "command":
                name, _, argument = event["text"].partition(" ")
                return Command(
                    key=event["key"],
                    address=address,
                    who=self._who(event),
                    name=name,
                    argument=argument,
                    at=at,
                    direct=event.get("direct", False),
                    server=event.get("server", ""),
                )
        return Posted(
            key=event["key"],
            direct=event.get("direct", False),
            mentioned=event.get("mentioned", False),
            to_others=event.get("to_others", False),
            missed=event.get("missed", False),
            past=event.get("past", False),
            message=Message(
                address=address,
                author=self._who(event),
                text=event["text"],
                platform_id=event["id"],
                reply_to=event.get("reply_to", ""),
                sent_at=event.get("sent_at", at),
            ),
        )

    def _who(self, event: dict[str, Any]) -> Identity:
        return Identity(
            adapter=self._name,
            account=event["who"],
            name=event["who"],
            is_bot=event.get("is_bot", False),
        )

    async def _call(self, do: str, **more: Any) -> Any:
        await self._connected.wait()
        number = next(self._numbers)
        self._calls[number] = call = asyncio.get_running_loop().create_future()
        if self._writer is not None:
            _write(self._writer, {"call": number, "do": do, **more})
        answer = await call
        if "error" not in answer:
            return answer["ok"]
        if answer["after"] is None:
            raise Undeliverable(answer["error"])
        raise RateLimited(answer["error"], after=answer["after"])

    async def send(self, letter: Letter) -> str:
        return str(
            await self._call(
                "send",
                key=letter.key,
                channel=letter.address.channel,
                topic=letter.address.topic,
                speaker=letter.speaker,
                reply_to=letter.reply_to,
                only_for=letter.only_for,
                **_shown(letter),
            )
        )

    async def edit(self, letter: Letter) -> None:
        if await self._call("edit", id=letter.remote, **_shown(letter)) == "gone":
            raise Gone("it was deleted")

    async def remove(self, letter: Letter) -> None:
        await self._call("remove", id=letter.remote)

    async def find(self, letter: Letter) -> str | None:
        found = await self._call("find", key=letter.key)
        return None if found is None else str(found)

    @asynccontextmanager
    async def typing(self, address: Address, bot: str) -> AsyncIterator[None]:
        if self._writer is not None:
            _write(self._writer, {"typing": f"{bot} starts"})
        try:
            yield
        finally:
            if self._writer is not None:
                _write(self._writer, {"typing": f"{bot} ends"})


def _shown(letter: Letter) -> dict[str, Any]:
    """What a letter looks like; a file without words is shown as its name in brackets."""
    file = letter.part.file.name if letter.part.file else ""
    return {
        "text": letter.part.text or f"[{file}]",
        "file": file,
        "controls": [control.value for control in letter.controls],
        "spoiler": letter.part.file is not None and letter.part.file.spoiler,
        "preview": letter.part.preview.decode("ascii"),
    }
