"""The messages that were imported into a dataset's directory, in SQLite. Knows no kind of export,
and no persons: a speaker is an id in a source.

A message is unique by (source, conversation, id). Importing an export twice, or two that overlap,
keeps each message once, as it came first.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botdaemon.errors import ExportUnusable
from models.exports.intake import Intake, mark_of
from models.exports.neutral import Said

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from models.exports.intake import State

NAME = "messages.sqlite3"
VERSION = 1

SCHEMA = """
CREATE TABLE import (
    id          INTEGER PRIMARY KEY,
    source      TEXT NOT NULL,
    path        TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    at          REAL NOT NULL,
    state       TEXT NOT NULL,
    report      TEXT NOT NULL  -- JSON
) STRICT;
CREATE TABLE conversation (
    key    INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    id     TEXT NOT NULL,
    title  TEXT NOT NULL,
    direct INTEGER NOT NULL,
    UNIQUE (source, id)
) STRICT;
CREATE TABLE message (
    key          INTEGER PRIMARY KEY,  -- in the order of arrival
    conversation INTEGER NOT NULL REFERENCES conversation,
    id           TEXT NOT NULL,
    at           REAL NOT NULL,
    speaker      TEXT NOT NULL,
    name         TEXT NOT NULL,
    text         TEXT NOT NULL,
    reply_to     TEXT NOT NULL,
    thread       TEXT NOT NULL,
    edited       INTEGER NOT NULL,
    private      TEXT NOT NULL,  -- JSON
    UNIQUE (conversation, id)
) STRICT;
CREATE INDEX message_in_time ON message (conversation, at);
CREATE INDEX message_of_speaker ON message (speaker);
-- whom an operator has removed, so that no later import brings them back
CREATE TABLE forgotten (
    mark TEXT PRIMARY KEY  -- `intake.mark_of`
) STRICT, WITHOUT ROWID;
"""

CONVERSATIONS = """
SELECT conversation.*, count(*) AS messages, min(at) AS first, max(at) AS last
FROM conversation JOIN message ON message.conversation = conversation.key
GROUP BY conversation.key ORDER BY source, conversation.id
"""
MESSAGES = """
SELECT id, at, speaker, name, text, reply_to, thread, edited, private
FROM message WHERE conversation = ? ORDER BY at, key
"""
SPEAKERS = """
SELECT source, speaker AS id, count(*) AS messages, sum(length(text)) AS characters,
       count(DISTINCT conversation) AS conversations, min(at) AS first, max(at) AS last
FROM message JOIN conversation ON conversation.key = message.conversation
GROUP BY source, speaker ORDER BY messages DESC, source, speaker
"""
COUNT_SPEAKERS = """
SELECT count(DISTINCT speaker)
FROM message JOIN conversation ON conversation.key = message.conversation WHERE source = ?
"""
NAMES = """
SELECT source, speaker AS id, name
FROM message JOIN conversation ON conversation.key = message.conversation
GROUP BY source, speaker, name ORDER BY max(at) DESC, name
"""

# The messages of a speaker, who is given as (source, id).
ITS = """
message.speaker = :speaker
AND message.conversation IN (SELECT key FROM conversation WHERE source = :source)
"""
UNQUOTE = f"""
UPDATE message AS reply SET reply_to = '' WHERE reply_to <> '' AND (conversation, reply_to) IN (
    SELECT conversation, id FROM message WHERE {ITS}
)
"""
UNTITLE = f"""
UPDATE conversation SET title = '' WHERE key IN (
    SELECT conversation FROM message
    WHERE {ITS} AND (direct OR instr(lower(title), lower(message.name)))
)
"""
FORGET = f"DELETE FROM message WHERE {ITS}"
TIDY = "DELETE FROM conversation WHERE key NOT IN (SELECT conversation FROM message)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """An import that was made or begun."""

    #: the kind of export
    source: str
    #: the file or folder, without where it lay
    path: str
    #: tells two exports of the same name apart
    fingerprint: str
    #: when, seconds since the epoch
    at: float
    state: State
    #: `Report.as_json`, empty while it runs
    report: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A conversation of which messages are kept."""

    #: in this collection
    key: int
    source: str
    #: in the source
    id: str
    title: str
    #: whether it is between two people
    direct: bool
    messages: int
    #: when the first and the last message were said, seconds since the epoch
    first: float
    last: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """Somebody of whom messages are kept."""

    source: str
    #: in the source
    id: str
    #: what they were called, the last name first
    names: tuple[str, ...]
    messages: int
    #: of all messages together
    characters: int
    conversations: int
    #: when the first and the last message were said, seconds since the epoch
    first: float
    last: float

    @property
    def name(self) -> str:
        """The name used last."""
        return self.names[0]


