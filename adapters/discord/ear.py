"""What Discord's gateway says, as events for the house. Knows no discord.py, and no way to answer
but to acknowledge a button or a command.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from adapters import files
from adapters.discord.directory import NEWS, TEXT
from adapters.discord.reading import Unreadable, roles_in, snowflake_in
from adapters.discord.wire import time_of
from botdaemon.errors import StoreError
from botdaemon.types import Deleted, Edited, Reacted

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from adapters.discord.directory import Directory, Place
    from adapters.discord.interactions import Interactions
    from adapters.discord.reading import Reader, Reading
    from adapters.discord.threads import Threads
    from adapters.discord.wire import JSON, Bare
    from adapters.inlet import Inlet
    from botdaemon.ports import Deliver, Shelf
    from botdaemon.types import Posted

log = logging.getLogger(__name__)

DISPATCH = 0
YEAR = 366 * 86_400.0
#: seconds in which Discord tells the servers of a session
SERVERS = 5.0


@dataclass(slots=True, kw_only=True)
class Ear:
    """Listens to one connection. Events of one channel are taken one after the other."""

    inlet: Inlet
    deliver: Deliver
    shelf: Shelf
    file_limit: int
    bare: Bare
    directory: Directory
    reader: Reader
    interactions: Interactions
    threads: Threads
    #: loads what was said in a place before a message
    earlier: Callable[[Place, str], Awaitable[Sequence[Posted]]]
    #: how many sessions have begun; what was missed between two of them must be read again
    sessions: int = 0
    #: the last of them whose servers are known
    told: int = 0
    #: whether a session is alive, and since when it is or is not
    live: bool = False
    since: float = 0.0
    #: when something last came
    heard_at: float = 0.0
    #: what came last and was not put away
    last: str = ""
    _session: str = ""
    _untold: set[str] = field(default_factory=set)
    _lanes: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    def __post_init__(self) -> None:
        self.since = self.heard_at = time.monotonic()

    # --- the connection ------------------------------------------------------------------------

    async def hear(self, raw: str) -> None:
        """Whatever came through the gateway, in order."""
        self.heard_at, self.last = time.monotonic(), raw
        try:
            frame = json.loads(raw)
            if frame["op"] == DISPATCH:
                await self._dispatched(frame)
        except StoreError as error:  # it is read again as soon as there is space
            log.error("not recorded: %s", error, extra={"event": "not_recorded"})
            self.inlet.lose_track()
            self.inlet.behind.set()
        except Exception as error:
            self.last = ""
            await self.put_away(raw, error)

    async def put_away(self, raw: str, error: BaseException) -> None:
        """Keep what cannot be read for a person to look at."""
        try:
            await self.inlet.quarantine(raw, error)
        except StoreError as full:
            log.error("and it could not even be put away: %s", full)

    def _ready(self, session: int) -> None:
        """The servers of a session are known: what was missed can be read."""
        if self.told < session == self.sessions:
            self.told = session
            log.info("connected", extra={"event": "connected"})
            self.inlet.behind.set()

    def cut_off(self) -> None:
        """The connection was lost; the client tries again by itself."""
        if self.live:
            log.info("the connection was lost", extra={"event": "disconnected"})
        self._alive(False)

    def _alive(self, live: bool) -> None:
        if live is not self.live:
            self.live, self.since = live, time.monotonic()

    async def _dispatched(self, frame: JSON) -> None:
        event: str = frame["t"]
        data: JSON = frame["d"]
        self.directory.learn(event, data)
        match event:
            case "READY":
                self.sessions += 1
                self._session = str(data.get("session_id"))[:12]
                self._untold = {str(server["id"]) for server in data.get("guilds") or ()}
                self.inlet.lose_track()
                self._alive(True)
                self._told("")
                # Those that do not come are not available at the moment.
                asyncio.get_running_loop().call_later(SERVERS, self._ready, self.sessions)
            case "GUILD_CREATE":
                self._told(str(data.get("id")))
            case "RESUMED":
                self._alive(True)
            case "MESSAGE_CREATE":
                await self._remember(data)
                async with self._turn(data):
                    await self.message(data)
            case "MESSAGE_UPDATE":
                async with self._turn(data):
                    await self._edited(data)
            case "MESSAGE_DELETE":
                async with self._turn(data):
                    await self._deleted(data, [data["id"]])
            case "MESSAGE_DELETE_BULK":
                async with self._turn(data):
                    await self._deleted(data, data["ids"])
            case "MESSAGE_REACTION_ADD" | "MESSAGE_REACTION_REMOVE":
                async with self._turn(data):
                    key = f"{self._session}-{frame.get('s')}"
                    await self._reacted(data, added=event.endswith("ADD"), key=key)
            case "INTERACTION_CREATE":
                await self.interactions.take(data)

    def _told(self, server: str) -> None:
        self._untold.discard(server)
        if not self._untold:
            self._ready(self.sessions)

    async def _remember(self, data: JSON) -> None:
        """Nobody will tell of a direct channel again: from its first message on, before anything
        else is done with that, it is asked for what was missed."""
        if not data.get("guild_id"):
            address = self.directory.address(await self._place(data))
            await self.inlet.reached(address, self.inlet.cursor(address))

    @asynccontextmanager
    async def _turn(self, data: JSON) -> AsyncGenerator[None]:
        """The lane of a channel, once what was missed there has been read."""
        await self.inlet.turn(snowflake_in(data, "channel_id"))
        async with self.lane(data):
            yield

    def lane(self, data: JSON) -> asyncio.Lock:
        """Held while something of a channel is taken in. Raises `Unreadable` without a channel."""
        channel = snowflake_in(data, "channel_id")
        lane = self._lanes.get(channel)
        if lane is None:
            self._lanes[channel] = lane = asyncio.Lock()
        return lane

    # --- what is said --------------------------------------------------------------------------

    async def message(self, data: JSON, *, missed: bool = False) -> None:
        """Take a message in. Raises like `Deliver` what kept it from being recorded."""
        id = snowflake_in(data, "id")
        if time_of(id) > time.time() + YEAR:  # it would count as the newest for ever
            raise Unreadable("a message from the far future")
        place = await self._place(data)
        place.last = max(place.last, id, key=int)
        topic = self._own_thread(data, place)
        reading = self.reader.read(data, place, topic=topic)
        if reading is None:
            return
        event = replace(await self._with_files(reading), missed=missed)
        said = event.message

        async def earlier() -> Sequence[Posted]:
            return await self.earlier(place, said.platform_id)

        message = await self.inlet.post(event, None if topic else earlier)
        if topic and message and not missed:  # else it is made when the answer needs it
            self.threads.begin(said.address, said.text)

    def _own_thread(self, data: JSON, place: Place) -> str:
        """The id of the thread that is, or will be, made of a message; empty for none."""
        thread = data.get("thread") or {}
        by_others = bool(thread) and str(thread.get("owner_id")) != self.directory.account
        mentioned = self.reader.mentions_us(str(data.get("content") or ""))
        wanted = self.threads.wanted(place.id) and place.kind in (TEXT, NEWS) and mentioned
        return snowflake_in(data, "id") if wanted and not by_others else ""

    async def _place(self, data: JSON) -> Place:
        server = snowflake_in(data, "guild_id") if data.get("guild_id") else ""
        return await self.directory.find(snowflake_in(data, "channel_id"), server)

    async def _with_files(self, reading: Reading) -> Posted:
        said = reading.event.message
        taken = await files.take_in(
            [self._offer(attachment) for attachment in reading.attachments],
            self.shelf,
            self.file_limit,
        )
        text = taken.beside(said.text)
        return replace(reading.event, message=replace(said, text=text, files=taken.files))

    def _offer(self, attachment: JSON) -> files.Offer:
        size = attachment.get("size")
        return files.Offer(
            name=str(attachment.get("filename") or ""),
            chunks=lambda: self.bare.download(str(attachment.get("url"))),
            size=size if isinstance(size, int) else 0,
            claimed=str(attachment.get("content_type") or ""),
        )

    # --- what becomes of it --------------------------------------------------------------------

    async def _edited(self, data: JSON) -> None:
        version = data.get("edited_timestamp")
        if not isinstance(version, str) or self.reader.is_own(data) or "content" not in data:
            return  # a preview was added to it, or a thread made of it
        place = await self._place(data)
        text = self.reader.text(data, place)
        if not text:
            return  # blanked, because the account may not read it
        id = snowflake_in(data, "id")
        address = self.directory.address(place)
        await self.deliver(
            Edited(
                key=f"edit:{address.channel}:{id}:{version}",
                address=address,
                platform_id=id,
                text=text,
                at=_when(version),
            )
        )

    async def _deleted(self, data: JSON, ids: list[Any]) -> None:
        address = self.directory.address(await self._place(data))
        for id in [snowflake_in({"id": id}, "id") for id in ids]:
            await self.deliver(
                Deleted(
                    key=f"gone:{address.channel}:{id}",
                    address=address,
                    platform_id=id,
                    at=time.time(),
                )
            )

    async def _reacted(self, data: JSON, *, added: bool, key: str) -> None:
        who = snowflake_in(data, "user_id")
        if who == self.directory.account:
            return
        place = await self._place(data)
        address = self.directory.address(place)
        id = snowflake_in(data, "message_id")
        emoji = data["emoji"]
        name = f":{emoji.get('name')}:" if emoji.get("id") else str(emoji["name"])
        member = data.get("member") or {}
        user = member.get("user") or {"id": who, "username": await self.directory.name_of(who)}
        await self.deliver(
            Reacted(
                key=f"react:{address.channel}:{id}:{who}:{name}:{added}:{key}",
                address=address,
                who=self.reader.identity(user, member),
                platform_id=id,
                emoji=name,
                added=added,
                at=time.time(),
                server=place.server,
                roles=roles_in(data),
            )
        )


def _when(stamp: str) -> float:
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return time.time()
