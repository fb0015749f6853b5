"""Restoring a backup, for good or to see whether it is one. Knows no table but that every change of
a message gets a `seq` of its own.

SQLite's own check finds broken pages, not bytes that have changed inside of a text. So a message
whose `seq` is that of the backup before has to be the same as there.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from botdaemon.errors import Refused, StoreUnusable
from botdaemon.store import files
from botdaemon.store.backups import CONFIG, DATABASE, MANIFEST, Manifest, sha256_of
from botdaemon.store.connecting import findings
from botdaemon.store.database import locked

if TYPE_CHECKING:
    from collections.abc import Iterator


def read(backup: Path) -> Manifest:
    """What a backup says of itself. Raises `StoreUnusable` when it is none."""
    try:
        if backup.is_dir():
            text = (backup / MANIFEST).read_bytes()
        else:
            with tarfile.open(backup) as tar:
                text = _member(tar, MANIFEST)
        return _manifest(text)
    except (OSError, EOFError, tarfile.TarError, ValueError, TypeError, KeyError) as error:
        raise StoreUnusable(f"{backup} is no backup that can be read ({error})") from None


def verify(backup: Path, before: Path | None = None) -> list[str]:
    """Restore a backup into a folder beside it that is removed again, and say what is wrong with
    it: nothing, if it is good. `before`: an earlier one to compare it with. Raises `OSError`."""
    try:
        manifest = read(backup)
    except StoreUnusable as error:
        return [str(error)]
    with tempfile.TemporaryDirectory(dir=backup.parent, prefix=".", suffix=".partial") as folder:
        try:
            _unpack(backup, manifest, Path(folder), link=True)
        except (EOFError, tarfile.TarError, ValueError, KeyError) as error:
            return [f"it cannot be unpacked ({error})"]
        found = _look(Path(folder), manifest)
        if not found and before is not None and before.is_dir():
            found = _compare(Path(folder) / DATABASE, manifest.schema, before)
        return found


def restore(backup: Path, into: Path, *, force: bool, now: float) -> Path | None:
    """Make a data directory of a backup; returns where the one that was there is now, if any.

    It comes into its place when it is whole and found to be good. Raises `StoreLocked` while a
    daemon runs there, `Refused` when something is there and `force` is not given, `StoreUnusable`
    when the backup is not good, and `OSError`.
    """
    manifest = read(backup)
    into = into.absolute()
    with _not_in_use(into):
        there = into.is_dir() and any(path.name != "lock" for path in into.iterdir())
        if there and not force:
            raise Refused(
                f"{into} is not empty; name another directory with --into, or move what is there"
                " aside with --force"
            )
        with tempfile.TemporaryDirectory(
            dir=into.parent, prefix=f".{into.name}-", suffix=".partial"
        ) as folder:
            made = Path(folder) / "data"
            made.mkdir()
            try:
                _unpack(backup, manifest, made, link=False)
            except (EOFError, tarfile.TarError, ValueError, KeyError) as error:
                raise StoreUnusable(f"{backup} cannot be unpacked ({error})") from None
            if found := _look(made, manifest):
                raise StoreUnusable(
                    f"{backup} is damaged, and nothing was restored: {'; '.join(found)}"
                )
            os.sync()
            aside = None
            if there:
                stamp = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d-%H%M%S}"
                aside = into.with_name(f"{into.name}-before-{stamp}")
                into.rename(aside)
            elif into.is_dir():
                shutil.rmtree(into)  # there is only the lock in it
            made.rename(into)
            return aside


@contextmanager
def _not_in_use(into: Path) -> Iterator[None]:
    if into.is_dir():
        with locked(into):
            yield
    else:
        into.parent.mkdir(parents=True, exist_ok=True)
        yield


# --- out of the folder or the tar ------------------------------------------------------------


def _unpack(backup: Path, manifest: Manifest, into: Path, *, link: bool) -> None:
    """What the manifest names and nothing else, so that no tar can write elsewhere. What is missing
    is left to be found. With `link`, files are not copied where that can be helped."""
    wanted = [DATABASE, CONFIG, *(f"files/{one[:2]}/{one}" for one in manifest.files)]
    for sha256 in manifest.files:
        files.path_of(into, sha256)  # ValueError for what is no SHA-256
    if not backup.is_dir():
        names = set(wanted)
        with tarfile.open(backup) as tar:
            for entry in tar:
                content = tar.extractfile(entry) if entry.name in names else None
                if content is not None:
                    target = into / entry.name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with target.open("wb") as handle:
                        shutil.copyfileobj(content, handle)
        return
    for name in wanted:
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            if link and name != DATABASE:  # SQLite writes beside and into what it opens
                os.link(backup / name, target)
            else:
                shutil.copyfile(backup / name, target)
        except FileNotFoundError:
            continue


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    content = tar.extractfile(name)
    if content is None:
        raise ValueError(f"{name} in it is no file")
    return content.read()


def _manifest(text: bytes) -> Manifest:
    given = json.loads(text)
    return Manifest(
        at=float(given["at"]),
        botdaemon=str(given["botdaemon"]),
        schema=int(given["schema"]),
        database=str(given["database"]),
        config=str(given["config"]),
        rows={str(name): int(count) for name, count in given["rows"].items()},
        files={str(sha256): int(size) for sha256, size in given["files"].items()},
    )


# --- looking at it ---------------------------------------------------------------------------


def _look(directory: Path, manifest: Manifest) -> list[str]:
    """What is wrong with what was restored there."""
    path = directory / DATABASE
    if not path.exists():
        return ["the database is missing"]
    if sha256_of(path) != manifest.database:
        return ["the database is not what was backed up (its SHA-256 differs)"]
    found = _look_at_database(path, manifest)
    if manifest.config and sha256_of(directory / CONFIG) != manifest.config:
        found.append("the configuration is not what was backed up (its SHA-256 differs)")
    missing, changed = [], []
    for sha256 in manifest.files:
        try:
            if sha256_of(files.path_of(directory / "files", sha256)) != sha256:
                changed.append(sha256)
        except FileNotFoundError:
            missing.append(sha256)
    found += _some("is missing", missing) + _some("is damaged", changed)
    return found


def _look_at_database(path: Path, manifest: Manifest) -> list[str]:
    try:
        with closing(sqlite3.connect(path)) as db:
            found = findings(db)
            (schema,) = db.execute("PRAGMA user_version").fetchone()
            if schema != manifest.schema:
                found.append(f"its schema is {schema}, not {manifest.schema}")
            for name, count in manifest.rows.items():
                (rows,) = db.execute(f'SELECT count(*) FROM "{name}"').fetchone()
                if rows != count:
                    found.append(f"{name} has {rows:,} rows, not {count:,}")
    except sqlite3.Error as error:
        return [f"the database cannot be read ({error})"]
    return found


def _some(what: str, names: list[str]) -> list[str]:
    more = f" (and {len(names) - 1:,} more)" if len(names) > 1 else ""
    return [f"the file {names[0]} {what}{more}"] if names else []


def _compare(database: Path, schema: int, before: Path) -> list[str]:
    """Messages that are not what they were, although nobody has changed them since."""
    manifest = read(before)
    old = before / DATABASE
    # A migration may change messages, too, and the backup before may be what is damaged.
    if manifest.schema != schema or sha256_of(old) != manifest.database:
        return []
    with closing(sqlite3.connect(database.absolute().as_uri(), uri=True)) as db:
        db.execute("ATTACH ? AS old", (f"{old.absolute().as_uri()}?immutable=1",))
        ids = [
            id
            for (id,) in db.execute(
                """SELECT n.id FROM messages n JOIN old.messages o ON o.id = n.id AND o.seq = n.seq
                WHERE n.text IS NOT o.text OR n.identity IS NOT o.identity OR n.bot IS NOT o.bot
                    OR n.sent_at IS NOT o.sent_at ORDER BY n.id"""
            )
        ]
    if not ids:
        return []
    more = f" (and {len(ids) - 1:,} more)" if len(ids) > 1 else ""
    return [f"message {ids[0]}{more} differs from {before.name}, although nobody has changed it"]
