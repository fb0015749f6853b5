"""What people want of image bots by buttons and commands, and pictures that are taken back. Runs
inside a transaction; knows no bot."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from botdaemon.store import rooms
from botdaemon.store.intake import identify, insert_turn, located, seen
from botdaemon.store.letters import TAKEN_BACK
from botdaemon.store.rows import MESSAGE, MESSAGES, message, one
from botdaemon.types import Address, Call, Identity, Message, Obligation, Posted, Recorded, Why

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection

    from botdaemon.types import Pressed, Wish


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """A wish before it is known which picture it is about, and who draws it."""

    wish: Wish
    #: the platform's id of a message: the wish is about its picture, or else about the newest one
    of: str = ""
    #: whether it must be that picture: a button belongs to its own
    exactly: bool = False
    #: bots whose pictures count
    painters: Collection[str]
    #: who draws where nothing is drawn again, given the room's bots (None outside of rooms); ""
    #: for nobody
    drawer: Callable[[tuple[str, ...] | None], str]


def wished(
    db: sqlite3.Connection,
    address: Address,
    key: str,
    who: Identity,
    want: Want,
    direct: bool,
    now: float,
) -> Recorded:
    """Record that somebody wants something by a button or a platform's own command, once, together
    with the turn it calls for; none when there is nobody who could draw it, or no such picture."""
    if (known := seen(db, address.adapter, key)) is not None:
        return known
    thread_id = rooms.thread_at(db, address, now)
    identity = identify(db, who, now)
    obligation = grant(db, want, thread_id, address, identity, None, direct, now)
    return Recorded(
        message=0, thread=thread_id, obligations=() if obligation is None else (obligation,)
    )


def typed(
    db: sqlite3.Connection, event: Posted, recorded: Recorded, want: Want, now: float
) -> Recorded:
    """Add the turn for a wish that was typed to what became of its message, if one can be."""
    said = event.message
    if recorded.duplicate or said.author is None:
        return recorded
    identity = identify(db, said.author, now)
    message_as = (recorded.message, said.platform_id)
    obligation = grant(
        db, want, recorded.thread, said.address, identity, message_as, event.direct, now
    )
    return recorded if obligation is None else replace(recorded, obligations=(obligation,))


def grant(
    db: sqlite3.Connection,
    want: Want,
    thread_id: int,
    address: Address,
    identity: int | None,
    typed: tuple[int, str] | None,
    direct: bool,
    now: float,
) -> Obligation | None:
    """A turn for a wish; `typed` is the message it was typed in, and its platform id. It never
    joins another turn. None when there is nobody who could draw it, or no such picture."""
    about = None
    if want.wish.what == "draw":
        bot = want.drawer(_bots_of(db, thread_id))
    else:
        about = picture(db, thread_id, address, want.of, want.painters, exactly=want.exactly)
        bot = about.bot if about is not None else ""
    if not bot:
        return None
    turn_id = insert_turn(db, thread_id, Call(bot, Why.WISH), identity, direct, now)
    reply_to = typed[1] if typed else want.of
    if about is not None and not reply_to:
        reply_to = _shown_as(db, about, address)
    db.execute(
        "UPDATE turns SET wish = ?, wish_text = ?, about = ? WHERE id = ?",
        (want.wish.what, want.wish.text, about and about.id, turn_id),
    )
    if typed:
        db.execute("INSERT INTO turn_messages (turn, message) VALUES (?, ?)", (turn_id, typed[0]))
    else:
        db.execute(
            "UPDATE turns SET adapter = ?, channel = ?, topic = ?, reply_to = ? WHERE id = ?",
            (address.adapter, address.channel, address.topic, reply_to, turn_id),
        )
    return Obligation(
        turn=turn_id,
        thread=thread_id,
        bot=bot,
        asked_by=identity or 0,
        created_at=now,
        addresses=rooms.addresses_of(db, thread_id),
        reply_to=(address, reply_to),
    )


def picture(
    db: sqlite3.Connection,
    thread_id: int,
    address: Address,
    platform_id: str,
    painters: Collection[str],
    *,
    exactly: bool = False,
) -> Message | None:
    """The message with a picture of one of these bots that a platform id names; where it names
    none, the newest in the thread, unless it is `exactly` this one that is meant."""
    named = message_at(db, address, platform_id) if platform_id else None
    if named is not None and named.files and named.bot in painters:
        return named
    if exactly:
        return None
    row = db.execute(
        f"""SELECT {MESSAGE} FROM {MESSAGES} WHERE m.thread = ? AND m.has_files AND m.bot <> ''
        AND m.deleted_at IS NULL AND m.bot IN (SELECT value FROM json_each(?))
        ORDER BY m.id DESC LIMIT 1""",
        (thread_id, json.dumps(list(painters))),
    ).fetchone()
    return None if row is None else message(row)


def message_at(db: sqlite3.Connection, address: Address, platform_id: str) -> Message | None:
    """What a platform shows under an id, with its files; None when it is not known, or deleted."""
    found = located(db, address, platform_id)
    return None if found is None else kept(db, found[0])


def kept(db: sqlite3.Connection, message_id: int) -> Message | None:
    """A message by its id, unless it is deleted."""
    row = db.execute(
        f"SELECT {MESSAGE} FROM {MESSAGES} WHERE m.id = ? AND m.deleted_at IS NULL", (message_id,)
    ).fetchone()
    return None if row is None else message(row)


def asked_for(db: sqlite3.Connection, message_id: int, who: Identity) -> bool:
    """Whether a bot's message answers this person."""
    row = db.execute(
        """SELECT 1 FROM messages m JOIN turns t ON t.id = m.turn
        JOIN identities i ON i.id = t.asked_by
        JOIN identities w ON w.person = i.person AND w.adapter = ? AND w.account = ?
        WHERE m.id = ?""",
        (who.adapter, who.account, message_id),
    ).fetchone()
    return row is not None


