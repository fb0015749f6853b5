"""Reads Signal's exports in the clear: the app's own, and those of signal-export. Knows which of
them it was given, and what to advise for those that cannot be read; how each is written is known
in `signal_plaintext` and `signal_export`."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from botdaemon.errors import ExportUnusable
from models.exports import signal_export, signal_plaintext
from models.exports.files import opened, text_lines
from models.exports.streaming import each_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from models.exports.files import Files
    from models.exports.neutral import Options, Said, Tally

    Progress = Callable[[int], None]

FRAMES = "main.jsonl"
CHATS = ("data.json", "chat.md", "index.md")
"""Files of a chat, the best first: Markdown has less, and was called index.md in former times."""

READABLE = (
    "main.jsonl (in the folder or zip of the app's own export in plain text),"
    " or data.json or chat.md (in the folder that signal-export writes)"
)
DESKTOP = (
    "is Signal Desktop's own database, which is encrypted; write its chats to a folder with"
    " `pipx run signal-export FOLDER` on the computer that has them, and import that folder"
)
VERSION_2 = (
    "is an encrypted backup of version 2 of Signal for Android, which cannot be read; export the"
    " chats in plain text in Signal's settings, and import that folder"
)
VERSION_1 = (
    "is an encrypted backup of Signal for Android; import it as signal-backup,"
    " with the passphrase of 30 digits that Signal showed"
)


def read(path: Path, tally: Tally, options: Options) -> Iterator[Said]:
    """What is said in a Signal export: a folder, a zip or a single file.

    Raises `ExportUnusable` for what is none, with what can be done about it.
    """
    # Before it is opened, as a profile has sockets and links that no export has.
    if path.name == "db.sqlite" or (path / "sql" / "db.sqlite").exists():
        raise ExportUnusable(f"{path} {DESKTOP}")
    with opened(path) as files:
        frames, chats = _found(files)

        def read_one(name: str, progress: Progress) -> Iterator[Said]:
            if frames:
                lines = _lines(files, name, progress)
                return signal_plaintext.read_frames(lines, f"{path}: {name}", tally, options)
            return _chat(files, name, progress, tally, options)

        yield from each_file(files, frames or chats, tally, read_one)


def _found(files: Files) -> tuple[list[str], list[str]]:
    """The files of the app's own export, and those of signal-export's chats."""
    names = files.names()
    frames = [name for name in names if PurePosixPath(name).name == FRAMES]
    chats: dict[PurePosixPath, str] = {}
    for kind in CHATS:
        for name in names:
            if PurePosixPath(name).name == kind:
                chats.setdefault(PurePosixPath(name).parent, name)
    if not frames and not chats and len(names) == 1:
        kind = _kind(files, names[0])
        frames = names if kind == FRAMES else []
        chats = {PurePosixPath(): names[0]} if kind in CHATS else {}
    if not frames and not chats:
        raise ExportUnusable(_advice(files.path, names))
    return frames, sorted(chats.values())


def _kind(files: Files, name: str) -> str:
    """What a file is, by its first line; empty for none of Signal's."""
    with files.open(name) as stream:
        first = next(text_lines(BytesIO(stream.read(65536)), name), "").strip()
    if signal_export.HEAD.fullmatch(first):
        return "chat.md"
    if '"backupTimeMs"' in first:
        return FRAMES
    return "data.json" if '"sender"' in first else ""


def _advice(path: Path, names: list[str]) -> str:
    if any(name.endswith(".backup") for name in names):
        return f"{path} {VERSION_1}"
    folders = {PurePosixPath(name).parent for name in names}
    if any({str(folder / "main"), str(folder / "metadata")} <= set(names) for folder in folders):
        return f"{path} {VERSION_2}"
    return f"{path} holds no Signal export that can be read; that is {READABLE}"


def _chat(
    files: Files, name: str, progress: Progress, tally: Tally, options: Options
) -> Iterator[Said]:
    """A chat of signal-export's."""
    where = f"{files.path}: {name}"
    markdown = name.endswith(".md") or _kind(files, name) == "chat.md"
    read_lines = signal_export.markdown_lines if markdown else signal_export.json_lines
    return signal_export.read_chat(
        # Twice, since who is in a chat has to be known before.
        read_lines(_lines(files, name), where),
        read_lines(_lines(files, name, progress), where),
        _title(files.path.resolve(), name),
        tally,
        options,
    )


def _lines(files: Files, name: str, progress: Progress = lambda done: None) -> Iterator[str]:
    done = 0
    with files.open(name) as stream:
        for number, line in enumerate(text_lines(stream, f"{files.path}: {name}")):
            if number % 1000 == 0:
                progress(done)
            done += len(line.encode("utf-8", "replace")) + 1
            yield line
    progress(files.size(name))


def _title(path: Path, name: str) -> str:
    """What a chat is called: as its folder, or else as its file."""
    file = PurePosixPath(name)
    if file.name not in CHATS:
        return file.stem
    if path.is_dir():
        return file.parent.name or path.name
    return file.parent.name or (path.parent.name if path.name == name else path.stem)
