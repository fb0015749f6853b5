"""Forgetting a person: what they said, their files, their names. Runs inside a transaction, and
knows no adapter.

Their messages stay as deleted ones, so that ids and the order of what others said hold. What others
and bots said about them, or repeated of theirs, is not theirs and stays.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdaemon.errors import Refused
from botdaemon.store.letters import TAKEN_BACK
from botdaemon.store.rows import one
from botdaemon.types import Address

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection
    from pathlib import Path

NOBODY = "forgotten"
"""What somebody who is forgotten is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who has been met."""

    id: int
    #: on all platforms
    names: tuple[str, ...]
    #: "ADAPTER:ACCOUNT"
    accounts: tuple[str, ...]
    messages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What is gone."""

    person: Person
    #: what they said; words of the daemon that name them
    messages: int
    notices: int
    #: letters with their words that had not been sent, or not certainly
    letters: int
    #: ratings and reactions: theirs, and those of what they said
    ratings: int
    #: what bots remember about them; summaries of threads in which they spoke
    facts: int
    summaries: int
    #: files that nobody else's message has
    files: int
    #: where letters with their words are still to be taken from the platforms
    relayed: tuple[Address, ...]
    #: databases that were put aside before a migration, in which they still are: to be deleted
    backups: tuple[Path, ...] = ()


def known(db: sqlite3.Connection, who: str) -> bool:
    """Whether `find` finds somebody, or more than one."""
    return bool(_candidates(db, who))


def find(db: sqlite3.Connection, who: str) -> Person:
    """By "ADAPTER:ACCOUNT", by the store's id, or by a name. Raises `Refused` when there is nobody,
    or more than one; then it names them."""
    found = _candidates(db, who)
    if not found:
        names = sorted({name for *_, name in _everybody(db)})
        near = difflib.get_close_matches(who.strip(), names, n=3)
        hint = f" (did you mean {' or '.join(near)}?)" if near else ""
        raise Refused(f'nobody is called "{who}"{hint}; give a name, or ADAPTER:ACCOUNT')
    people = [_person(db, person) for person in sorted(found)]
    if len(people) > 1:
        each = "; ".join(
            f"{', '.join(person.accounts)} ({', '.join(person.names)}, {person.messages} messages)"
            for person in people
        )
        raise Refused(f'"{who}" may be more than one person: {each}; give one of these accounts')
    return people[0]


def _everybody(db: sqlite3.Connection) -> list[tuple[int, str, str]]:
    """Of each account its person, "ADAPTER:ACCOUNT", and name."""
    rows = db.execute("SELECT person, adapter || ':' || account, name FROM identities").fetchall()
    return [row for row in rows if row[2] != NOBODY]


def _candidates(db: sqlite3.Connection, who: str) -> set[int]:
    wanted = who.strip()
    everybody = _everybody(db)
    return {person for person, account, _ in everybody if account == wanted} or {
        person
        for person, _, name in everybody
        if str(person) == wanted or name.casefold() == wanted.casefold()
    }


def _person(db: sqlite3.Connection, person: int) -> Person:
    rows = db.execute(
        "SELECT name, adapter || ':' || account FROM identities WHERE person = ? ORDER BY id",
        (person,),
    ).fetchall()
    (messages,) = db.execute(
        """SELECT count(*) FROM messages m JOIN identities i ON i.id = m.identity
        WHERE i.person = ? AND m.deleted_at IS NULL""",
        (person,),
    ).fetchone()
    return Person(
        id=person,
        names=tuple(dict.fromkeys(name for name, _ in rows)),
        accounts=tuple(account for _, account in rows),
        messages=messages,
    )


def forget(db: sqlite3.Connection, who: str, next_seq: Callable[[], int], now: float) -> Forgotten:
    """All of it but the contents of files, which are `orphans` from then on. Raises `Refused` as
    `find` does."""
    person = find(db, who)
    # What is overwritten is zeroed, rather than left in free pages.
    before = one(db, "PRAGMA secure_delete")
    db.execute("PRAGMA secure_delete = ON")
    try:
        return _forget(db, person, next_seq, now)
    finally:
        db.execute(f"PRAGMA secure_delete = {before}")


