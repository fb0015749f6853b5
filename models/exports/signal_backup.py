"""Reads the messages of an encrypted Android backup of Signal (`.backup`). Knows neither its
encryption (`signal_frames`) nor the names in its tables (`signal_tables`).

The types of messages: Signal-Android, org.thoughtcrime.securesms.database.MessageTypes.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from botdaemon.errors import ExportUnusable
from models.exports import signal_frames, signal_tables
from models.exports.neutral import Said
from models.exports.signal_words import (
    LONG_TEXT,
    SOMEONE,
    direct_id,
    message_id,
    person_id,
    placeholder,
    with_mentions,
    with_placeholders,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from models.exports.neutral import Options, Tally
    from models.exports.signal_tables import Tables

PLAIN = "export the chats in plain text in Signal's settings, and import that as signal"

# Parts of a message's type.
BASE = 0x1F
INBOX, OUTBOX, LAST_OUTGOING, DRAFT = 20, 21, 26, 27
CALLS = {1, 2, 3, 8, 10, 11, 12}
#: key exchange, group update and leave, timer, end of session: no message has one of them
SERVICE = 0xFF00 | 0x10000 | 0x20000 | 0x40000 | 0x400000
UNDECRYPTED = 0x3E000000
SPECIAL, STORY_REACTION = 0xF00000000, 0x100000000

# What was edited was said at the time of its first version.
SAID_AT = """
coalesce(
    (SELECT f.sent FROM messages AS f WHERE f.id = m.first AND f.source = m.source LIMIT 1), m.sent
) AS said_at
"""
SELECT = f"""
SELECT m.*, {SAID_AT},
    EXISTS (
        SELECT 1 FROM reactions AS r
        WHERE r.message = m.id
        AND coalesce(r.is_mms, m.source <> 'sms') = (m.source <> 'sms')
    ) AS reacted
