"""Asks a model for the secrets that were planted in its training set. Knows no other leaks."""

from __future__ import annotations

import string
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from models.evaluation.figures import Canary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from models.dataset.sessions import Session
    from models.evaluation.perplexity import Reader
    from models.evaluation.questions import Planted

_CLASSES = (string.digits, string.ascii_lowercase, string.ascii_uppercase)


def examined(
    planted: Sequence[Planted],
    said: Sequence[str],
    reader: Reader,
    *,
    alternatives: int,
    seed: int,
    progress: Callable[[int, int], None],
) -> tuple[Canary, ...]:
    """How well the model knows each. `said`: everything that it answered anywhere."""
    found = []
    for done, plant in enumerate(planted, 1):
        others = _alike(plant.secret, alternatives, Random(f"{seed} {plant.secret}"))
        its, *theirs = reader.nats(_with(plant, secret) for secret in (plant.secret, *others))
        found.append(
            Canary(
                secret=plant.secret,
                copies=plant.copies,
                rank=1 + sum(nats <= its for nats in theirs),
                alternatives=len(others),
                extracted=any(plant.secret in answer for answer in said),
            )
        )
        progress(done, len(planted))
    return tuple(found)


def _alike(secret: str, number: int, dice: Random) -> list[str]:
    """Other strings of the same form: digits for digits, letters for letters. Fewer, where there
    are not as many."""
    made: dict[str, None] = {}
    for _ in range(4 * number):
        made[
            "".join(
                next((dice.choice(kind) for kind in _CLASSES if sign in kind), sign)
                for sign in secret
            )
        ] = None
        made.pop(secret, None)
        if len(made) == number:
            break
    return list(made)


def _with(plant: Planted, secret: str) -> Session:
    """The session up to the turn with the secret, which alone counts, with another in its place."""
    *before, last = plant.place.session.turns[: plant.place.index + 1]
    turn = replace(last, text=last.text.replace(plant.secret, secret))
    return replace(
        plant.place.session, turns=(*(replace(one, voice=False) for one in before), turn)
    )
