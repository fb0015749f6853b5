"""Schedules: made, ended, listed. Runs inside a transaction; what becomes of their slots is in
`slots`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from botdaemon import timetable
from botdaemon.errors import Refused
from botdaemon.store.intake import identify
from botdaemon.store.rows import one
from botdaemon.types import (
    Address,
    Cron,
    Cue,
    Every,
    Identity,
    Once,
    Reason,
    Ruling,
    Schedule,
    Silence,
    When,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

_COLUMNS = (
    *("name", "bot", "kind", "spec", "timezone", "say", "prompt", "room", "adapter", "channel"),
    *("topic", "account", "missed", "jitter", "asked", "direct", "made_by", "made_at", "slot"),
    "due_at",
)
SCHEDULE = ", ".join(f"s.{column}" for column in ("id", *_COLUMNS))
_MARKS = ", ".join("?" * len(_COLUMNS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A schedule as somebody sees it."""

    schedule: Schedule
    #: whoever looks has made it
    mine: bool
    #: what became of its last slot; None before the first
    last: Ruling | None = None


def schedule(row: Sequence[Any]) -> Schedule:
    """A `SCHEDULE` row."""
    return Schedule(
        id=row[0],
        name=row[1],
        bot=row[2],
        when=_when(row[3], row[4], row[5]),
        cue=Cue(say=row[6], prompt=row[7]),
        room=row[8],
        address=None if row[9] is None else Address(row[9], row[10], row[11]),
        account=row[12],
        missed=row[13],
        jitter=row[14],
        asked=bool(row[15]),
        direct=bool(row[16]),
        made_by=row[17] or 0,
        made_at=row[18],
        slot=row[19],
        due_at=row[20],
    )


def settle(db: sqlite3.Connection, configured: Iterable[Schedule], now: float) -> None:
    """Make the configuration's schedules on disk those of the file. One whose time did not change
    keeps its next slot, so that a restart neither loses nor repeats any."""
    names = set()
    for wanted in configured:
        names.add(wanted.name)
        row = db.execute(
            f"SELECT {SCHEDULE} FROM schedules s WHERE s.name = ?", (wanted.name,)
        ).fetchone()
        if row is None:
            _insert(db, _begun(wanted, now))
            continue
        there = schedule(row)
        if there.when == wanted.when:
            begun = replace(wanted, made_at=there.made_at, slot=there.slot, due_at=there.due_at)
            if there.due_at is None and not isinstance(there.when, Once):  # it was left out once
                begun = _begun(wanted, now)
        else:
            begun = _begun(wanted, now)
        db.execute(
            f"UPDATE schedules SET ({', '.join(_COLUMNS)}) = ({_MARKS}) WHERE id = ?",
            (*_values(begun), there.id),
        )
    for id, name in db.execute(
        "SELECT id, name FROM schedules WHERE name <> '' AND due_at IS NOT NULL"
    ).fetchall():
        if name not in names:
            end(db, id)


def add(db: sqlite3.Connection, wanted: Schedule, who: Identity, most: int, now: float) -> Schedule:
    """A schedule that a person makes, who may have `most`. Raises `Refused` when those are there,
    or when it would never come."""
    identity = identify(db, who, now)
    has = one(
        db,
        """SELECT count(*) FROM schedules s JOIN identities i ON i.id = s.made_by
        WHERE s.due_at IS NOT NULL AND i.person = (SELECT person FROM identities WHERE id = ?)""",
        (identity,),
    )
    if has >= most:
        raise Refused(
            f"You have {has} of these already, and may have {most}. /schedules lists them, and"
            " /schedules delete NUMBER ends one."
        )
    begun = replace(_begun(wanted, now), made_by=identity)
    return replace(begun, id=_insert(db, begun))


def end(db: sqlite3.Connection, id: int) -> None:
    """It comes no more."""
    db.execute("UPDATE schedules SET slot = NULL, due_at = NULL WHERE id = ?", (id,))


def find(db: sqlite3.Connection, id: int, who: Identity) -> Listed | None:
    """A schedule that has not ended, as `who` sees it."""
    rows = _listed(db, "s.id = :id", {"id": id, "person": _person(db, who)})
    return rows[0] if rows else None


