"""Everything there is to learn from, read and split once. Knows nothing of tokens or models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.training.corpora import (
    Exchange,
    Personality,
    fold,
    hold_out,
    read_personality_chat,
    read_self_dialogue,
)
from models.training.manners import Manners, read_manners
from models.training.samples import English, SmallTalk

if TYPE_CHECKING:
    from pathlib import Path

HELD_OUT_QUERIES = 344  # as many as the first try of this model held out, to compare with it
HELD_OUT_DIALOGUES = 200


@dataclass(frozen=True, slots=True)
class Material:
    """Everything read from the corpora, split once and for all."""

    exchanges: list[Exchange]
    dialogues: list[list[str]]
    manners: Manners
    held_queries: set[str]
    held_dialogues: list[list[str]]

    @property
    def small_talk(self) -> SmallTalk:
        return SmallTalk(self.exchanges, self.manners, self.dialogues, self.held_queries)

    @property
    def english(self) -> English:
        return English(self.dialogues, self.held_queries)

    def held_exchanges(self, personality: Personality) -> list[Exchange]:
        return [
            e for e in self.exchanges
            if e.personality == personality and fold(e.query) in self.held_queries
        ]  # fmt: skip


def read(
    corpora: Path, queries: int = HELD_OUT_QUERIES, dialogues: int = HELD_OUT_DIALOGUES
) -> Material:
    """The corpora in `corpora`, with so many questions and dialogues of them held out."""
    exchanges = read_personality_chat(corpora)
    manners = read_manners()
    told = list(read_self_dialogue(corpora))
    return Material(
        exchanges,
        told[dialogues:],
        manners,
        hold_out(exchanges, queries, manners.lines()),
        told[:dialogues],
    )
