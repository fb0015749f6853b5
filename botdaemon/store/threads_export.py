"""Gives away whole threads, to learn from. Only reads, over a connection of `database.looking`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from botdaemon.errors import Refused
from botdaemon.store.rows import MESSAGE, MESSAGES, message, one
from botdaemon.types import Spoken

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

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


def spoken(
    db: sqlite3.Connection,
    *,
    rooms: Sequence[str] = (),
    threads: Sequence[int] = (),
    since: float = 0.0,
) -> Iterator[Spoken]:
    """Every message of every thread, thread by thread and oldest first, one at a time. Commands,
    notices, and what bots said are among them, for the reader to leave out and count; deleted ones
    come without their text. With `rooms` or `threads` only theirs, and only those said since a
    time. Raises `Refused` for a room or a thread that is not there."""
    for name in rooms:
        if one(db, "SELECT id FROM rooms WHERE name = ?", (name,)) is None:
            raise Refused(f'there is no room "{name}"')
    for number in threads:
        if one(db, "SELECT id FROM threads WHERE id = ?", (number,)) is None:
            raise Refused(f"there is no thread {number}")
    rows = db.execute(
        f"""SELECT {MESSAGE}, r.name, h.title,
        EXISTS (SELECT 1 FROM turns t WHERE t.thread = h.id AND t.direct),
        (SELECT a.id FROM messages a WHERE a.id = {_ANSWERS}
            AND a.thread = m.thread AND a.deleted_at IS NULL)
        FROM {MESSAGES} JOIN threads h ON h.id = m.thread LEFT JOIN rooms r ON r.id = h.room
        WHERE m.sent_at >= :since AND (NOT :some
            OR h.id IN (SELECT value FROM json_each(:threads))
            OR r.name IN (SELECT value FROM json_each(:rooms)))
        ORDER BY m.thread, m.id""",
        {
            "since": since,
            "some": bool(rooms or threads),
            "threads": json.dumps(list(threads)),
            "rooms": json.dumps(list(rooms)),
        },
    )
    for *columns, room, title, direct, answers in rows:
        yield Spoken(
            message=message(columns),
            answers=answers or 0,
            room=room or "",
            title=title,
            direct=bool(direct),
        )
