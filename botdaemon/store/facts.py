"""Facts about people: learned, told by hand, used, forgotten. Runs inside a transaction, or reads;
knows no model.

Whose a fact is goes by the account that said it, and people by what their accounts are linked to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdaemon.errors import Refused
from botdaemon.store.intake import identify
from botdaemon.store.rows import one

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from botdaemon.store.rows import Row
    from botdaemon.types import Address, Identity, Message, Scope

#: characters of a fact
LONGEST = 200
#: from this share of common words on two facts are the same
_ALIKE = 0.8
_WORD = re.compile(r"\w+")

# Where somebody asks from. A direct channel that is part of a room is the room.
_HERE = """here AS (
    SELECT :direct AND h.room IS NULL AS direct,
        CASE WHEN h.room IS NULL THEN 'channel ' || :adapter || ':' || :channel
            ELSE 'room ' || h.room END AS place,
        (SELECT person FROM identities WHERE adapter = :who AND account = :account) AS person
    FROM threads h WHERE h.id = :thread)"""

# What a bot may use where it is asked: the only place that decides so. What was said to the bot
# alone is for that very person alone, whatever the scope.
_ALONE = "(NOT f.direct OR (here.direct AND i.person = here.person))"
_REACHES: dict[Scope, str] = {
    "room": "f.place = here.place",
    "person-in-room": "f.place = here.place AND i.person = here.person",
    "person": "i.person = here.person",
    "private": "f.direct AND i.person = here.person",
}

_FACT = """f.id, f.bot, i.person,
    coalesce((SELECT n.name FROM identities n WHERE n.person = i.person AND n.adapter = :adapter),
        i.name),
    coalesce((SELECT r.name FROM rooms r WHERE 'room ' || r.id = f.place), f.place),
    f.direct, f.text, f.told_at"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that a bot remembers about a person."""

    id: int
    bot: str
    person: int
    #: what the person is called where it is asked for
    name: str
    #: where it was learned: the room's name, or "channel ADAPTER:CHANNEL"
    place: str
    #: it was said to the bot alone
    direct: bool
    #: one line
    text: str
    told_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What somebody said to a bot, and was answered."""

    #: the change of a message by which it was found
    seq: int
    bot: str
    thread: int
    #: who spoke, as the store numbers accounts, and their name in one line
    identity: int
    name: str
    place: str
    direct: bool
    #: what they said, oldest first; what has been taken back since is not among it
    said: tuple[Message, ...]
    #: what the bot had said right before, if it was the last to speak
    before: tuple[Message, ...] = ()


def here(
    thread: int, address: Address, who: Identity | None, direct: bool
) -> dict[str, str | int | None]:
    """The parameters of `_HERE`."""
    return {
        "thread": thread,
        "adapter": address.adapter,
        "channel": address.channel,
        "who": None if who is None else who.adapter,
        "account": None if who is None else who.account,
        "direct": direct,
    }


def usable(scope: Scope, *, of_oneself: bool = False) -> str:
    """A query for what a bot may use, told last first, with the parameters of `here` and bot;
    `of_oneself`: of that what is about the person who asks."""
    whose = "AND i.person = here.person" if of_oneself else ""
    return f"""WITH {_HERE}
        SELECT {_FACT} FROM here JOIN facts f JOIN identities i ON i.id = f.identity
        WHERE f.bot = :bot AND {_ALONE} AND {_REACHES[scope]} {whose}
        ORDER BY f.told_at DESC, f.id DESC"""


ABOUT = f"""SELECT {_FACT} FROM facts f JOIN identities i ON i.id = f.identity
    WHERE i.person = :person ORDER BY f.id"""
"""A query for everything that is remembered about a person, with parameters person and adapter (of
where it is asked for, which may be "")."""


def fact(row: Row) -> Fact:
    """A row of these queries."""
    id, bot, person, name, place, direct, text, told_at = row
    return Fact(
        id=id,
        bot=bot,
        person=person,
        name=name,
        place=place,
        direct=bool(direct),
        text=text,
        told_at=told_at,
    )


def same(text: str) -> str:
    """A text without what does not matter for whether it says the same."""
    return " ".join(_WORD.findall(text.casefold())) or text


# --- learning --------------------------------------------------------------------------------


def learn(
    db: sqlite3.Connection,
    it: Exchange,
    sources: Sequence[Message],
    texts: Sequence[str],
    most: int,
    now: float,
) -> int:
    """Keep what was learned from an exchange, and that it has been read: both or nothing. Returns
    how many facts are new.

    `sources` are the messages that the facts come from. When one of them has changed since it was
    read, or the person had everything forgotten, nothing is kept. `most`: facts about one person in
    one place; those told longest ago go first, and those told by hand last.
    """
    db.execute("UPDATE memories SET seq = max(seq, ?) WHERE bot = ?", (it.seq, it.bot))
    if not texts or not it.said or not all(_stands(db, message) for message in sources):
        return 0
    if it.said[-1].id <= one(
        db, "SELECT forgotten_to FROM identities WHERE id = ?", (it.identity,)
    ):
        return 0
    kept = _Kept(it.bot, it.identity, it.place, it.direct)
    ids = [message.id for message in sources]
    new = sum(_keep(db, kept, text, ids, now) for text in texts)
    _cap(db, kept, most)
    return new


def _stands(db: sqlite3.Connection, message: Message) -> bool:
    """Whether a message is as it was read."""
    return (
        one(
            db,
            "SELECT 1 FROM messages WHERE id = ? AND seq = ? AND deleted_at IS NULL",
            (message.id, message.seq),
        )
        is not None
    )


@dataclass(frozen=True, slots=True)
class _Kept:
    """Which facts are compared, and counted together."""

    bot: str
    identity: int
    place: str
    direct: bool

    @property
    def row(self) -> tuple[str, int, str, bool]:
        return self.bot, self.identity, self.place, self.direct


# With linked accounts the others' facts are the same person's.
_OF_THEM = """bot = ? AND identity IN (
        SELECT o.id FROM identities i JOIN identities o ON o.person = i.person WHERE i.id = ?)
    AND place = ? AND direct = ?"""


def _keep(
    db: sqlite3.Connection,
    kept: _Kept,
    text: str,
    sources: Sequence[int],
    now: float,
    *,
    by_hand: bool = False,
) -> bool:
    """Keep a fact; False when it was known: then the newer telling takes the older's place."""
    alike = same(text)
    known = [
        id
        for id, other in db.execute(
            f"SELECT id, same FROM facts WHERE {_OF_THEM} ORDER BY id", kept.row
        )
        if other == alike or _share(other, alike) >= _ALIKE
    ]
    if known:
        id = known[0]
        db.executemany("DELETE FROM facts WHERE id = ?", [(more,) for more in known[1:]])
        db.execute("DELETE FROM fact_sources WHERE fact = ?", (id,))
        db.execute(
            "UPDATE facts SET text = ?, same = ?, told_at = ?, by_hand = by_hand OR ? WHERE id = ?",
            (text, alike, now, by_hand, id),
        )
    else:
        cursor = db.execute(
            "INSERT INTO facts (bot, identity, place, direct, text, same, by_hand, told_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*kept.row, text, alike, by_hand, now),
        )
        id = cursor.lastrowid
    db.executemany(
        "INSERT OR IGNORE INTO fact_sources (message, fact) VALUES (?, ?)",
        [(message, id) for message in sources],
    )
    return not known


