"""Summaries of threads: what is left to summarise, and what stands in place of what. Runs inside a
transaction, or reads; knows no model.

Each belongs to one bot and one thread, and is used nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdaemon.store.rows import MESSAGE, MESSAGES, one

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from botdaemon.store.rows import Row
    from botdaemon.types import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What stands in place of everything said in a thread from a message to another."""

    bot: str
    thread: int
    #: ids of messages
    first: int
    last: int
    #: "" when there is nothing to say about them
    text: str
    #: by its name in the configuration
    model: str
    id: int = 0
    made_at: float = 0.0


_COLUMNS = "s.bot, s.thread, s.first, s.last, s.text, s.model, s.id, s.made_at"

WIDEST = f"""SELECT {_COLUMNS} FROM summaries s WHERE s.thread = :thread AND s.bot = :bot
    AND NOT EXISTS (SELECT 1 FROM summaries w WHERE w.thread = s.thread AND w.bot = s.bot
        AND w.id <> s.id AND w.first <= s.first AND w.last >= s.last)
    ORDER BY s.first"""
"""A query for a thread's summaries but those that a wider one stands in place of, oldest first."""

SAID = f"""SELECT {MESSAGE} FROM {MESSAGES}
    WHERE m.thread = :thread AND m.kind = 'said' AND m.deleted_at IS NULL
    ORDER BY m.id DESC LIMIT :most"""
"""A query for what was said last in a thread, newest first."""

_OPEN = """m.kind = 'said' AND m.deleted_at IS NULL AND NOT EXISTS (SELECT 1 FROM summaries s
    WHERE s.thread = m.thread AND s.bot = :bot AND m.id BETWEEN s.first AND s.last)"""

LEFT = f"""SELECT {MESSAGE},
        (SELECT min(s.first) FROM summaries s
            WHERE s.thread = m.thread AND s.bot = :bot AND s.first > m.id)
    FROM {MESSAGES}
    WHERE m.thread = :thread AND m.id < :before AND {_OPEN}
        AND m.id > (SELECT began FROM memories WHERE bot = :bot)
    ORDER BY m.id LIMIT :most"""
"""A query for the oldest messages before one that nothing stands in place of, each with where the
next summary begins (NULL: nowhere)."""


def summary(row: Row) -> Summary:
    """A `WIDEST` row."""
    bot, thread, first, last, text, model, id, made_at = row
    return Summary(
        bot=bot,
        thread=thread,
        first=first,
        last=last,
        text=text,
        model=model,
        id=id,
        made_at=made_at,
    )


def keep(db: sqlite3.Connection, made: Summary, of: Sequence[Message], now: float) -> bool:
    """Keep a summary of messages; False when one of them has changed since it was read."""
    for message in of:
        found = one(
            db,
            "SELECT seq FROM messages WHERE id = ? AND deleted_at IS NULL",
            (message.id,),
        )
        if found != message.seq:
            return False
    _insert(db, made, now)
    return True


def join(db: sqlite3.Connection, made: Summary, of: Sequence[Summary], now: float) -> bool:
    """Keep a summary of summaries; False when one of them is not there any more, or there is
    something between them that none of them stands for."""
    if any(one(db, "SELECT 1 FROM summaries WHERE id = ?", (part.id,)) is None for part in of):
        return False
    gap = one(
        db,
        f"SELECT 1 FROM messages m WHERE m.thread = :thread AND m.id BETWEEN :first AND :last"
        f" AND {_OPEN} LIMIT 1",
        {"thread": made.thread, "bot": made.bot, "first": made.first, "last": made.last},
    )
    if gap is not None:
        return False
    _insert(db, made, now)
    return True


def _insert(db: sqlite3.Connection, made: Summary, now: float) -> None:
    db.execute(
        """INSERT INTO summaries (bot, thread, first, last, text, model, made_at)
        VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING""",
        (made.bot, made.thread, made.first, made.last, made.text, made.model, now),
    )
