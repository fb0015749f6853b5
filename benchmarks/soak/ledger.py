"""What was said to a bot and what people see of its answers. Knows no platform: every question
bears a mark that its answer repeats, since the engine is an echo."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MARK = re.compile(r"[dst]q\d{6}z?")
#: seconds; what was asked longer ago is no recent question
RECENT = 90.0
#: seconds in which an answer may still grow
GROWING = 10.0


@dataclass(slots=True)
class Question:
    """Something a person said to a bot."""

    mark: str
    channel: str
    topic: str
    who: str
    at: float
    call: str = ""
    """What had to be said so that a bot listened."""
    healthy: bool = False
    """Whether all was well when it was asked, and it asks for nothing slow."""
    ends: bool = False
    """It is long, and its last word is a mark as well: the answer must be whole."""
    may_fail: bool = False
    """It was taken back, or its answer stopped: none, or a part, will do."""
    again: bool = False
    """Its answer was asked for once more, or stopped: it may stand beside the next one, since the
    echo repeats everything somebody said since its last answer."""
    id: str = ""
    answered_at: float = 0.0

    @property
    def marks(self) -> list[str]:
        return [self.mark, f"{self.mark}z"] if self.ends else [self.mark]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How it ended."""

    lost: list[Question]
    doubled: list[Question]
    late: int
    """Answers that stand after one to a later question of the same person in the same place."""


@dataclass
class Ledger:
    """All questions on one platform. Their marks begin with `letter`."""

    letter: str
    questions: dict[str, Question] = field(default_factory=dict)

    def ask(self, channel: str, topic: str, who: str, at: float) -> Question:
        mark = f"{self.letter}q{len(self.questions):06d}"
        question = self.questions[mark] = Question(mark, channel, topic, who, at)
        return question

    def answered(self, text: str, at: float) -> Iterator[Question]:
        """A bot is seen to say this: the questions that it answers for the first time."""
        for question in self.named(text):
            if not question.answered_at:
                question.answered_at = at
                yield question

    def named(self, text: str) -> list[Question]:
        """The questions whose marks stand in a text."""
        marks = dict.fromkeys(MARK.findall(text))
        return [self.questions[mark] for mark in marks if mark in self.questions]

    def unanswered(self, channel: str, topic: str) -> list[Question]:
        """The questions of a conversation that wait, or have an answer that still grows."""
        return [
            question
            for question in self.questions.values()
            if (question.channel, question.topic) == (channel, topic)
            and (not question.answered_at or question.answered_at > time.time() - GROWING)
        ]

    def judge(self, said: Iterable[str]) -> Verdict:
        """From all that bots are seen to have said: the present text of each of their messages, in
        the order of each place."""
        seen: Counter[str] = Counter()
        last: dict[tuple[str, str, str], str] = {}
        late = 0
        for mark in (mark for text in said for mark in MARK.findall(text)):
            seen[mark] += 1
            question = self.questions.get(mark)
            if question is not None and not question.again:
                place = question.channel, question.topic, question.who
                late += mark < last.get(place, "")
                last[place] = max(mark, last.get(place, ""))
        lost, doubled = [], []
        for question in self.questions.values():
            counts = [seen[mark] for mark in question.marks]
            if min(counts) == 0 and not question.may_fail:
                lost.append(question)
            if max(counts) > 1 + 2 * question.again:
                doubled.append(question)
        return Verdict(lost, doubled, late)

    def latencies(self) -> list[float]:
        """Milliseconds from question to answer, of those asked when all was well."""
        return [
            1000 * (question.answered_at - question.at)
            for question in self.questions.values()
            if question.healthy and question.answered_at
        ]

    def first_answer_after(self, began: float, ended: float) -> float | None:
        """Seconds from the end of a trouble to the first answer to what was asked since it began;
        None where there was none."""
        answers = [
            question.answered_at
            for question in self.questions.values()
            if question.at >= began and question.answered_at >= ended
        ]
        return min(answers) - ended if answers else None