def _forget(
    db: sqlite3.Connection, person: Person, next_seq: Callable[[], int], now: float
) -> Forgotten:
    had_nobody = set(orphans(db))
    # In temporary tables, since each of the statements below needs them.
    for table in ("mine", "gone"):
        db.execute(f"CREATE TEMP TABLE IF NOT EXISTS {table} (id INTEGER PRIMARY KEY)")
        db.execute(f"DELETE FROM temp.{table}")
    db.execute("INSERT INTO temp.mine SELECT id FROM identities WHERE person = ?", (person.id,))
    summaries = one(db, "SELECT count(*) FROM summaries")
    facts = db.execute("DELETE FROM facts WHERE identity IN temp.mine").rowcount
    # 1. What they said, also what they or others had taken back. Summaries of it go with it.
    db.execute("INSERT INTO temp.gone SELECT id FROM messages WHERE identity IN temp.mine")
    messages = _empty(db, next_seq, now)
    ratings = db.execute(
        "DELETE FROM feedback WHERE identity IN temp.mine OR message IN temp.gone"
    ).rowcount
    letters, relayed = _letters(db)
    # 2. What they wished of image bots, in words.
    db.execute(
        """UPDATE turns SET wish_text = '',
            state = CASE WHEN (wish <> '' OR schedule IS NOT NULL) AND state = 'waiting'
                THEN 'stopped' ELSE state END
        WHERE asked_by IN temp.mine OR id IN (
            SELECT turn FROM turn_messages WHERE message IN temp.gone)"""
    )
    # What they asked, as it was asked and as another model put it.
    db.execute(
        """UPDATE origins SET question = '', meant = '' WHERE turn IN (
            SELECT id FROM turns WHERE asked_by IN temp.mine) OR turn IN (
            SELECT turn FROM turn_messages WHERE message IN temp.gone)"""
    )
    # What bots were to say to them or for them, and when they want quiet.
    db.execute(
        """UPDATE schedules SET say = '', prompt = '', slot = NULL, due_at = NULL
        WHERE made_by IN temp.mine"""
    )
    db.execute("DELETE FROM quiet WHERE scope = ?", (f"person {person.id}",))
    # 3. The daemon's own words with their names, and what it told them alone.
    accounts = [account.partition(":") for account in person.accounts]
    words = _words({*person.names, *(account for _, _, account in accounts)})
    db.execute("DELETE FROM temp.gone")
    _notices(db, words)
    notices = _empty(db, next_seq, now)
    more, also = _letters(db)
    letters += more
    for adapter, _, account in accounts:
        letters += db.execute(
            """UPDATE letters SET text = '', plain = '', only_for = '',
                state = CASE WHEN state = 'sent' THEN state ELSE 'dead' END
            WHERE adapter = ? AND only_for = ?""",
            (adapter, account),
        ).rowcount
        db.execute("DELETE FROM quarantine WHERE adapter = ? AND instr(raw, ?)", (adapter, account))
    for thread, title in db.execute("SELECT id, title FROM threads WHERE title <> ''").fetchall():
        if words.search(title):
            db.execute("UPDATE threads SET title = '' WHERE id = ?", (thread,))
    db.execute("DELETE FROM held WHERE identity IN temp.mine")
    db.execute("DELETE FROM relations WHERE person = ?", (person.id,))
    # 4. Who they were. Whoever writes from the same account later is a new person.
    db.execute("DELETE FROM pairings WHERE identity IN temp.mine")
    db.execute("UPDATE pairings SET approved_by = NULL WHERE approved_by IN temp.mine")
    db.execute("DELETE FROM links WHERE first IN temp.mine OR second IN temp.mine")
    db.execute("DELETE FROM link_tries WHERE identity IN temp.mine")
    db.execute(
        "UPDATE identities SET name = ?, account = 'forgotten ' || id WHERE id IN temp.mine",
        (NOBODY,),
    )
    db.execute("UPDATE people SET name = ?, timezone = '' WHERE id = ?", (NOBODY, person.id))
    return Forgotten(
        person=person,
        messages=messages,
        notices=notices,
        letters=letters,
        ratings=ratings,
        facts=facts,
        summaries=summaries - one(db, "SELECT count(*) FROM summaries"),
        files=len(set(orphans(db)) - had_nobody),
        relayed=tuple(dict.fromkeys(relayed + also)),
    )


