"""What a dataset has to say about lines that are made ahead of time: what to ask for them, and
which of them give something away. Knows no bot and no file of lines."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING

from models.dataset import sessions
from models.dataset.card import DatasetCard
from models.dataset.scrub import REGIONS, scrub
from models.evaluation.figures import Bounds
from models.evaluation.leaks import Copied, copied
from models.evaluation.words import fold

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

_LONGEST = 300
"""Characters of what is asked: more than nearly all messages have."""


class Screen:
    """Leaves out what an evaluation would count as given away."""

    def __init__(self, dataset: Path | None = None, blocked: Collection[str] = ()) -> None:
        """`dataset`: what the bot's model was trained on; without one there are no training
        messages to compare with. `blocked`: words that no line may have, in any case. Raises
        `ExportUnusable`."""
        card = DatasetCard.load(dataset) if dataset else None
        self._training = sessions.path_of(dataset, "train") if dataset else None
        self._regions = card.regions if card else REGIONS
        self._secrets = tuple(card.canaries) if card else ()
        self._blocked = tuple(blocked)

    def screen(self, lines: Sequence[str]) -> list[str]:
        """Why each must be left out, in words that fit behind a number; "" where nothing speaks
        against it. Reads the training set once for all of them. Raises `ExportUnusable`."""
        reasons = [self._in_itself(line) for line in lines]
        rest = [at for at, reason in enumerate(reasons) if not reason]
        if self._training and rest:
            found = copied([lines[at] for at in rest], sessions.read(self._training))
            for at, copy in zip(rest, found, strict=True):
                reasons[at] = _as_a_copy(copy)
        return reasons

    def _in_itself(self, line: str) -> str:
        if any(secret in line for secret in self._secrets):
            return "with a planted secret"
        _, kinds = scrub(line, blocked=self._blocked, regions=self._regions)
        if kinds["blocked"]:
            return "with a blocked word"
        return f"with something private ({', '.join(sorted(kinds))})" if kinds.total() else ""


def _as_a_copy(copy: Copied) -> str:
    if copy.exact:
        return "that are training messages"
    if len(copy.passage) >= Bounds().characters:
        return "with a passage of a training message"
    return ""


def heard(dataset: Path) -> list[str]:
    """What people said before a voice answered, in the training split: different messages, in
    random order, without very long ones. Raises `ExportUnusable`."""
    secrets = DatasetCard.load(dataset).canaries
    found: dict[str, str] = {}
    for session in sessions.read(sessions.path_of(dataset, "train")):
        for before, turn in pairwise(session.turns):
            planted = any(secret in turn.text for secret in secrets)
            if turn.voice and not planted and len(before.text) <= _LONGEST:
                found.setdefault(fold(before.text), before.text)
    return Random().sample(list(found.values()), len(found))
