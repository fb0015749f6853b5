"""Keeps what was read of conversations that wait for their next turn. Knows no requests.

The next turn of a thread repeats what was said before, so only what is new has to be read.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.text.rows import Past


@dataclass(frozen=True, slots=True, eq=False)
class Beginning:
    """Tokens and what a model made of them."""

    #: with which it read them; other adapters make something else of the same tokens
    adapter: str
    ids: list[int]
    past: Past

    @property
    def bytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.past)


class Kept:
    """Beginnings of conversations, the least recently used first."""

    def __init__(self) -> None:
        self._beginnings: list[Beginning] = []

    @property
    def bytes(self) -> int:
        return sum(beginning.bytes for beginning in self._beginnings)

    def keep(self, beginning: Beginning) -> None:
        """The beginnings that it goes on from are not needed any more."""
        self._beginnings = [
            old
            for old in self._beginnings
            if old.adapter != beginning.adapter or common(old.ids, beginning.ids) < len(old.ids)
        ]
        self._beginnings.append(beginning)

    def find(self, adapter: str, ids: Sequence[int]) -> tuple[int, Beginning | None]:
        """The beginning that has most in common with `ids`, and how many tokens that is."""
        longest, found = 0, None
        for beginning in self._beginnings:
            if beginning.adapter == adapter and (n := common(beginning.ids, ids)) > longest:
                longest, found = n, beginning
        if found:
            self._beginnings.remove(found)
            self._beginnings.append(found)
        return longest, found

    def shrink(self, bytes: int) -> None:
        """Forget as many as it takes to keep within so many bytes."""
        has = self.bytes
        while self._beginnings and has > bytes:
            has -= self._beginnings.pop(0).bytes

    def clear(self) -> None:
        self._beginnings.clear()


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two conversations have in common from their beginning."""
    shorter = min(len(one), len(other))
    # Slices are compared at the speed of memory, a loop over the tokens is not.
    return bisect_left(range(1, shorter + 1), True, key=lambda n: one[:n] != other[:n])
