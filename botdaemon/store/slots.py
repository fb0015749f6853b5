"""What becomes of a schedule's slots: the governor is asked, and a turn begins or not. Runs inside
a transaction; knows the rules only as a function.

A slot's decision is its key: it is inserted first, in the transaction in which its turn is, and
where that changes nothing, nothing else does. So no slot is used twice, whenever the daemon dies.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdaemon import timetable
from botdaemon.store.intake import insert_turn
from botdaemon.store.places import Place, pause_at, place_of, situation
from botdaemon.store.rows import one
from botdaemon.store.schedules import SCHEDULE, schedule
from botdaemon.types import (
    Call,
    Decision,
    Obligation,
    Reason,
    Ruling,
    Schedule,
    Silence,
    Situation,
    Why,
)

if TYPE_CHECKING:
    import sqlite3

Govern = Callable[[Situation], Ruling]

#: seconds after which a slot that nobody looked at was missed
LATE = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What became of a slot, and the turn if it was used."""

    schedule: Schedule
    decision: Decision
    obligation: Obligation | None = None


def due(db: sqlite3.Connection, now: float) -> list[int]:
    """The schedules to look at, the one that is due for longest first."""
    rows = db.execute("SELECT id FROM schedules WHERE due_at <= ? ORDER BY due_at, id", (now,))
    return [id for (id,) in rows]


def decide(
    db: sqlite3.Connection,
    schedule_id: int,
    govern: Govern,
    bots: Collection[str],
    painters: Collection[str],
    now: float,
) -> Decided | None:
    """Look at a schedule that is due. None when it has no slot now, or its slot is decided already;
    then it is looked at again later."""
    row = db.execute(
        f"SELECT {SCHEDULE} FROM schedules s WHERE s.id = ? AND s.due_at <= ?", (schedule_id, now)
    ).fetchone()
    if row is None:
        return None
    it = schedule(row)
    place = place_of(db, it, now)
    slot = it.slot
    if isinstance(it.when, Silence):
        slot = None if place is None else pause_at(db, it, it.when, place.thread)
        if slot is None or _is_decided(db, it.id, slot):
            # Whatever is said from now on, there is no break for so long.
            _look_again(db, it.id, None, now + it.when.seconds)
            return None
    assert slot is not None, it
    meant = slot + timetable.delay(it.id, slot, it.jitter)
    if meant > now:
        _look_again(db, it.id, it.slot, meant)
        return None
    assert it.due_at is not None, it
    ruling = _judge(db, it, place, bots, govern, now, now - max(it.due_at, meant) > LATE)
    following = timetable.next_slot(it.when, max(slot, now), it.made_at)
    waits = (
        it.missed == "once"
        and ruling.until > now
        and (following is None or ruling.until < following)
    )
    ruling = Ruling(ruling.reason, ruling.until if waits else 0.0)
    claimed = _claim(db, it.id, slot, ruling, now)
    if claimed and waits:
        _look_again(db, it.id, it.slot, ruling.until)
    else:
        _look_again(db, it.id, following, _next_look(it, following, now))
    if not claimed:
        return None
    obligation = None
    if ruling.reason is Reason.SPEAKS and place is not None:
        obligation = _oblige(db, it, slot, place, painters, now)
    return Decided(
        schedule=it,
        decision=Decision(
            schedule=it.id,
            slot=slot,
            at=now,
            ruling=ruling,
            turn=0 if obligation is None else obligation.turn,
        ),
        obligation=obligation,
    )


def _judge(
    db: sqlite3.Connection,
    it: Schedule,
    place: Place | None,
    bots: Collection[str],
    govern: Govern,
    now: float,
    late: bool,
) -> Ruling:
    if it.bot not in bots:
        return Ruling(Reason.GONE)
    if place is None:
        return Ruling(Reason.NOWHERE)
    if late and it.missed == "skip":
        return Ruling(Reason.MISSED)
    return govern(situation(db, it, place, now))


# --- the slot --------------------------------------------------------------------------------


