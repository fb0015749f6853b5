"""Opening the database: the lock, the pragmas, the migrations. Knows no table but the line that says
which botdaemon opened it."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import shutil
import sqlite3
import time
from contextlib import closing, contextmanager, suppress
from importlib import resources
from typing import TYPE_CHECKING

import botdaemon
from botdaemon.errors import StoreLocked, StoreUnusable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable
    from pathlib import Path

log = logging.getLogger(__name__)

#: bytes kept aside so that a start on a full disk can still create SQLite's shared memory file
BALLAST = 8 * 2**20
#: databases of before a migration that are kept
KEPT = 2
#: it is worth its time to give back to the disk so many bytes, and so much of the whole
_FREE_BYTES, _FREE_SHARE = 16 * 2**20, 0.25

_ASIDE = re.compile(r"botdaemon-schema-(\d+)\.db")


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the data directory for this process alone.

    Raises `StoreLocked` when another process has it, `StoreUnusable` when it cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle = (directory / "lock").open("a+")
    except OSError as error:
        raise StoreUnusable(
            f"the data directory {directory} cannot be written ({error.strerror}); "
            "give it to the user that runs botdaemon, or set daemon.data_dir"
        ) from None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            owner = handle.read(20).strip() or "unknown"
            raise StoreLocked(
                f"another botdaemon (process {owner}) is using {directory}; "
                "stop it, or give this one another daemon.data_dir"
            ) from None
        with suppress(OSError):  # a full disk: the lock holds all the same
            handle.truncate(0)
            handle.write(f"{os.getpid()}\n")
            handle.flush()
        yield


def holder(directory: Path) -> int | None:
    """The process that holds the data directory, or None when nobody does."""
    try:
        handle = (directory / "lock").open()
    except OSError:
        return None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = handle.read(20).strip()
            return int(text) if text.isdigit() else 0
    return None


def open_database(path: Path, migrations: Traversable | None = None) -> sqlite3.Connection:
    """Open the database for writing and bring it to the newest schema.

    Raises `StoreUnusable`, without having changed anything, when the file is no database, cannot
    be written, or was written by a newer program.
    """
    try:
        connection = _connect(path)
    except sqlite3.OperationalError as error:
        if not _drop_ballast(path.parent):
            raise _unusable(path, error) from None
        try:
            connection = _connect(path)
        except sqlite3.Error as again:
            raise _unusable(path, again) from None
    except sqlite3.DatabaseError as error:
        raise _unusable(path, error) from None
    try:
        _migrate(connection, path, migrations or resources.files(__package__) / "migrations")
        if migrations is None:
            _sign(connection)
    except sqlite3.Error as error:
        connection.close()
        raise _unusable(path, error) from None
    except BaseException:
        connection.close()
        raise
    _give_back(connection, path)
    _keep_ballast(path.parent)
    return connection


@contextmanager
def looking(directory: Path) -> Iterator[sqlite3.Connection]:
    """A connection that only reads the database of a data directory, beside a daemon or without
    one. Raises `StoreUnusable`."""
    path = directory / "botdaemon.db"
    if not path.is_file():
        raise StoreUnusable(f"{directory} holds no botdaemon.db; name a daemon's data directory")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            newest = _steps(resources.files(__package__) / "migrations")[-1][0]
            if version != newest:
                raise StoreUnusable(
                    f"{path} has another schema ({version}) than this botdaemon ({newest}); start"
                    " the daemon of this version once"
                )
            yield db
    except sqlite3.Error as error:
        raise StoreUnusable(f"{path} cannot be read ({error})") from None


def clean(path: Path) -> None:
    """Let what was overwritten leave the write-ahead log, too, as far as no reader needs it."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def backups(directory: Path) -> tuple[Path, ...]:
    """Databases that were put aside before a migration, the oldest schema first."""
    return tuple(
        sorted(
            (one for one in directory.iterdir() if _ASIDE.fullmatch(one.name)), key=_schema_of
        )
    )


def findings(connection: sqlite3.Connection) -> list[str]:
    """What is wrong with a database, as far as SQLite can tell; it may take long. Raises
    `sqlite3.Error` when it cannot even be read."""
    found = [text for (text,) in connection.execute("PRAGMA integrity_check(5)") if text != "ok"]
    broken = connection.execute("PRAGMA foreign_key_check").fetchmany(5)
    return found + [f"a row of {table} refers to nothing in {to}" for table, _, to, _ in broken]


def _connect(path: Path) -> sqlite3.Connection:
    # check_same_thread: opened here, then owned by the writer's thread alone.
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, timeout=5.0, cached_statements=256
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


def _unusable(path: Path, error: sqlite3.Error) -> StoreUnusable:
    name = str(getattr(error, "sqlite_errorname", ""))
    if name.startswith("SQLITE_NOTADB"):
        return StoreUnusable(
            f"{path} is not an SQLite database, or its beginning is damaged; it was left as it is: "
            "put a backup in its place, or move it away to begin with an empty one"
        )
    if name.startswith("SQLITE_CORRUPT"):
        return StoreUnusable(
            f"{path} is damaged ({error}); it was left as it is: put a backup in its place"
        )
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")):
        return StoreUnusable(
            f"{path} cannot be opened for writing ({error}); check the permissions of the file and "
            "its directory, and that the file system is not mounted read-only"
        )
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
        return StoreUnusable(f"there is no space to open {path} ({error}); make room on its disk")
    return StoreUnusable(f"{path} cannot be opened ({error})")


def _give_back(connection: sqlite3.Connection, path: Path) -> None:
    """Give free pages back to the disk when they are many. Only at the start: it rewrites the
    database, while nobody could write. A few are used again by SQLite itself."""
    free, pages, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("freelist_count", "page_count", "page_size")
    )
    if free * size < _FREE_BYTES or free < _FREE_SHARE * pages:
        return
    try:
        connection.execute("VACUUM")
    except sqlite3.Error as error:  # it takes as much space again
        log.warning("%s was not made smaller: %s", path, error, extra={"event": "vacuum_failed"})
    else:
        log.info("%s is smaller", path, extra={"event": "vacuumed", "freed": free * size})


# --- migrations ------------------------------------------------------------------------------


def _migrate(connection: sqlite3.Connection, path: Path, directory: Traversable) -> None:
    steps = _steps(directory)
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
        with closing(_connect(copy)) as trial:
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


def _sign(connection: sqlite3.Connection) -> None:
    """Note which botdaemon opened it, for one that is too old for it."""
    connection.execute(
        """INSERT INTO upkeep (chore, at, took, good, said) VALUES ('opened', ?, 0, 1, ?)
        ON CONFLICT DO UPDATE SET at = excluded.at, said = excluded.said
        WHERE said <> excluded.said""",
        (time.time(), botdaemon.__version__),
    )


def _schema_of(backup: Path) -> int:
    return int(backup.stem.rpartition("-")[2])


def _steps(directory: Traversable) -> list[tuple[int, Traversable]]:
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


# --- ballast ---------------------------------------------------------------------------------


def _drop_ballast(directory: Path) -> bool:
    try:
        (directory / "ballast").unlink()
    except OSError:
        return False
    log.warning("the disk is full: ballast dropped", extra={"event": "ballast_dropped"})
    return True


def _keep_ballast(directory: Path) -> None:
    ballast = directory / "ballast"
    if ballast.exists():
        return
    try:
        with ballast.open("wb") as handle:
            os.posix_fallocate(handle.fileno(), 0, BALLAST)
    except OSError:
        # As full as this, the disk needs the space more than the ballast does.
        ballast.unlink(missing_ok=True)
