"""What there is between people and bots: counted, noted, shown, begun anew. Runs inside a
transaction; knows stages and moods only as a function.

A relation is counted along in the very transaction that it grows by, so that it cannot drift, costs
the same however long it has lasted, and does not go when a conversation is begun anew, taken back
or deleted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, fields
from typing import TYPE_CHECKING

from botdaemon.store.ratings import verdict_of
from botdaemon.store.rows import one
from botdaemon.types import Relation

if TYPE_CHECKING:
    import sqlite3

    from botdaemon.types import Address, Identity

Judge = Callable[[Relation, float], Relation]
"""A relation with the stage and the mood that it has now."""

_NAMES = [field.name for field in fields(Relation)]
_COLUMNS, _BUT_PERSON = ", ".join(_NAMES), ", ".join(_NAMES[1:])
_NOTED = ("stage", "stage_at", "mood", "mood_at", "mood_until")
_WORTH = {"good": 1, "bad": -1}


def feel(db: sqlite3.Connection, turn: int, judge: Judge, now: float) -> Relation:
    """The relation between who asked in a turn and its bot, where they talk, as it is judged now;
    the judgement is noted."""
    person, bot, place = _of_turn(db, turn)
    if not person:
        return judge(Relation(person=0, bot=bot, place=place), now)
    known = _find(db, person, bot, place)
    return _judged(
        db, known or Relation(person=person, bot=bot, place=place, met_at=now), judge, now
    )


def here(
    db: sqlite3.Connection,
    thread: int,
    address: Address,
    who: Identity,
    direct: bool,
    judge: Judge,
    now: float,
) -> list[Relation]:
    """All that somebody has with bots in a place, by the bots' names."""
    return [_judged(db, known, judge, now) for known in _here(db, thread, address, who, direct)]


def reset(
    db: sqlite3.Connection, thread: int, address: Address, who: Identity, direct: bool
) -> list[Relation]:
    """It all begins anew there; what is over now."""
    over = _here(db, thread, address, who, direct)
    for it in over:
        db.execute(
            "DELETE FROM relations WHERE person = ? AND bot = ? AND place = ?",
            (it.person, it.bot, it.place),
        )
    return over


def exchanged(db: sqlite3.Connection, turn: int, now: float) -> None:
    """A turn has been answered: what somebody said in it counts, once, also when it is answered
    again."""
    bot, created_at, count = db.execute(
        """SELECT t.bot, t.created_at, count(m.id)
        FROM turns t JOIN turn_messages x ON x.turn = t.id
        JOIN messages m ON m.id = x.message AND m.kind = 'said'
        WHERE t.id = ? AND NOT EXISTS (
            SELECT 1 FROM turn_messages y JOIN turns o ON o.id = y.turn
            WHERE y.message = x.message AND o.id <> t.id AND o.bot = t.bot
                AND o.state = 'answered')""",
        (turn,),
    ).fetchone()
    if not count:
        return
    person, _, place = _of_turn(db, turn)
    if not person:
        return
    db.execute(
        """INSERT INTO relations (person, bot, place, met_at, last_at, messages)
        VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
            messages = messages + excluded.messages, last_at = excluded.last_at""",
        (person, bot, place, created_at, now, count),
    )


def worth(db: sqlite3.Connection, message: int, identity: int) -> int:
    """What an account thinks of a message: 1 good, -1 bad, 0 neither or both."""
    values = db.execute(
        "SELECT value FROM feedback WHERE message = ? AND identity = ?", (message, identity)
    )
    total = sum(_WORTH.get(verdict_of(value) or "", 0) for (value,) in values)
    return max(-1, min(1, total))


def rated(db: sqlite3.Connection, message: int, identity: int, before: int, now: float) -> None:
    """An account has changed its mind about a message, of which it thought `before`."""
    after = worth(db, message, identity)
    turn = one(db, "SELECT turn FROM messages WHERE id = ? AND bot <> ''", (message,))
    if after == before or turn is None:
        return
    _, bot, place = _of_turn(db, turn)
    db.execute(
        """UPDATE relations SET ratings = ratings + ?, rated = ?, rated_at = ?
        WHERE person = (SELECT person FROM identities WHERE id = ?) AND bot = ? AND place = ?
        AND met_at <= (SELECT sent_at FROM messages WHERE id = ?)""",
        (after - before, after, now, identity, bot, place, message),
    )


