"""Lays the starter's material out as a dataset, as `botdaemon dataset build` would one of chats.
Knows no tokens and no model.

What is held out is shared out between validation and test. The two are alike: nobody said any of it
at any time, so there is no later to keep for the test.
"""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING

from models.dataset.build import write_split
from models.dataset.card import DatasetCard
from models.dataset.sessions import path_of
from models.training.corpora import PERSONALITIES, fold
from models.training.samples import two_voices
from models.training.talk import BOT, answered, asked, session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from models.dataset.sessions import Session, Split
    from models.training.corpora import Exchange
    from models.training.material import Material

ENGLISH = 0.25
"""How many of the training sessions are self-dialogue. They are longer than the others."""
_SEED = 1


def write(material: Material, directory: Path, sessions: int) -> None:
    """Write the dataset, with so many sessions to learn from; the same one each time. Raises
    `OSError`."""
    directory.mkdir(parents=True, exist_ok=True)
    splits: dict[Split, Iterator[Session]] = {
        "train": training(material, sessions),
        "validation": _part(material, 0),
        "test": _part(material, 1),
    }
    parts = {split: write_split(path_of(directory, split), said) for split, said in splits.items()}
    DatasetCard(
        name="starter",
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        sources=(),
        voices=(BOT,),
        context="names",
        consent="no person's voice: corpora that are free to use, and lines written for it",
        speakers={},
        scrubbed={},
        regions=(),
        left_out={},
        not_learned={},
        splits=parts,
        seed=_SEED,
    ).save(directory)


def training(material: Material, number: int) -> Iterator[Session]:
    """Manners, each line typed anew as carelessly as people type, and English among them."""
    rng, english, small_talk = Random(_SEED), material.english, material.small_talk
    for n in range(number):
        if rng.random() < ENGLISH:
            yield english.draw(f"starter/english/{n}", rng)
        else:
            yield small_talk.draw(f"starter/manners/{n}", rng)


def held_exchange(e: Exchange) -> Session:
    """A question on its own."""
    id = f"starter/{e.personality}/{fold(e.query)}"
    return session(id, e.personality, [asked(e.query), answered(e.reply)])


def held_dialogues(material: Material) -> list[Session]:
    """Whole, with all that the second voice says, whether a bot should say it or not."""
    return [
        session(f"starter/dialogue/{n}", "friendly", two_voices(turns))
        for n, turns in enumerate(material.held_dialogues)
    ]


def _part(material: Material, which: int) -> Iterator[Session]:
    """Half of what is held out. The same question is in the same half for both personalities."""
    half = set(sorted(material.held_queries)[which::2])
    for personality in PERSONALITIES:
        for e in material.held_exchanges(personality):
            if fold(e.query) in half:
                yield held_exchange(e)
    yield from held_dialogues(material)[which::2]
