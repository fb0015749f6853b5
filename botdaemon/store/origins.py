"""How answers came about, kept for whoever asks (/why). Runs inside a transaction; knows no model
and no bot."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdaemon.store.wishes import asked_for, message_at
from botdaemon.types import Origin, Usage

if TYPE_CHECKING:
    import sqlite3

    from botdaemon.types import Address, Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An answer, and how it came about."""

    bot: str
    #: None: nothing is known of it
    origin: Origin | None
    #: it answers the person who wants to know
    theirs: bool


def keep(db: sqlite3.Connection, turn: int, origin: Origin, now: float) -> None:
    """Note it, in the transaction in which the turn is answered."""
    db.execute(
        """INSERT INTO origins (turn, model, prompt_tokens, tokens, first_token, notes, question,
            meant, rewriter, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        (
            turn,
            origin.model,
            origin.usage.prompt_tokens,
            origin.usage.tokens,
            origin.usage.first_token,
            json.dumps(origin.notes, ensure_ascii=False),
            origin.question,
            origin.meant,
            origin.rewriter,
            now,
        ),
    )


def account(
    db: sqlite3.Connection, thread: int, address: Address, platform_id: str, who: Identity
) -> Account | None:
    """Of the answer that a platform shows under an id; where it shows none, of the newest in the
    thread. None when there is no answer."""
    named = message_at(db, address, platform_id) if platform_id else None
    row = db.execute(
        """SELECT m.id, m.bot, o.model, o.prompt_tokens, o.tokens, o.first_token, o.notes,
            o.question, o.meant, o.rewriter
        FROM messages m LEFT JOIN origins o ON o.turn = m.turn
        WHERE m.thread = ? AND m.id = coalesce(?, m.id) AND m.bot <> '' AND m.deleted_at IS NULL
        ORDER BY m.id DESC LIMIT 1""",
        (thread, named.id if named is not None and named.bot else None),
    ).fetchone()
    if row is None:
        return None
    origin = None
    if row[2] is not None:
        origin = Origin(
            model=row[2],
            usage=Usage(prompt_tokens=row[3], tokens=row[4], first_token=row[5]),
            notes=tuple(json.loads(row[6])),
            question=row[7],
            meant=row[8],
            rewriter=row[9],
        )
    return Account(bot=row[1], origin=origin, theirs=asked_for(db, row[0], who))


def taken_back(db: sqlite3.Connection, message: int) -> None:
    """Its author deleted a message: its words are not kept here either."""
    db.execute(
        """UPDATE origins SET question = '', meant = ''
        WHERE turn IN (SELECT turn FROM turn_messages WHERE message = ?)""",
        (message,),
    )
