"""Takes the messages of an export into a collection. Knows no kind of export, and no reading."""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    import sqlite3
    from types import TracebackType

    from models.exports.neutral import Said

State = Literal["running", "partial", "done"]
"""Of an import. One that says "running" and is not was killed: what it kept is there, and importing
the same again adds the rest."""

#: messages and characters that wait in memory, at most, before they are written
BATCH, BATCH_CHARACTERS = 5_000, 4 * 2**20

ADD_CONVERSATION = """
INSERT INTO conversation (source, id, title, direct) VALUES (?, ?, ?, ?)
ON CONFLICT (source, id) DO UPDATE SET title = excluded.title
WHERE excluded.title NOT IN ('', title)
"""
ADD_MESSAGE = """
INSERT INTO message (conversation, id, at, speaker, name, text, reply_to, thread, edited, private)
VALUES ((SELECT key FROM conversation WHERE source = ? AND id = ?), ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (conversation, id) DO NOTHING
"""


class Intake:
    """Takes in the messages of one export, some thousands in a transaction.

    When it is left without `finish` the import is partial: what was written stays.
    """

    def __init__(
        self, database: sqlite3.Connection, source: str, path: str, fingerprint: str
    ) -> None:
        self._database = database
        self._source = source
        self._about = (source, path, fingerprint)
        self._import = 0
        self._waiting: list[Said] = []
        self._characters = 0
        self._forgotten: set[str] = set()
        #: messages that were there before
        self.there_already = 0
        #: messages of people who are forgotten
        self.forgotten = 0

    def __enter__(self) -> Self:
        with self._database:
            cursor = self._database.execute(
                "INSERT INTO import (source, path, fingerprint, at, state, report)"
                " VALUES (?, ?, ?, ?, 'running', '{}')",
                (*self._about, time.time()),
            )
        self._import = cursor.lastrowid or 0
        self._forgotten = {mark for [mark] in self._database.execute("SELECT mark FROM forgotten")}
        return self

    def add(self, said: Said) -> None:
        """Take in a message. Its time must be finite, and its texts must be writable as UTF-8."""
        if self._forgotten and mark_of(self._source, said.speaker) in self._forgotten:
            self.forgotten += 1
            return
        self._waiting.append(said)
        self._characters += len(said.text)
        if len(self._waiting) >= BATCH or self._characters >= BATCH_CHARACTERS:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        conversations = {said.conversation: said for said in self._waiting}
        with self._database:
            self._database.executemany(
                ADD_CONVERSATION,
                (
                    (self._source, said.conversation, said.title, said.direct)
                    for said in conversations.values()
                ),
            )
            added = self._database.executemany(
                ADD_MESSAGE, (_row(self._source, said) for said in self._waiting)
            ).rowcount
        self.there_already += len(self._waiting) - max(added, 0)
        self._waiting.clear()
        self._characters = 0

    def finish(self, state: State, report: dict[str, Any]) -> None:
        """Write what waits, and how the import went."""
        self.flush()
        self._close(state, report)

    def _close(self, state: State, report: dict[str, Any]) -> None:
        with self._database:
            self._database.execute(
                "UPDATE import SET state = ?, report = ? WHERE id = ?",
                (state, json.dumps(report), self._import),
            )
        self._import = 0

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._import:
            self._close("partial", {})


def mark_of(source: str, speaker: str) -> str:
    """How a forgotten speaker is known again: a digest, since some sources have names for ids."""
    return hashlib.sha256(f"{source}\0{speaker}".encode()).hexdigest()


def _row(source: str, said: Said) -> tuple[Any, ...]:
    return (
        source,
        said.conversation,
        said.id,
        said.at,
        said.speaker,
        said.name,
        said.text,
        said.reply_to,
        said.thread,
        said.edited,
        json.dumps(said.private),
    )
