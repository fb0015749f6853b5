"""What is said in recordings, once for each. Runs inside a transaction; knows no model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdaemon.types import Transcript

if TYPE_CHECKING:
    import sqlite3


def of(db: sqlite3.Connection, sha256: str) -> Transcript | None:
    """None while nobody has listened to it."""
    row = db.execute("SELECT text, problem FROM transcripts WHERE file = ?", (sha256,)).fetchone()
    return None if row is None else Transcript(*row)


def keep(
    db: sqlite3.Connection, sha256: str, transcript: Transcript, model: str, now: float
) -> bool:
    """Keep it, unless there is one already, or the recording has gone meanwhile; whether it was
    kept."""
    return bool(
        db.execute(
            """INSERT INTO transcripts (file, text, problem, model, heard_at)
            SELECT sha256, ?, ?, ?, ? FROM files WHERE sha256 = ? ON CONFLICT DO NOTHING""",
            (transcript.text, transcript.problem, model, now, sha256),
        ).rowcount
    )
