"""Turns from claim to answer: steps 4 and 7 of the road. Runs inside a transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from botdaemon.store import origins, relations, rooms, wishes
from botdaemon.store.intake import insert_letter, insert_message, insert_turn
from botdaemon.store.rows import MESSAGE, MESSAGES, message, one
from botdaemon.types import (
    Address,
    Call,
    Cue,
    Identity,
    Letter,
    Message,
    Obligation,
    Origin,
    Turn,
    Why,
    Wish,
)

if TYPE_CHECKING:
    import sqlite3

NextSeq = Callable[[], int]


def claim(db: sqlite3.Connection, turn_id: int, history: int) -> Turn | None:
    """Begin a waiting turn: from here on no further message joins it.

    The history is the newest `history` messages of the thread, then those that the turn answers;
    what belongs to another open turn is left to that one. None when the turn has ended or all
    that it was to answer has been taken back (then it is closed). One that is begun again could
    not be ended before: the disk was full.
    """
    row = db.execute(
        """SELECT t.thread, t.bot, t.why, t.direct, h.title, r.name,
        i.adapter, i.account, i.name, i.is_bot, i.person,
        t.wish, t.wish_text, t.about, t.adapter, t.channel, t.topic, s.say, s.prompt
        FROM turns t JOIN threads h ON h.id = t.thread LEFT JOIN rooms r ON r.id = h.room
        LEFT JOIN identities i ON i.id = t.asked_by LEFT JOIN schedules s ON s.id = t.schedule
        WHERE t.id = ? AND t.state IN ('waiting', 'running')""",
        (turn_id,),
    ).fetchone()
    if row is None:
        return None
    thread_id = row[0]
    fresh = [
        message(found)
        for found in db.execute(
            f"""SELECT {MESSAGE} FROM {MESSAGES} JOIN turn_messages x ON x.message = m.id
            WHERE x.turn = ? AND m.deleted_at IS NULL ORDER BY m.id""",
            (turn_id,),
        )
    ]
    place = Address(*row[14:17]) if row[14] is not None else None
    if not fresh and place is None:
        db.execute("UPDATE turns SET state = 'silent' WHERE id = ?", (turn_id,))
        return None
    db.execute("UPDATE turns SET state = 'running' WHERE id = ?", (turn_id,))
    earlier = [
        message(found)
        for found in db.execute(
            f"""SELECT {MESSAGE} FROM {MESSAGES}
            WHERE m.thread = ? AND m.kind = 'said' AND m.deleted_at IS NULL
            AND m.id NOT IN (
                SELECT x.message FROM turns t JOIN turn_messages x ON x.turn = t.id
                WHERE t.thread = ? AND (t.state = 'waiting' OR t.state = 'running'))
            ORDER BY m.id DESC LIMIT ?""",
            (thread_id, thread_id, history),
        )
    ]
    return Turn(
        id=turn_id,
        thread=thread_id,
        bot=row[1],
        why=Why(row[2]),
        direct=bool(row[3]),
        title=row[4],
        room=row[5] or "",
        asked_by=None
        if row[6] is None
        else Identity(
            adapter=row[6], account=row[7], name=row[8], is_bot=bool(row[9]), person=row[10]
        ),
        history=(*reversed(earlier), *fresh),
        fresh=len(fresh),
        wish=Wish(what=row[11], text=row[12], message=row[13] or 0) if row[11] else None,
        about=_about(db, row[13], fresh),
        defaults=wishes.defaults_at(db, place or fresh[0].address),
        cue=None if row[17] is None else Cue(say=row[17], prompt=row[18]),
    )


def _about(db: sqlite3.Connection, wished: int | None, fresh: Sequence[Message]) -> Message | None:
    """The message that a wish is about, or else the one that the newest message replies to."""
    if wished is not None:
        return wishes.kept(db, wished)
    if not fresh or not fresh[-1].reply_to:
        return None
    return wishes.message_at(db, fresh[-1].address, fresh[-1].reply_to)


def say(
    db: sqlite3.Connection,
    said: Message,
    letters: Sequence[Letter],
    next_seq: NextSeq,
    *,
    close: str = "",
    error: str = "",
    origin: Origin | None = None,
) -> int:
    """What a bot or the daemon says joins its thread, and its letters enter the outbox.

    With `close` the message's turn ends in that state, all in the one transaction: an answer
    without its letters, or twice, cannot be. A turn that has already ended says nothing (0).
    """
    if close and not end(db, said.turn, close, error):
        return 0
    if close == "answered":
        relations.exchanged(db, said.turn, said.sent_at)
    message_id = insert_message(db, said, said.thread, None, next_seq())
    for letter in letters:
        insert_letter(db, letter, said.turn if close else None, message_id, said.sent_at)
    if origin is not None:
        origins.keep(db, said.turn, origin, said.sent_at)
    return message_id


def end(db: sqlite3.Connection, turn_id: int, state: str, error: str = "") -> bool:
    """Close an open turn; False when it is closed already."""
    return bool(
        db.execute(
            "UPDATE turns SET state = ?, error = ? WHERE id = ?"
            " AND state IN ('waiting', 'running')",
            (state, error, turn_id),
        ).rowcount
    )


def seal(db: sqlite3.Connection, turn_ids: Collection[int]) -> None:
    """From here on no further message joins these turns, begun or not."""
    db.executemany(
        "UPDATE turns SET state = 'running' WHERE id = ? AND state = 'waiting'",
        [(turn_id,) for turn_id in turn_ids],
    )


def shown_at(db: sqlite3.Connection, address: Address, platform_id: str) -> int:
    """The turn whose live draft or answer a platform shows under an id; 0 for none."""
    return (
        one(
            db,
            "SELECT turn FROM letters WHERE adapter = ? AND channel = ? AND remote = ?"
            " AND remote <> '' AND turn IS NOT NULL",
            (address.adapter, address.channel, platform_id),
        )
        or 0
    )


def died(db: sqlite3.Connection, turn_id: int) -> int:
    """Count a model process that died under the turn; returns how many have."""
    (deaths,) = db.execute(
        "UPDATE turns SET deaths = deaths + 1 WHERE id = ? RETURNING deaths", (turn_id,)
    ).fetchone()
    return int(deaths)


def recover(db: sqlite3.Connection) -> list[Obligation]:
    """After a start: turns that were under way wait again. Nobody saw their answers.

    Returns every open turn, oldest first.
    """
    db.execute("UPDATE turns SET state = 'waiting' WHERE state = 'running'")
    waiting = db.execute("SELECT id FROM turns WHERE state = 'waiting' ORDER BY id").fetchall()
    return [_obligation(db, turn_id) for (turn_id,) in waiting]


def _obligation(db: sqlite3.Connection, turn_id: int) -> Obligation:
    row = db.execute(
        """SELECT t.thread, t.bot, t.asked_by, t.created_at,
        coalesce(t.adapter, m.adapter), coalesce(t.channel, m.channel), coalesce(t.topic, m.topic),
        coalesce(t.reply_to, m.platform_id)
        FROM turns t LEFT JOIN turn_messages x ON x.turn = t.id
        LEFT JOIN messages m ON m.id = x.message
        WHERE t.id = ? ORDER BY m.id LIMIT 1""",
        (turn_id,),
    ).fetchone()
    return Obligation(
        turn=turn_id,
        thread=row[0],
        bot=row[1],
        asked_by=row[2] or 0,
        created_at=row[3],
        addresses=rooms.addresses_of(db, row[0]),
        reply_to=(Address(*row[4:7]), row[7]),
    )


def again(
    db: sqlite3.Connection, thread_id: int, answer: int | None, next_seq: NextSeq, now: float
) -> Obligation | None:
    """Take back an answer (by default the thread's last) and oblige its bot to give another, to
    grant the same wish, or to write first again. The daemon's apology in place of an answer is one,
    too.

    None when there is no such answer.
    """
    row = db.execute(
        """SELECT m.id, m.turn, t.bot, t.asked_by, t.direct FROM messages m
        JOIN turns t ON t.id = m.turn
        WHERE m.thread = ? AND m.deleted_at IS NULL AND m.id = coalesce(?, m.id)
        ORDER BY m.id DESC LIMIT 1""",
        (thread_id, answer),
    ).fetchone()
    if row is None:
        return None
    message_id, old_turn, bot, asked_by, direct = row
    _hide(db, message_id, next_seq(), now)
    turn_id = insert_turn(db, thread_id, Call(bot, Why.RETRY), asked_by, bool(direct), now)
    db.execute(
        "INSERT INTO turn_messages (turn, message) SELECT ?, message FROM turn_messages"
        " WHERE turn = ?",
        (turn_id, old_turn),
    )
    wish = "wish, wish_text, about, adapter, channel, topic, reply_to, schedule"
    db.execute(
        f"UPDATE turns SET ({wish}) = (SELECT {wish} FROM turns WHERE id = ?) WHERE id = ?",
        (old_turn, turn_id),
    )
    return _obligation(db, turn_id)


def undo(db: sqlite3.Connection, thread_id: int, next_seq: NextSeq, now: float) -> int:
    """Take the last exchange out of the conversation: the newest answer and what it answered.

    Returns how many messages went.
    """
    row = db.execute(
        "SELECT turn FROM messages WHERE thread = ? AND turn IS NOT NULL AND deleted_at IS NULL"
        " ORDER BY id DESC LIMIT 1",  # an apology is an answer, too
        (thread_id,),
    ).fetchone()
    if row is None:
        return 0
    gone = db.execute(
        """SELECT id FROM messages WHERE deleted_at IS NULL AND (turn = ?
        OR id IN (SELECT message FROM turn_messages WHERE turn = ?)) ORDER BY id""",
        (row[0], row[0]),
    ).fetchall()
    for (message_id,) in gone:
        _hide(db, message_id, next_seq(), now)
    return len(gone)


def _hide(db: sqlite3.Connection, message_id: int, seq: int, now: float) -> None:
    db.execute("UPDATE messages SET deleted_at = ?, seq = ? WHERE id = ?", (now, seq, message_id))
