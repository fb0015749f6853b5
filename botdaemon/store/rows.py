"""Between rows and nouns. The only module that knows the order of columns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from botdaemon.types import (
    Address,
    Bubble,
    Control,
    File,
    Identity,
    Kind,
    Letter,
    Message,
    Part,
    Room,
    Thread,
    Transcript,
)

if TYPE_CHECKING:
    import sqlite3

Row = Sequence[Any]

MESSAGE = """
    m.id, m.seq, m.thread, m.kind, m.bot, m.text, m.adapter, m.channel, m.topic, m.platform_id,
    m.reply_to, m.turn, m.sent_at, m.edited_at, m.deleted_at,
    i.adapter, i.account, i.name, i.is_bot, i.person,
    CASE WHEN m.has_files THEN (
        SELECT json_group_array(json_array(f.sha256, x.name, f.media_type, f.size, x.spoiler,
            f.seconds, hex(f.waveform), t.text, t.problem))
        FROM message_files x JOIN files f ON f.sha256 = x.file
        LEFT JOIN transcripts t ON t.file = x.file WHERE x.message = m.id
    ) END,
    m.bubbles
"""
#: to go with `MESSAGE`
MESSAGES = "messages m LEFT JOIN identities i ON i.id = m.identity"

_KINDS = {kind.value: kind for kind in Kind}

# A thread's messages share their places and their authors: kept, that is a quarter of the time
# that reading a history takes.
_address = lru_cache(maxsize=4096)(Address)


@lru_cache(maxsize=4096)
def _author(adapter: str, account: str, name: str, is_bot: int, person: int) -> Identity:
    return Identity(adapter=adapter, account=account, name=name, is_bot=bool(is_bot), person=person)


def message(row: Row) -> Message:
    """A `MESSAGE` row. A deleted message comes without its text and files."""
    gone = row[14] is not None
    return Message(
        id=row[0],
        seq=row[1],
        thread=row[2],
        kind=_KINDS[row[3]],
        bot=row[4],
        text="" if gone else row[5],
        address=_address(row[6], row[7], row[8]),
        platform_id=row[9],
        reply_to=row[10],
        turn=row[11] or 0,
        sent_at=row[12],
        edited_at=row[13],
        deleted_at=row[14],
        author=None if row[15] is None else _author(*row[15:20]),
        files=()
        if gone or row[20] is None
        else tuple(_file(*columns) for columns in json.loads(row[20])),
        bubbles=()
        if gone or not row[21]
        else tuple(Bubble(text, name) for name, text in json.loads(row[21])),
    )


def _file(
    sha256: str,
    name: str,
    media_type: str,
    size: int,
    spoiler: int,
    seconds: float,
    waveform: str,
    text: str | None,
    problem: str | None,
) -> File:
    return File(
        sha256=sha256,
        name=name,
        media_type=media_type,
        size=size,
        spoiler=bool(spoiler),
        seconds=seconds,
        waveform=bytes.fromhex(waveform),
        transcript=None if text is None else Transcript(text, problem or ""),
    )


def packed_bubbles(said: Message) -> str:
    """The messages of an answer, as its row has them."""
    pairs = [(bubble.name, bubble.text) for bubble in said.bubbles]
    return json.dumps(pairs, ensure_ascii=False) if pairs else ""


ROOM = "r.id, r.name, r.bots, r.host, r.configured, r.created_at"


def room(row: Row) -> Room:
    """A `ROOM` row."""
    return Room(
        id=row[0],
        name=row[1],
        bots=tuple(json.loads(row[2])),
        host=row[3],
        configured=bool(row[4]),
        created_at=row[5],
    )


THREAD = """
    t.id, r.name, t.title, t.created_at,
    coalesce(
        (SELECT m.sent_at FROM messages m WHERE m.thread = t.id ORDER BY m.id DESC LIMIT 1),
        t.created_at
    ) AS last_at,
    (SELECT count(*) FROM messages m WHERE m.thread = t.id AND m.deleted_at IS NULL),
    r.main IS t.id
"""


def thread(row: Row) -> Thread:
    """A `THREAD` row."""
    return Thread(
        id=row[0],
        room=row[1],
        title=row[2],
        created_at=row[3],
        last_at=row[4],
        count=row[5],
        main=bool(row[6]),
    )


LETTER = """
    l.id, l.turn, l.message, l.adapter, l.channel, l.topic, l.number, l.speaker, l.text, l.plain,
    l.reply_to, l.only_for, l.controls, l.attempts, l.remote, l.created_at,
    l.file, l.file_name, f.media_type, f.size, l.spoiler, l.tried_at, l.not_before,
    f.seconds, f.waveform
"""
#: to go with `LETTER`
LETTERS = "letters l LEFT JOIN files f ON f.sha256 = l.file"


def letter(row: Row) -> Letter:
    """A `LETTER` row."""
    return Letter(
        id=row[0],
        key=f"{f't{row[1]}' if row[1] is not None else f'm{row[2]}'}.{row[0]}",
        address=Address(row[3], row[4], row[5]),
        number=row[6],
        speaker=row[7],
        part=Part(
            text=row[8],
            plain=row[9],
            file=None
            if row[16] is None
            else File(
                sha256=row[16],
                name=row[17],
                media_type=row[18],
                size=row[19],
                spoiler=bool(row[20]),
                seconds=row[23],
                waveform=row[24],
            ),
        ),
        reply_to=row[10],
        only_for=row[11],
        controls=tuple(Control(name) for name in row[12].split()),
        attempts=row[13],
        remote=row[14],
        created_at=row[15],
        tried_at=row[21],
        not_before=row[22],
    )


def one(
    db: sqlite3.Connection, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()
) -> Any:
    """The first column of the first row, or None."""
    row = db.execute(sql, parameters).fetchone()
    return None if row is None else row[0]
