"""Which files of a bot's folders can be read. Knows their names, and nothing of what is in them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: how a file is read, by the end of its name
KINDS = {
    ".txt": "text",
    ".text": "text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".pdf": "pdf",
}
#: files of one bot that are read; what is more is said, and left alone
MOST_FILES = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """A file in a folder."""

    path: Path
    #: where it lies in its folder
    shown: str
    #: another one when it has changed: size, and times of its content and of its entry
    stamp: str
    #: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Scan:
    """What was found."""

    files: tuple[FoundFile, ...]
    #: folders and parts of them that could not be looked into, each with a sentence
    problems: dict[Path, str]

    def hidden(self, path: str) -> bool:
        """Whether a file may be there all the same, since its folder could not be looked into."""
        return any(Path(path).is_relative_to(folder) for folder in self.problems)


def scan(folders: Sequence[Path]) -> Scan:
    """Every file below the folders that can be read, each once. Links below a folder are not
    followed, and what begins with a dot is left alone."""
    files: dict[Path, FoundFile] = {}
    problems: dict[Path, str] = {}

    def failed(error: OSError) -> None:
        where = Path(error.filename)
        problems[where] = f"{where} cannot be looked into: {error.strerror}"

    for folder in folders:
        root = Path(os.path.realpath(folder))
        for directory, below, names in os.walk(root, onerror=failed):
            below[:] = sorted(name for name in below if not name.startswith("."))
            for name in sorted(names):
                path = Path(directory, name)
                if name.startswith(".") or path.suffix.lower() not in KINDS or path in files:
                    continue
                if len(files) >= MOST_FILES:
                    problems[folder] = f"{folder} has more than {MOST_FILES:,} files; split it"
                    break
                if found := _found(path, root):
                    files[path] = found
    return Scan(tuple(files.values()), problems)


def _found(path: Path, root: Path) -> FoundFile | None:
    """None for a link, for what is no file, and for one that has just gone."""
    try:
        stat = path.lstat()
    except OSError:
        return None
    if not os.path.isfile(path) or path.is_symlink():  # noqa: PTH113  # raises nothing
        return None
    return FoundFile(
        path=path,
        shown=path.relative_to(root).as_posix(),
        stamp=f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}",
        size=stat.st_size,
    )
