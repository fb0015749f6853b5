"""Conversations as a model learns them: turns, between two long silences. Knows no tokens."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from botdaemon.errors import ExportUnusable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
"""In the order of time: all of the test set was said after all of the training set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What somebody said without being interrupted: the messages of a burst, a line break between
    them."""

    #: who said it, as prompts say it
    name: str
    text: str
    #: seconds since the epoch
    at: float
    #: whether it is a voice's, to be learned here: what is shown in several sessions is learned in
    #: one of them
    voice: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A conversation without a long silence, or a path through a tree of replies. At least one of
    its turns is a voice's. It may begin with older turns that are only shown, such as the message
    that a thread hangs on."""

    #: "SOURCE/CONVERSATION/MESSAGE": its first own message, of a path the last one
    id: str
    turns: tuple[Turn, ...]
    #: whether it is between two people
    direct: bool = False
    #: what the voices are told to be before anything is said, as a bot's description in an
    #: operator's configuration; empty for nothing
    system: str = ""


def path_of(directory: Path, split: Split) -> Path:
    """The file of a split in a dataset's directory."""
    return directory / f"{split}.jsonl"


def write(path: Path, sessions: Iterable[Session]) -> None:
    """One JSON object a line."""
    with path.open("w", encoding="utf-8") as file:
        for session in sessions:
            file.write(to_json(session) + "\n")


def to_json(session: Session) -> str:
    """On one line."""
    return json.dumps(asdict(session), ensure_ascii=False)


def from_json(line: str | bytes) -> Session:
    """Raises `ValueError`, `TypeError`, `KeyError` or `AttributeError` for anything else."""
    data = json.loads(line)
    turns = tuple(Turn(**turn) for turn in data.pop("turns"))
    return Session(turns=turns, **data)


def read(path: Path) -> Iterator[Session]:
    """Raises `ExportUnusable`, with the line."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield from_json(line)
                except (ValueError, TypeError, KeyError, AttributeError) as error:
                    raise ExportUnusable(
                        f"{path}, line {number} is no session ({error}); build the dataset again"
                    ) from error
    except FileNotFoundError as error:
        raise ExportUnusable(
            f"{path} is missing; make it with: botdaemon dataset build {path.parent}"
        ) from error
    except OSError as error:
        raise ExportUnusable(f"{path} cannot be read: {error.strerror}") from error