def _share(one: str, other: str) -> float:
    """The part of their words that two texts have in common."""
    a, b = set(one.split()), set(other.split())
    return len(a & b) / len(a | b)


def _cap(db: sqlite3.Connection, kept: _Kept, most: int) -> None:
    db.execute(
        f"""DELETE FROM facts WHERE id IN (SELECT id FROM facts WHERE {_OF_THEM}
        ORDER BY by_hand DESC, told_at DESC, id DESC LIMIT -1 OFFSET ?)""",
        (*kept.row, most),
    )


def remember(
    db: sqlite3.Connection,
    bot: str,
    scope: Scope,
    text: str,
    who: Identity,
    where: dict[str, str | int | None],
    message: int,
    most: int,
    now: float,
) -> None:
    """Keep what somebody tells a bot about themself. `where` is made by `here`, `message` says so
    (0: none does), `most` is as in `learn`. Raises `Refused` for what cannot be kept."""
    text = " ".join(text.split())
    if not text:
        raise Refused("Say what to remember: /remember I have a dog called Rex.")
    if len(text) > LONGEST or not text.isprintable():
        raise Refused(f"Say it in one line of at most {LONGEST} characters.")
    identity = identify(db, who, now)
    place, direct = db.execute(f"WITH {_HERE} SELECT place, direct FROM here", where).fetchone()
    if scope == "private" and not direct:
        raise Refused(f"{bot} only remembers what it is told directly. Say it to it alone.")
    kept = _Kept(bot, identity, place, bool(direct))
    _keep(db, kept, text, [message] if message else [], now, by_hand=True)
    _cap(db, kept, most)


# --- forgetting ------------------------------------------------------------------------------

_THEIRS = """identity IN (SELECT o.id FROM identities i JOIN identities o ON o.person = i.person
    WHERE i.adapter = ? AND i.account = ?)"""


def forget(db: sqlite3.Connection, who: Identity, number: int) -> bool:
    """Forget a fact about somebody; False when there is none with that number about them."""
    return bool(
        db.execute(
            f"DELETE FROM facts WHERE id = ? AND {_THEIRS}", (number, who.adapter, who.account)
        ).rowcount
    )


def forget_all(db: sqlite3.Connection, who: Identity) -> int:
    """Forget everything about somebody, also what of what they have said would still be learned.
    Returns how many facts went."""
    db.execute(
        """UPDATE identities SET forgotten_to = (SELECT coalesce(max(id), 0) FROM messages)
        WHERE person = (SELECT person FROM identities WHERE adapter = ? AND account = ?)""",
        (who.adapter, who.account),
    )
    return db.execute(f"DELETE FROM facts WHERE {_THEIRS}", (who.adapter, who.account)).rowcount
