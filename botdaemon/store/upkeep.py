"""What was done when to look after the data, and looking for damage. Knows no chore."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdaemon.store.connecting import findings, quoted

if TYPE_CHECKING:
    from pathlib import Path

ALL = "SELECT chore, at, took, good, said FROM upkeep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The last time of a chore."""

    #: seconds since the epoch, and how many it took
    at: float
    took: float
    good: bool
    #: how it went, in a sentence
    said: str


def note(db: sqlite3.Connection, chore: str, done: Done) -> None:
    """It was done, for the last time so far."""
    db.execute(
        "INSERT OR REPLACE INTO upkeep (chore, at, took, good, said) VALUES (?, ?, ?, ?, ?)",
        (chore, done.at, done.took, done.good, done.said),
    )


async def check(path: Path) -> list[str]:
    """What is wrong with a database, over a connection and a thread of its own, which end at once
    when the caller is cancelled."""
    uri = f"file:{quoted(path)}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, check_same_thread=False)) as db:
        looking = asyncio.ensure_future(asyncio.to_thread(_findings, db))
        try:
            return await asyncio.shield(looking)
        except asyncio.CancelledError:
            db.interrupt()
            await asyncio.wait([looking])
            raise


def _findings(db: sqlite3.Connection) -> list[str]:
    try:
        return findings(db)
    except sqlite3.Error as error:
        return [f"it cannot be read ({error})"]
