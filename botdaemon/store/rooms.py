"""Rooms, their channels and their threads. Runs inside a transaction; knows no message."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from botdaemon.errors import Refused
from botdaemon.store.rows import ROOM, THREAD, one, room, thread
from botdaemon.types import Address, Room, Thread

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Mapping, Sequence

#: characters of a thread's title
LONGEST_TITLE = 80


def settle(
    db: sqlite3.Connection,
    rooms: Mapping[str, Room],
    channels: Mapping[Address, str],
    mirrors: Collection[str],
    now: float,
) -> None:
    """Make the rooms on disk those of the configuration.

    A room that left the configuration keeps its threads and becomes one that a person made.
    """
    db.execute("UPDATE rooms SET configured = 0")
    for wanted in rooms.values():
        db.execute(
            """INSERT INTO rooms (name, bots, host, configured, created_at) VALUES (?, ?, ?, 1, ?)
            ON CONFLICT (name) DO UPDATE SET name = excluded.name, bots = excluded.bots,
                host = excluded.host, configured = 1""",
            (wanted.name, json.dumps(wanted.bots), wanted.host, now),
        )
    db.execute("DELETE FROM channels")
    for address, name in channels.items():
        db.execute(
            "INSERT INTO channels (adapter, channel, room, mirror) SELECT ?, ?, id, 0 FROM rooms"
            " WHERE name = ?",
            (address.adapter, address.channel, name),
        )
    # A channel that changed its room goes on with the new room's threads, not with its old ones.
    db.execute(
        """DELETE FROM addresses WHERE NOT mirror AND
        (SELECT t.room FROM threads t WHERE t.id = addresses.thread) IS NOT
        (SELECT c.room FROM channels c
            WHERE c.adapter = addresses.adapter AND c.channel = addresses.channel)"""
    )
    db.execute(
        """INSERT OR IGNORE INTO addresses (adapter, channel, topic, thread)
        SELECT c.adapter, c.channel, '', r.main FROM channels c JOIN rooms r ON r.id = c.room
        WHERE r.main IS NOT NULL"""
    )
    for (room_id,) in db.execute("SELECT id FROM rooms").fetchall():
        _mirror(db, room_id, mirrors)
    # Threads from before a mirror was configured become visible on it, too.
    db.execute(
        """INSERT OR IGNORE INTO addresses (adapter, channel, topic, thread, mirror)
        SELECT c.adapter, c.channel, CAST(t.id AS TEXT), t.id, 1
        FROM threads t JOIN channels c ON c.room = t.room WHERE c.mirror"""
    )


def _mirror(db: sqlite3.Connection, room_id: int, mirrors: Collection[str]) -> None:
    for adapter in mirrors:
        db.execute(
            "INSERT OR IGNORE INTO channels (adapter, channel, room, mirror)"
            " SELECT ?, name, id, 1 FROM rooms WHERE id = ?",
            (adapter, room_id),
        )


def create(
    db: sqlite3.Connection,
    name: str,
    bots: Sequence[str],
    host: str,
    mirrors: Collection[str],
    now: float,
) -> Room:
    """Raises `Refused` when the name is taken."""
    if one(db, "SELECT id FROM rooms WHERE name = ?", (name,)) is not None:
        raise Refused(f'there is a room "{name}" already')
    cursor = db.execute(
        "INSERT INTO rooms (name, bots, host, created_at) VALUES (?, ?, ?, ?)",
        (name, json.dumps(list(bots)), host, now),
    )
    room_id = int(cursor.lastrowid or 0)
    _mirror(db, room_id, mirrors)
    return room(db.execute(f"SELECT {ROOM} FROM rooms r WHERE r.id = ?", (room_id,)).fetchone())


def open_thread(db: sqlite3.Connection, room_id: int | None, title: str, now: float) -> int:
    """A new thread, visible on the room's mirrors. Its other addresses are the caller's to add."""
    cursor = db.execute(
        "INSERT INTO threads (room, title, created_at) VALUES (?, ?, ?)", (room_id, title, now)
    )
    thread_id = int(cursor.lastrowid or 0)
    if room_id is not None:
        db.execute(
            """INSERT INTO addresses (adapter, channel, topic, thread, mirror)
            SELECT adapter, channel, ?, ?, 1 FROM channels WHERE room = ? AND mirror""",
            (str(thread_id), thread_id, room_id),
        )
    return thread_id


def main_thread(db: sqlite3.Connection, room_id: int, now: float) -> int:
    """The room's main thread, made if there is none; it lives in all the room's channels."""
    main = one(db, "SELECT main FROM rooms WHERE id = ?", (room_id,))
    if main is not None:
        return int(main)
    thread_id = open_thread(db, room_id, "", now)
    db.execute("UPDATE rooms SET main = ? WHERE id = ?", (thread_id, room_id))
    db.execute(
        """INSERT INTO addresses (adapter, channel, topic, thread)
        SELECT adapter, channel, '', ? FROM channels WHERE room = ? AND NOT mirror
        ON CONFLICT DO UPDATE SET thread = excluded.thread""",
        (thread_id, room_id),
    )
    return thread_id


def thread_at(db: sqlite3.Connection, address: Address, now: float) -> int:
    """The thread that goes on at an address, opened if there is none.

    Raises `Refused` for an address on a mirror that names no thread.
    """
    place = (address.adapter, address.channel, address.topic)
    found = one(
        db, "SELECT thread FROM addresses WHERE adapter = ? AND channel = ? AND topic = ?", place
    )
    if found is not None:
        return int(found)
    row = db.execute(
        "SELECT room, mirror FROM channels WHERE adapter = ? AND channel = ?", place[:2]
    ).fetchone()
    if row is None:
        thread_id = open_thread(db, None, "", now)
    elif row[1]:
        raise Refused(f'there is no thread {address.topic} in the room "{address.channel}"')
    elif not address.topic:
        return main_thread(db, row[0], now)
    else:
        thread_id = open_thread(db, row[0], "", now)
    db.execute(
        "INSERT INTO addresses (adapter, channel, topic, thread) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET thread = excluded.thread",
        (*place, thread_id),
    )
    return thread_id


def begin_anew(db: sqlite3.Connection, thread_id: int, now: float) -> int:
    """A new thread in place of an old one: what is said at its addresses goes there from now on.

    The old thread stays readable on the mirrors; who was chosen to answer still is.
    """
    room_id, chosen = db.execute(
        "SELECT room, chosen FROM threads WHERE id = ?", (thread_id,)
    ).fetchone()
    new = open_thread(db, room_id, "", now)
    choose(db, new, chosen)
    db.execute("UPDATE addresses SET thread = ? WHERE thread = ? AND NOT mirror", (new, thread_id))
    db.execute("UPDATE rooms SET main = ? WHERE main = ?", (new, thread_id))
    return new


def choose(db: sqlite3.Connection, thread_id: int, bot: str) -> None:
    """Have a bot answer in a thread what nobody else was asked; "" leaves that to the room."""
    db.execute("UPDATE threads SET chosen = ? WHERE id = ?", (bot, thread_id))


def set_host(db: sqlite3.Connection, room_id: int, bot: str) -> None:
    """Another host for a room that people made, "" for none. Raises `Refused` for one that is
    configured: the next start would change it back."""
    name, configured = db.execute(
        "SELECT name, configured FROM rooms WHERE id = ?", (room_id,)
    ).fetchone()
    if configured:
        raise Refused(f'The host of "{name}" stands in the configuration, as rooms.{name}.host.')
    db.execute("UPDATE rooms SET host = ? WHERE id = ?", (bot, room_id))


def addresses_of(db: sqlite3.Connection, thread_id: int) -> tuple[Address, ...]:
    """Everywhere the thread goes on."""
    return tuple(
        Address(*row)
        for row in db.execute(
            "SELECT adapter, channel, topic FROM addresses WHERE thread = ?", (thread_id,)
        )
    )


def thread_of(db: sqlite3.Connection, thread_id: int) -> Thread:
    """A thread of a room, by its id."""
    return thread(
        db.execute(
            f"SELECT {THREAD} FROM threads t JOIN rooms r ON r.id = t.room WHERE t.id = ?",
            (thread_id,),
        ).fetchone()
    )
