"""Decides which answers of a voice are repetitions. Knows no sessions.

What stands in a training set several times comes out of the model word for word; without repeats
that happens ten times less (https://arxiv.org/abs/2107.06499).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict

from datasketch import MinHash, MinHashLSH  # type: ignore[import-untyped]  # it has no types

MOST_REPEATS = 3
"""How often a voice's answer is learned that is the same but for case and blanks."""
ALIKE = 0.8
"""Share of common shingles from which on two answers are one."""
_SHINGLE = 5
_SHORTEST = 40
"""Characters from which on answers are compared by shingles. In shorter ones every word matters."""
_PERMUTATIONS = 64

_BLANKS = re.compile(r"\s+")


def folded(text: str) -> str:
    """Without regard to case and blanks."""
    return _BLANKS.sub(" ", text).strip().casefold()


class Repeats:
    """Asked for one answer after the other; the earlier ones are kept."""

    def __init__(self, seed: int) -> None:
        self._empty = MinHash(num_perm=_PERMUTATIONS, seed=seed)
        self._said: Counter[tuple[str, str]] = Counter()
        self._alike: defaultdict[str, MinHashLSH] = defaultdict(
            lambda: MinHashLSH(threshold=ALIKE, num_perm=_PERMUTATIONS)
        )

    def reason(self, voice: str, text: str) -> str:
        """Why an answer is not to be learned, in a few words; empty when it is."""
        text = folded(text)
        key = (voice, text)
        self._said[key] += 1
        if self._said[key] > MOST_REPEATS:
            return "said more than three times"
        if self._said[key] == 1 and len(text) >= _SHORTEST and self._has_like(voice, text):
            del self._said[key]  # it was not learned, and its own repeats are alike as well
            return "nearly the same as another"
        return ""

    def _has_like(self, voice: str, text: str) -> bool:
        """Whether one of the earlier answers is nearly the same. MinHash finds the candidates; they
        are then compared exactly."""
        index = self._alike[voice]
        shingles = _shingles(text)
        hashed = self._empty.copy()  # a new one draws its permutations first
        hashed.update_batch([shingle.encode() for shingle in sorted(shingles)])
        for other in index.query(hashed):
            others = _shingles(other)
            if len(shingles & others) >= ALIKE * len(shingles | others):
                return True
        index.insert(text, hashed)
        return False


def _shingles(text: str) -> set[str]:
    return {text[i : i + _SHINGLE] for i in range(len(text) - _SHINGLE + 1)}
