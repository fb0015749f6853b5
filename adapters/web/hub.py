"""What every open page is told, and the one tail of the archive behind it. Knows no socket."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from adapters.web.wire import change_json, dump, moment, picture_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botdaemon.ports import Archive
    from botdaemon.types import Message, Part

#: characters a page may fall behind before it is dropped; it comes back and resumes where it was
BEHIND = 2**20
#: from so many on it is not shown drafts, which pass anyway and may hold pictures
CROWDED = 2**18
#: rows of the archive read at a time
BATCH = 500
#: changes sent to a page that comes back; after more than that it had better load anew
BACKLOG = 1000


@dataclass(frozen=True, slots=True)
class Close:
    """The last thing on the way to a page."""

    code: int
    reason: str


class Listener:
    """One open page: the room it watches, and what is on its way to it."""

    def __init__(self, drop: Callable[[], None]) -> None:
        """`drop` cuts the connection without waiting for anything."""
        self.room = ""
        self._drop = drop
        self._frames: asyncio.Queue[str | Close] = asyncio.Queue()
        self._behind = 0

    def push(self, frame: str | Close) -> None:
        """Send it in its turn. A page too slow for that is dropped: it must not slow the others,
        and nothing may be left out, for it counts on every change between two positions."""
        if self._behind > BEHIND:
            self._drop()
            return
        self._behind += len(frame) if isinstance(frame, str) else 0
        self._frames.put_nowait(frame)

    @property
    def crowded(self) -> bool:
        """It is too slow to be shown what passes."""
        return self._behind > CROWDED

    async def next(self) -> str | Close:
        frame = await self._frames.get()
        self._behind -= len(frame) if isinstance(frame, str) else 0
        return frame


@dataclass(slots=True)
class _Work:
    """A bot at work in a thread."""

    #: turns it is at work for, the one under way and those that wait
    turns: int = 0
    drafts: dict[str, dict[str, str]] = field(default_factory=dict)


class Hub:
    """Tells listeners of changes (which last, and have a position) and of drafts and typing
    (which pass)."""

    def __init__(self, name: str, archive: Archive) -> None:
        self._name = name
        self._archive = archive
        self._listeners: set[Listener] = set()
        self._work: dict[tuple[str, int, str], _Work] = {}
        #: every change up to here has been told
        self._position = 0

    # --- the life of the tail ------------------------------------------------------------------

    async def start(self) -> None:
        self._position = await self._archive.latest()

    async def follow(self) -> None:
        """Tell listeners of every change, until cancelled."""
        while True:
            await self._archive.changed(self._position)
            # Asked before the rows are: changes outside of any room move the position but bring
            # no row, and without it they would be waited for in a circle.
            latest = await self._archive.latest()
            if not self._listeners:
                self._position = latest
                continue
            rows = await self._archive.changes(self._position, BATCH)
            self._tell(rows)
            last = rows[-1][1].seq if rows else 0
            self._position = last if len(rows) == BATCH else max(last, latest)

    def close(self) -> None:
        """Send everybody away; their pages will try again."""
        for listener in list(self._listeners):
            listener.push(Close(1001, "the daemon stops"))

    # --- listeners -----------------------------------------------------------------------------

    def join(self, listener: Listener) -> None:
        self._listeners.add(listener)

    def leave(self, listener: Listener) -> None:
        self._listeners.discard(listener)

    async def watch(self, listener: Listener, room: str, after: int | None) -> None:
        """Let it watch a room from position `after` on (None: from now on), without a gap and
        without a repeat: the backlog is read until it meets the tail, and between that and the
        subscription nothing else can run."""
        listener.room = ""
        missed: list[Message] = []
        # A position beyond ours is from another database: nothing can be said about what it missed.
        complete = after is not None and after <= await self._archive.latest()
        position = after if complete and after is not None else self._position
        while position < self._position:
            target = self._position
            rows = await self._archive.changes(position, BATCH)
            missed += [
                message for where, message in rows if where == room and message.seq <= target
            ]
            position = target if len(rows) < BATCH else min(target, rows[-1][1].seq)
            if len(missed) > BACKLOG:
                complete, missed, position = False, [], self._position
        listener.room = room
        listener.push(
            dump(
                {
                    "type": "ready",
                    "room": room,
                    "seq": self._position,
                    "complete": complete,
                    "changes": [change_json(message, self._name) for message in missed],
                    "working": [
                        {"thread": thread, "bot": bot, "drafts": work.drafts}
                        for (where, thread, bot), work in self._work.items()
                        if where == room
                    ],
                }
            )
        )

    # --- what listeners are told ---------------------------------------------------------------

    def begin(self, room: str, thread: int, bot: str) -> None:
        """`bot` has accepted a turn."""
        work = self._work.setdefault((room, thread, bot), _Work())
        work.turns += 1
        self._say(room, {"type": "working", "thread": thread, "bot": bot, "on": True})

    def end(self, room: str, thread: int, bot: str) -> None:
        """`bot` is done with a turn."""
        work = self._work[room, thread, bot]
        work.turns -= 1
        if not work.turns:
            del self._work[room, thread, bot]
            self._say(room, {"type": "working", "thread": thread, "bot": bot, "on": False})

    def draft(self, room: str, thread: int, bot: str, name: str, part: Part) -> None:
        """What `bot` is about to say, or to show."""
        draft = {"text": part.text, "preview": picture_url(part.preview)}
        if work := self._work.get((room, thread, bot)):
            work.drafts[name] = draft
        frame = {"type": "draft", "thread": thread, "bot": bot, "draft": name, **draft}
        self._say(room, frame, passing=True)

    def typing(self, thread: int, name: str, listener: Listener) -> None:
        """Somebody else than the others in the room is writing."""
        frame = {"type": "typing", "thread": thread, "name": name}
        self._say(listener.room, frame, but=listener)

    def rooms_changed(self) -> None:
        self._say("", {"type": "rooms"})

    def threads_changed(self, room: str) -> None:
        self._say(room, {"type": "threads"})

    def _tell(self, rows: list[tuple[str, Message]]) -> None:
        rooms: defaultdict[str, list[Message]] = defaultdict(list)
        for room, message in rows:
            rooms[room].append(message)
            if work := self._work.get((room, message.thread, message.bot)):
                work.drafts.clear()
        for room, messages in rooms.items():
            changes = dump(
                {
                    "type": "changes",
                    "room": room,
                    "seq": messages[-1].seq,
                    "changes": [change_json(message, self._name) for message in messages],
                }
            )
            # The other rooms' pages only learn that there is something to read.
            elsewhere = dump(
                {"type": "activity", "room": room, "last_at": moment(messages[-1].sent_at)}
            )
            for listener in list(self._listeners):
                if listener.room:
                    listener.push(changes if listener.room == room else elsewhere)

    def _say(
        self,
        room: str,
        frame: Mapping[str, object],
        but: Listener | None = None,
        *,
        passing: bool = False,
    ) -> None:
        """To everybody in the room; to everybody at all for the room ""."""
        told = [
            one
            for one in self._listeners
            if one is not but and room in ("", one.room) and not (passing and one.crowded)
        ]
        if told:
            text = dump({**frame, "room": room})
            for listener in told:
                listener.push(text)
