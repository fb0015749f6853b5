"""Everything that there is about a person, as rows. Only reads, over a connection of
`database.looking`.

The schema says which tables refer to people: one that is thought of later comes along by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from botdaemon.store.references import references

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping

_MINE = "SELECT id FROM identities WHERE person = :person"

#: columns that refer to a person whom the row is not about, with the reason
OTHERS = {
    ("pairings", "approved_by"): "the row is about who was let in",
    ("links", "first"): "a code of some minutes, beside somebody else's account",
    ("links", "second"): "likewise",
    ("link_tries", "identity"): "a count of wrong codes, which guards other people",
    ("messages", "identity"): "comes with the names of its room and thread",
}

_SAID = f"""SELECT r.name AS room, h.title AS thread_title, m.* FROM messages m
    JOIN threads h ON h.id = m.thread LEFT JOIN rooms r ON r.id = h.room
    WHERE m.identity IN ({_MINE}) AND m.deleted_at IS NULL ORDER BY m.id"""
_TOLD = f"""SELECT m.* FROM messages m WHERE m.deleted_at IS NULL AND m.bot <> '' AND m.turn IN (
    SELECT id FROM turns WHERE asked_by IN ({_MINE})) ORDER BY m.id"""
_FILES = f"""SELECT x.*, f.media_type, f.size FROM message_files x
    JOIN files f ON f.sha256 = x.file JOIN messages m ON m.id = x.message
    WHERE m.identity IN ({_MINE}) ORDER BY x.message, x.position"""
_HEARD = f"""SELECT * FROM transcripts WHERE file IN (SELECT file FROM ({_FILES})) ORDER BY file"""
_ONLY_FOR = f"""SELECT l.* FROM letters l JOIN identities i
    ON i.adapter = l.adapter AND i.account = l.only_for
    WHERE i.id IN ({_MINE}) ORDER BY l.id"""


class Rows(NamedTuple):
    """Rows of one kind."""

    name: str
    rows: Iterator[dict[str, Any]]


def tables(db: sqlite3.Connection, person: int) -> Iterator[Rows]:
    """Rows about a person, by kind. What they deleted is not among it."""
    asked = {"person": person}
    yield Rows("person", _rows(db, "SELECT * FROM people WHERE id = :person", asked))
    yield Rows("messages", _rows(db, _SAID, asked))
    yield Rows("message_files", _rows(db, _FILES, asked))
    yield Rows("transcripts", _rows(db, _HEARD, asked))
    yield Rows("answers", _rows(db, _TOLD, asked))
    yield Rows("told_alone", _rows(db, _ONLY_FOR, asked))
    yield Rows("quiet", _rows(db, "SELECT * FROM quiet WHERE scope = 'person ' || :person", asked))
    for table, condition in conditions(db):
        yield Rows(table, _rows(db, f"SELECT * FROM {table} WHERE {condition}", asked))


def conditions(db: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Each table that refers to people, with what is true of the rows about `:person`."""
    found: dict[str, list[str]] = {}
    for table, column, _ in references(db, "people"):
        found.setdefault(table, []).append(f"{column} = :person")
    for table, column, _ in references(db, "identities"):
        if (table, column) not in OTHERS:
            found.setdefault(table, []).append(f"{column} IN ({_MINE})")
    for table, either in sorted(found.items()):
        yield table, " OR ".join(either)


def counts(db: sqlite3.Connection, person: int) -> dict[str, int]:
    """Of each such table how many rows there are about a person, where there are any."""
    each = {
        table: int(
            db.execute(
                f"SELECT count(*) FROM {table} WHERE {condition}", {"person": person}
            ).fetchone()[0]
        )
        for table, condition in conditions(db)
    }
    return {table: count for table, count in each.items() if count}


def files_of(db: sqlite3.Connection, person: int) -> list[str]:
    """The files that they sent, by SHA-256."""
    rows = db.execute(f"SELECT DISTINCT file FROM ({_FILES}) ORDER BY file", {"person": person})
    return [sha256 for (sha256,) in rows]


def _rows(
    db: sqlite3.Connection, sql: str, parameters: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    cursor = db.execute(sql, parameters)
    names = [column[0] for column in cursor.description]
    for row in cursor:
        yield {
            name: value.hex() if isinstance(value, bytes) else value
            for name, value in zip(names, row, strict=True)
        }
