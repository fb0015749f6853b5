"""What lies in a voice's home: its versions, the link to the one that is live, and the history.
Knows no evaluation, and nobody who serves.

The configuration names the link as the path of a model or an adapter:

    voices/ada/
        live -> versions/2026-07-19    moved in one go, so that it always leads to a whole version
        versions/2026-07-12/           a finished run, copied: weights, training.json and so on
        versions/2026-07-19/
        history.jsonl                  which one was live when, and why: an `Entry` a line
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from botdaemon.errors import ModelUnusable, Refused
from models import json_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

LIVE, VERSIONS, HISTORY = "live", "versions", "history.jsonl"
EVALUATION, FORGOTTEN = "evaluation.json", "forgotten.json"
"""In the directory of a run: `models.evaluation.figures`, and whom it was trained on that is to be
forgotten."""

_LEFT_BEHIND = ("checkpoints", "int8")
"""Folders that are of no use in another place: the int8 form is made again where it is served."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A version in a voice's home."""

    name: str
    directory: Path
    live: bool
    #: when it went live the last time, ISO 8601, UTC; empty: it is not known to have been
    went_live: str
    #: on held-out messages; None where no evaluation lies beside the weights
    bits_per_byte: float | None
    #: "source:id" of people it was trained on who are to be forgotten; it never goes live again
    forgotten: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Another version went live."""

    #: ISO 8601, UTC
    at: str
    what: Literal["promoted", "rolled back"]
    version: str
    #: what was live until then; empty for nothing
    before: str
    #: why it should not have gone live, where it was forced
    despite: tuple[str, ...] = ()


def versions(home: Path) -> tuple[Version, ...]:
    """All versions of a voice, those that went live last at the end. Raises `ModelUnusable` for a
    history that cannot be read."""
    times = {entry.version: entry.at for entry in history(home)}
    live = live_name(home)
    place = home / VERSIONS
    names = sorted(path.name for path in place.iterdir() if path.is_dir()) if place.is_dir() else ()
    found = [
        Version(
            name=name,
            directory=place / name,
            live=name == live,
            went_live=times.get(name, ""),
            bits_per_byte=_bits(place / name),
            forgotten=forgotten(place / name),
        )
        for name in names
        if not name.startswith(".")
    ]
    return tuple(sorted(found, key=lambda version: (version.went_live, version.name)))


def history(home: Path) -> tuple[Entry, ...]:
    """Oldest first. Raises `ModelUnusable`, with the line."""
    path = home / HISTORY
    entries = []
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                data = json.loads(line)
                entries.append(Entry(**{**data, "despite": tuple(data["despite"])}))
            except (ValueError, TypeError, KeyError) as error:
                raise ModelUnusable(
                    f"{path}, line {number} is no entry ({error}); take the line out"
                ) from error
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError) as error:
        raise ModelUnusable(f"{path} cannot be read: {error}") from error
    return tuple(entries)


def forgotten(run: Path) -> tuple[str, ...]:
    """People that a model was trained on who are to be forgotten ("source:id")."""
    return tuple(json_files.read(run / FORGOTTEN).get("speakers", ()))


def mark(run: Path, speakers: Iterable[str]) -> None:
    """Note that these are to be forgotten, besides those that are noted already."""
    path = run / FORGOTTEN
    part = path.with_name(f".{path.name}.part")
    try:
        everybody = sorted({*forgotten(run), *speakers})
        part.write_text(json.dumps({"speakers": everybody}) + "\n", encoding="utf-8")
        _sync(part)
        part.replace(path)
    except OSError as error:
        raise ModelUnusable(f"{path} cannot be written: {error.strerror}") from error


def _bits(run: Path) -> float | None:
    # Not all of the evaluation, which would read the weights to see whether it is of them.
    try:
        return float(json_files.read(run / EVALUATION)["after"]["likelihood"]["bits_per_byte"])
    except (ModelUnusable, KeyError, TypeError, ValueError):
        return None


def earlier(home: Path) -> list[str]:
    """Versions that were live before the one that is, the last of them at the end. Going back takes
    away what it replaced, so that the next time goes further back."""
    stack: list[str] = []
    for entry in history(home):
        if entry.version in stack:
            place = stack.index(entry.version)
            stack = stack[:place] + (stack[place + 1 :] if entry.what == "promoted" else [])
        stack.append(entry.version)
    live = live_name(home)
    return stack[: stack.index(live)] if live in stack else stack


# --- on disk ---------------------------------------------------------------------------------


def live_name(home: Path) -> str:
    """The name of the version that is live; empty for none. Raises `Refused`."""
    link = home / LIVE
    if not link.is_symlink():
        if link.exists():
            raise Refused(f"{link} is no link to a version; move it away, then promote a run")
        return ""
    return link.readlink().name


def copy(run: Path, target: Path) -> None:
    """Raises `Refused` when that fails; nothing of it is left then."""
    # Under another name first, so that no half version is ever found. File by file without their
    # permissions: weights are often written for their owner alone, whom the daemon need not be.
    part = target.with_name(f".{target.name}.part")
    ignore = shutil.ignore_patterns(*_LEFT_BEHIND)
    shutil.rmtree(part, ignore_errors=True)  # of one that was killed
    try:
        shutil.copytree(run, part, ignore=ignore, copy_function=shutil.copyfile)
        for path in (*part.rglob("*"), part):
            _sync(path)
        part.rename(target)
        _sync(target.parent)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        why = error.args[0][0][-1] if isinstance(error, shutil.Error) else error.strerror
        raise Refused(f"{run} could not be copied to {target}: {why}; nothing changed") from error


def point(home: Path, entry: Entry) -> None:
    """Let a version go live, and keep why. Raises `Refused`."""
    link = home / LIVE
    new = home / f".{LIVE}.new"
    try:
        new.unlink(missing_ok=True)
        new.symlink_to(f"{VERSIONS}/{entry.version}", target_is_directory=True)
        new.replace(link)
        _sync(home)
        with (home / HISTORY).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(entry), ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise Refused(f"{error.filename} cannot be written: {error.strerror}") from error


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems cannot sync a directory
            os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """One at a time changes a home, which is made if need be. Raises `Refused`."""
    try:
        (home / VERSIONS).mkdir(parents=True, exist_ok=True)
        file = (home / ".lock").open("w")
    except OSError as error:
        raise Refused(f"{error.filename} cannot be written: {error.strerror}") from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
