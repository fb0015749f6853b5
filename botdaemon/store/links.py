"""Accounts that ask to be one person: a code from the one, given by the other, and the word of
both. Runs inside a transaction; knows no command.

A code says no more than which two accounts are meant. Both have to agree once they have seen each
other's names, so neither a guessed code nor one that somebody was talked into giving is enough.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdaemon.errors import Refused
from botdaemon.store import people, rooms
from botdaemon.store.intake import identify
from botdaemon.store.pairings import ALPHABET
from botdaemon.types import Address, Identity

if TYPE_CHECKING:
    import sqlite3

#: characters of a code: 60 bits, so that its hash gives nothing away while it is good
_LENGTH = 12
#: seconds in which a code has to be given, and then again seconds in which both have to agree
LIFE = 600.0
#: wrong codes that an account may give within `TRIES_PAUSE` seconds
MOST_TRIES = 5
TRIES_PAUSE = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two accounts, and where it asked."""

    who: Identity
    thread: int
    address: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Two accounts that ask to be one person, as the one that was just heard sees it."""

    mine: Side
    theirs: Side
    #: both have agreed: they are one person
    made: bool = False


def begin(db: sqlite3.Connection, who: Identity, address: Address, now: float) -> str:
    """A code for an account, in place of whatever it asked before."""
    _tidy(db, now)
    identity = _identity(db, who, now)
    _end(db, identity)
    code = "".join(secrets.choice(ALPHABET) for _ in range(_LENGTH))
    db.execute(
        "INSERT INTO links (code, until, first, first_channel, first_topic) VALUES (?, ?, ?, ?, ?)",
        (_hash(code), now + LIFE, identity, address.channel, address.topic),
    )
    return "-".join(code[at : at + 4] for at in range(0, _LENGTH, 4))


def give(
    db: sqlite3.Connection, code: str, who: Identity, address: Address, now: float
) -> Link | None:
    """An account gives another one's code, which is good for nothing more from then on; None for a
    wrong one. Raises `Refused` for too many of these, and where there is nothing to link."""
    _tidy(db, now)
    identity = _identity(db, who, now)
    if _tries(db, identity) >= MOST_TRIES:
        raise Refused("That were too many wrong codes. Try again in an hour.")
    row = db.execute(
        "SELECT id, first FROM links WHERE code = ? AND second IS NULL", (_hash(code),)
    ).fetchone()
    if row is None:
        db.execute(
            """INSERT INTO link_tries VALUES (?, 1, ?)
            ON CONFLICT DO UPDATE SET tries = tries + 1""",
            (identity, now),
        )
        return None
    link, first = row
    if first == identity:
        raise Refused("That is this account's own code: give it from your other account.")
    if people.person_of(db, first) == people.person_of(db, identity):
        raise Refused("Both accounts are yours already.")
    _end(db, identity)  # whatever it asked before
    db.execute(
        """UPDATE links SET second = ?, second_channel = ?, second_topic = ?, until = ?
        WHERE id = ?""",
        (identity, address.channel, address.topic, now + LIFE, link),
    )
    return _link(db, identity, now)


def agree(db: sqlite3.Connection, who: Identity, now: float) -> Link | None:
    """An account agrees; when both have, they are one person. None when nobody asks it."""
    _tidy(db, now)
    identity = _identity(db, who, now)
    link = _link(db, identity, now)
    if link is None:
        return None
    db.execute(
        """UPDATE links SET first_agreed = first_agreed OR first = :me,
            second_agreed = second_agreed OR second = :me
        WHERE :me IN (first, second)""",
        {"me": identity},
    )
    both = db.execute(
        """SELECT first, second FROM links
        WHERE ? IN (first, second) AND first_agreed AND second_agreed""",
        (identity,),
    ).fetchone()
    if both is None:
        return link
    first, second = (people.person_of(db, one) for one in both)
    if first != second:  # by other accounts of theirs, they may be one already
        people.merge(db, first, second)
    _end(db, identity)
    return Link(mine=link.mine, theirs=link.theirs, made=True)


def decline(db: sqlite3.Connection, who: Identity, now: float) -> Link | None:
    """An account does not agree, and nothing comes of it; None when nobody asks it."""
    _tidy(db, now)
    identity = _identity(db, who, now)
    link = _link(db, identity, now)
    _end(db, identity)
    return link


def accounts(db: sqlite3.Connection, who: Identity, now: float) -> list[Identity]:
    """All accounts of the person whose account it is."""
    return people.accounts(db, people.person_of(db, _identity(db, who, now)))


def unlink(db: sqlite3.Connection, who: Identity, now: float) -> tuple[Identity, ...]:
    """An account is apart from the others of its person again; returns those, and nothing where
    there are none. What was shared stays with the oldest account: whoever has talked somebody
    into linking cannot keep it."""
    _end(db, _identity(db, who, now))
    everyone = accounts(db, who, now)
    mine = [one for one in everyone if (one.adapter, one.account) == (who.adapter, who.account)]
    others = [one for one in everyone if one not in mine]
    if others:
        people.part(db, others if everyone[0] in mine else mine, now)
    return tuple(others)


# --- parts -----------------------------------------------------------------------------------


def _identity(db: sqlite3.Connection, who: Identity, now: float) -> int:
    if who.is_bot:
        raise Refused("Bots have no accounts to link.")
    return identify(db, who, now)


def _hash(code: str) -> str:
    """Of a code as it is typed: small or large, with or without what stands between."""
    letters = "".join(one for one in code.upper() if one in ALPHABET)
    return hashlib.sha256(letters.encode()).hexdigest()


def _tidy(db: sqlite3.Connection, now: float) -> None:
    db.execute("DELETE FROM links WHERE until < ?", (now,))
    db.execute("DELETE FROM link_tries WHERE since < ?", (now - TRIES_PAUSE,))


def _tries(db: sqlite3.Connection, identity: int) -> int:
    row = db.execute("SELECT tries FROM link_tries WHERE identity = ?", (identity,)).fetchone()
    return 0 if row is None else int(row[0])


def _end(db: sqlite3.Connection, identity: int) -> None:
    db.execute("DELETE FROM links WHERE ? IN (first, second)", (identity,))


def _link(db: sqlite3.Connection, identity: int, now: float) -> Link | None:
    """The one in which somebody has given a code, as this account sees it."""
    row = db.execute(
        """SELECT first, first_channel, first_topic, second, second_channel, second_topic
        FROM links WHERE ? IN (first, second) AND second IS NOT NULL""",
        (identity,),
    ).fetchone()
    if row is None:
        return None
    first, second = (_side(db, *side, now=now) for side in (row[:3], row[3:]))
    mine, theirs = (first, second) if row[0] == identity else (second, first)
    return Link(mine=mine, theirs=theirs)


def _side(db: sqlite3.Connection, identity: int, channel: str, topic: str, *, now: float) -> Side:
    adapter, account, name = db.execute(
        "SELECT adapter, account, name FROM identities WHERE id = ?", (identity,)
    ).fetchone()
    address = Address(adapter, channel, topic)
    return Side(
        who=Identity(adapter=adapter, account=account, name=name),
        thread=rooms.thread_at(db, address, now),
        address=address,
    )
