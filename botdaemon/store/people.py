"""Two people who turn out to be one, and an account that becomes somebody else's. Runs inside a
transaction; knows no reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdaemon.store import relations
from botdaemon.store.references import references
from botdaemon.store.rows import one
from botdaemon.types import Identity

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence


def accounts(db: sqlite3.Connection, person: int) -> list[Identity]:
    """All accounts of a person, the oldest first."""
    rows = db.execute(
        "SELECT adapter, account, name, is_bot FROM identities WHERE person = ? ORDER BY id",
        (person,),
    )
    return [
        Identity(adapter=row[0], account=row[1], name=row[2], is_bot=bool(row[3]), person=person)
        for row in rows
    ]


def merge(db: sqlite3.Connection, one_id: int, other_id: int) -> None:
    """Make two people one: the one who has been known for longer, and whose word counts where
    both cannot be kept."""
    kept, gone = (
        id
        for (id,) in db.execute(
            "SELECT id FROM people WHERE id IN (?, ?) ORDER BY created_at, id", (one_id, other_id)
        ).fetchall()
    )
    relations.merge(db, gone, kept)
    _merge_quiet(db, gone, kept)
    for table, column, _ in references(db, "people"):
        db.execute(f"UPDATE OR IGNORE {table} SET {column} = ? WHERE {column} = ?", (kept, gone))
        # What is left is what both have.
        db.execute(f"DELETE FROM {table} WHERE {column} = ?", (gone,))
    db.execute(
        """UPDATE people SET timezone = (SELECT timezone FROM people WHERE id = ?)
        WHERE id = ? AND timezone = ''""",
        (gone, kept),
    )
    # The row stays, empty: its number must never be somebody else's.
    db.execute("UPDATE people SET name = '', timezone = '' WHERE id = ?", (gone,))


def part(db: sqlite3.Connection, leaving: Sequence[Identity], now: float) -> None:
    """These accounts become a new person, to whom nothing has happened yet."""
    new = db.execute(
        "INSERT INTO people (name, created_at) VALUES (?, ?)", (leaving[0].name, now)
    ).lastrowid
    db.executemany(
        "UPDATE identities SET person = ? WHERE adapter = ? AND account = ?",
        [(new, one.adapter, one.account) for one in leaving],
    )


def _merge_quiet(db: sqlite3.Connection, gone: int, kept: int) -> None:
    """The longer of two pauses; of hours those of the one who stays."""
    db.execute(
        """INSERT INTO quiet (scope, until, begins, ends, timezone)
        SELECT ?, until, begins, ends, timezone FROM quiet WHERE scope = ?
        ON CONFLICT DO UPDATE SET
            until = max(until, excluded.until),
            timezone = CASE WHEN begins IS NULL THEN excluded.timezone ELSE timezone END,
            ends = coalesce(ends, excluded.ends),
            begins = coalesce(begins, excluded.begins)""",
        (f"person {kept}", f"person {gone}"),
    )
    db.execute("DELETE FROM quiet WHERE scope = ?", (f"person {gone}",))


def person_of(db: sqlite3.Connection, identity: int) -> int:
    """Whose account it is."""
    return int(one(db, "SELECT person FROM identities WHERE id = ?", (identity,)))
