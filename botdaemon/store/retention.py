"""Old messages go, whole: with their letters, the turns they belonged to, and what was thought of
them. Runs inside transactions, a few messages in each; knows no reason.

What an open turn or a letter on its way needs stays, and so does the newest change of all, since
its `seq` says where to go on. The keys of events stay as well: what went is not recorded a second
time when a platform delivers it again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from botdaemon.store.references import free, references

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

#: messages that go in one transaction, so that nobody waits for long
BATCH = 100
#: bytes that a message takes besides its text and its files
_OVERHEAD = 400

_THREADS = """SELECT h.id FROM threads h LEFT JOIN rooms r ON r.id = h.room
    WHERE coalesce(r.name, '') = :room COLLATE NOCASE"""

TOO_OLD = f"""SELECT id FROM messages WHERE thread IN ({_THREADS}) AND sent_at < :before
    ORDER BY id"""
"""Messages of a room ("" is what is outside of rooms) from before a time."""

TOO_MANY = f"""SELECT id FROM (
        SELECT id, sum(octets) OVER (ORDER BY id DESC) AS total FROM (
            SELECT m.id, {_OVERHEAD} + length(CAST(m.text AS BLOB)) + coalesce((
                SELECT sum(f.size) FROM message_files x JOIN files f ON f.sha256 = x.file
                WHERE x.message = m.id), 0) AS octets
            FROM messages m WHERE m.thread IN ({_THREADS})))
    WHERE total > :most ORDER BY id"""
"""Those that, together with all that came after them, take more than `most` bytes."""


def thin_out(db: sqlite3.Connection, ids: Sequence[int]) -> int:
    """Delete those of these messages that may go now; returns how many."""
    free = [
        id
        for (id,) in db.execute(
            """SELECT m.id FROM messages m WHERE m.id IN (SELECT value FROM json_each(?))
            AND m.seq < (SELECT max(seq) FROM messages)
            AND NOT EXISTS (SELECT 1 FROM turns t WHERE t.thread = m.thread
                AND (t.state = 'waiting' OR t.state = 'running'))
            AND NOT EXISTS (SELECT 1 FROM letters l WHERE l.message = m.id
                AND (l.state = 'ready' OR l.state = 'sending'))""",
            (json.dumps(list(ids)),),
        )
    ]
    if free:
        remove(db, free)
    return len(free)


def remove(db: sqlite3.Connection, ids: Sequence[int]) -> None:
    """Delete messages, with what is nothing without them."""
    some = json.dumps(list(ids))
    these = "SELECT value FROM json_each(?)"
    turns = [
        id
        for (id,) in db.execute(
            f"""SELECT turn FROM messages WHERE id IN ({these}) AND turn IS NOT NULL
            UNION SELECT turn FROM turn_messages WHERE message IN ({these})
            UNION SELECT turn FROM letters WHERE message IN ({these}) AND turn IS NOT NULL""",
            (some, some, some),
        )
    ]
    db.execute(f"DELETE FROM letters WHERE message IN ({these})", (some,))
    for table, column, bound in references(db, "messages"):
        if bound:
            db.execute(f"DELETE FROM {table} WHERE {column} IN ({these})", (some,))
        else:
            db.execute(f"UPDATE {table} SET {column} = NULL WHERE {column} IN ({these})", (some,))
    db.execute(f"DELETE FROM messages WHERE id IN ({these})", (some,))
    _remove_turns(db, turns)


def _remove_turns(db: sqlite3.Connection, ids: Sequence[int]) -> None:
    """Those that nothing is left of but notes about them. A decision keeps its turn."""
    notes = [one for one in references(db, "turns") if one.bound and one.table != "turn_messages"]
    alone = free([one for one in references(db, "turns") if one not in notes], "turns.id")
    gone = [
        (id,)
        for (id,) in db.execute(
            f"SELECT id FROM turns WHERE id IN (SELECT value FROM json_each(?)) AND {alone}",
            (json.dumps(list(ids)),),
        )
    ]
    for table, column, _ in notes:
        db.executemany(f"DELETE FROM {table} WHERE {column} = ?", gone)
    db.executemany("DELETE FROM turns WHERE id = ?", gone)