def _claim(db: sqlite3.Connection, id: int, slot: float, ruling: Ruling, now: float) -> bool:
    """Note the decision; False when there is a final one already."""
    cursor = db.execute(
        """INSERT INTO decisions (schedule, slot, at, reason, until) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT DO UPDATE SET at = excluded.at, reason = excluded.reason, until = excluded.until
        WHERE decisions.until > 0""",
        (id, slot, now, ruling.reason.value, ruling.until),
    )
    return cursor.rowcount > 0


def _is_decided(db: sqlite3.Connection, id: int, slot: float) -> bool:
    until = one(db, "SELECT until FROM decisions WHERE schedule = ? AND slot = ?", (id, slot))
    return until is not None and not until


def _next_look(it: Schedule, following: float | None, now: float) -> float | None:
    if isinstance(it.when, Silence):
        return now + it.when.seconds
    return following and following + timetable.delay(it.id, following, it.jitter)


def _look_again(db: sqlite3.Connection, id: int, slot: float | None, due_at: float | None) -> None:
    db.execute("UPDATE schedules SET slot = ?, due_at = ? WHERE id = ?", (slot, due_at, id))


def _oblige(
    db: sqlite3.Connection,
    it: Schedule,
    slot: float,
    place: Place,
    painters: Collection[str],
    now: float,
) -> Obligation:
    """The turn in which the bot writes; a painter draws what it is told to."""
    turn = insert_turn(
        db,
        place.thread,
        Call(it.bot, Why.SCHEDULE),
        it.made_by or None,
        bool(place.person),
        now,
    )
    draws = it.bot in painters and it.cue.prompt
    address = place.address
    db.execute(
        """UPDATE turns SET schedule = ?, slot = ?, wish = ?, wish_text = ?, adapter = ?,
            channel = ?, topic = ?, reply_to = '' WHERE id = ?""",
        (
            it.id,
            slot,
            "draw" if draws else "",
            it.cue.prompt if draws else "",
            address.adapter,
            address.channel,
            address.topic,
            turn,
        ),
    )
    db.execute("UPDATE decisions SET turn = ? WHERE schedule = ? AND slot = ?", (turn, it.id, slot))
    return Obligation(
        turn=turn,
        thread=place.thread,
        bot=it.bot,
        asked_by=it.made_by,
        created_at=now,
        addresses=place.addresses,
        reply_to=(address, ""),
    )


def reopen(db: sqlite3.Connection, now: float) -> None:
    """After a start: a slot whose turn the daemon did not get to in time is decided anew, since
    it may be night by now. One of which people have seen a draft goes on, and one whose schedule
    somebody has ended meanwhile is over."""
    unseen = db.execute(
        """SELECT t.id, t.schedule, t.slot FROM turns t
        WHERE (t.state = 'waiting' OR t.state = 'running') AND t.slot IS NOT NULL
        AND t.created_at < ? AND NOT EXISTS (SELECT 1 FROM letters l WHERE l.turn = t.id)""",
        (now - LATE,),
    ).fetchall()
    for turn, id, slot in unseen:
        # Without a slot, so that the slot can have another turn.
        db.execute("UPDATE turns SET state = 'silent', slot = NULL WHERE id = ?", (turn,))
        db.execute(
            "UPDATE decisions SET turn = NULL, until = ? WHERE schedule = ? AND slot = ?",
            (now, id, slot),
        )
        db.execute(
            """UPDATE schedules SET slot = CASE WHEN kind = 'silence' THEN NULL ELSE ? END,
                due_at = min(?, coalesce(due_at, ?))
            WHERE id = ? AND (due_at IS NOT NULL OR kind = 'once')""",
            (slot, slot, slot, id),
        )


# --- looking back ----------------------------------------------------------------------------


def decisions(db: sqlite3.Connection, since: float) -> list[Decision]:
    """What was decided since then, oldest first."""
    rows = db.execute(
        "SELECT schedule, slot, at, reason, until, coalesce(turn, 0) FROM decisions"
        " WHERE at >= ? ORDER BY at, schedule",
        (since,),
    )
    return [
        Decision(
            schedule=row[0],
            slot=row[1],
            at=row[2],
            ruling=Ruling(Reason(row[3]), row[4]),
            turn=row[5],
        )
        for row in rows
    ]
