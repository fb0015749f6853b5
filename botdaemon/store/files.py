"""Files beside the database, named by the SHA-256 of their content. Knows no table."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from botdaemon.errors import StoreFull

if TYPE_CHECKING:
    from collections.abc import Iterable


def path_of(directory: Path, sha256: str) -> Path:
    """Where a file lies. Raises `ValueError` for anything but a hex SHA-256."""
    if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise ValueError(f"{sha256!r} is no SHA-256")
    return directory / sha256[:2] / sha256


def keep(directory: Path, content: bytes) -> str:
    """Put content on disk, durably, and return its SHA-256. Keeping it twice changes nothing."""
    sha256 = hashlib.sha256(content).hexdigest()
    target = path_of(directory, sha256)
    try:
        os.utime(target)  # in use again: `left_over` looks at it
    except FileNotFoundError:
        pass
    else:
        return sha256
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as handle:
            try:
                handle.write(content)
                handle.flush()
                os.fsync(handle.fileno())
                Path(handle.name).chmod(0o644)
                Path(handle.name).rename(target)
            except BaseException:
                Path(handle.name).unlink(missing_ok=True)
                raise
        _sync(target.parent)
    except OSError as error:
        raise StoreFull(f"the file was not kept ({error.strerror})") from None
    return sha256


def remove(directory: Path, names: Iterable[str]) -> None:
    """Take files off the disk. Doing so twice changes nothing."""
    for sha256 in names:
        path_of(directory, sha256).unlink(missing_ok=True)


def left_over(directory: Path, before: float) -> list[Path]:
    """What was last kept before a time, also what a crash left half written; it may be in use."""
    with suppress(FileNotFoundError):
        return [
            path
            for path in directory.glob("*/*")
            if path.is_file() and path.stat().st_mtime < before
        ]
    return []


def _sync(directory: Path) -> None:
    # The rename itself must survive a power cut before a row may point to the file.
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
