"""Bringing a database to the newest schema, or leaving it as it is. Knows no table but the line
that says which botdaemon opened it."""

from __future__ import annotations

import logging
import os
import re
import shutil
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

import botdaemon
from botdaemon.errors import StoreUnusable
from botdaemon.store.connecting import connect, findings

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable
    from pathlib import Path

log = logging.getLogger(__name__)

#: databases of before a migration that are kept
KEPT = 2

_ASIDE = re.compile(r"botdaemon-schema-(\d+)\.db")


def backups(directory: Path) -> tuple[Path, ...]:
    """Databases that were put aside before a migration, the oldest schema first."""
    return tuple(
        sorted((one for one in directory.iterdir() if _ASIDE.fullmatch(one.name)), key=_schema_of)
    )


def migrate(connection: sqlite3.Connection, path: Path, directory: Traversable) -> None:
    """Bring it to the newest schema: a copy is put aside, the steps are tried on another, and then
    made. Raises `StoreUnusable`, and `sqlite3.Error`, without having changed anything."""
    steps = steps_in(directory)
    newest = steps[-1][0]
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > newest:
        raise StoreUnusable(_newer(connection, path, version, newest))
    # This writes to the file: not before it is known to be ours.
    connection.execute("PRAGMA journal_mode=WAL")
    todo = [step for step in steps if step[0] > version]
    if version and todo:
        backup = path.with_name(f"{path.stem}-schema-{version}.db")
        _back_up(connection, backup)
        _try_out(backup, path, todo)
    if todo:
        _apply(connection, todo)
        log.info("schema %d", newest, extra={"event": "migrated", "schema": newest})
    for old in backups(path.parent)[:-KEPT]:
        old.unlink()


def _apply(connection: sqlite3.Connection, steps: list[tuple[int, Traversable]]) -> None:
    """One transaction: killed at any point, the schema is old or new, never between."""
    # executescript would commit first, so the script itself carries BEGIN and COMMIT.
    script = [
        f"{entry.read_text('utf-8')}\nPRAGMA user_version={number};" for number, entry in steps
    ]
    try:
        connection.executescript("\n".join(["BEGIN IMMEDIATE;", *script, "COMMIT;"]))
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _try_out(backup: Path, path: Path, steps: list[tuple[int, Traversable]]) -> None:
    """The steps on a copy. Raises `StoreUnusable` when that fails."""
    copy = path.with_name(f"{path.name}.trial")
    try:
        _remove_all(copy)
        shutil.copyfile(backup, copy)
        with closing(connect(copy)) as trial:
            _apply(trial, steps)
            found = findings(trial)
    except sqlite3.Error as error:
        found = [str(error)]
    except OSError as error:
        raise StoreUnusable(
            f"{path} was not upgraded: there is no copy of it to try that on ({error.strerror});"
            " make room on its disk"
        ) from None
    finally:
        _remove_all(copy)
    if found:
        raise StoreUnusable(
            f"{path} was not upgraded to schema {steps[-1][0]}, since that failed on a copy of it"
            f" ({'; '.join(found)}); it was left as it is: go on with the botdaemon of before, and"
            " report this"
        )


def _remove_all(path: Path) -> None:
    """A database and what lies beside it; what another one left would be taken for its own."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _newer(connection: sqlite3.Connection, path: Path, version: int, newest: int) -> str:
    try:
        row = connection.execute("SELECT said FROM upkeep WHERE chore = 'opened'").fetchone()
    except sqlite3.Error:
        row = None
    by = f", botdaemon {row[0]}" if row else ""
    older = [one for one in backups(path.parent) if _schema_of(one) <= newest]
    back = (
        f"or go back to what was before, without what was said since: put {older[-1]} in its place"
        if older
        else "or restore a backup of before"
    )
    return (
        f"{path} was written by a newer botdaemon (schema {version}{by}); this is botdaemon"
        f" {botdaemon.__version__}, which knows up to schema {newest}. It was left as it is:"
        f" install the newer botdaemon, {back}"
    )


def _schema_of(backup: Path) -> int:
    return int(backup.stem.rpartition("-")[2])


def steps_in(directory: Traversable) -> list[tuple[int, Traversable]]:
    return sorted(
        (int(entry.name.split("_", 1)[0]), entry)
        for entry in directory.iterdir()
        if entry.name.endswith(".sql")
    )


def _back_up(connection: sqlite3.Connection, target: Path) -> None:
    made = target.with_name(f"{target.name}.partial")
    _remove_all(made)
    with closing(sqlite3.connect(made)) as copy:
        connection.backup(copy)
    with made.open("rb") as handle:
        os.fsync(handle.fileno())
    made.rename(target)


def sign(connection: sqlite3.Connection) -> None:
    """Note which botdaemon opened it, for one that is too old for it."""
    connection.execute(
        """INSERT INTO upkeep (chore, at, took, good, said) VALUES ('opened', ?, 0, 1, ?)
        ON CONFLICT DO UPDATE SET at = excluded.at, said = excluded.said
        WHERE said <> excluded.said""",
        (time.time(), botdaemon.__version__),
    )
