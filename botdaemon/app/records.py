"""Readable records of a daemon's data directory, beside the daemon or without it. Knows where the
doings lie, not how they are done."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from botdaemon.records.export import Exported
from botdaemon.records.export import export as write
from botdaemon.store import database, files, threads_export
from botdaemon.store import held as filtered

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from botdaemon.types import Held


def export(
    data: Path, out: Path, *, rooms: Sequence[str], threads: Sequence[int], since: float
) -> Exported:
    """Write threads of the daemon whose data directory is `data` into the new folder `out`: all, or
    those that are named; all that was said there, or since a time. Raises `StoreUnusable`,
    `Refused` and `OSError`."""
    with database.looking(data) as db:
        spoken = threads_export.spoken(db, rooms=rooms, threads=threads, since=since)
        return write(out, spoken, partial(files.path_of, data / "files"))


def held(data: Path, since: float) -> Iterator[Held]:
    """What filters held back or masked since a time, oldest first. Raises `StoreUnusable`."""
    with database.looking(data) as db:
        yield from filtered.held(db, since)