FROM messages AS m
"""
QUOTED = f"SELECT m.*, {SAID_AT} FROM messages AS m WHERE m.thread = ? AND m.sent = ? LIMIT 1"
EXPORTER = f"""
SELECT sender FROM messages WHERE type & {BASE} BETWEEN {OUTBOX} AND {LAST_OUTGOING}
AND sender IS NOT NULL GROUP BY sender ORDER BY count(*) DESC LIMIT 1
"""
INDEXES = """
CREATE INDEX message_by_id ON messages (id);
CREATE INDEX message_by_time ON messages (thread, sent);
CREATE INDEX attachment_of ON attachments (message);
CREATE INDEX mention_of ON mentions (message);
CREATE INDEX reaction_of ON reactions (message);
"""


def read(path: Path, tally: Tally, options: Options) -> Iterator[Said]:
    """What is said in a backup; `options.passphrase` opens it.

    Raises `Refused` for a passphrase that is missing or wrong; `ExportUnusable` for what is no such
    backup, and, after what could be read, for one that breaks off or is damaged.
    """
    with signal_tables.temporary() as tables:
        problem = _unpack(path, options.passphrase, tables, tally)
        if "recipient" not in tables and not problem:
            raise ExportUnusable(
                f"{path} was made by a Signal from before 2020, which is not understood; restore it"
                f" on a phone, let Signal update it, and {PLAIN}"
            )
        if lost := tables.damaged["messages"]:
            tally.leave("damaged message", lost)
        if tables.damaged:
            tally.note(
                f"{tables.damaged.total()} rows of {path.name} do not fit their tables and were"
                f" left out: {', '.join(tables.damaged)}"
            )
        yield from _Messages(tables, options.me).all(tally)
        if problem:
            raise problem


def _unpack(path: Path, passphrase: str, tables: Tables, tally: Tally) -> ExportUnusable | None:
    """Fill the tables. Gives why it could not go on to the end."""
    if path.is_dir():
        raise ExportUnusable(
            f"{path} is a folder; give the .backup file in it, or if there is none"
            f" (a backup of version 2), {PLAIN}"
        )
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            for statement in signal_frames.statements(
                file, size, str(path), passphrase, tally.progress
            ):
                tables.take(statement, str(path))
    except FileNotFoundError as error:
        raise ExportUnusable(f"{path} does not exist") from error
    except OSError as error:
        raise ExportUnusable(f"{path} cannot be read: {error.strerror}") from error
    except ExportUnusable as error:
        return error
    return None


class _Messages:
    """The messages in the tables, with those who say them."""

    def __init__(self, tables: Tables, me: str) -> None:
        self._database = tables.database
        self._database.row_factory = sqlite3.Row
        self._database.executescript(INDEXES)
        self._groups = {
            str(row["id"]): _text(row["title"])
            for row in self._database.execute("SELECT id, title FROM groups")
        }
        self._recipients = {
            str(row["id"]): row for row in self._database.execute("SELECT * FROM recipients")
        }
        self._threads = {
            str(row["id"]): str(row["recipient"])
            for row in self._database.execute("SELECT id, recipient FROM threads")
        }
        exporter = self._database.execute(EXPORTER).fetchone()
        #: the exporter's recipient; before 2023 nothing says which it is
        self._exporter = str(exporter["sender"]) if exporter else ""
        own = self._person(self._exporter)
        self._own = _Person(own.id if own else "self", me or (own.name if own else "Me"))

    def all(self, tally: Tally) -> Iterator[Said]:
        """All that were said by people in chats, in the order of the tables."""
        for row in self._database.execute(SELECT):
            chat = self._chat(str(row["thread"]))
            author = self._author(row)
            if reason := _why_not(row):
                tally.leave(reason)
                continue
            if not chat or not author:
                tally.leave("in no chat with people")
                continue
            words = self._words(row, tally)
            if not words:
                tally.leave("no text")
                continue
            if row["first"] is not None:
                tally.change("edited")
            if row["reacted"] or row["reactions"]:
                tally.change("reactions ignored")
            sent = _whole(row["said_at"])
            yield Said(
                conversation=chat.id,
                id=message_id(sent, author.id),
                at=sent / 1000,
                speaker=author.id,
                name=author.name,
                text=words,
                reply_to=self._quoted(row, tally),
                title=chat.title,
                direct=chat.direct,
                edited=row["first"] is not None,
            )

    def _words(self, row: sqlite3.Row, tally: Tally) -> str:
        shown = []
        # Nothing was ever attached to what lies in `sms`, whose ids are those of others in `mms`.
        for file in self._of(row, "attachments"):
            if _whole(file["quote"]):
                continue
            if file["type"] == LONG_TEXT:
                tally.change("long text cut short")
            elif file["sticker"]:
                shown.append("[sticker]")
            else:
                shown.append(placeholder(_text(file["type"]), voice=_whole(file["voice"]) > 0))
        mentions = [
            (_whole(mention["start"]), _whole(mention["length"]), self._called(mention))
            for mention in self._of(row, "mentions")
        ]
        return with_placeholders(with_mentions(_text(row["body"]), mentions), shown)

    def _of(self, row: sqlite3.Row, table: str) -> list[sqlite3.Row]:
        if row["source"] == "sms":
            return []
        # Signal sends 32 files with a message at most.
        query = f"SELECT * FROM {table} WHERE message = ? ORDER BY rowid LIMIT 100"
        return self._database.execute(query, [row["id"]]).fetchall()

    def _called(self, mention: sqlite3.Row) -> str:
        recipient = str(mention["recipient"])
        person = self._own if recipient == self._exporter else self._person(recipient)
        return person.name if person else SOMEONE

    def _quoted(self, row: sqlite3.Row, tally: Tally) -> str:
        """The id of the message that a message answers, if the backup has it."""
        if _whole(row["quote"]) <= 0:
            return ""
        tally.change("quote removed")
        quoted = self._database.execute(QUOTED, [row["thread"], row["quote"]]).fetchone()
        author = self._author(quoted) if quoted else None
        return message_id(_whole(quoted["said_at"]), author.id) if author else ""

    def _author(self, row: sqlite3.Row) -> _Person | None:
        if OUTBOX <= _whole(row["type"]) & BASE <= LAST_OUTGOING:
            return self._own
        return self._person(str(row["sender"] if row["sender"] is not None else row["other"]))

    def _person(self, recipient: str) -> _Person | None:
        row = self._recipients.get(recipient)
        if row is None or row["group_id"] is not None:
            return None
        names = (_text(row[key]).strip() for key in ("nickname", "contact", "profile", "username"))
        return _Person(
            person_id(_uuid(row["aci"]), _text(row["phone"]), recipient),
            next(filter(None, names), f"Unknown {recipient}"),
        )

    def _chat(self, thread: str) -> _Chat | None:
        recipient = self._threads.get(thread, "")
        row = self._recipients.get(recipient)
        if row is not None and row["group_id"] is not None:
            group = str(row["group_id"])
            return _Chat(group, self._groups.get(group, ""), direct=False)
        other = self._own if recipient == self._exporter else self._person(recipient)
        if not other:
            return None
        return _Chat(direct_id(self._own.id, other.id), other.name, direct=True)


def _why_not(row: sqlite3.Row) -> str:
    """Why a row is no message that is kept; empty for one that is."""
    type = _whole(row["type"])
    base = type & BASE
    if type & SPECIAL == STORY_REACTION:
        return "reaction to a story"
    if base in CALLS:
        return "call"
    if not INBOX <= base <= LAST_OUTGOING or type & (SERVICE | SPECIAL):
        return "draft" if base == DRAFT else "service message"
    if type & UNDECRYPTED:
        return "never decrypted"
    if _whole(row["deleted"]):
        return "deleted"
    if row["replaced_by"] not in (None, row["id"]):
        return "earlier version of an edited message"
    if _whole(row["once"]):
        return "view once"
    if _whole(row["expires"]) > 0:
        return "disappearing message"
    if _whole(row["story"]) or _whole(row["parent_story"]) > 0:
        return "story"
    return "not sent yet" if _whole(row["scheduled"]) > 0 else ""


@dataclass(frozen=True, slots=True)
class _Person:
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class _Chat:
    id: str
    title: str
    direct: bool


# Any value can stand in any column; one of the wrong kind counts as missing.


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _uuid(value: Any) -> UUID | None:
    try:
        return UUID(_text(value))
    except ValueError:
        return None
