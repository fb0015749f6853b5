"""Who refers to whom, found in the schema, so that no table can be forgotten. Knows no table."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable


class Reference(NamedTuple):
    """A column that refers to a table."""

    table: str
    column: str
    #: a row cannot be without it, so it goes when what it refers to goes
    bound: bool


def references(db: sqlite3.Connection, table: str) -> list[Reference]:
    """Every column that refers to the table, by name."""
    rows = db.execute(
        """SELECT s.name, f."from", c."notnull" OR c.pk
        FROM sqlite_schema s, pragma_foreign_key_list(s.name) f, pragma_table_info(s.name) c
        WHERE s.type = 'table' AND f."table" = ? AND c.name = f."from" ORDER BY 1, 2""",
        (table,),
    )
    return [Reference(name, column, bool(bound)) for name, column, bound in rows]


def free(columns: Iterable[Reference], key: str) -> str:
    """A condition in SQL: none of these columns refers to the row whose key is `key`."""
    return " AND ".join(
        f"NOT EXISTS (SELECT 1 FROM {one.table} WHERE {one.column} = {key})" for one in columns
    )
