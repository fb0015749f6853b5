"""Looking after a daemon's data: backups, restoring them, what is too old, what there is about a
person. Knows where the doings lie, not how they are done."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from botdaemon.errors import StoreError
from botdaemon.records.person import Exported
from botdaemon.records.person import write as write_person
from botdaemon.store import backups, database, files, forgetting, personal, restoring
from botdaemon.upkeep import CHECK, Chore, Upkeep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from botdaemon.config import Config, RetentionConfig
    from botdaemon.store import Store
    from botdaemon.store.backups import Manifest

DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BackedUp:
    """A backup that was made."""

    path: Path
    #: None when it is not good; then its name ends in ".failed", and `found` says why
    holds: Manifest | None
    found: tuple[str, ...] = ()
    #: older ones that were deleted
    gone: tuple[Path, ...] = ()


def back_up(config: Config, to: Path | None) -> BackedUp:
    """Back up the daemon of a configuration, whether it runs or not: to `to`, or to the folder of
    `[backup]`, in which old ones are deleted. It is restored to see whether it is good. Raises
    `StoreError` and `Refused`."""
    target = to or config.backup.directory
    if target is None:
        raise StoreError("there is no folder for backups; give --to, or set backup.directory")
    with backups.alone(backups.folder_of(target)) as directory:
        before = backups.newest(directory)
        made = backups.make(config.daemon.data_dir, target, config=config.path, now=time.time())
        try:
            found = restoring.verify(made, before)
        except OSError as error:
            raise StoreError(f"{made} could not be tried out: {error.strerror}") from None
        if found:
            return BackedUp(path=made, holds=None, found=tuple(found))
        good = backups.accept(made)
        gone = () if to else backups.rotate(directory, config.backup.keep)
        return BackedUp(path=good, holds=restoring.read(good), gone=gone)


async def back_up_apart(config: Config) -> str:
    """The same in a process of its own, so that nobody waits for it; says how it went. Raises
    `StoreError`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "botdaemon", "backup", "--config", str(config.path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        os.setpriority(os.PRIO_PROCESS, process.pid, 10)
        said, trouble = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        last = trouble.decode(errors="replace").strip().rpartition("\n")[2]
        raise StoreError(last.removeprefix("botdaemon: ") or f"it ended with {process.returncode}")
    return said.decode(errors="replace").strip().partition("\n")[0]


def restore(backup: Path, into: Path, *, force: bool) -> Path | None:
    """Make a data directory of a backup; see `restoring.restore`. Raises `StoreError`, `Refused`
    and `OSError`."""
    return restoring.restore(backup, into, force=force, now=time.time())


def export_person(data: Path, who: str, out: Path) -> Exported:
    """Write everything that there is about a person into the new zip file `out`. Raises
    `StoreUnusable`, `Refused` and `OSError`."""
    with database.looking(data) as db:
        person = forgetting.find(db, who)
        return write_person(
            out,
            f"{', '.join(person.names)} ({', '.join(person.accounts)})",
            personal.tables(db, person.id),
            personal.files_of(db, person.id),
            partial(files.path_of, data / "files"),
        )


def backups_of(config: Config) -> list[Path]:
    """The backups in the folder of the configuration, the oldest first."""
    directory = config.backup.directory
    return [] if directory is None else backups.listed(directory)


# --- chores ----------------------------------------------------------------------------------


def make_upkeep(
    config: Config, store: Store, *, idle: Callable[[], bool], ready: dict[str, bool | str]
) -> Upkeep:
    """What keeps the data of a running daemon in order."""
    return Upkeep(store, list(_chores(config, store)), idle=idle, ready=ready, clock=time.time)


def _chores(config: Config, store: Store) -> Iterator[Chore]:
    # The backup comes before what deletes something.
    if config.backup.directory is not None:
        every = 3600 * config.backup.every_hours
        yield Chore(name="backup", every=every, do=partial(back_up_apart, config))
    yield Chore(name=CHECK, every=DAY, do=partial(_check, store))
    yield Chore(name="retention", every=DAY, do=partial(thin_out, config, store))
    yield Chore(name="files", every=DAY, do=partial(_sweep, store))
    yield Chore(name="optimize", every=DAY, do=partial(_optimize, store))


async def _check(store: Store) -> str:
    if found := await store.check():
        raise StoreError(
            f"the database is damaged ({'; '.join(found)}): stop, and restore the last backup"
        )
    return "the database is whole"


async def thin_out(config: Config, store: Store, clock: Callable[[], float] = time.time) -> str:
    """Delete what is too old, or too much, by the configuration; says what went."""
    rooms = {name.casefold(): table.retention for name, table in config.rooms.items()}
    gone = 0
    for room in ("", *(room.name for room in await store.rooms())):
        kept: RetentionConfig = rooms.get(room.casefold()) or config.retention
        if kept.days is None and kept.megabytes is None:
            continue
        gone += await store.thin_out(
            room,
            before=0.0 if kept.days is None else clock() - DAY * kept.days,
            most=None if kept.megabytes is None else int(1_000_000 * kept.megabytes),
        )
    return f"{gone:,} messages went"


async def _sweep(store: Store) -> str:
    return f"{await store.sweep(before=time.time() - DAY):,} files went that nothing had any more"


async def _optimize(store: Store) -> str:
    await store.optimize()
    return "done"
