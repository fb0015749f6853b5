"""What a killed training goes on from. Knows files, not what is in them.

    OUT/checkpoints/
        run.json            what is trained, and how
        start/              tokenizer and format of a model from scratch
        part/               where checkpoints are written
        checkpoint-40/      whole ones; `whole.json` has the checksums of their files

A checkpoint gets its place by being renamed, when all of it is on the disk. One that was damaged
later is passed over, and the one before it taken.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from typing import TYPE_CHECKING

from botdaemon.errors import Refused
from models.ledger import size

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

log = logging.getLogger(__name__)

_PREFIX = "checkpoint-"
_LIST = "whole.json"
KEPT = 2
"""The newest ones; the best one is kept besides."""


def place(out: Path) -> Path:
    return out / "checkpoints"


def part(out: Path) -> Path:
    """Where the next one is written."""
    return place(out) / "part"


def path_of(out: Path, step: int) -> Path:
    return place(out) / f"{_PREFIX}{step}"


def seal(out: Path, step: int, seconds: float) -> Path:
    """Put a checkpoint that was written in `part` in its place. `seconds`: of training until here.
    Raises `OSError`."""
    written, sealed = part(out) / f"{_PREFIX}{step}", path_of(out, step)
    files = {path.name: _checksum(path) for path in sorted(written.iterdir())}
    (written / _LIST).write_text(json.dumps({"files": files, "seconds": seconds}), encoding="utf-8")
    for path in written.iterdir():
        _sync(path)
    if sealed.exists():  # a damaged one, which was passed over
        shutil.rmtree(sealed)
    written.rename(sealed)
    _sync(place(out))
    return sealed


def newest(out: Path) -> Path | None:
    """The newest whole checkpoint. Damaged ones are removed."""
    for step in sorted(steps(out), reverse=True):
        path = path_of(out, step)
        if _is_whole(path):
            return path
        log.warning("%s is damaged; going on from the one before", path)
        shutil.rmtree(path)
    return None


def seconds(checkpoint: Path | None) -> float:
    """What was spent on training until a whole checkpoint."""
    if checkpoint is None:
        return 0.0
    return float(json.loads((checkpoint / _LIST).read_text(encoding="utf-8"))["seconds"])


def steps(out: Path) -> list[int]:
    """Of the checkpoints that are there, whole or not."""
    ends = (path.name.removeprefix(_PREFIX) for path in place(out).glob(f"{_PREFIX}*"))
    return [int(end) for end in ends if end.isdecimal()]


def prune(out: Path, keep: Collection[int]) -> None:
    """Remove all but the newest, and those of the steps in `keep`."""
    for step in sorted(steps(out))[:-KEPT]:
        if step not in keep:
            shutil.rmtree(path_of(out, step))


def room(out: Path, weights: int) -> None:
    """See whether the disk takes the checkpoints of a training: `weights` bytes that are trained,
    AdamW's two moments, and those that are kept, one that is written, and what comes out. Raises
    `Refused`."""
    needed = 3 * weights * (KEPT + 2 - len(steps(out))) + weights
    free = shutil.disk_usage(out).free
    if needed > free:
        raise Refused(
            f"the checkpoints in {out} need {size(needed)} ({size(3 * weights)} each), but the disk"
            f" has {size(free)} free; make room, or take another disk"
        )


def _is_whole(checkpoint: Path) -> bool:
    try:
        files = json.loads((checkpoint / _LIST).read_text(encoding="utf-8"))["files"]
        return all(_checksum(checkpoint / name) == sum for name, sum in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