def take_back(
    db: sqlite3.Connection,
    message_id: int,
    pressed: Pressed | None,
    next_seq: Callable[[], int],
    now: float,
) -> tuple[Address, ...]:
    """Forget a bot's answer, and let its letters be taken from the platforms; returns from where.
    `pressed` is the button, if one was, and counts once.

    A letter that never left is dead. One that is under way is left *sending*: it is looked for, and
    taken away if it arrived.
    """
    if pressed is not None and seen(db, pressed.address.adapter, pressed.key) is not None:
        return ()
    row = db.execute(
        "UPDATE messages SET text = '', bubbles = '', has_files = 0, deleted_at = ?, seq = ?"
        " WHERE id = ? AND deleted_at IS NULL RETURNING turn",
        (now, next_seq(), message_id),
    ).fetchone()
    if row is None:
        return ()
    db.execute("DELETE FROM message_files WHERE message = ?", (message_id,))
    letters = "turn = ? AND message = ?"
    db.execute(
        f"""UPDATE letters SET text = '', plain = '', controls = '', error = ?, attempts = 0,
            not_before = 0, taken_back = (state = 'sending' OR remote <> ''),
            state = CASE WHEN state = 'sending' THEN state
                WHEN remote <> '' THEN 'ready' ELSE 'dead' END
        WHERE {letters}""",
        (TAKEN_BACK, row[0], message_id),
    )
    return tuple(
        Address(*place)
        for place in db.execute(
            f"SELECT DISTINCT adapter, channel, topic FROM letters WHERE {letters} AND taken_back",
            (row[0], message_id),
        )
    )


def defaults_at(db: sqlite3.Connection, address: Address) -> str:
    """The options for pictures in a place, "" for none."""
    return (
        one(
            db,
            "SELECT options FROM defaults WHERE adapter = ? AND channel = ?",
            (address.adapter, address.channel),
        )
        or ""
    )


def set_defaults(db: sqlite3.Connection, address: Address, options: str) -> None:
    """Keep options for the pictures of a place; "" for none."""
    place = (address.adapter, address.channel)
    db.execute("DELETE FROM defaults WHERE adapter = ? AND channel = ?", place)
    if options:
        db.execute(
            "INSERT INTO defaults (adapter, channel, options) VALUES (?, ?, ?)", (*place, options)
        )


def _bots_of(db: sqlite3.Connection, thread_id: int) -> tuple[str, ...] | None:
    """The bots of a thread's room; None outside of rooms."""
    bots = one(
        db,
        "SELECT r.bots FROM threads t JOIN rooms r ON r.id = t.room WHERE t.id = ?",
        (thread_id,),
    )
    return None if bots is None else tuple(json.loads(bots))


def _shown_as(db: sqlite3.Connection, said: Message, address: Address) -> str:
    """The platform id under which an answer is shown at an address, "" when it is not."""
    return (
        one(
            db,
            """SELECT remote FROM letters WHERE turn = ? AND adapter = ? AND channel = ?
            AND topic = ? AND message = ? ORDER BY number LIMIT 1""",
            (said.turn, address.adapter, address.channel, address.topic, said.id),
        )
        or ""
    )
