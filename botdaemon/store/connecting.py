"""A connection that writes, and what SQLite itself can say of a database. Knows no table."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


#: seconds for which a connection waits for another process that writes
PATIENCE = 5.0


def connect(path: Path) -> sqlite3.Connection:
    """Raises `sqlite3.Error` also for what is no database."""
    # check_same_thread: opened here, then owned by the writer's thread alone.
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, timeout=PATIENCE, cached_statements=256
    )
    try:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def findings(connection: sqlite3.Connection) -> list[str]:
    """What is wrong with a database, as far as SQLite can tell; it may take long. Raises
    `sqlite3.Error` when it cannot even be read."""
    found = [text for (text,) in connection.execute("PRAGMA integrity_check(5)") if text != "ok"]
    broken = connection.execute("PRAGMA foreign_key_check").fetchmany(5)
    return found + [f"a row of {table} refers to nothing in {to}" for table, _, to, _ in broken]


def quoted(path: Path) -> str:
    """For the "file:" address of a database."""
    return path.as_posix().replace("%", "%25").replace("?", "%3f").replace("#", "%23")