def merge(db: sqlite3.Connection, gone: int, kept: int) -> None:
    """What somebody has as `gone` becomes theirs as `kept`: both are added up."""
    db.execute(
        f"""INSERT INTO relations ({_COLUMNS})
        SELECT ?, {_BUT_PERSON} FROM relations WHERE person = ?
        ON CONFLICT DO UPDATE SET
            met_at = min(met_at, excluded.met_at),
            last_at = max(last_at, excluded.last_at),
            messages = messages + excluded.messages,
            ratings = ratings + excluded.ratings,
            rated = CASE WHEN excluded.rated_at > rated_at THEN excluded.rated ELSE rated END,
            rated_at = max(rated_at, excluded.rated_at),
            mood = CASE WHEN excluded.mood_at > mood_at THEN excluded.mood ELSE mood END,
            mood_until = CASE WHEN excluded.mood_at > mood_at
                THEN excluded.mood_until ELSE mood_until END,
            mood_at = max(mood_at, excluded.mood_at)""",
        (kept, gone),
    )
    db.execute("DELETE FROM relations WHERE person = ?", (gone,))


# --- parts -----------------------------------------------------------------------------------


def _of_turn(db: sqlite3.Connection, turn: int) -> tuple[int, str, str]:
    """Of a turn the person who asked, the bot, and the place. Nobody (0) is a bot that asks, and
    whoever has a bot write to others."""
    person, bot, room, direct, adapter, channel = db.execute(
        """SELECT CASE WHEN i.is_bot OR (t.schedule IS NOT NULL AND NOT t.direct) THEN 0
            ELSE coalesce(i.person, 0) END,
        t.bot, h.room, t.direct, coalesce(t.adapter, m.adapter), coalesce(t.channel, m.channel)
        FROM turns t JOIN threads h ON h.id = t.thread LEFT JOIN identities i ON i.id = t.asked_by
        LEFT JOIN turn_messages x ON x.turn = t.id LEFT JOIN messages m ON m.id = x.message
        WHERE t.id = ? ORDER BY m.id LIMIT 1""",
        (turn,),
    ).fetchone()
    return person, bot, _place(room, direct, adapter, channel)


def _place(room: int | None, direct: bool, adapter: str, channel: str) -> str:
    """A room first: what is said in one is heard in all of its channels."""
    if room is not None:
        return f"room {room}"
    return "direct" if direct else f"channel {adapter}:{channel}"


def _find(db: sqlite3.Connection, person: int, bot: str, place: str) -> Relation | None:
    row = db.execute(
        f"SELECT {_COLUMNS} FROM relations WHERE person = ? AND bot = ? AND place = ?",
        (person, bot, place),
    ).fetchone()
    return None if row is None else Relation(**dict(zip(_NAMES, row, strict=True)))


def _here(
    db: sqlite3.Connection, thread: int, address: Address, who: Identity, direct: bool
) -> list[Relation]:
    room = one(db, "SELECT room FROM threads WHERE id = ?", (thread,))
    place = _place(room, direct, address.adapter, address.channel)
    rows = db.execute(
        """SELECT r.person, r.bot FROM relations r JOIN identities i ON i.person = r.person
        WHERE i.adapter = ? AND i.account = ? AND r.place = ? ORDER BY r.bot""",
        (who.adapter, who.account, place),
    ).fetchall()
    return [known for person, bot in rows if (known := _find(db, person, bot, place))]


def _judged(db: sqlite3.Connection, known: Relation, judge: Judge, now: float) -> Relation:
    judged = judge(known, now)
    if judged != known:
        marks = ", ".join("?" for _ in _NAMES)
        noted = ", ".join(f"{name} = excluded.{name}" for name in _NOTED)
        db.execute(
            f"INSERT INTO relations ({_COLUMNS}) VALUES ({marks})"
            f" ON CONFLICT DO UPDATE SET {noted}",
            astuple(judged),
        )
    return judged