def _empty(db: sqlite3.Connection, next_seq: Callable[[], int], now: float) -> int:
    """Take everything out of the messages in `gone`, which are deleted from then on."""
    ids = [id for (id,) in db.execute("SELECT id FROM temp.gone ORDER BY id").fetchall()]
    db.executemany(
        """UPDATE messages SET text = '', bubbles = '', has_files = 0,
            deleted_at = coalesce(deleted_at, ?), seq = ? WHERE id = ?""",
        [(now, next_seq(), id) for id in ids],
    )
    db.execute("DELETE FROM message_files WHERE message IN temp.gone")
    return len(ids)


def _letters(db: sqlite3.Connection) -> tuple[int, tuple[Address, ...]]:
    """Take back what carries the messages in `gone`, as `wishes.take_back` does with an answer:
    what never left is dead, the rest is taken from its platform. Returns how many had not been
    sent, and where some are to be taken away."""
    theirs = "FROM letters WHERE message IN temp.gone"
    waiting = one(db, f"SELECT count(*) {theirs} AND state IN ('ready', 'sending')")
    db.execute(
        """UPDATE letters SET text = '', plain = '', file = NULL, file_name = '', controls = '',
            error = ?, attempts = 0, not_before = 0,
            taken_back = (state = 'sending' OR (state <> 'dead' AND remote <> '')),
            state = CASE WHEN state IN ('sending', 'dead') THEN state
                WHEN remote <> '' THEN 'ready' ELSE 'dead' END
        WHERE message IN temp.gone""",
        (TAKEN_BACK,),
    )
    places = db.execute(f"SELECT DISTINCT adapter, channel, topic {theirs} AND taken_back")
    return waiting, tuple(Address(*place) for place in places)


def _notices(db: sqlite3.Connection, words: re.Pattern[str]) -> None:
    """Put notices that name somebody, or repeat what they said aloud, into `gone`."""
    db.execute(
        """INSERT INTO temp.gone SELECT n.id FROM messages n JOIN messages m
            ON m.adapter = n.adapter AND m.channel = n.channel AND m.platform_id = n.reply_to
        WHERE n.kind = 'notice' AND n.reply_to <> '' AND m.identity IN temp.mine"""
    )
    rows = db.execute(
        "SELECT id, text FROM messages WHERE kind = 'notice' AND bot = '' AND text <> ''"
    )
    named = [(id,) for id, text in rows.fetchall() if words.search(text)]
    db.executemany("INSERT OR IGNORE INTO temp.gone VALUES (?)", named)


def _words(names: Collection[str]) -> re.Pattern[str]:
    """Matches any of them as a whole word."""
    each = "|".join(re.escape(name) for name in sorted(names) if name)
    return re.compile(rf"(?<!\w)(?:{each})(?!\w)", re.IGNORECASE)


# --- the contents of files -------------------------------------------------------------------


def orphans(db: sqlite3.Connection) -> list[str]:
    """Files that no message and no letter has any more. They stay noted until their contents are
    off the disk, whatever happens meanwhile."""
    rows = db.execute(
        """SELECT sha256 FROM files WHERE sha256 NOT IN (SELECT file FROM message_files)
        AND sha256 NOT IN (SELECT file FROM letters WHERE file IS NOT NULL)"""
    )
    return [sha256 for (sha256,) in rows]


def drop(db: sqlite3.Connection, gone: Collection[str]) -> None:
    """Their contents are off the disk; those that somebody sent again meanwhile stay noted."""
    still = set(orphans(db))
    db.executemany("DELETE FROM files WHERE sha256 = ?", [(one,) for one in gone if one in still])
