"""Gives away whole threads, to learn from. Only reads, over a connection of `database.looking`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdaemon.store.rows import MESSAGE, MESSAGES, message, one
from botdaemon.types import Spoken

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

# What is replied to has the id of its platform, be it somebody's message or a letter of ours; on a
# mirror it is the store's own. A bot answers the last message of its turn.
_ANSWERS = """
    CASE WHEN m.reply_to <> '' THEN coalesce(
        (SELECT r.id FROM messages r WHERE r.adapter = m.adapter AND r.channel = m.channel
            AND r.platform_id = m.reply_to),
        (SELECT l.message FROM letters l WHERE l.adapter = m.adapter AND l.channel = m.channel
            AND l.remote = m.reply_to),
        CASE WHEN m.reply_to NOT GLOB '*[^0-9]*' THEN CAST(m.reply_to AS INTEGER) END)
    ELSE (SELECT max(x.message) FROM turn_messages x WHERE x.turn = m.turn) END
"""


def total(db: sqlite3.Connection) -> int:
    """How many messages `spoken` gives."""
    return int(one(db, "SELECT count(*) FROM messages"))


def spoken(db: sqlite3.Connection) -> Iterator[Spoken]:
    """Every message of every thread, thread by thread and oldest first, one at a time. Commands,
    notices, and what bots said are among them, for the reader to leave out and count; deleted ones
    come without their text."""
    rows = db.execute(
        f"""SELECT {MESSAGE}, r.name, h.title,
        EXISTS (SELECT 1 FROM turns t WHERE t.thread = h.id AND t.direct),
        (SELECT a.id FROM messages a WHERE a.id = {_ANSWERS}
            AND a.thread = m.thread AND a.deleted_at IS NULL)
        FROM {MESSAGES} JOIN threads h ON h.id = m.thread LEFT JOIN rooms r ON r.id = h.room
        ORDER BY m.thread, m.id"""
    )
    for *columns, room, title, direct, answers in rows:
        yield Spoken(
            message=message(columns),
            answers=answers or 0,
            room=room or "",
            title=title,
            direct=bool(direct),
        )
