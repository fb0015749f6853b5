"""Whose a directory is: what is trained into it, or was. Knows no model library."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from botdaemon.errors import Refused
from models import json_files
from models.training.voice import card, checkpoints, material
from models.training.voice.card import TrainingCard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from models.training.voice.base import Base
    from models.training.voice.plan import Plan, Recipe

_ELSEWHERE = ("base", "replay", "device", "memory", "wait_seconds")
"""What a plan says that does not change what comes out, or that is told by a digest."""
_DIGESTS = ("dataset", "base", "replay")


@contextmanager
def in_words(out: Path) -> Iterator[None]:
    """A disk that is full, or a directory that cannot be written, is `Refused`."""
    try:
        yield
    except OSError as error:
        where = error.filename or out
        raise Refused(
            f"{where} cannot be written: {error.strerror or error}; mend that and start the"
            " training again: it goes on from its last checkpoint"
        ) from error


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Nobody else trains into the directory. Raises `Refused`."""
    out.mkdir(parents=True, exist_ok=True)
    handle = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise Refused(f"another training writes into {out}; wait for it") from error
    finally:
        os.close(handle)


def identity(plan: Plan, directory: Path, origin: Base | None) -> dict[str, Any]:
    """What makes two trainings the same."""
    asked = {key: value for key, value in asdict(plan).items() if key not in _ELSEWHERE}
    return {
        **asked,
        "dataset": material.digest(directory),
        "base": origin.digest if origin else "",
        "replay": material.file_digest(material.replay_file(plan.replay)) if plan.replay else "",
    }


def is_finished(out: Path, identity: dict[str, Any]) -> bool:
    """Whether this very training is done. Clears away one that never began. Raises `Refused` when
    something else is there."""
    done = (out / card.NAME).exists()
    known = TrainingCard.load(out).identity if done else read(out).get("identity")
    if known is not None:
        if differing := [key for key in identity if known.get(key) != identity[key]]:
            what = ", ".join(
                f"another {key}"
                if key in _DIGESTS
                else f"{key} was {known.get(key)}, is now {identity[key]}"
                for key in differing
            )
            raise Refused(
                f"{out} holds a {'finished' if done else 'half-finished'} training of something"
                f" else ({what}); take another directory, or remove this one"
            )
        return done
    shutil.rmtree(checkpoints.place(out), ignore_errors=True)
    if others := sorted(path.name for path in out.iterdir()):
        raise Refused(f"{out} is not empty, it has {others[0]}; take another directory")
    return False


def read(out: Path) -> dict[str, Any]:
    """What is trained into `out`: "identity" and "recipe"; empty when nothing is."""
    return json_files.read(checkpoints.place(out) / "run.json")


def write(out: Path, identity: dict[str, Any], chosen: Recipe) -> None:
    """From now on the directory is that of a training. Raises `OSError`."""
    path = checkpoints.place(out) / "run.json"
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"identity": identity, "recipe": asdict(chosen)}), encoding="utf-8")
    part.replace(path)
