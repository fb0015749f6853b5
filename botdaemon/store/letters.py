"""The outbox's rows: step 8 of the road. Runs inside a transaction; knows no adapter.

A letter is *sending* from before the network call until it is settled: one found in that state
later may or may not have arrived, so it is verified before it is sent again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from botdaemon.store.rows import LETTER, LETTERS, letter
from botdaemon.types import Address, Letter

if TYPE_CHECKING:
    import sqlite3

    from botdaemon.store.archive import Readers

#: why a letter is dead whose message was taken back
TAKEN_BACK = "taken back"


def open_places(db: sqlite3.Connection, adapter: str) -> list[Address]:
    """Addresses that letters wait for."""
    return [
        Address(*row)
        for row in db.execute(
            "SELECT DISTINCT adapter, channel, topic FROM letters"
            " WHERE adapter = ? AND state IN ('ready', 'sending') AND message IS NOT NULL",
            (adapter,),
        )
    ]


class Claim(NamedTuple):
    """A letter that was taken to be sent, or to be taken back."""

    letter: Letter
    #: an earlier attempt ended without an answer
    uncertain: bool
    #: it is to be taken from the platform
    taken_back: bool


def claim(
    db: sqlite3.Connection, address: Address, now: float, settles_after: float
) -> Claim | float | None:
    """Take the address's oldest letter: it is *sending* from now on.

    Returns it, or the time before which it may not be sent, or None when none waits. One without
    an answer to its last attempt is left alone for `settles_after` seconds: it may still be under
    way to the platform. A live draft whose answer is not there yet is not a letter to send.
    """
    row = db.execute(
        f"""SELECT {LETTER}, l.state, l.taken_back,
        max(l.not_before, CASE WHEN l.state = 'sending' AND l.remote = '' THEN l.tried_at + ?
            ELSE 0 END) FROM {LETTERS}
        WHERE l.adapter = ? AND l.channel = ? AND l.topic = ?
        AND l.state IN ('ready', 'sending') AND l.message IS NOT NULL
        ORDER BY l.message, l.number LIMIT 1""",
        (settles_after, address.adapter, address.channel, address.topic),
    ).fetchone()
    if row is None:
        return None
    *columns, state, taken_back, not_before = row
    if not_before > now:
        return float(not_before)
    db.execute(
        "UPDATE letters SET state = 'sending', attempts = attempts + 1, tried_at = ? WHERE id = ?",
        (now, row[0]),
    )
    return Claim(letter(columns), state == "sending", bool(taken_back))


def open_draft(
    db: sqlite3.Connection, turn_id: int, address: Address, speaker: str, reply_to: str, now: float
) -> tuple[Letter, bool]:
    """The letter that a live draft is shown in, *sending* from now on.

    Returns it and whether an earlier attempt ended without an answer.
    """
    place = (turn_id, address.adapter, address.channel, address.topic)
    fresh = db.execute(
        """INSERT INTO letters (turn, adapter, channel, topic, speaker, reply_to, state,
        attempts, tried_at, created_at) VALUES (?, ?, ?, ?, ?, ?, 'sending', 1, ?, ?)
        ON CONFLICT DO NOTHING""",
        (*place, speaker, reply_to, now, now),
    ).rowcount
    row = db.execute(
        f"""SELECT {LETTER}, l.state FROM {LETTERS}
        WHERE l.turn = ? AND l.adapter = ? AND l.channel = ? AND l.topic = ? AND l.number = 0""",
        place,
    ).fetchone()
    *columns, state = row
    return letter(columns), not fresh and state == "sending"


def draft_sent(db: sqlite3.Connection, letter_id: int, remote: str) -> None:
    """A live draft is shown under `remote`. When its answer came meanwhile, it is to be edited."""
    db.execute(
        "UPDATE letters SET remote = ?, state = CASE WHEN message IS NULL THEN 'sent'"
        " ELSE 'ready' END WHERE id = ?",
        (remote, letter_id),
    )


def placed(db: sqlite3.Connection, letter_id: int, remote: str) -> None:
    """An empty message stands on the platform under `remote`, for the letter to be edited into."""
    db.execute("UPDATE letters SET remote = ? WHERE id = ?", (remote, letter_id))


def drafted(db: sqlite3.Connection, turn_id: int) -> list[Address]:
    """Where a live draft of a turn is shown, or may be."""
    return [
        Address(*row)
        for row in db.execute(
            "SELECT adapter, channel, topic FROM letters WHERE turn = ? AND message IS NULL",
            (turn_id,),
        )
    ]


class Backlog(NamedTuple):
    """The letters of an adapter that wait."""

    adapter: str
    letters: int
    #: seconds since the oldest of them should have left
    age: float


async def backlog(readers: Readers, now: float) -> list[Backlog]:
    """What waits, by adapter. A letter that is meant for later, as a further message of an answer,
    has waited for no time before that."""
    rows = await readers.all(
        """SELECT adapter, count(*), min(CASE WHEN attempts = 0 THEN max(created_at, not_before)
            ELSE created_at END) FROM letters
        WHERE state IN ('ready', 'sending') AND message IS NOT NULL GROUP BY adapter"""
    )
    return [Backlog(adapter, count, max(0.0, now - since)) for adapter, count, since in rows]


def settle(db: sqlite3.Connection, letter_id: int, remote: str) -> None:
    """It arrived. When its message was taken back meanwhile, it is to be taken away again."""
    db.execute(
        """UPDATE letters SET remote = ?, state = CASE WHEN taken_back THEN 'ready' ELSE 'sent' END,
            error = CASE WHEN taken_back THEN error ELSE '' END WHERE id = ?""",
        (remote, letter_id),
    )


def removed(db: sqlite3.Connection, letter_id: int, error: str) -> None:
    """It is not on the platform any more, or can never be taken away (`error`)."""
    db.execute(
        "UPDATE letters SET state = 'dead', taken_back = 0, error = ? WHERE id = ?",
        (error or TAKEN_BACK, letter_id),
    )


def postpone(
    db: sqlite3.Connection, letter_id: int, not_before: float, error: str, *, sent: bool
) -> None:
    """It is to be tried again; `sent` says whether it may have arrived all the same."""
    db.execute(
        "UPDATE letters SET state = ?, not_before = ?, error = ? WHERE id = ?",
        ("sending" if sent else "ready", not_before, error, letter_id),
    )


def bury(db: sqlite3.Connection, letter_id: int, error: str) -> None:
    """It can never be sent; it is kept with the reason. What a live draft has left of it on the
    platform is taken away all the same when its message was taken back meanwhile."""
    db.execute(
        "UPDATE letters SET error = ?,"
        " state = CASE WHEN taken_back AND remote <> '' THEN 'ready' ELSE 'dead' END WHERE id = ?",
        (error, letter_id),
    )
