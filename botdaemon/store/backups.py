"""Backups: the database, the files beside it and the configuration, as a folder or one tar file,
with a manifest of checksums. Knows no table but `files`; `restoring` says whether one is good.

    backup-2026-12-01-031500/
        manifest.json   what is in it, as `Manifest`
        botdaemon.db    the database as it stood at one moment
        files/          under their SHA-256, as in the data directory
        config.toml     which names secrets and never holds any

A file that the backup before has is linked to rather than copied, never to the one in use: a hard
link to that would be damaged along with it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import sqlite3
import tarfile
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING

import botdaemon
from botdaemon.errors import Refused, StoreError, StoreLocked, StoreUnusable
from botdaemon.store import files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

DATABASE = "botdaemon.db"
MANIFEST = "manifest.json"
CONFIG = "config.toml"
FAILED = ".failed"
"""What a backup that is not good ends in."""

_NAME = re.compile(r"backup-\d{4}-\d\d-\d\d-\d{6}")
_PARTIAL = ".partial"
_TAR = (".tar", ".tar.gz")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What is in a backup."""

    #: seconds since the epoch
    at: float
    #: the program that made it, and the schema of the database
    botdaemon: str
    schema: int
    #: SHA-256 of the database, and of the configuration ("" for none)
    database: str
    config: str
    #: of each table how many rows it has
    rows: Mapping[str, int]
    #: of each file, by SHA-256, its bytes
    files: Mapping[str, int] = field(default_factory=dict)


def copy_database(source: Path, target: Path) -> None:
    """The database at one moment, durably, while others write it. In one step: with several, SQLite
    begins anew at each write of another process. Raises `sqlite3.Error` and `OSError`."""
    with (
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as live,
        closing(sqlite3.connect(target)) as copy,
    ):
        live.backup(copy)
    with target.open("rb") as handle:
        os.fsync(handle.fileno())


def make(data: Path, to: Path, *, config: Path | None, now: float) -> Path:
    """Back up a data directory, beside its daemon or without one; returns the backup.

    `to` ends in .tar or .tar.gz, or is a folder in which a new one is made. What comes out is not
    looked at yet, and has `FAILED` in its name until `accept`. Raises `StoreUnusable`,
    `StoreError`, and `Refused` where there is such a file already.
    """
    source = data / DATABASE
    if not source.is_file():
        raise StoreUnusable(f"{data} holds no {DATABASE}; name a daemon's data directory")
    as_tar = to.name.endswith(_TAR)
    directory = folder_of(to)
    name = to.name if as_tar else _unused(directory, now)
    made = directory / f"{name}{FAILED}"
    if (directory / name).exists():
        raise Refused(f"{directory / name} is there already; give another name")
    work = directory / f".{name}{_PARTIAL}"
    _remove(work)  # of one that was killed
    work.mkdir(parents=True)
    try:
        manifest = _gather(source, work, config, now)
        if as_tar:
            packed = directory / f".{name}.tar{_PARTIAL}"
            _pack(work, data / "files", manifest, packed, "w:gz" if name.endswith("gz") else "w")
            shutil.rmtree(work)
            packed.rename(made)
        else:
            _collect(data / "files", work / "files", manifest, newest(directory))
            _remove(made)
            work.rename(made)
        _sync(directory)
    except sqlite3.Error as error:
        raise StoreUnusable(f"{source} cannot be read ({error})") from None
    except OSError as error:
        raise StoreError(
            f"the backup could not be written: {error.filename or directory}: {error.strerror}"
        ) from None
    return made


def _unused(directory: Path, now: float) -> str:
    """The name of a folder: the time in UTC, and a number for the second one of a second."""
    name = f"backup-{datetime.fromtimestamp(now, UTC):%Y-%m-%d-%H%M%S}"
    names = (name, *(f"{name}-{number}" for number in range(2, 100)))
    return next(one for one in names if not (directory / one).exists())


def accept(made: Path) -> Path:
    """Give a backup that is good its name; returns it there."""
    good = made.with_name(made.name.removesuffix(FAILED))
    made.rename(good)
    _sync(good.parent)
    return good


def folder_of(to: Path) -> Path:
    """The folder that a backup to `to` comes to lie in."""
    return to.parent if to.name.endswith(_TAR) else to


