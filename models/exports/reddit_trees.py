"""Which messages of a dump belong together: what must be remembered while it streams by. Knows no
texts."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

_SCHEMA = """
PRAGMA journal_mode = OFF;
CREATE TABLE wanted (conversation TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE seen (id TEXT PRIMARY KEY, thread TEXT NOT NULL, kept INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE awaited (parent TEXT NOT NULL);
"""


class Trees:
    """The trees of a dump, in a temporary file: a month has more comments than memory holds.

    Ids are Reddit's full names: "t1_..." for comments, "t3_..." for submissions.
    """

    def __init__(self) -> None:
        # To SQLite the empty name means a file in the folder for temporary files, gone when closed.
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.executescript(_SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._db.close()

    def want(self, conversation: str) -> None:
        self._db.execute("INSERT OR IGNORE INTO wanted VALUES (?)", (conversation,))

    def is_wanted(self, conversation: str) -> bool:
        found = self._db.execute("SELECT 1 FROM wanted WHERE conversation = ?", (conversation,))
        return found.fetchone() is not None

    def add(self, name: str, parent: str, *, kept: bool) -> str:
        """Remember a message. `parent`: empty for a submission. Gives the top-level comment that it
        hangs from, or as far up as the dump has reached; empty for a submission."""
        above = self._db.execute("SELECT thread FROM seen WHERE id = ?", (parent,)).fetchone()
        if parent and above is None and kept:
            self._db.execute("INSERT INTO awaited VALUES (?)", (parent,))
        below = above[0] if above else parent
        thread: str = name if parent.startswith("t3_") else below
        self._db.execute("INSERT OR REPLACE INTO seen VALUES (?, ?, ?)", (name, thread, kept))
        return thread

    def orphans(self, kind: str) -> int:
        """How many messages that were kept answer one that never came. `kind`: "t1_" or "t3_"."""
        found = self._db.execute(
            "SELECT count(*) FROM awaited WHERE parent GLOB ? || '*'"
            " AND parent NOT IN (SELECT id FROM seen)",
            (kind,),
        )
        number: int = found.fetchone()[0]
        return number
