"""Opening the database: the lock, the newest schema, space that is kept aside. Knows no table."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
from contextlib import closing, contextmanager, suppress
from importlib import resources
from typing import TYPE_CHECKING

from botdaemon.errors import StoreLocked, StoreUnusable
from botdaemon.store.connecting import connect
from botdaemon.store.migrating import migrate, sign, steps_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable
    from pathlib import Path

log = logging.getLogger(__name__)

#: bytes kept aside so that a start on a full disk can still create SQLite's shared memory file
BALLAST = 8 * 2**20
#: it is worth its time to give back to the disk so many bytes, and so much of the whole
_FREE_BYTES, _FREE_SHARE = 16 * 2**20, 0.25


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
        connection = connect(path)
    except sqlite3.OperationalError as error:
        if not _drop_ballast(path.parent):
            raise _unusable(path, error) from None
        try:
            connection = connect(path)
        except sqlite3.Error as again:
            raise _unusable(path, again) from None
    except sqlite3.DatabaseError as error:
        raise _unusable(path, error) from None
    try:
        migrate(connection, path, migrations or resources.files(__package__) / "migrations")
        if migrations is None:
            sign(connection)
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
            newest = steps_in(resources.files(__package__) / "migrations")[-1][0]
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
