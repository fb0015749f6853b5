"""Recording what adapters report: steps 1 and 3 of the road. Runs inside a transaction.

The database is the referee of duplicates: an event's key is inserted first, and where that changes
nothing, nothing else does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from botdaemon.store import rooms
from botdaemon.store.rows import one, packed_bubbles
from botdaemon.types import (
    Address,
    Call,
    File,
    Here,
    Identity,
    Kind,
    Letter,
    Message,
    Obligation,
    Posted,
    Recorded,
)

if TYPE_CHECKING:
    import sqlite3

Route = Callable[[Posted, Here], Sequence[Call]]
Relay = Callable[[Message, Sequence[Address]], Sequence[Letter]]
NextSeq = Callable[[], int]


def posted(
    db: sqlite3.Connection,
    event: Posted,
    route: Route,
    relay: Relay,
    next_seq: NextSeq,
    now: float,
) -> Recorded:
    """Record a message together with its letters to the thread's other addresses and the turns
    it calls for; what was said in the past obliges nobody."""
    said = event.message
    address = said.address
    if (known := seen(db, address.adapter, event.key)) is not None:
        return known
    thread_id = rooms.thread_at(db, address, now)
    identity = None if said.author is None else identify(db, said.author, now)
    message_id = insert_message(db, said, thread_id, identity, next_seq())
    db.execute(
        "UPDATE events SET message = ? WHERE adapter = ? AND key = ?",
        (message_id, address.adapter, event.key),
    )
    if event.past or said.kind is not Kind.SAID:
        return Recorded(message=message_id, thread=thread_id)
    addresses = rooms.addresses_of(db, thread_id)
    letters = relay(said, [other for other in addresses if other != address])
    for letter in letters:
        insert_letter(db, letter, None, message_id, now)
    return Recorded(
        message=message_id,
        thread=thread_id,
        relayed=tuple(dict.fromkeys(letter.address for letter in letters)),
        obligations=tuple(
            replace(
                _oblige(db, call, thread_id, identity, message_id, event.direct, now),
                addresses=addresses,
                reply_to=(address, said.platform_id),
            )
            for call in route(event, _here(db, event, thread_id))
        ),
    )


def asked(
    db: sqlite3.Connection,
    address: Address,
    key: str,
    who: Identity,
    platform_id: str,
    now: float,
) -> Recorded:
    """Record that a command or button was used, once, and find its thread and message."""
    if (known := seen(db, address.adapter, key)) is not None:
        return known
    identify(db, who, now)
    if platform_id and (found := located(db, address, platform_id)) is not None:
        return Recorded(message=found[0], thread=found[1])
    return Recorded(message=0, thread=rooms.thread_at(db, address, now))


# --- parts -----------------------------------------------------------------------------------


def seen(db: sqlite3.Connection, adapter: str, key: str) -> Recorded | None:
    """Claim the event's key, or tell what became of it the first time."""
    cursor = db.execute(
        "INSERT INTO events (adapter, key) VALUES (?, ?) ON CONFLICT DO NOTHING", (adapter, key)
    )
    if cursor.rowcount:
        return None
    message, thread = db.execute(
        """SELECT e.message, m.thread FROM events e LEFT JOIN messages m ON m.id = e.message
        WHERE e.adapter = ? AND e.key = ?""",
        (adapter, key),
    ).fetchone()
    return Recorded(message=message, thread=thread or 0, duplicate=True)


def identify(db: sqlite3.Connection, who: Identity, now: float) -> int:
    """The identity's id; a new one becomes a new person, and a new name is taken over."""
    row = db.execute(
        "SELECT id, name FROM identities WHERE adapter = ? AND account = ?",
        (who.adapter, who.account),
    ).fetchone()
    if row is not None:
        if row[1] != who.name:
            db.execute("UPDATE identities SET name = ? WHERE id = ?", (who.name, row[0]))
        return int(row[0])
    person = db.execute(
        "INSERT INTO people (name, created_at) VALUES (?, ?)", (who.name, now)
    ).lastrowid
    return int(
        db.execute(
            "INSERT INTO identities (person, adapter, account, name, is_bot)"
            " VALUES (?, ?, ?, ?, ?)",
            (person, who.adapter, who.account, who.name, who.is_bot),
        ).lastrowid
        or 0
    )


