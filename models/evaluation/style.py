"""Measures how texts are written, and how much that is like somebody. Knows no model."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from models.evaluation.words import fold, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a set of answers is written. Shares lie between 0 and 1."""

    #: different words, and pairs of words, per word and pair said, over all answers (distinct-1
    #: and -2 of Li et al. 2016, arXiv 1510.03055); only sets of a like size compare
    distinct_1: float
    distinct_2: float
    #: of the groups of three words, those that the same answer has already said
    repeated: float
    #: of an answer, at the median
    words: float
    #: characters of each answer
    lengths: tuple[int, ...]
    #: of the answers, those with a question mark
    questions: float
    #: cosine of the counts of groups of three characters to the person's: 1 for the same
    likeness: float
    #: of the answers, those that say nothing, and those longer than anything the person said
    empty: float
    overlong: float


def style(answers: Sequence[str], person: Sequence[str]) -> Style:
    """Of at least one answer; `person` is what the person said in their places."""
    said = [words(answer) for answer in answers]
    longest = max(map(len, person))
    return Style(
        distinct_1=_distinct(said, 1),
        distinct_2=_distinct(said, 2),
        repeated=_repeated(said),
        words=median(map(len, said)),
        lengths=tuple(map(len, answers)),
        questions=fmean("?" in answer or "？" in answer for answer in answers),  # noqa: RUF001
        likeness=_cosine(_characters(answers), _characters(person)),
        empty=fmean(not answer.strip() for answer in answers),
        overlong=fmean(len(answer) > longest for answer in answers),
    )


def _groups(items: Sequence[Any], size: int) -> Iterator[tuple[Any, ...]]:
    return zip(*(items[at:] for at in range(size)), strict=False)


def _distinct(said: Sequence[Sequence[str]], size: int) -> float:
    groups = [group for line in said for group in _groups(line, size)]
    return len(set(groups)) / len(groups) if groups else 0.0


def _repeated(said: Sequence[Sequence[str]]) -> float:
    by_answer = [list(_groups(line, 3)) for line in said]
    number = sum(map(len, by_answer))
    return sum(len(groups) - len(set(groups)) for groups in by_answer) / number if number else 0.0


def _characters(texts: Sequence[str]) -> Counter[tuple[str, ...]]:
    # A blank at both ends lets the groups see how answers begin and end.
    return Counter(group for text in texts for group in _groups(f" {fold(text)} ", 3))


def _cosine(one: Counter[tuple[str, ...]], other: Counter[tuple[str, ...]]) -> float:
    length = math.sqrt(sum(n * n for n in one.values()) * sum(n * n for n in other.values()))
    return sum(n * other[group] for group, n in one.items()) / length if length else 0.0
