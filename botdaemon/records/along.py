"""What is said in rooms, written along as plain text: a folder for each room, in it a file for each
day (UTC). Knows the store by its tail alone, and keeps how far it has come beside what it has
written.

    2026-11-30 21:40:05 #12 Ada: hello
        and a second line
    2026-11-30 21:40:09 #12 starter: hi there
    2026-11-30 21:41:00 #12 Ada (edited): hello!
    2026-11-30 21:42:00 #12 Ada: (taken back)

"#12" is the thread. Lines are only added: what is edited or taken back later stands there as it
was.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botdaemon.errors import StoreUnusable
from botdaemon.records.names import room_folder
from botdaemon.records.pages import moment, one_line
from botdaemon.types import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from botdaemon.ports import Archive
    from botdaemon.types import Message

log = logging.getLogger(__name__)

#: changes that are written at once
BATCH = 500
#: seconds until it is tried again when the disk is full, or not there
PAUSE = 10.0


async def write_along(journal: Journal, archive: Archive) -> None:
    """Write what is said since it was last written, until cancelled. Nobody waits for it."""
    after, in_trouble = journal.seq, False
    while True:
        latest = await archive.latest()
        found = await archive.changes(after, BATCH)
        try:
            if found:
                await asyncio.to_thread(journal.write, found)
            in_trouble = False
        except OSError as error:
            if not in_trouble:  # said once
                log.error("the records wait: %s", error, extra={"event": "records_wait"})
            in_trouble = True
            await asyncio.sleep(PAUSE)
            continue
        last = found[-1][1].seq if found else after
        # What is said outside of rooms moves the tail, too.
        after = last if len(found) == BATCH else max(last, latest)
        if len(found) < BATCH:
            await archive.changed(after)


class Journal:
    """The files, and how far they have come.

    Before anything is added to files, their sizes are noted; so what a crash leaves half written is
    cut off by the next start and written again: nothing is missing, and nothing is there twice.
    """

    def __init__(self, directory: Path, latest: int) -> None:
        """With nothing there yet it begins after the change `latest`. Raises `StoreUnusable` when
        nothing can be written there, or nobody can tell how far it was written."""
        self._directory = directory
        self._place = directory / "written.json"
        self.seq = latest
        try:
            directory.mkdir(parents=True, exist_ok=True)
            if not self._place.exists():
                self._note(latest, {})
            noted = json.loads(self._place.read_text("utf-8"))
            # A backup of the database may have been put in its place.
            self.seq = min(int(noted["seq"]), latest)
            for name, size in noted["sizes"].items():
                self._cut(name, int(size))
        except OSError as error:
            raise StoreUnusable(
                f"{error.filename} cannot be written ({error.strerror}); give {directory} to the"
                " user that runs botdaemon, or set records.directory"
            ) from None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise StoreUnusable(
                f"{self._place} is damaged ({error}); move {directory} away to begin with new"
                " records"
            ) from None

    def write(self, changes: Sequence[tuple[str, Message]]) -> None:
        """Add (room, message) for each change of a message, by growing `seq`. Raises `OSError`;
        then nothing counts as written."""
        lines: dict[str, list[str]] = {}
        for room, message in changes:
            if message.kind is Kind.SAID:
                at = message.deleted_at or message.edited_at or message.sent_at
                name = f"{room_folder(room)}/{datetime.fromtimestamp(at, UTC):%Y-%m-%d}.log"
                lines.setdefault(name, []).append(line(message, at))
        sizes = {name: self._size(name) for name in lines}
        self._note(self.seq, sizes)
        try:
            for name, some in lines.items():
                self._add(name, "".join(some))
        except OSError:
            for name, size in sizes.items():
                self._cut(name, size)
            raise
        self._note(changes[-1][1].seq, {})
        self.seq = changes[-1][1].seq

    def _size(self, name: str) -> int:
        path = self._directory / name
        return path.stat().st_size if path.exists() else 0

    def _cut(self, name: str, size: int) -> None:
        if self._size(name) > size:
            os.truncate(self._directory / name, size)

    def _add(self, name: str, text: str) -> None:
        path = self._directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", errors="replace", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    def _note(self, seq: int, sizes: dict[str, int]) -> None:
        part = self._place.with_suffix(".part")
        with part.open("w", encoding="utf-8") as file:
            json.dump({"seq": seq, "sizes": sizes}, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._place)


def line(message: Message, at: float) -> str:
    """A message as it is written along; what follows its first line is indented."""
    if message.deleted_at is not None:
        edited, text = "", "(taken back)"
    else:
        edited = " (edited)" if message.edited_at is not None else ""
        text = message.text
    files = [f"[{one_line(file.name)}, {file.media_type}]" for file in message.files]
    first, *further = [*map(_clean, text.splitlines()), *files] or [""]
    head = f"{moment(at)} #{message.thread} {one_line(message.speaker)}{edited}: {first}"
    return "\n".join([head, *(f"    {one}" for one in further)]) + "\n"


def _clean(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text).rstrip()
