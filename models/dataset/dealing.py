"""Deals sessions out to training, validation and test, by time. Knows no texts."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from botdaemon.errors import Refused
from models.dataset.sessions import SPLITS, Split

if TYPE_CHECKING:
    from collections.abc import Sequence

FEWEST_TURNS = 8
"""Turns of voices in the training split: with fewer there is not one batch."""


@dataclass(slots=True, kw_only=True)
class Entry:
    """A session that is written down."""

    first: float
    last: float
    #: where, in bytes
    offset: int
    messages: int
    #: which of its turns are learned
    learned: list[int]


def dealt(entries: Sequence[Entry], *, validation: float, test: float) -> dict[Split, list[Entry]]:
    """The entries, which are sorted by time, by split. Those across a border are in none, or the
    model would be tested on what it read about while it learned."""
    if not (0 < validation and 0 < test and validation + test < 1):
        raise Refused("the shares for validation and test must be above 0 and together below 1")
    if len(entries) < len(SPLITS):
        raise Refused(
            f"the voices speak in {len(entries)} sessions, and three are the least (training,"
            " validation, test); import more conversations, or name more speakers"
        )
    before = [0, *accumulate(len(entry.learned) for entry in entries)]
    last = len(entries) - 1
    held_out = validation + test
    second = next((i for i, n in enumerate(before) if n >= before[-1] * (1 - held_out)), last)
    third = next((i for i, n in enumerate(before) if n >= before[-1] * (1 - test)), last)
    second = min(second, last - 1)
    third = min(max(third, second + 1), last)
    border, last_border = entries[second].first, entries[third].first
    return {
        "train": [e for e in entries if e.last < border],
        "validation": [e for e in entries if e.first >= border and e.last < last_border],
        "test": [e for e in entries if e.first >= last_border],
    }


def enough(splits: dict[Split, list[Entry]], voices: Sequence[str]) -> None:
    """Raises `Refused` when a split has too little."""
    for split, entries in splits.items():
        turns = sum(len(entry.learned) for entry in entries)
        fewest = FEWEST_TURNS if split == "train" else 1
        if turns < fewest:
            raise Refused(
                f"there is too little of {' and '.join(voices)} to learn from: {turns} turns for"
                f" the {split} split, which needs {fewest}; import more conversations, or name more"
                " speakers"
            )
