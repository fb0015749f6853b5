"""Finds passages by words and by meaning. Pure but for the index it is given; knows no bot.

The two rankings become one by reciprocal rank fusion (Cormack, Clarke and Buettcher, 2009): what
both find comes first, and no scale has to be compared with another. Before that, each has a floor,
so that nothing is found for what the files have nothing about.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from stop_words import get_stop_words  # type: ignore[import-untyped]  # it comes without types

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from botdaemon.store.passages import Index
    from botdaemon.types import Passage

#: of the paper: how little the first ranks differ
K = 60
#: passages that each way of finding may contribute
MOST_FOUND = 30
#: different words of a question that are looked up
MOST_WORDS = 24
#: bm25 takes a microsecond for each passage it looks at. So the rarest words are looked up, until
#: they are in this many passages; what is in more says little anyway.
MOST_LOOKED_AT = 6_000
#: Passages found by words have this share of what the question's words weigh, or so many of them;
#: and half of what the best one has.
LEAST_SHARE, ENOUGH_WORDS = 0.3, 3

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")  # noqa: RUF001


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A passage that was found, and why."""

    passage: Passage
    #: of the fusion; what both find has about 0.03
    score: float
    #: how much of the question's words it has, by their weight, from 0 to 1; 0: not found so
    share: float = 0.0
    #: how alike the meanings are, the cosine; None without an embedder, or when not found so
    similarity: float | None = None


def telling_words(question: str, language: str) -> list[str]:
    """The different words of a question that say something."""
    text = unicodedata.normalize("NFC", question).casefold()
    empty = _empty_words(language)
    words = dict.fromkeys(word for word in _WORD.findall(text) if word not in empty)
    return list(words)[:MOST_WORDS]


@cache
def _empty_words(language: str) -> frozenset[str]:
    return frozenset(map(str.casefold, get_stop_words(language))) if language else frozenset()


def by_words(index: Index, question: str, language: str) -> list[tuple[int, float]]:
    """Passages and the share of the question's words that they have, best first."""
    telling = telling_words(question, language)
    total, _ = index.count()
    if not telling or not total:
        return []
    have = {word: frozenset(index.with_word(word, MOST_LOOKED_AT)) for word in telling}
    rarest = sorted((word for word in telling if have[word]), key=lambda word: len(have[word]))
    if not rarest:
        return []
    looked_up: list[str] = []
    passages = 0
    for word in rarest:
        passages += len(have[word])
        if passages > MOST_LOOKED_AT:
            break
        looked_up.append(word)
    if not looked_up:  # every one is in many: only what has two of them
        return [(id, LEAST_SHARE) for id in index.best(rarest[:2], MOST_FOUND, every=True)]
    weights = {word: _weight(len(have[word]), total) for word in telling}
    whole = sum(weights[word] for word in telling if word in looked_up or not have[word])
    found = []
    for id in index.best(looked_up, MOST_FOUND):
        there = [word for word in looked_up if id in have[word]]
        share = sum(weights[word] for word in there) / whole
        if share >= LEAST_SHARE or len(there) >= ENOUGH_WORDS:
            found.append((id, share))
    best = max((share for _, share in found), default=0.0)
    return [(id, share) for id, share in found if share >= best / 2]


def _weight(passages: int, total: int) -> float:
    """How much a word says that so many passages have: its inverse document frequency, which is
    never negative in this form (as Lucene has it)."""
    return math.log(1 + (total - passages + 0.5) / (passages + 0.5))


def fuse(
    words: Sequence[tuple[int, float]], meanings: Sequence[tuple[int, float]]
) -> list[tuple[int, float]]:
    """Ids with their score in both rankings together, best first."""
    scores: dict[int, float] = {}
    for ranking in (words, meanings):
        for rank, (id, _) in enumerate(ranking, 1):
            scores[id] = scores.get(id, 0.0) + 1 / (K + rank)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


def search(
    index: Index,
    question: str,
    *,
    language: str,
    nearest: Callable[[int], Iterable[tuple[int, float]]] | None = None,
    least_similarity: float = 0.0,
) -> list[Found]:
    """What is found for a question, best first. `nearest`: so many passages whose meaning is the
    most alike, and how alike."""
    shares = by_words(index, question, language)
    alike = [
        (id, similarity)
        for id, similarity in (nearest(MOST_FOUND) if nearest else ())
        if similarity >= least_similarity
    ]
    fused = fuse(shares, alike)
    passages = index.passages([id for id, _ in fused])
    share_of, similarity_of = dict(shares), dict(alike)
    return [
        Found(
            passage=passages[id],
            score=score,
            share=share_of.get(id, 0.0),
            similarity=similarity_of.get(id),
        )
        for id, score in fused
        if id in passages  # else it has just gone
    ]


def choose(found: Sequence[Found], *, most: int, characters: int) -> list[Passage]:
    """The best of what was found, at most so many passages and characters, best first. Passages
    that follow one another in their file become one."""
    chosen: list[Passage] = []
    for one in found:
        more = [*chosen, one.passage]
        runs = _runs(more)
        if len(runs) <= most and sum(map(_length, map(_joined, runs))) <= characters:
            chosen = more
    if not chosen and found:  # the best one alone is too long
        best = found[0].passage
        space = max(0, characters - len(best.file) - len(best.heading))
        chosen = [replace(best, text=best.text[:space])]
    runs = sorted(_runs(chosen), key=lambda run: min(map(chosen.index, run)))
    return [_joined(run) for run in runs]


def _runs(passages: Sequence[Passage]) -> list[list[Passage]]:
    """Those that follow one another together. A file's passages have ids in a row."""
    runs: list[list[Passage]] = []
    for one in sorted(passages, key=lambda one: one.id):
        last = runs[-1][-1] if runs else None
        if last and (last.file, last.number, last.id) == (one.file, one.number - 1, one.id - 1):
            runs[-1].append(one)
        else:
            runs.append([one])
    return runs


def _joined(run: Sequence[Passage]) -> Passage:
    text, heading = run[0].text, run[0].heading
    for one in run[1:]:
        new = f"{one.heading}\n" if one.heading != heading else ""
        text, heading = f"{text}\n\n{new}{one.text}", one.heading
    return replace(run[0], text=text, last_page=run[-1].last_page)


def _length(passage: Passage) -> int:
    return len(passage.file) + len(passage.heading) + len(passage.text)
