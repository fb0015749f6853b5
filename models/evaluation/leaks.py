"""Finds training messages in what a model says. Knows no model: it compares texts.

The index is over the answers, which are few, and the training messages pass by, which may be many:
memory does not grow with them, and ten million characters take some seconds.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.dataset.scrub import scrub
from models.evaluation.words import fold

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from models.dataset.sessions import Session

EVERYDAY = 3
"""So often one person must have said something in training, or two people once, for it to be
everyday speech, which gives nobody away."""
LONG = 40
"""Characters from which on nothing is everyday speech."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What an answer has in common with training messages, without regard to case and blanks."""

    #: the longest passage that stands word for word in one turn, and the turn
    passage: str
    turn: str
    #: whether the answer is a whole message
    seen: bool
    #: whether it, or a line of it, is one that is not everyday speech
    exact: bool


def copied(answers: Sequence[str], training: Iterable[Session]) -> list[Copied]:
    """Compare each answer with every message of `training`, context and voices alike."""
    texts = [fold(answer) for answer in answers]
    index = _Passages(texts)
    messages = [set(map(fold, (answer, *answer.splitlines()))) - {""} for answer in answers]
    wanted = set[str]().union(*messages)
    said: Counter[str] = Counter()
    speakers: defaultdict[str, set[str]] = defaultdict(set)
    for session in training:
        for turn in session.turns:
            index.meet(turn.text)
            for text in set(map(fold, (turn.text, *turn.text.splitlines()))) & wanted:
                said[text] += 1
                speakers[text].add(turn.name)
    private = {
        text
        for text, times in said.items()
        if len(text) >= LONG or (times < EVERYDAY and len(speakers[text]) < 2)
    }
    return [
        Copied(passage, turn, seen=text in said, exact=bool(lines & private))
        for text, lines, (passage, turn) in zip(texts, messages, index.longest(), strict=True)
    ]


class _Passages:
    """The longest passages that each of some texts has in common with texts that pass by.

    A suffix automaton (Blumer et al. 1985, doi 10.1016/0304-3975(85)90157-4): every passage of the
    texts leads from state 0 to one state, and all passages of a state end at the same places. A
    state stands for passages of all lengths above that of its `_link` up to its `_size`.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._next: list[dict[str | int, int]] = [{}]
        self._link, self._size = [-1], [0]
        #: the state of everything up to each character, by text
        self._ends: list[list[int]] = []
        last = 0
        for number, text in enumerate(texts):
            states = []
            for character in text:
                last = self._grow(last, character)
                states.append(last)
            self._ends.append(states)
            last = self._grow(last, number)  # no passage crosses this: no text has a number in it
        #: the longest passage of each state that was met, and the turn that it was met in
        self._met = [0] * len(self._next)
        self._where = [""] * len(self._next)

    def _grow(self, last: int, character: str | int) -> int:
        """Add a character behind the state of everything so far; the state of that and it."""
        new = self._state({}, 0, self._size[last] + 1)
        at = last
        while at >= 0 and character not in self._next[at]:
            self._next[at][character] = new
            at = self._link[at]
        if at < 0:
            return new
        old = self._next[at][character]
        if self._size[old] == self._size[at] + 1:
            self._link[new] = old
            return new
        # Its longer passages end elsewhere from now on: they part.
        twin = self._state(dict(self._next[old]), self._link[old], self._size[at] + 1)
        while at >= 0 and self._next[at].get(character) == old:
            self._next[at][character] = twin
            at = self._link[at]
        self._link[old] = self._link[new] = twin
        return new

    def _state(self, following: dict[str | int, int], link: int, size: int) -> int:
        self._next.append(following)
        self._link.append(link)
        self._size.append(size)
        return len(self._next) - 1

    def meet(self, turn: str) -> None:
        following, link, size, met = self._next, self._link, self._size, self._met
        state = length = 0
        for character in fold(turn):
            while state and character not in following[state]:
                state = link[state]
                length = size[state]
            state = following[state].get(character, 0)
            length = length + 1 if state else 0
            if length > met[state]:
                met[state] = length
                self._where[state] = turn

    def longest(self) -> list[tuple[str, str]]:
        """The passage and the turn it was met in, for each text; empty for none."""
        met, where = list(self._met), list(self._where)
        # Who meets a passage meets all its ends, the longest of which belong to the link.
        for state in sorted(range(1, len(met)), key=self._size.__getitem__, reverse=True):
            link = self._link[state]
            if met[state] and link and met[link] < self._size[link]:
                met[link], where[link] = self._size[link], where[state]
        found = []
        for text, states in zip(self._texts, self._ends, strict=True):
            best = ("", "")
            for end, state in enumerate(states, 1):
                while state and not met[state]:
                    state = self._link[state]
                if met[state] > len(best[0]):
                    best = (text[end - met[state] : end], where[state])
            found.append(best)
        return found


def private(answers: Iterable[str], regions: Collection[str]) -> dict[str, int]:
    """What of the answers would be scrubbed from a dataset: kind -> how often. `regions`: countries
    in whose forms phone numbers are looked for."""
    found: Counter[str] = Counter()
    for answer in answers:
        found.update(scrub(answer, regions=regions)[1])
    return dict(found)
