"""Whole threads into a folder: Markdown and JSON Lines, with their files beside them. Knows no
database: it is handed what was said, thread by thread.

    OUT/rooms/lounge/000012-holiday-plans/thread.md
                                          thread.jsonl
                                          files/000123-1-garden.png
    OUT/direct/000013/...         between one person and a bot
    OUT/elsewhere/000014/...      in channels that belong to no room

The same threads give the same bytes.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from botdaemon.errors import Refused
from botdaemon.records.names import file_name, room_folder, thread_folder
from botdaemon.records.pages import Copied, Entry, json_lines, markdown
from botdaemon.types import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from botdaemon.types import Spoken

_FILES = "files"


@dataclass(frozen=True, slots=True)
class Exported:
    """How much of what."""

    threads: int
    messages: int
    files: int
    #: files that are not on the disk any more
    missing: int


def export(out: Path, spoken: Iterable[Spoken], file: Callable[[str], Path]) -> Exported:
    """Write what was said, thread by thread and oldest first, into the new folder `out`; `file`
    says where a kept file lies. Commands, the daemon's own words and what was deleted are left out.

    Nothing is there before all of it is. Raises `Refused` when there is something in `out` already
    or nothing to write, and `OSError`.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise Refused(f"there is something in {out} already; name a new folder")
    part = out.with_name(f"{out.name}.part")
    if part.exists():
        shutil.rmtree(part)
    part.mkdir(parents=True)
    threads = messages = files = missing = 0
    try:
        for _, thread in groupby(filter(_is_shown, spoken), key=lambda one: one.message.thread):
            entries = []
            folder = None
            for one in thread:
                folder = folder or part / _place(one)
                entries.append(Entry(one, _copied(one, folder, file)))
            if folder is None:
                continue
            folder.mkdir(parents=True, exist_ok=True)
            for name, lines in (("thread.md", markdown), ("thread.jsonl", json_lines)):
                text = "".join(lines(entries))
                (folder / name).write_bytes(text.encode("utf-8", "replace"))
            copies = [copied.path for entry in entries for copied in entry.files]
            threads += 1
            messages += len(entries)
            files += sum(map(bool, copies))
            missing += sum(not path for path in copies)
        if not threads:
            raise Refused("nothing was said there")
        if out.exists():
            out.rmdir()
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Exported(threads, messages, files, missing)


def _is_shown(one: Spoken) -> bool:
    return one.message.kind is Kind.SAID and one.message.deleted_at is None


def _place(one: Spoken) -> str:
    if one.room:
        where = f"rooms/{room_folder(one.room)}"
    else:
        where = "direct" if one.direct else "elsewhere"
    return f"{where}/{thread_folder(one.message.thread, one.title)}"


def _copied(one: Spoken, folder: Path, file: Callable[[str], Path]) -> tuple[Copied, ...]:
    found = []
    for position, kept in enumerate(one.message.files, 1):
        name = file_name(one.message.id, position, kept.name)
        (folder / _FILES).mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(file(kept.sha256), folder / _FILES / name)
        except FileNotFoundError:  # its person was forgotten meanwhile
            name = ""
        found.append(Copied(kept, f"{_FILES}/{name}" if name else ""))
    return tuple(found)
