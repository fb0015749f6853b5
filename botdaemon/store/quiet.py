"""Who wants quiet, and until when. Runs inside a transaction; knows no schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdaemon.store.intake import identify
from botdaemon.store.rows import one
from botdaemon.types import QuietHours

if TYPE_CHECKING:
    import sqlite3

    from botdaemon.types import Address, Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """What people want in a place."""

    #: nobody writes first before this time; 0 for none
    until: float = 0.0
    #: nor in these hours of any day, by the clock of this time zone
    hours: QuietHours | None = None
    timezone: str = ""


def scope(db: sqlite3.Connection, thread: int, address: Address, person: int) -> str:
    """What a thread at an address belongs to: the person in a direct channel (else 0), its room, or
    the channel."""
    if person:
        return f"person {person}"
    room = one(db, "SELECT room FROM threads WHERE id = ?", (thread,))
    return f"channel {address.adapter}:{address.channel}" if room is None else f"room {room}"


def person_of(db: sqlite3.Connection, who: Identity, now: float) -> int:
    """The person behind an account."""
    return int(one(db, "SELECT person FROM identities WHERE id = ?", (identify(db, who, now),)))


def wanted(db: sqlite3.Connection, scope: str) -> Quiet:
    """What is wanted there."""
    row = db.execute(
        "SELECT until, begins, ends, timezone FROM quiet WHERE scope = ?", (scope,)
    ).fetchone()
    if row is None:
        return Quiet()
    hours = None if row[1] is None else QuietHours(row[1], row[2])
    return Quiet(until=row[0], hours=hours, timezone=row[3])


def want(db: sqlite3.Connection, scope: str, quiet: Quiet) -> None:
    """What is wanted there from now on; nothing lifts it all."""
    db.execute("DELETE FROM quiet WHERE scope = ?", (scope,))
    if quiet != Quiet():
        hours = quiet.hours
        db.execute(
            "INSERT INTO quiet (scope, until, begins, ends, timezone) VALUES (?, ?, ?, ?, ?)",
            (scope, quiet.until, hours and hours.begins, hours and hours.ends, quiet.timezone),
        )
