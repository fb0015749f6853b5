"""Everything that only reads: `ports.Archive` over read-only connections. Never writes."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiosqlite

from botdaemon.errors import Refused
from botdaemon.store.connecting import quoted
from botdaemon.store.rows import MESSAGE, MESSAGES, ROOM, THREAD, message, room, thread
from botdaemon.types import File, Message, Room, Thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from pathlib import Path

#: read-only connections; each is a thread
READERS = 2


class Readers:
    """A few read-only connections, each lent to one query at a time. Made by `reading`."""

    def __init__(self, connections: Iterable[aiosqlite.Connection]) -> None:
        self._idle: asyncio.Queue[aiosqlite.Connection] = asyncio.Queue()
        for connection in connections:
            self._idle.put_nowait(connection)

    async def all(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        """Every row of a query."""
        connection = await self._idle.get()
        try:
            return list(await connection.execute_fetchall(sql, parameters))
        finally:
            self._idle.put_nowait(connection)

    async def one(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Any:
        """The first row of a query, or None."""
        rows = await self.all(sql, parameters)
        return rows[0] if rows else None


@asynccontextmanager
async def reading(path: Path) -> AsyncIterator[Readers]:
    """Read-only connections for as long as the context lasts.

    They must be closed: aiosqlite's threads would keep the process from ending.
    """
    connections: list[aiosqlite.Connection] = []
    try:
        for _ in range(READERS):
            connection = await aiosqlite.connect(f"file:{quoted(path)}?mode=ro", uri=True)
            connections.append(connection)
            await connection.execute("PRAGMA trusted_schema=OFF")
        yield Readers(connections)
    finally:
        for connection in connections:
            await connection.close()


class Tail:
    """Wakes whoever waits for changes beyond a sequence number."""

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self._moved = asyncio.Event()

    def advance(self, seq: int) -> None:
        """Everything up to `seq` is on disk."""
        if seq > self.seq:
            self.seq = seq
            self._moved.set()
            self._moved = asyncio.Event()

    async def beyond(self, seq: int) -> None:
        """Wait until something above `seq` is on disk."""
        while self.seq <= seq:
            await self._moved.wait()


async def rooms(readers: Readers) -> list[Room]:
    """All rooms by name."""
    return [room(row) for row in await readers.all(f"SELECT {ROOM} FROM rooms r ORDER BY r.name")]


async def find_room(readers: Readers, name: str) -> Room:
    """Raises `Refused` when there is no such room."""
    row = await readers.one(f"SELECT {ROOM} FROM rooms r WHERE r.name = ?", (name,))
    if row is None:
        raise Refused(f'there is no room "{name}"')
    return room(row)


async def threads(readers: Readers, room_id: int) -> list[Thread]:
    """The threads of a room, newest activity first."""
    rows = await readers.all(
        f"""SELECT {THREAD} FROM threads t JOIN rooms r ON r.id = t.room WHERE r.id = ?
        ORDER BY last_at DESC, t.id DESC""",
        (room_id,),
    )
    return [thread(row) for row in rows]


async def find_thread(
    readers: Readers, room: str, thread: int | None
) -> tuple[str, int, int | None]:
    """A room's name and id, and its thread (None: the main one) if it is there.

    Raises `Refused` when there is no such room.
    """
    row = await readers.one(
        """SELECT r.name, r.id, t.id FROM rooms r
        LEFT JOIN threads t ON t.id = coalesce(?, r.main) AND t.room = r.id WHERE r.name = ?""",
        (thread, room),
    )
    if row is None:
        raise Refused(f'there is no room "{room}"')
    return row[0], row[1], row[2]


async def messages(
    readers: Readers, room_id: int, *, thread: int | None, after: int, limit: int
) -> list[Message]:
    """Messages of a room with an id above `after`, oldest first."""
    rows = await readers.all(
        f"""SELECT {MESSAGE} FROM {MESSAGES} JOIN threads t ON t.id = m.thread
        WHERE t.room = ? AND m.id > ? AND m.deleted_at IS NULL AND (? IS NULL OR t.id = ?)
        ORDER BY m.id LIMIT ?""",
        (room_id, after, thread, thread, limit),
    )
    return [message(row) for row in rows]


async def recent(readers: Readers, thread: int, *, before: int | None, limit: int) -> list[Message]:
    """The last messages of a thread, oldest first."""
    rows = await readers.all(
        f"""SELECT {MESSAGE} FROM {MESSAGES}
        WHERE m.thread = ? AND m.deleted_at IS NULL AND (? IS NULL OR m.id < ?)
        ORDER BY m.id DESC LIMIT ?""",
        (thread, before, before, limit),
    )
    return [message(row) for row in reversed(rows)]


async def changes(readers: Readers, after: int, limit: int) -> list[tuple[str, Message]]:
    """(room, message) by growing seq; threads outside rooms are nobody's to see."""
    rows = await readers.all(
        f"""SELECT {MESSAGE}, r.name FROM {MESSAGES}
        JOIN threads t ON t.id = m.thread JOIN rooms r ON r.id = t.room
        WHERE m.seq > ? ORDER BY m.seq LIMIT ?""",
        (after, limit),
    )
    return [(row[-1], message(row)) for row in rows]


async def describe(readers: Readers, sha256: str) -> File | None:
    """What is known of a kept file."""
    row = await readers.one(
        "SELECT sha256, name, media_type, size FROM files WHERE sha256 = ?", (sha256,)
    )
    return None if row is None else File(sha256=row[0], name=row[1], media_type=row[2], size=row[3])
