"""Recording what changes of what was said: edits, deletions, reactions. Runs inside a transaction,
and knows no adapter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdaemon.store import held, origins, relations, rooms
from botdaemon.store.intake import NextSeq, Relay, identify, located, seen
from botdaemon.store.rows import MESSAGE, MESSAGES, message
from botdaemon.types import Address, Control, Deleted, Edited, Pressed, Reacted, Recorded

if TYPE_CHECKING:
    import sqlite3

#: what stays of a message on other platforms when its author deletes it
TAKEN_BACK = "(taken back)"

_RATINGS = {Control.GOOD: "good", Control.BAD: "bad"}


def edited(db: sqlite3.Connection, event: Edited, relay: Relay, next_seq: NextSeq) -> Recorded:
    """Change a recorded message, and what of it was passed on to the thread's other addresses; one
    that was never recorded, or is deleted, is nothing to change."""
    if (known := seen(db, event.address.adapter, event.key)) is not None:
        return known
    row = located(db, event.address, event.platform_id)
    if row is None:
        return Recorded(message=0, thread=0)
    if not db.execute(
        "UPDATE messages SET text = ?, edited_at = ?, seq = ? WHERE id = ? AND deleted_at IS NULL",
        (event.text, event.at, next_seq(), row[0]),
    ).rowcount:
        return Recorded(message=row[0], thread=row[1])
    return Recorded(message=row[0], thread=row[1], relayed=_relay_again(db, row[0], relay))


def deleted(db: sqlite3.Connection, event: Deleted, next_seq: NextSeq) -> Recorded:
    """Forget a message: what a person took back is not kept."""
    if (known := seen(db, event.address.adapter, event.key)) is not None:
        return known
    held.taken_back(db, event.address, event.platform_id)
    row = located(db, event.address, event.platform_id)
    if row is None:
        return Recorded(message=0, thread=0)
    db.execute(
        "UPDATE messages SET text = '', bubbles = '', has_files = 0, deleted_at = ?, seq = ?"
        " WHERE id = ?",
        (event.at, next_seq(), row[0]),
    )
    db.execute("DELETE FROM message_files WHERE message = ?", (row[0],))
    origins.taken_back(db, row[0])
    # Nor is it passed on any more, and what was is edited away. One under way is left to arrive.
    db.execute(
        """UPDATE letters SET text = ?, plain = ?, error = 'taken back', state = CASE
            WHEN state = 'ready' AND (remote = '' OR turn IS NOT NULL) THEN 'dead'
            WHEN state = 'sent' AND turn IS NULL AND file IS NULL AND remote <> '' THEN 'ready'
            ELSE state END
        WHERE message = ? AND state <> 'sending' AND NOT taken_back
            AND (turn IS NULL OR adapter = ? AND channel = ?)""",  # an answer: only here
        (TAKEN_BACK, TAKEN_BACK, row[0], event.address.adapter, event.address.channel),
    )
    changed = db.execute(
        "SELECT DISTINCT adapter, channel, topic FROM letters WHERE message = ?"
        " AND state = 'ready'",
        (row[0],),
    )
    return Recorded(
        message=row[0], thread=row[1], relayed=tuple(Address(*place) for place in changed)
    )


def rated(db: sqlite3.Connection, event: Reacted | Pressed, now: float) -> Recorded:
    """Keep a reaction or a rating as feedback on its message."""
    if (known := seen(db, event.address.adapter, event.key)) is not None:
        return known
    row = located(db, event.address, event.platform_id)
    if row is None:
        return Recorded(message=0, thread=0)
    identity = identify(db, event.who, now)
    value = event.emoji if isinstance(event, Reacted) else _RATINGS[event.control]
    before = relations.worth(db, row[0], identity)
    if isinstance(event, Pressed):  # the other thumb is taken back
        db.execute(
            "DELETE FROM feedback WHERE message = ? AND identity = ? AND value IN ('good', 'bad')",
            (row[0], identity),
        )
    if isinstance(event, Reacted) and not event.added:
        db.execute(
            "DELETE FROM feedback WHERE message = ? AND identity = ? AND value = ?",
            (row[0], identity, value),
        )
    else:
        db.execute(
            "INSERT OR REPLACE INTO feedback (message, identity, value, at) VALUES (?, ?, ?, ?)",
            (row[0], identity, value, event.at),
        )
    relations.rated(db, row[0], identity, before, now)
    return Recorded(message=row[0], thread=row[1])


def _relay_again(db: sqlite3.Connection, message_id: int, relay: Relay) -> tuple[Address, ...]:
    """Where a message was passed on, it is changed as well; returns those addresses. A change that
    needs more messages than before, or fewer, stays where it was made."""
    said = message(
        db.execute(f"SELECT {MESSAGE} FROM {MESSAGES} WHERE m.id = ?", (message_id,)).fetchone()
    )
    changed = []
    for other in rooms.addresses_of(db, said.thread):
        texts = [new.part for new in relay(said, [other]) if new.part.file is None]
        place = (message_id, other.adapter, other.channel, other.topic)
        relayed = """FROM letters WHERE message = ? AND adapter = ? AND channel = ? AND topic = ?
            AND turn IS NULL AND file IS NULL AND state <> 'dead'"""
        rows = db.execute(f"SELECT id {relayed} ORDER BY number", place).fetchall()
        if other == said.address or len(rows) != len(texts):
            continue
        for (letter_id,), part in zip(rows, texts, strict=True):
            db.execute(
                "UPDATE letters SET text = ?, plain = ?,"
                " state = CASE state WHEN 'sent' THEN 'ready' ELSE state END WHERE id = ?",
                (part.text, part.plain, letter_id),
            )
        changed.append(other)
    return tuple(changed)
