"""What adapters have kept: how far they have read, and what they could not read. Runs inside a
transaction; knows no adapter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdaemon.types import Address

if TYPE_CHECKING:
    import sqlite3

    from botdaemon.store.archive import Readers

#: unreadable events that are kept; the oldest go first
MOST_QUARANTINED = 1000


def move_cursor(db: sqlite3.Connection, address: Address, last: str) -> None:
    """Everything at a place up to the platform id `last` is recorded."""
    db.execute(
        "INSERT INTO cursors (adapter, channel, topic, last) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET last = excluded.last",
        (address.adapter, address.channel, address.topic, last),
    )


def quarantine(db: sqlite3.Connection, adapter: str, raw: str, error: str, now: float) -> None:
    """Keep an event that could not be read."""
    newest = db.execute(
        "INSERT INTO quarantine (adapter, at, raw, error) VALUES (?, ?, ?, ?)",
        (adapter, now, raw, error),
    ).lastrowid
    db.execute("DELETE FROM quarantine WHERE id <= ?", ((newest or 0) - MOST_QUARANTINED,))


async def cursors(readers: Readers, adapter: str) -> dict[tuple[str, str], str]:
    """How far an adapter has read: (channel, topic) -> platform id."""
    rows = await readers.all(
        "SELECT channel, topic, last FROM cursors WHERE adapter = ?", (adapter,)
    )
    return {(channel, topic): last for channel, topic, last in rows}


async def known(readers: Readers, address: Address) -> bool:
    """Whether anything has been said in the thread that goes on at an address."""
    row = await readers.one(
        """SELECT 1 FROM addresses a WHERE a.adapter = ? AND a.channel = ? AND a.topic = ?
        AND EXISTS (SELECT 1 FROM messages m WHERE m.thread = a.thread)""",
        (address.adapter, address.channel, address.topic),
    )
    return row is not None


async def active(readers: Readers, adapter: str, since: float) -> list[Address]:
    """Addresses with a topic where a conversation has been going on since then, newest first: a
    message that nobody ever answered is none."""
    rows = await readers.all(
        """SELECT a.adapter, a.channel, a.topic, max(m.sent_at) AS last
        FROM addresses a JOIN messages m ON m.thread = a.thread
        WHERE a.adapter = ? AND a.topic <> '' GROUP BY a.adapter, a.channel, a.topic
        HAVING count(*) > 1 AND last > ? ORDER BY last DESC""",
        (adapter, since),
    )
    return [Address(*row[:3]) for row in rows]
