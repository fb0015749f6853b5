"""The dataset as the tokens of samples, in the order in which they are learned. Knows no model.

All epochs are laid out as one list before training begins, drawn from the seed alone. So where a
killed training was in it is a single number.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING

import torch

from botdaemon.errors import ExportUnusable, Refused
from models.dataset import sessions
from models.dataset.samples import IGNORED, samples

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from models.dataset.sessions import Session
    from models.formats import Format
    from models.training.voice.plan import Plan

Item = dict[str, torch.Tensor]
"""`input_ids` and `labels` of a sample: (tokens,) each, in 32 bits for less memory."""

_WIDTH = 8
"""Batches are filled up to a multiple of this, as the quicker kernels want it."""
_GROUP = 50
"""Updates among whose samples those of a length are put together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What is learned, and what is held out."""

    train: list[Item]
    held_out: list[Item]
    #: of an epoch: samples of the dataset and of the replay
    own: int
    replayed: int
    #: what the voices said in the training set
    turns: int
    #: tokens that end what was learned
    ends: frozenset[int]
    #: tokens of a turn, of all but one in a hundred
    longest: int


def texts(directory: Path) -> Iterator[str]:
    """What a tokenizer is made of: the training set as it will be written."""
    for session in sessions.read(sessions.path_of(directory, "train")):
        for turn in session.turns:
            yield f"{turn.name}: {turn.text}\n"


def read(directory: Path, plan: Plan, format: Format, context: int) -> Material:
    """Raises `ExportUnusable` for a damaged dataset, `Refused` for one with nothing to learn."""
    train, turns = _items(sessions.path_of(directory, "train"), plan, format, context)
    if not train:
        whom = f' of "{plan.speaker}"' if plan.speaker else ""
        raise Refused(
            f"nothing{whom} in {directory} can be learned: no turn of a voice fits into {context}"
            " tokens; look at the dataset's voices, or take a larger context"
        )
    held_out, _ = _items(sessions.path_of(directory, "validation"), plan, format, context)
    replay = _replay(plan, format, context, len(train))
    lengths = sorted(length for item in train for length in _learned(item))
    return Material(
        train=[*train, *replay],
        held_out=held_out,
        own=len(train),
        replayed=len(replay),
        turns=turns,
        ends=frozenset(_last_learned(train)),
        longest=lengths[len(lengths) * 99 // 100],
    )


def _items(path: Path, plan: Plan, format: Format, context: int) -> tuple[list[Item], int]:
    """The samples of a file, and the turns that they teach."""
    items: list[Item] = []
    turns = 0
    for session in sessions.read(path):
        turns += sum(t.voice and plan.speaker in ("", t.name) for t in session.turns)
        items += _of(session, format, context, speaker=plan.speaker, style_only=plan.style_only)
    return items, turns


def _of(
    session: Session, format: Format, context: int, *, speaker: str = "", style_only: bool = False
) -> Iterator[Item]:
    for sample in samples(session, format, context=context, speaker=speaker, style_only=style_only):
        if any(label != IGNORED for label in sample.labels[1:]):
            yield {
                "input_ids": torch.tensor(sample.tokens, dtype=torch.int32),
                "labels": torch.tensor(sample.labels, dtype=torch.int32),
            }


def _replay(plan: Plan, format: Format, context: int, own: int) -> list[Item]:
    """As many other samples as make up the plan's part of all."""
    if not plan.replay or not plan.replay_share:
        return []
    path = replay_file(plan.replay)
    found = [item for session in sessions.read(path) for item in _of(session, format, context)]
    if not found:
        raise Refused(f"{path} holds nothing to replay: no turn of a voice fits the model")
    Random(plan.seed).shuffle(found)
    wanted = round(own * plan.replay_share / (1 - plan.replay_share))
    return (found * -(-wanted // len(found)))[:wanted]


def _learned(item: Item) -> Iterator[int]:
    """Tokens of each learned stretch of a sample."""
    length = 0
    for label in (*item["labels"].tolist(), IGNORED):
        if label != IGNORED:
            length += 1
        elif length:
            yield length
            length = 0


def _last_learned(items: Iterable[Item]) -> Iterator[int]:
    for item in items:
        labels = [*item["labels"].tolist(), IGNORED]
        yield from (
            label for label, after in pairwise(labels) if label != IGNORED and after == IGNORED
        )


def order(lengths: Sequence[int], *, epochs: int, batch: int, seed: int) -> list[int]:
    """The samples of all epochs by their numbers, so that those of an update have similar lengths.
    The same for the same arguments."""
    dice = Random(seed)
    drawn = [n for _ in range(epochs) for n in dice.sample(range(len(lengths)), len(lengths))]
    ordered: list[int] = []
    for start in range(0, len(drawn), batch * _GROUP):
        group = sorted(drawn[start : start + batch * _GROUP], key=lambda n: lengths[n])
        updates = [group[i : i + batch] for i in range(0, len(group), batch)]
        # The last one may be short, and has to come last.
        last = [updates.pop()] if len(updates[-1]) < batch else []
        dice.shuffle(updates)
        ordered += [n for numbers in (*updates, *last) for n in numbers]
    return ordered


def collate(items: Sequence[Item]) -> Item:
    """A batch: (items, tokens), filled up at the right, where nothing looks."""
    width = -(-max(len(item["input_ids"]) for item in items) // _WIDTH) * _WIDTH
    ids = torch.zeros(len(items), width, dtype=torch.long)
    labels = torch.full_like(ids, IGNORED)
    mask = torch.zeros_like(ids)
    for row, item in enumerate(items):
        length = len(item["input_ids"])
        ids[row, :length] = item["input_ids"]
        labels[row, :length] = item["labels"]
        mask[row, :length] = 1
    return {"input_ids": ids, "labels": labels, "attention_mask": mask}


def digest(directory: Path) -> str:
    """SHA-256 of what is learned and held out, hexadecimal. Raises `ExportUnusable`."""
    parts = [file_digest(sessions.path_of(directory, split)) for split in ("train", "validation")]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def replay_file(path: Path) -> Path:
    """The file that is replayed, given it or its dataset's directory."""
    return sessions.path_of(path, "train") if path.is_dir() else path


def file_digest(path: Path) -> str:
    """SHA-256 of a file of sessions, hexadecimal. Raises `ExportUnusable`."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ExportUnusable(
            f"{path} cannot be read ({error.strerror}); make it with: botdaemon dataset build"
            f" {path.parent}"
        ) from error
