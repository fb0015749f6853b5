"""What filters held back or masked, kept for the operator. Knows no filter. `hold` runs inside a
transaction; `held` only reads, over a connection of `database.looking`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from botdaemon.store.intake import identify
from botdaemon.types import Address, Held, Identity

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

#: kept; the oldest go first
MOST_HELD = 10_000


def hold(db: sqlite3.Connection, key: str, one: Held, now: float) -> bool:
    """Note it, once for each `key`; returns whether it is new."""
    identity = None if one.author is None else identify(db, one.author, now)
    cursor = db.execute(
        """INSERT INTO held (key, at, way, blocked, found, text, bot, identity, adapter, channel,
            topic, platform_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT DO NOTHING""",
        (
            key,
            now,
            one.way,
            one.blocked,
            json.dumps(one.found, ensure_ascii=False),
            one.text,
            one.bot,
            identity,
            one.address.adapter,
            one.address.channel,
            one.address.topic,
            one.platform_id,
        ),
    )
    if not cursor.rowcount:
        return False
    db.execute("DELETE FROM held WHERE id <= ?", ((cursor.lastrowid or 0) - MOST_HELD,))
    return True


def taken_back(db: sqlite3.Connection, address: Address, platform_id: str) -> None:
    """Its author deleted it: it is not kept here either."""
    db.execute(
        "DELETE FROM held WHERE adapter = ? AND channel = ? AND platform_id = ?"
        " AND platform_id <> ''",
        (address.adapter, address.channel, platform_id),
    )


def held(db: sqlite3.Connection, since: float = 0.0) -> Iterator[Held]:
    """All of it since then, oldest first."""
    rows = db.execute(
        """SELECT h.at, h.way, h.blocked, h.found, h.text, h.bot, h.adapter, h.channel, h.topic,
            h.platform_id, i.adapter, i.account, i.name, i.is_bot, i.person
        FROM held h LEFT JOIN identities i ON i.id = h.identity WHERE h.at >= ? ORDER BY h.id""",
        (since,),
    )
    for row in rows:
        yield Held(
            at=row[0],
            way=row[1],
            blocked=bool(row[2]),
            found=tuple(json.loads(row[3])),
            text=row[4],
            bot=row[5],
            address=Address(*row[6:9]),
            platform_id=row[9],
            author=None
            if row[10] is None
            else Identity(
                adapter=row[10],
                account=row[11],
                name=row[12],
                is_bot=bool(row[13]),
                person=row[14],
            ),
        )