@contextmanager
def open_collection(directory: Path, *, create: bool = False) -> Iterator[Collection]:
    """The messages of a dataset's directory.

    Raises `ExportUnusable` when there are none (unless they are to be created), when the file is
    damaged or of a newer program, and when it cannot be written, also later.
    """
    path = directory / NAME
    if create:
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ExportUnusable(f"{directory} cannot be made: {error.strerror}") from error
    elif not path.is_file():
        raise ExportUnusable(
            f"{directory} has no {NAME}; make it with: botdaemon import KIND PATH --out {directory}"
        )
    try:
        with closing(sqlite3.connect(path, timeout=30)) as database:
            _prepare(database, path)
            yield Collection(database)
    except sqlite3.Error as error:
        raise ExportUnusable(f"{path} cannot be used: {error}") from error


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    database.row_factory = sqlite3.Row
    database.execute("PRAGMA foreign_keys = ON")
    # What is deleted is overwritten: who asks to be forgotten is not to be found in the file.
    database.execute("PRAGMA secure_delete = ON")
    [version] = database.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise ExportUnusable(
            f"{path} was written by a newer botdaemon (form {version}, this one knows {VERSION}); "
            "use that one, or import into another directory"
        )
    if version == 0:
        if database.execute("SELECT 1 FROM sqlite_schema").fetchone():
            raise ExportUnusable(f"{path} is a database of something else; give another directory")
        database.executescript(f"BEGIN;{SCHEMA}PRAGMA user_version = {VERSION};COMMIT;")


class Collection:
    """The messages of one dataset. One thread uses it."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    @property
    def size(self) -> int:
        """How many messages there are."""
        [number] = self._database.execute("SELECT count(*) FROM message").fetchone()
        return int(number)

    def speakers_of(self, source: str) -> int:
        """How many speakers there are of a kind of export."""
        [number] = self._database.execute(COUNT_SPEAKERS, (source,)).fetchone()
        return int(number)

    def begin(self, source: str, path: str, fingerprint: str) -> Intake:
        """Take in the messages of an export, in a `with`."""
        return Intake(self._database, source, path, fingerprint)

    def imports(self) -> list[Import]:
        """All imports, the oldest first."""
        rows = self._database.execute(
            "SELECT source, path, fingerprint, at, state, report FROM import ORDER BY id"
        )
        return [Import(**{**row, "report": json.loads(row["report"])}) for row in rows]

    def conversations(self) -> list[Conversation]:
        """All conversations, by source and id."""
        rows = self._database.execute(CONVERSATIONS)
        return [Conversation(**{**row, "direct": bool(row["direct"])}) for row in rows]

    def messages(self, conversation: Conversation) -> Iterator[Said]:
        """In the order of time. Those of the same second (or minute, as far as a source knows it)
        are in the order of the export."""
        for row in self._database.execute(MESSAGES, (conversation.key,)):
            known = {
                **row,
                "edited": bool(row["edited"]),
                "private": tuple(json.loads(row["private"])),
            }
            yield Said(
                conversation=conversation.id,
                title=conversation.title,
                direct=conversation.direct,
                **known,
            )

    def speakers(self) -> list[Speaker]:
        """Everybody, with most messages first."""
        names: dict[tuple[str, str], list[str]] = {}
        for source, id, name in self._database.execute(NAMES):
            names.setdefault((source, id), []).append(name)
        return [
            Speaker(names=tuple(names[row["source"], row["id"]]), **row)
            for row in self._database.execute(SPEAKERS)
        ]

    def forget(self, source: str, speakers: Iterable[str]) -> int:
        """Remove these people's messages, and keep later imports from bringing them back.

        Replies to them stay, as replies to nobody; a conversation that is called like them loses
        its title. What others said about them stays. Returns how many messages are gone.
        """
        gone = 0
        with self._database:
            for speaker in speakers:
                them = {"source": source, "speaker": speaker}
                mark = mark_of(source, speaker)
                self._database.execute("INSERT OR IGNORE INTO forgotten VALUES (?)", (mark,))
                self._database.execute(UNQUOTE, them)
                self._database.execute(UNTITLE, them)
                gone += self._database.execute(FORGET, them).rowcount
            self._database.execute(TIDY)
        return gone
