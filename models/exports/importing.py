"""Imports an export into a dataset's directory, and reports what became of each message. Knows the
kinds of exports by name alone."""

from __future__ import annotations

import hashlib
import importlib
import math
import time
from dataclasses import dataclass, fields, replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from botdaemon.errors import ExportUnusable, Refused
from models.exports.collection import open_collection
from models.exports.neutral import Options, Said, Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from models.exports.intake import State
    from models.exports.neutral import Reader

READERS = {
    "slack": "models.exports.slack",
    "signal": "models.exports.signal",
    "signal-backup": "models.exports.signal_backup",
    "discord": "models.exports.discord",
    "telegram": "models.exports.telegram",
    "whatsapp": "models.exports.whatsapp",
    "reddit": "models.exports.reddit",
}
"""Kind of export -> the module whose `read` is its `Reader`."""

#: chats have times between the first of them and this
LATEST = 4_102_444_800.0  # the year 2100
#: a file up to this size is known by its digest, a larger one by its size and time
DIGESTED = 256 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of an import: `read` is `kept`, `there_already` and all of `left_out`."""

    kind: str
    path: str
    #: "done", or "partial" when the export broke off; what came before that is kept
    state: State
    #: why it is partial, a sentence; empty when it is not
    problem: str
    kept: int
    #: of an earlier import
    there_already: int
    #: reason -> messages
    left_out: Mapping[str, int]
    #: what happened to messages that were kept -> messages
    changed: Mapping[str, int]
    notes: tuple[str, ...]
    #: what the export's own index says there is: name -> (said there, found)
    promised: Mapping[str, tuple[int, int]]
    #: how many people the collection now has of this kind of export
    speakers: int

    @property
    def read(self) -> int:
        """All messages that were met."""
        return self.kept + self.there_already + sum(self.left_out.values())

    def as_json(self) -> dict[str, Any]:
        """For the collection's list of imports."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def as_text(self) -> str:
        """For people: a table, and what needs a look."""
        lines = [f"{self.kind}: {self.path}"]
        rows = [("read", self.read, ""), ("kept", self.kept, "")]
        if self.there_already:
            rows.append(("there already", self.there_already, ""))
        rows += [("left out", number, reason) for reason, number in _most_first(self.left_out)]
        rows += [("kept, but", number, what) for what, number in _most_first(self.changed)]
        lines += [f"  {head:13} {number:>11,}  {words}".rstrip() for head, number, words in rows]
        for name, (said, found) in self.promised.items():
            apart = f", {abs(said - found):,} {'fewer' if found < said else 'more'}"
            lines.append(f"  index: {said:,} {name}; found: {found:,}{apart * (said != found)}")
        lines.append(f"  {self.speakers:,} speakers of {self.kind} so far")
        lines += [f"  note: {note}" for note in self.notes]
        if self.problem:
            lines.append(f"  PARTIAL: {self.problem}; what was read before is kept")
        return "\n".join(lines)


def _most_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def reader_of(kind: str) -> Reader:
    """What reads a kind of export. Raises `Refused` for one that is not known or whose libraries
    are not installed."""
    try:
        module = READERS[kind]
    except KeyError:
        raise Refused(f'"{kind}" is no kind of export; there are: {", ".join(READERS)}') from None
    try:
        read: Reader = importlib.import_module(module).read
    except ModuleNotFoundError as error:
        raise Refused(
            f"reading {kind} exports needs the package {error.name}; "
            'install it with: pip install "botdaemon[voices]"'
        ) from error
    return read


def collect(
    kind: str,
    path: Path,
    directory: Path,
    options: Options,
    progress: Callable[[int, int], None],
    *,
    read: Reader | None = None,
) -> Report:
    """Read an export into the collection of a directory, which is made when it is not there.

    `progress` is told the bytes read and all bytes. `read` is given for what is no export (the
    daemon's own threads); `kind` is then its name alone.

    When the export breaks off, what was read is kept, and the report is "partial" and says why.
    Raises `ExportUnusable` when nothing could be read, and then leaves nothing behind; `Refused`
    when an option is missing.
    """
    tally = Tally(progress=progress)
    # Nothing is made before there is a message: a path that was mistyped leaves no trace.
    messages = (read or reader_of(kind))(path, tally, options)
    first = list(islice(messages, 1))
    mark = fingerprint(path)
    name = path.resolve().name  # of "." as well
    problem = ""
    with open_collection(directory, create=True) as collection:
        for before in collection.imports():
            if before.fingerprint == mark and before.source == kind:
                day = time.strftime("%Y-%m-%d", time.localtime(before.at))
                tally.note(f"this very export was imported before, on {day} ({before.state})")
        with collection.begin(kind, name, mark) as intake:
            try:
                for said in _sound(chain(first, messages), tally):
                    intake.add(said)
            except ExportUnusable as error:
                problem = str(error)
            intake.flush()
            if intake.forgotten:
                tally.kept -= intake.forgotten
                tally.leave("of somebody who is forgotten", intake.forgotten)
            report = Report(
                kind=kind,
                path=name,
                state="partial" if problem else "done",
                problem=problem,
                kept=tally.kept - intake.there_already,
                there_already=intake.there_already,
                left_out=dict(tally.left_out),
                changed=dict(tally.changed),
                notes=tuple(tally.notes),
                promised=dict(tally.promised),
                speakers=collection.speakers_of(kind),
            )
            intake.finish(report.state, report.as_json())
    return report


def _sound(messages: Iterator[Said], tally: Tally) -> Iterator[Said]:
    """The messages that can be kept, counted; whatever a hostile export holds."""
    for said in messages:
        if not (math.isfinite(said.at) and 0 < said.at < LATEST):
            tally.leave("no believable time")
        elif not said.text.strip():
            tally.leave("no text")
        else:
            tally.kept += 1
            yield _writable(said)


def _writable(said: Said) -> Said:
    """Without what is no text: halves of characters, which JSON can hold and UTF-8 cannot, and
    NUL, where SQLite would stop."""
    return replace(
        said,
        conversation=_mended(said.conversation),
        id=_mended(said.id),
        speaker=_mended(said.speaker),
        name=_mended(said.name),
        text=_mended(said.text),
        reply_to=_mended(said.reply_to),
        thread=_mended(said.thread),
        title=_mended(said.title),
    )


def _mended(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def fingerprint(path: Path) -> str:
    """What tells an export from another of the same name: a digest of a file, the size and time of
    a large one, the sizes and the newest time of a folder's files."""
    if path.is_file() and path.stat().st_size <= DIGESTED:
        with path.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    stats = [file.stat() for file in files]
    size = sum(stat.st_size for stat in stats)
    return f"{len(files)} files, {size} bytes, {max((s.st_mtime_ns for s in stats), default=0)}"