@contextmanager
def alone(directory: Path) -> Iterator[Path]:
    """Nobody else makes or removes backups there; what a killed one left is removed. Raises
    `StoreLocked`, and `StoreError` when the folder cannot be written."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise StoreError(f"{directory} cannot be written: {error.strerror}") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreLocked(f"another backup is being made in {directory}; wait for it") from None
        for left in directory.glob(f".*{_PARTIAL}"):
            _remove(left)
        yield directory
    finally:
        os.close(handle)


def listed(directory: Path) -> list[Path]:
    """The good backups in a folder that were named by their time, the oldest first."""
    with suppress(FileNotFoundError):
        return sorted(path for path in directory.iterdir() if _NAME.fullmatch(path.name))
    return []


def newest(directory: Path) -> Path | None:
    """The last good one of them."""
    return next(reversed(listed(directory)), None)


def rotate(directory: Path, keep: int) -> tuple[Path, ...]:
    """Delete all but the newest good ones, of which one stays always, and all but the newest that
    failed; returns what is gone."""
    failed = sorted(
        path
        for path in directory.glob(f"backup-*{FAILED}")
        if _NAME.fullmatch(path.name.removesuffix(FAILED))
    )
    gone = (*listed(directory)[: -max(1, keep)], *failed[:-1])
    for path in gone:
        # Renamed first: killed halfway, what is left must not pass for a backup.
        left = path.with_name(f".{path.name}{_PARTIAL}")
        path.rename(left)
        _remove(left)
    return gone


def sha256_of(path: Path) -> str:
    """Of a file's content. Raises `OSError`."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


# --- parts -----------------------------------------------------------------------------------


def _still(database: Path) -> sqlite3.Connection:
    """Opens a database that nobody writes."""
    return sqlite3.connect(f"{database.absolute().as_uri()}?immutable=1", uri=True)


def _gather(source: Path, work: Path, config: Path | None, now: float) -> Manifest:
    """Everything but the files, and what the manifest says of all."""
    copy_database(source, work / DATABASE)
    with closing(_still(work / DATABASE)) as db:
        tables = db.execute(
            "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table'"
            " AND name NOT LIKE 'sqlite_%' ORDER BY name"
        ).fetchall()
        counts = {
            name: int(db.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0])
            for (name,) in tables
        }
        (schema,) = db.execute("PRAGMA user_version").fetchone()
        named = dict(db.execute("SELECT sha256, size FROM files ORDER BY sha256"))
    if config is not None:
        shutil.copyfile(config, work / CONFIG)
    manifest = Manifest(
        at=now,
        botdaemon=botdaemon.__version__,
        schema=schema,
        database=sha256_of(work / DATABASE),
        config=sha256_of(work / CONFIG) if config is not None else "",
        rows=counts,
        files=named,
    )
    _write(work / MANIFEST, json.dumps(asdict(manifest), indent=1).encode())
    return manifest


def _collect(live: Path, kept: Path, manifest: Manifest, before: Path | None) -> None:
    """Every file into the folder. One that is not there is left to be found missing."""
    for sha256 in manifest.files:
        target = files.path_of(kept, sha256)
        target.parent.mkdir(parents=True, exist_ok=True)
        if before is not None:
            with suppress(OSError):  # it is not there, or links are not possible
                old = files.path_of(before / "files", sha256)
                if sha256_of(old) == sha256:
                    os.link(old, target)
                    continue
        with suppress(FileNotFoundError):
            _write(target, files.path_of(live, sha256).read_bytes())


def _pack(work: Path, live: Path, manifest: Manifest, packed: Path, mode: str) -> None:
    """The same as one tar file; of the files without a copy on the way."""
    with packed.open("wb") as handle:
        with tarfile.open(fileobj=handle, mode=mode) as tar:  # type: ignore[call-overload]
            for name in (MANIFEST, DATABASE, CONFIG):
                if (work / name).exists():
                    tar.add(work / name, name)
            for sha256 in manifest.files:
                with suppress(FileNotFoundError):
                    content = files.path_of(live, sha256).read_bytes()
                    entry = tarfile.TarInfo(f"files/{sha256[:2]}/{sha256}")
                    entry.size = len(content)
                    tar.addfile(entry, BytesIO(content))
        handle.flush()
        os.fsync(handle.fileno())


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
