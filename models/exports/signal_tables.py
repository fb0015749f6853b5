"""Keeps what is needed of a backup's tables in a temporary database on disk. Knows no encryption.

Signal's schema changes with every few releases, and a backup may come from an enemy. So none of its
SQL touches the database: its CREATE TABLE is only asked for the names of the columns, in an empty
database in memory that allows nothing else; its INSERT only for the name of the table. The columns
that are needed, under whichever name they had, go into tables of ours.
"""

from __future__ import annotations

import re
import sqlite3
import tempfile
from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from botdaemon.errors import ExportUnusable, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.exports.signal_frames import Statement


@dataclass(frozen=True, slots=True)
class Table:
    """A table of ours: its name, and for each column the names it had in Signal's, newest first."""

    name: str
    columns: dict[str, tuple[str, ...]]


_MESSAGES = Table(
    "messages",
    {
        "id": ("_id",),
        "thread": ("thread_id",),
        # Who sent it. Before `from_recipient_id`: the other one, also of what the exporter sent.
        "sender": ("from_recipient_id",),
        "other": ("recipient_id", "address"),
        "type": ("type", "msg_box"),
        "body": ("body",),
        "sent": ("date_sent", "date"),
        "quote": ("quote_id",),
        "deleted": ("remote_deleted",),
        "replaced_by": ("latest_revision_id",),
        "first": ("original_message_id",),
        "once": ("view_once", "reveal_duration"),
        "expires": ("expires_in",),
        "story": ("story_type",),
        "parent_story": ("parent_story_id",),
        "scheduled": ("scheduled_date",),
        "reactions": ("reactions",),
    },
)
_ATTACHMENTS = Table(
    "attachments",
    {
        "message": ("message_id", "mid"),
        "type": ("content_type", "ct"),
        "voice": ("voice_note",),
        "sticker": ("sticker_pack_id",),
        "quote": ("quote",),
    },
)
TABLES = {
    "message": _MESSAGES,
    # Before 2023. Attachments and mentions belong to `mms`; the rest was the same.
    "mms": _MESSAGES,
    "sms": _MESSAGES,
    "attachment": _ATTACHMENTS,
    "part": _ATTACHMENTS,
    "mention": Table(
        "mentions",
        {
            "message": ("message_id",),
            "recipient": ("recipient_id",),
            "start": ("range_start",),
            "length": ("range_length",),
        },
    ),
    "reaction": Table("reactions", {"message": ("message_id",), "is_mms": ("is_mms",)}),
    "recipient": Table(
        "recipients",
        {
            "id": ("_id",),
            "aci": ("aci", "uuid"),
            "phone": ("e164", "phone"),
            "group_id": ("group_id",),
            "nickname": ("nickname_joined_name",),
            "contact": ("system_joined_name", "system_display_name"),
            "profile": ("profile_joined_name", "signal_profile_name"),
            "username": ("username",),
        },
    ),
    "thread": Table(
        "threads",
        {"id": ("_id",), "recipient": ("recipient_id", "thread_recipient_id", "recipient_ids")},
    ),
    "groups": Table("groups", {"id": ("group_id",), "title": ("title",)}),
}
"""Signal's table -> where what is needed of it goes."""

_CREATE = re.compile(r"\s*CREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?[\"'`\[]?(\w+)", re.IGNORECASE)
_INSERT = re.compile(r"\s*INSERT\s+INTO\s+[\"'`\[]?(\w+)[\"'`\]]?\s+(VALUES\b)?", re.IGNORECASE)

_ALLOWED = {
    sqlite3.SQLITE_CREATE_TABLE,
    sqlite3.SQLITE_CREATE_INDEX,  # of UNIQUE
    sqlite3.SQLITE_REINDEX,
    # Of sqlite_master, and the functions of a CHECK; without SELECT they can do nothing else.
    sqlite3.SQLITE_INSERT,
    sqlite3.SQLITE_UPDATE,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
}


@contextmanager
def temporary() -> Iterator[Tables]:
    """Empty tables, gone afterwards. Raises `Refused` when they cannot be written any more."""
    with tempfile.TemporaryDirectory(prefix="botdaemon-signal-") as directory:
        try:
            with closing(sqlite3.connect(Path(directory) / "tables.sqlite3")) as database:
                yield Tables(database)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}:
                raise
            raise Refused(
                f"the backup's tables cannot be unpacked into {tempfile.gettempdir()} ({error});"
                " make space there, or set TMPDIR to another directory"
            ) from error


@dataclass(slots=True)
class Tables:
    """The tables of a backup, as far as they are needed."""

    database: sqlite3.Connection
    #: table of ours -> rows that could not be taken, since they do not fit
    damaged: Counter[str] = field(default_factory=Counter)
    #: of Signal's tables that were met: the SQL that inserts a row, and where its values stand
    _known: dict[str, tuple[str, list[int | None], int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # It is thrown away in any case, so nothing has to survive a crash.
        self.database.execute("PRAGMA journal_mode = OFF")
        self.database.execute("PRAGMA synchronous = OFF")
        for name, columns in {table.name: table.columns for table in TABLES.values()}.items():
            self.database.execute(f"CREATE TABLE {name} (source, {', '.join(columns)})")

    def take(self, statement: Statement, where: str) -> None:
        """Take what is needed of a statement. Raises `ExportUnusable` for a table that cannot be
        understood."""
        if insert := _INSERT.match(statement.sql):
            self._insert(insert[1].lower(), statement, plain=bool(insert[2]))
        elif (create := _CREATE.match(statement.sql)) and create[1].lower() in TABLES:
            self._create(create[1].lower(), statement.sql, where)

    def __contains__(self, name: str) -> bool:
        """Whether the backup has this table of Signal's."""
        return name in self._known

    def _create(self, name: str, sql: str, where: str) -> None:
        table = TABLES[name]
        try:
            theirs = _columns(name, sql)
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise ExportUnusable(
                f"{where}: the table {name} cannot be understood ({error})"
            ) from error
        places = [
            next((theirs.index(old) for old in names if old in theirs), None)
            for names in table.columns.values()
        ]
        ours = ", ".join("?" * (1 + len(places)))
        self._known[name] = (f"INSERT INTO {table.name} VALUES ({ours})", places, len(theirs))

    def _insert(self, name: str, statement: Statement, *, plain: bool) -> None:
        if name not in self._known:
            return
        sql, places, length = self._known[name]
        values = statement.parameters
        if not plain or len(values) != length:
            self.damaged[TABLES[name].name] += 1
            return
        row = [None if place is None else values[place] for place in places]
        self.database.execute(sql, [name, *row])


def _columns(name: str, sql: str) -> list[str]:
    """The names of the columns of a table, in their order."""
    with closing(sqlite3.connect(":memory:")) as scratch:
        scratch.set_authorizer(_allow)
        scratch.execute(sql)
        scratch.set_authorizer(None)
        return [row[1].lower() for row in scratch.execute(f"PRAGMA table_info({name})")]


def _allow(action: int, *_: object) -> int:
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY
