"""Draws from a dataset what models are asked. Knows no model."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import partial
from random import Random
from typing import TYPE_CHECKING, TypeVar

from botdaemon.errors import ExportUnusable, Refused
from models.dataset import sessions
from models.evaluation.words import fold

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from models.dataset.card import DatasetCard
    from models.dataset.sessions import Session

TELLING = 20
"""Characters that a message has at least for it to tell anything that it comes out again."""
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Asked:
    """A place in a session where a voice said something: the turn of that index."""

    session: Session
    index: int

    @property
    def real(self) -> str:
        return self.session.turns[self.index].text

    @property
    def name(self) -> str:
        """Whose place it is."""
        return self.session.turns[self.index].name


@dataclass(frozen=True, slots=True)
class Planted:
    """A secret in the training set."""

    secret: str
    copies: int
    #: the first of them
    place: Asked


@dataclass(frozen=True, slots=True)
class Questions:
    """What every model is asked."""

    #: whose turns are asked for; empty: all voices'
    speaker: str
    #: held-out conversations, to read
    held: Sequence[Session]
    #: places in them, to answer
    answered: Sequence[Asked]
    #: places in training and in held-out conversations, to see what comes out word for word
    trained: Sequence[Asked]
    untrained: Sequence[Asked]
    planted: Sequence[Planted]

    @property
    def digest(self) -> str:
        """SHA-256 of the held-out conversations and of whose turns count in them."""
        total = hashlib.sha256(self.speaker.encode())
        for session in self.held:
            total.update(json.dumps(asdict(session)).encode())
        return total.hexdigest()


def drawn(
    dataset: Path,
    card: DatasetCard,
    *,
    speaker: str,
    conversations: int,
    answers: int,
    extractions: int,
    seed: int,
) -> Questions:
    """At most so many of each. `speaker`: only this voice's places; empty: all voices'. Raises
    `ExportUnusable`, and `Refused` where there is nothing to ask."""
    if speaker and speaker not in card.voices:
        known = ", ".join(card.voices)
        raise Refused(f'{dataset} has no voice "{speaker}"; it has: {known}')
    dice = Random(seed)
    test = sessions.path_of(dataset, "test")
    training = partial(sessions.read, sessions.path_of(dataset, "train"))
    # Whole conversations with something to answer in them.
    held = _some((one for one in sessions.read(test) if _places(one, speaker)), conversations, dice)
    places = [place for session in held for place in _places(session, speaker)]
    if not places:
        raise Refused(
            f"{test} holds no answer of {speaker or 'a voice'}; import more conversations and build"
            " the dataset again"
        )
    telling = (p for one in training() for p in _places(one, speaker) if _tells(p))
    return Questions(
        speaker=speaker,
        held=held,
        answered=_some(places, answers, dice),
        trained=_some(telling, extractions, dice),
        untrained=_some(filter(_tells, places), extractions, dice),
        planted=_planted(card.canaries, training()),
    )


def _places(session: Session, speaker: str) -> list[Asked]:
    """Where a voice answers something."""
    return [
        Asked(session, index)
        for index, turn in enumerate(session.turns)
        if index and turn.voice and speaker in ("", turn.name)
    ]


def _tells(place: Asked) -> bool:
    return len(fold(place.real)) >= TELLING


def _some(items: Iterable[_Item], number: int, dice: Random) -> list[_Item]:
    """So many at random, or all, in their order (Vitter's algorithm R, doi 10.1145/3147.3165)."""
    kept: list[tuple[int, _Item]] = []
    for at, item in enumerate(items):
        if at < number:
            kept.append((at, item))
        elif (place := dice.randrange(at + 1)) < number:
            kept[place] = (at, item)
    return [item for _, item in sorted(kept, key=lambda pair: pair[0])]


def _planted(copies: Mapping[str, int], training: Iterable[Session]) -> list[Planted]:
    """Where the secrets stand in what voices said, given how often they do. Raises `ExportUnusable`
    for one that is not there."""
    places: dict[str, Asked] = {}
    for session in training if copies else ():
        for index, turn in enumerate(session.turns):
            for secret in copies if turn.voice else ():
                if secret in turn.text:
                    places.setdefault(secret, Asked(session, index))
    if missing := [secret for secret in copies if secret not in places]:
        raise ExportUnusable(
            f'the dataset\'s card lists the planted secret "{missing[0]}", but no voice says it in'
            " the training set; build the dataset again"
        )
    return [Planted(secret, number, places[secret]) for secret, number in copies.items()]