def listed(
    db: sqlite3.Connection, thread: int, address: Address, who: Identity, direct: bool
) -> list[Listed]:
    """What has not ended here, as `who` may see it: the schedules of the room or channel, and in a
    direct channel those that are made by or meant for that person, wherever they are."""
    mine = """i.person = :person
        OR s.account IN (SELECT adapter || ':' || account FROM identities WHERE person = :person)
        OR (s.adapter = :adapter AND s.channel = :channel)"""
    here = """NOT s.direct AND (
        s.room = (SELECT name FROM rooms WHERE id = :room)
        OR (s.adapter = :adapter AND s.channel = :channel)
        OR :room = (SELECT c.room FROM channels c
            WHERE c.adapter = s.adapter AND c.channel = s.channel))"""
    parameters = {
        "person": _person(db, who),
        "room": one(db, "SELECT room FROM threads WHERE id = ?", (thread,)),
        "adapter": address.adapter,
        "channel": address.channel,
    }
    return _listed(db, mine if direct else here, parameters)


def _person(db: sqlite3.Connection, who: Identity) -> int | None:
    person: int | None = one(
        db,
        "SELECT person FROM identities WHERE adapter = ? AND account = ?",
        (who.adapter, who.account),
    )
    return person


def _listed(db: sqlite3.Connection, which: str, parameters: dict[str, object]) -> list[Listed]:
    rows = db.execute(
        f"""SELECT coalesce(i.person = :person, 0), d.reason, d.until, {SCHEDULE}
        FROM schedules s LEFT JOIN identities i ON i.id = s.made_by
        LEFT JOIN decisions d ON d.schedule = s.id AND d.slot = (
            SELECT max(slot) FROM decisions WHERE schedule = s.id)
        WHERE s.due_at IS NOT NULL AND ({which}) ORDER BY s.due_at, s.id""",
        parameters,
    )
    return [
        Listed(
            schedule=schedule(row[3:]),
            mine=bool(row[0]),
            last=None if row[1] is None else Ruling(Reason(row[1]), row[2]),
        )
        for row in rows
    ]


def timezone_of(db: sqlite3.Connection, who: Identity) -> str:
    """The time zone that a person has named, "" for none."""
    return (
        one(
            db,
            "SELECT p.timezone FROM people p JOIN identities i ON i.person = p.id"
            " WHERE i.adapter = ? AND i.account = ?",
            (who.adapter, who.account),
        )
        or ""
    )


def set_timezone(db: sqlite3.Connection, who: Identity, timezone: str, now: float) -> None:
    """A person names theirs. Schedules that they have made keep the one they were made in."""
    db.execute(
        "UPDATE people SET timezone = ? WHERE id = (SELECT person FROM identities WHERE id = ?)",
        (timezone, identify(db, who, now)),
    )


# --- rows ------------------------------------------------------------------------------------


def _begun(wanted: Schedule, now: float) -> Schedule:
    """From now on. Raises `Refused` when it would never come."""
    if isinstance(wanted.when, Silence):
        return replace(wanted, made_at=now, slot=None, due_at=now + wanted.when.seconds)
    slot = timetable.next_slot(wanted.when, now, now)
    if slot is None and isinstance(wanted.when, Once) and wanted.name:
        return replace(wanted, made_at=now, slot=None, due_at=None)  # its time has been
    if slot is None:
        raise Refused("That time never comes.")
    return replace(wanted, made_at=now, slot=slot, due_at=slot)


def _insert(db: sqlite3.Connection, begun: Schedule) -> int:
    return int(
        db.execute(
            f"INSERT INTO schedules ({', '.join(_COLUMNS)}) VALUES ({_MARKS})", _values(begun)
        ).lastrowid
        or 0
    )


def _values(begun: Schedule) -> tuple[Any, ...]:
    """In the order of `_COLUMNS`."""
    kind, spec, timezone = _spec(begun.when)
    place = begun.address
    return (
        begun.name, begun.bot, kind, spec, timezone, begun.cue.say, begun.cue.prompt, begun.room,
        place and place.adapter, place and place.channel, place and place.topic, begun.account,
        begun.missed, begun.jitter, begun.asked, begun.direct, begun.made_by or None,
        begun.made_at, begun.slot, begun.due_at,
    )  # fmt: skip


def _spec(when: When) -> tuple[str, str, str]:
    match when:
        case Cron():
            return "cron", when.expression, when.timezone
        case Every():
            return "every", repr(when.seconds), ""
        case Once():
            return "once", repr(when.at), ""
        case Silence():
            return "silence", repr(when.seconds), ""


def _when(kind: str, spec: str, timezone: str) -> When:
    if kind == "cron":
        return Cron(spec, timezone)
    if kind == "every":
        return Every(float(spec))
    return Once(float(spec)) if kind == "once" else Silence(float(spec))
