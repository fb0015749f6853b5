"""Where a schedule's bot would write, and how things stand there. Runs inside a transaction; knows
no rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdaemon.errors import Refused
from botdaemon.store import quiet, rooms
from botdaemon.store.rows import one
from botdaemon.types import Address, Silence, Situation

if TYPE_CHECKING:
    import sqlite3

    from botdaemon.types import Schedule

#: seconds of what was written first that a governor is told of
_RECENT = 2 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A thread, and where in it the bot would write; `addresses` are all of the thread's."""

    thread: int
    address: Address
    addresses: tuple[Address, ...]
    #: in a direct channel; else 0
    person: int


def place_of(db: sqlite3.Connection, it: Schedule, now: float) -> Place | None:
    """Where the bot would write; None when that is nowhere."""
    address, person = it.address, 0
    if it.account:
        person, address = _wrote_directly(db, it.account)
    elif it.direct:
        person = one(db, "SELECT person FROM identities WHERE id = ?", (it.made_by,))
    if it.room:
        room = one(db, "SELECT id FROM rooms WHERE name = ?", (it.room,))
        if room is None:
            return None
        thread = rooms.main_thread(db, room, now)
    elif address is None:
        return None
    else:
        try:
            thread = rooms.thread_at(db, address, now)
        except Refused:  # a mirror's thread that is not there any more
            return None
    addresses = rooms.addresses_of(db, thread)
    if not addresses:
        return None
    return Place(
        thread=thread,
        address=address or addresses[0],
        addresses=addresses,
        person=person,
    )


def _wrote_directly(db: sqlite3.Connection, account: str) -> tuple[int, Address | None]:
    """The person with an account, and where they last wrote directly on its adapter; 0 and None for
    what is not known."""
    adapter, _, name = account.partition(":")
    person = one(
        db, "SELECT person FROM identities WHERE adapter = ? AND account = ?", (adapter, name)
    )
    row = db.execute(
        """SELECT m.adapter, m.channel, m.topic FROM identities i
        JOIN turns t ON t.asked_by = i.id AND t.direct
        JOIN turn_messages x ON x.turn = t.id JOIN messages m ON m.id = x.message
        WHERE i.person = ? AND i.adapter = ? ORDER BY t.id DESC LIMIT 1""",
        (person, adapter),
    ).fetchone()
    return person or 0, None if row is None else Address(*row)


def situation(db: sqlite3.Connection, it: Schedule, place: Place, now: float) -> Situation:
    room_id, room = db.execute(
        "SELECT h.room, coalesce(r.name, '') FROM threads h LEFT JOIN rooms r ON r.id = h.room"
        " WHERE h.id = ?",
        (place.thread,),
    ).fetchone()
    asked_quiet = quiet.wanted(db, quiet.scope(db, place.thread, place.address, place.person))
    last_id, last_said = _last_said(db, place.thread)
    unanswered = db.execute(
        """SELECT m.sent_at FROM messages m JOIN turns t ON t.id = m.turn
        JOIN schedules s ON s.id = t.schedule
        WHERE m.thread = ? AND m.id > ? AND m.bot <> '' AND m.deleted_at IS NULL AND NOT s.asked
        ORDER BY m.id""",
        (place.thread, last_id),
    )
    recent = db.execute(
        """SELECT t.created_at FROM turns t JOIN schedules s ON s.id = t.schedule
        JOIN threads h ON h.id = t.thread
        WHERE t.slot IS NOT NULL AND t.created_at > ? AND NOT s.asked
        AND t.state IN ('waiting', 'running', 'answered')
        AND CASE WHEN ? IS NULL THEN h.room IS NULL AND t.adapter = ? AND t.channel = ?
            ELSE h.room = ? END
        ORDER BY t.id""",
        (now - _RECENT, room_id, place.address.adapter, place.address.channel, room_id),
    )
    return Situation(
        now=now,
        room=room,
        timezone=one(db, "SELECT timezone FROM people WHERE id = ?", (place.person,)) or "",
        asked=it.asked,
        quiet_until=asked_quiet.until,
        hours=asked_quiet.hours,
        hours_timezone=asked_quiet.timezone,
        answering=one(
            db,
            "SELECT 1 FROM turns WHERE thread = ? AND (state = 'waiting' OR state = 'running')",
            (place.thread,),
        )
        is not None,
        last_said=last_said,
        unanswered=tuple(at for (at,) in unanswered),
        recent=tuple(at for (at,) in recent),
    )


def _last_said(db: sqlite3.Connection, thread: int) -> tuple[int, float]:
    """The newest message of a person: its id and time, 0 for none."""
    row: tuple[int, float] | None = db.execute(
        """SELECT m.id, m.sent_at FROM messages m JOIN identities i ON i.id = m.identity
        WHERE m.thread = ? AND m.kind = 'said' AND NOT i.is_bot ORDER BY m.id DESC LIMIT 1""",
        (thread,),
    ).fetchone()
    return row or (0, 0.0)


def pause_at(db: sqlite3.Connection, it: Schedule, when: Silence, thread: int) -> float | None:
    """When the break that began with the last word of a person is long enough; None when nobody has
    said anything, or that was before there was the schedule."""
    _, last_said = _last_said(db, thread)
    slot = last_said + when.seconds
    return slot if last_said and slot > it.made_at else None
