"""Strangers that write directly, and the codes by which an admin lets them in. Runs inside a
transaction; knows no message."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from botdaemon.store.intake import identify
from botdaemon.types import Address

if TYPE_CHECKING:
    import sqlite3

    from botdaemon.types import Identity

#: of codes: without what is read as something else, 0 and O, 1 and I
ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_LENGTH = 8
#: seconds after which a code is another one
CODE_LIFE = 3600.0
#: codes that may wait for an admin at the same time
MOST_WAITING = 100


def paired(db: sqlite3.Connection, who: Identity) -> bool:
    """Whether an admin has let the account in."""
    row = db.execute(
        """SELECT 1 FROM pairings p JOIN identities i ON i.id = p.identity
        WHERE i.adapter = ? AND i.account = ? AND p.approved_at IS NOT NULL""",
        (who.adapter, who.account),
    ).fetchone()
    return row is not None


def code_for(
    db: sqlite3.Connection, who: Identity, thread: int, address: Address, now: float
) -> str:
    """The code to tell a stranger at an address, or "" when it was told already, or too many
    wait."""
    db.execute(
        "DELETE FROM pairings WHERE approved_at IS NULL AND asked_at < ?", (now - CODE_LIFE,)
    )
    identity = identify(db, who, now)
    if db.execute("SELECT 1 FROM pairings WHERE identity = ?", (identity,)).fetchone():
        return ""
    (waiting,) = db.execute("SELECT count(*) FROM pairings WHERE approved_at IS NULL").fetchone()
    if waiting >= MOST_WAITING:
        return ""
    code = "".join(secrets.choice(ALPHABET) for _ in range(_LENGTH))
    db.execute(
        "INSERT INTO pairings (identity, code, thread, channel, topic, asked_at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (identity, code, thread, address.channel, address.topic, now),
    )
    return code


def approve(
    db: sqlite3.Connection, code: str, admin: Identity, now: float
) -> tuple[str, int, Address] | None:
    """Let the stranger with this code in: name, and where to tell them (thread and address); None
    for an unknown code."""
    row = db.execute(
        """SELECT p.identity, i.name, p.thread, i.adapter, p.channel, p.topic
        FROM pairings p JOIN identities i ON i.id = p.identity
        WHERE p.code = ? AND p.approved_at IS NULL AND p.asked_at >= ?""",
        (code.strip().upper(), now - CODE_LIFE),
    ).fetchone()
    if row is None:
        return None
    db.execute(
        "UPDATE pairings SET approved_at = ?, approved_by = ? WHERE identity = ?",
        (now, identify(db, admin, now), row[0]),
    )
    return row[1], row[2], Address(*row[3:])