def insert_message(
    db: sqlite3.Connection, said: Message, thread_id: int, identity: int | None, seq: int
) -> int:
    """Add a message to a thread; its files must have been kept before."""
    address = said.address
    message_id = int(
        db.execute(
            """INSERT INTO messages (seq, thread, kind, identity, bot, text, adapter, channel,
            topic, platform_id, reply_to, turn, has_files, bubbles, sent_at)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
            (
                seq,
                thread_id,
                said.kind.value,
                identity,
                said.bot,
                said.text,
                address.adapter,
                address.channel,
                address.topic,
                said.platform_id,
                said.reply_to,
                said.turn or None,
                bool(said.files),
                packed_bubbles(said),
                said.sent_at,
            ),
        ).lastrowid
        or 0
    )
    for position, file in enumerate(said.files):
        insert_file(db, file, said.sent_at)
        db.execute(
            "INSERT INTO message_files (message, position, file, name, spoiler)"
            " VALUES (?, ?, ?, ?, ?)",
            (message_id, position, file.sha256, file.name, file.spoiler),
        )
    return message_id


def insert_file(db: sqlite3.Connection, file: File, now: float) -> None:
    """Note a file that lies on disk."""
    db.execute(
        """INSERT INTO files (sha256, name, media_type, size, seconds, waveform, created_at)
        VALUES (?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT DO UPDATE SET seconds = excluded.seconds, waveform = excluded.waveform
        WHERE excluded.waveform <> x''""",
        (
            file.sha256,
            file.name,
            file.media_type,
            file.size,
            file.seconds,
            file.waveform,
            now,
        ),
    )


def insert_letter(
    db: sqlite3.Connection, letter: Letter, turn_id: int | None, message_id: int, now: float
) -> None:
    """Put a letter into the outbox. One that a live draft has opened already is taken over: its
    platform id stays, so that it is edited instead of sent."""
    file = letter.part.file
    if file is not None:
        insert_file(db, file, now)
    db.execute(
        """INSERT INTO letters (turn, message, adapter, channel, topic, number, speaker, text,
            plain, file, file_name, spoiler, reply_to, only_for, controls, not_before, created_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (turn, adapter, channel, topic, number) WHERE turn IS NOT NULL DO UPDATE SET
            message = excluded.message, speaker = excluded.speaker, text = excluded.text,
            plain = excluded.plain, file = excluded.file, file_name = excluded.file_name,
            spoiler = excluded.spoiler, only_for = excluded.only_for,
            controls = excluded.controls, not_before = excluded.not_before,
            state = CASE WHEN state = 'sending' THEN state ELSE 'ready' END""",
        (
            turn_id,
            message_id,
            letter.address.adapter,
            letter.address.channel,
            letter.address.topic,
            letter.number,
            letter.speaker,
            letter.part.text,
            letter.part.plain,
            file.sha256 if file else None,
            file.name if file else "",
            file is not None and file.spoiler,
            letter.reply_to,
            letter.only_for,
            " ".join(letter.controls),
            letter.not_before,
            now,
        ),
    )


def located(db: sqlite3.Connection, address: Address, platform_id: str) -> tuple[int, int] | None:
    """(message, thread) of something said on a platform, by a person or by us.

    A mirror names messages by the store's own ids.
    """
    row: tuple[int, int] | None = db.execute(
        "SELECT id, thread FROM messages WHERE adapter = ? AND channel = ? AND platform_id = ?",
        (address.adapter, address.channel, platform_id),
    ).fetchone()
    if row is None:
        row = db.execute(
            """SELECT m.id, m.thread FROM letters l JOIN messages m ON m.id = l.message
            WHERE l.adapter = ? AND l.channel = ? AND l.remote = ?""",
            (address.adapter, address.channel, platform_id),
        ).fetchone()
    if row is None and platform_id.isdigit():
        row = db.execute(
            """SELECT m.id, m.thread FROM messages m JOIN addresses a ON a.thread = m.thread
            WHERE m.id = ? AND a.adapter = ? AND a.channel = ? AND a.mirror""",
            (int(platform_id), address.adapter, address.channel),
        ).fetchone()
    return row


def _here(db: sqlite3.Connection, event: Posted, thread_id: int) -> Here:
    row = db.execute(
        """SELECT t.chosen, r.bots, coalesce(r.host, ''), r.main IS NOT t.id
        FROM threads t LEFT JOIN rooms r ON r.id = t.room WHERE t.id = ?""",
        (thread_id,),
    ).fetchone()
    chosen, bots, host, aside = row
    if bots is None:
        aside = bool(event.message.address.topic)
    replied_to = ""
    if event.message.reply_to:
        found = located(db, event.message.address, event.message.reply_to)
        if found is not None:
            replied_to = one(db, "SELECT bot FROM messages WHERE id = ?", found[:1])
    joined: tuple[str, ...] = ()
    if aside:  # a bot that only granted wishes has not been talked to
        joined = tuple(
            name
            for (name,) in db.execute(
                "SELECT bot FROM turns WHERE thread = ? AND state = 'answered' AND wish = ''"
                " GROUP BY bot ORDER BY max(id) DESC",
                (thread_id,),
            )
        )
    author = event.message.author
    return Here(
        bots=None if bots is None else tuple(json.loads(bots)),
        host=host,
        chosen=chosen,
        replied_to=replied_to,
        joined=joined,
        bots_in_a_row=_bots_in_a_row(db, thread_id) if author and author.is_bot else 0,
    )


def _bots_in_a_row(db: sqlite3.Connection, thread_id: int) -> int:
    """How many of a thread's newest messages are of bots, ours and others."""
    count = 0
    for (is_bot,) in db.execute(
        """SELECT m.bot <> '' OR i.is_bot FROM messages m
        LEFT JOIN identities i ON i.id = m.identity
        WHERE m.thread = ? AND m.kind = 'said' ORDER BY m.id DESC LIMIT 50""",
        (thread_id,),
    ):
        if not is_bot:
            break
        count += 1
    return count


def _oblige(
    db: sqlite3.Connection,
    call: Call,
    thread_id: int,
    identity: int | None,
    message_id: int,
    direct: bool,
    now: float,
) -> Obligation:
    """A turn for the call; it joins one that the same person already waits for, but no wish, and
    none in which the bot writes first."""
    row = db.execute(
        """SELECT id, created_at FROM turns WHERE thread = ? AND state = 'waiting' AND bot = ?
        AND asked_by IS ? AND wish = '' AND schedule IS NULL ORDER BY id DESC LIMIT 1""",
        (thread_id, call.bot, identity),
    ).fetchone()
    joined = row is not None
    if row is None:
        row = (insert_turn(db, thread_id, call, identity, direct, now), now)
    db.execute("INSERT INTO turn_messages (turn, message) VALUES (?, ?)", (row[0], message_id))
    return Obligation(
        turn=row[0],
        thread=thread_id,
        bot=call.bot,
        asked_by=identity or 0,
        created_at=row[1],
        joined=joined,
    )


def insert_turn(
    db: sqlite3.Connection,
    thread_id: int,
    call: Call,
    identity: int | None,
    direct: bool,
    now: float,
) -> int:
    """A waiting turn."""
    return int(
        db.execute(
            "INSERT INTO turns (thread, bot, why, asked_by, direct, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (thread_id, call.bot, call.why.value, identity, direct, now),
        ).lastrowid
        or 0
    )
