"""Prompts of a given length, and how their answers came. Knows no engine."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from botdaemon.types import ChatLine, Sampling, TextRequest
from models import formats

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TEXT = (
    "the music you like is not what I know about walks in rain when a friend of my sister came home"
    " late and said that films about cats were never as good as the book she had read last summer"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What is asked: as the daemon asks it, and the tokens that it becomes."""

    request: TextRequest
    ids: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came."""

    text: str
    #: tokens
    tokens: int
    #: when each piece of it was there, in seconds since all prompts of the run were handed over
    at: list[float]

    @property
    def gaps(self) -> list[float]:
        """Seconds from each piece to the next."""
        return [after - before for before, after in pairwise(self.at)]


@dataclass(frozen=True, slots=True)
class Run:
    """The answers to several prompts handed over at one moment."""

    answers: Sequence[Answer]

    @property
    def rate(self) -> float:
        """Tokens a second, all answers together."""
        return sum(answer.tokens for answer in self.answers) / max(self.last)

    @property
    def first(self) -> list[float]:
        """Seconds to the first token of each."""
        return [answer.at[0] for answer in self.answers]

    @property
    def last(self) -> list[float]:
        """Seconds to the end of each."""
        return [answer.at[-1] for answer in self.answers]


def same(one: Run, other: Run) -> int:
    """How many answers are equal."""
    both = zip(one.answers, other.answers, strict=True)
    return sum((a.text, a.tokens) == (b.text, b.tokens) for a, b in both)


class Talker:
    """Makes prompts up. No two have a common beginning, so nothing that an engine remembers of one
    helps it with another."""

    def __init__(self, directory: Path, tokens: int) -> None:
        """`tokens`: of each answer."""
        self._format = formats.load(directory)
        self._dice = random.Random(1)
        self._tokens = tokens
        self._known = TEXT.split()

    def prompts(self, count: int, shortest: int, longest: int) -> list[Prompt]:
        """So many, their lengths in tokens spread evenly and shuffled. One alone is of middle
        length."""
        middle = (shortest + longest) // 2
        step = (longest - shortest) / max(1, count - 1)
        lengths = [round(shortest + i * step) for i in range(count)] if count > 1 else [middle]
        self._dice.shuffle(lengths)
        frame = len(self.prompt([self.said("")]).ids)
        return [self.prompt([self.said(self.text(max(1, n - frame)))]) for n in lengths]

    def prompt(self, lines: Sequence[ChatLine]) -> Prompt:
        """The bot is asked for the line after these."""
        request = TextRequest(
            model="",
            speaker="Bot",
            lines=tuple(lines),
            sampling=Sampling(temperature=0, max_tokens=self._tokens),
        )
        return Prompt(request=request, ids=self._format.encode(request))

    def text(self, tokens: int) -> str:
        """Of about so many tokens."""
        words = " ".join(
            [str(self._dice.randrange(10**8, 10**9)), *self._dice.choices(self._known, k=tokens)]
        )
        ends = [end for _, end in self._format.tokenizer.encode(words).offsets]
        return words[: ends[tokens - 1]]

    @staticmethod
    def said(text: str) -> ChatLine:
        return ChatLine(role="user", name="Ann", text=text)

    @staticmethod
    def answered(text: str) -> ChatLine:
        return ChatLine(role="assistant", name="Bot", text=text)
