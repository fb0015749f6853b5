"""One thread as text: Markdown for people, JSON Lines for programs. Pure: knows no file system.

What somebody wrote stands in a block quote, so that no message can look like another one's head,
and a fence that it leaves open ends with it. Times are UTC.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from botdaemon.types import File, Spoken

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")


@dataclass(frozen=True, slots=True)
class Copied:
    """A file of a message, and where its copy lies."""

    file: File
    #: beside the page; empty when it is not there any more
    path: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A message of a thread, with its files."""

    spoken: Spoken
    files: tuple[Copied, ...]


def moment(at: float) -> str:
    """ "2026-11-30 21:40:05"."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"


def one_line(text: str) -> str:
    """A text without what could end a line, or turn it around."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def markdown(entries: Sequence[Entry]) -> Iterator[str]:
    """A thread for people; at least one message."""
    first, last = entries[0].spoken, entries[-1].spoken
    thread = first.message.thread
    where = f"room {_escaped(first.room)}" if first.room else "outside of rooms"
    yield f"# {_escaped(one_line(first.title)) or f'Thread {thread}'}\n\n"
    yield (
        f"Thread {thread}, {where}: {len(entries)} messages from"
        f" {moment(first.message.sent_at)} to {moment(last.message.sent_at)} UTC\n"
    )
    speakers: dict[int, str] = {}
    before = 0
    for entry in entries:
        said, answers = entry.spoken.message, entry.spoken.answers
        speakers[said.id] = _escaped(one_line(said.speaker))
        to = f" to {speakers[answers]}" if answers in speakers and answers != before else ""
        edited = ", edited" if said.edited_at is not None else ""
        yield f"\n**{speakers[said.id]}**{to} \u00b7 {moment(said.sent_at)}{edited}\n\n"
        lines = said.text.splitlines()
        for copied in entry.files:
            lines += ["", _link(copied)] if lines else [_link(copied)]
        yield from (f"> {line}".rstrip() + "\n" for line in lines)
        before = said.id


def _link(copied: Copied) -> str:
    name = _escaped(one_line(copied.file.name))
    if not copied.path:
        return f"*{name} is not there any more*"
    shown = "!" * (copied.file.media_type.startswith("image/") and not copied.file.spoiler)
    covered = " (covered)" if copied.file.spoiler else ""
    return f"{shown}[{name}]({quote(copied.path)}){covered}"


def _escaped(name: str) -> str:
    return _PUNCTUATION.sub(r"\\\1", name)


def json_lines(entries: Sequence[Entry]) -> Iterator[str]:
    """A thread for programs, a JSON object for each message:

    {"id": 7, "thread": 3, "room": "lounge", "title": "", "direct": false,
     "at": "2026-11-30T21:40:05.250Z", "edited_at": null, "speaker": "Ada", "bot": "",
     "account": "discord:1234", "answers": 6, "text": "hello",
     "files": [{"name": "garden.png", "media_type": "image/png", "size": 4096, "sha256": "...",
                "spoiler": false, "path": "files/000007-1-garden.png"}]}
    """
    for entry in entries:
        spoken, said = entry.spoken, entry.spoken.message
        line = {
            "id": said.id,
            "thread": said.thread,
            "room": spoken.room,
            "title": spoken.title,
            "direct": spoken.direct,
            "at": _stamp(said.sent_at),
            "edited_at": None if said.edited_at is None else _stamp(said.edited_at),
            "speaker": said.speaker,
            "bot": said.bot,
            "account": f"{said.author.adapter}:{said.author.account}" if said.author else "",
            "answers": spoken.answers or None,
            "text": said.text,
            "files": [
                {
                    "name": copied.file.name,
                    "media_type": copied.file.media_type,
                    "size": copied.file.size,
                    "sha256": copied.file.sha256,
                    "spoiler": copied.file.spoiler,
                    "path": copied.path or None,
                }
                for copied in entry.files
            ],
        }
        yield json.dumps(line, ensure_ascii=False) + "\n"


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
