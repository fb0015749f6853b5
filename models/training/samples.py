"""Composes the sessions to learn from. Knows what people say, not how it becomes tokens."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from models.training.corpora import (
    PERSONALITIES,
    Exchange,
    Personality,
    fold,
    polish,
    presentable,
    proper,
)
from models.training.manners import ANYWHERE, Manners, Scene
from models.training.talk import BOT, answered, asked, session
from models.training.vary import invented_name, vary

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from random import Random

    from models.dataset.sessions import Session, Turn

_WORD = re.compile(r"[a-z']+")
_COMMON = 25


def _common_words(dialogues: Sequence[Sequence[str]]) -> set[str]:
    counts = Counter(
        word for turns in dialogues for turn in turns for word in _WORD.findall(turn.lower())
    )
    return {word for word, count in counts.items() if count >= _COMMON}


def _weight(scene: Scene) -> float:
    """How often a scene opens: by its lines, of which everyday things have the most. To take up a
    word in the answer is harder than to know an answer, and needs more to learn from."""
    taken_up = 12 if scene.has_slots else 0
    return (len(scene.say) + taken_up) * (0.4 if ANYWHERE in scene.after else 1.0)


class English:
    """Self-dialogue as it is, so that the language is kept beside the manners."""

    def __init__(self, dialogues: Sequence[Sequence[str]], held_out: Collection[str]) -> None:
        self._dialogues = [
            turns for turns in dialogues if not any(fold(turn) in held_out for turn in turns)
        ]

    def draw(self, id: str, rng: Random) -> Session:
        turns = rng.choice(self._dialogues)
        if rng.random() < 0.4:  # a chat may be joined anywhere
            turns = turns[rng.randrange(len(turns) - 2) :]
        bot = int(rng.random() < 0.8)  # mostly people speak first
        return session(id, rng.choice(PERSONALITIES), two_voices(turns, bot, proper))


def two_voices(
    turns: Sequence[str], bot: int = 1, learns: Callable[[str], bool] = bool
) -> list[Turn]:
    """A self-dialogue whose first (0) or second (1) voice is the bot's, in the spelling of a
    careful writer. What it does not learn is only shown, as is what it would open with."""
    said = []
    for i, turn in enumerate(turns):
        if i % 2 == bot:
            reply = polish(turn)
            said.append(answered(reply, learned=i > 0 and learns(reply)))
        else:
            said.append(asked(turn))
    return said


@dataclass(slots=True)
class _Draft:
    """A dialogue being composed, with what was said in it that later lines may take up."""

    personality: Personality
    turns: list[Turn] = field(default_factory=list)
    scene: Scene | None = None
    met: set[str] = field(default_factory=set)
    words: dict[str, str] = field(default_factory=dict)

    def say(self, query: str, reply: str, *, learned: bool = True) -> None:
        self.turns += [asked(query), answered(reply, learned=learned)]


class SmallTalk:
    """Chains of small talk, the written manners and bits of self-dialogue, in one voice.

    What matters is that every answer is learned behind every kind of history: a model that has only
    seen "good night" as a first line says something else when it comes last.
    """

    def __init__(
        self,
        exchanges: Sequence[Exchange],
        manners: Manners,
        dialogues: Sequence[Sequence[str]],
        held_out: Collection[str],
    ) -> None:
        written = manners.lines()
        self._held_out = held_out
        self._manners = manners
        self._exchanges = {
            p: [
                e
                for e in exchanges
                if e.personality == p
                and fold(e.query) not in held_out
                and fold(e.query) not in written
            ]
            for p in PERSONALITIES
        }
        self._dialogues = dialogues
        self._common = _common_words(dialogues)
        self._openings = [scene for scene in manners.scenes if scene.opens]
        self._weights = [_weight(scene) for scene in self._openings]
        self._anywhere = [scene for scene in manners.scenes if ANYWHERE in scene.after]

    def draw(self, id: str, rng: Random) -> Session:
        return self.draw_as(id, "friendly" if rng.random() < 0.62 else "comic", rng)

    def draw_as(self, id: str, personality: Personality, rng: Random) -> Session:
        draft = _Draft(personality)
        blocks = rng.choice([1, 1, 1, 1, 2, 2, 3, 4, 5, 6])
        while blocks > 0 or not draft.turns:  # a block may come to nothing
            blocks -= 1
            kind = rng.random()
            if kind < 0.52:
                self._known(draft, rng)
            elif kind < 0.88:
                self._scene(draft, rng)
            else:
                self._topic(draft, rng)
        in_room = rng.random() < 0.2
        turns = self._in_a_room(draft.turns, rng) if in_room else draft.turns
        return session(id, draft.personality, turns)

    def _known(self, draft: _Draft, rng: Random) -> None:
        exchange = rng.choice(self._exchanges[draft.personality])
        draft.say(self._typed(exchange.query, rng), exchange.reply)
        draft.scene = None

    def _scene(self, draft: _Draft, rng: Random) -> None:
        """A scene that may come now, and often what may follow it."""
        due = [s for s in self._manners.scenes if s.later & draft.met]
        if due and rng.random() < 0.4:
            scene = rng.choice(due)
        elif draft.met & {"my name", "my name answer"}:
            # Once a name was said, a question for it has one answer only.
            scene = rng.choices(self._openings, self._weights)[0]
            if scene.name == "recall nothing":
                return
        else:
            scene = rng.choices(self._openings, self._weights)[0]
        self._play(scene, draft, rng)
        while rng.random() < 0.5 and draft.scene is not None:
            fitting = [s for s in self._manners.scenes if draft.scene.name in s.after]
            if not fitting or rng.random() < 0.25:
                fitting = self._anywhere
            self._play(rng.choice(fitting), draft, rng)

    def _play(self, scene: Scene, draft: _Draft, rng: Random) -> None:
        said, reply, words = self._manners.fill(scene, draft.personality, rng, draft.words)
        draft.say(self._typed(said, rng), reply)
        draft.scene = scene
        draft.met.add(scene.name)
        if scene.name in ("my name", "my name answer"):
            draft.words["name"] = words["name"]

    def _topic(self, draft: _Draft, rng: Random) -> None:
        """A stretch of self-dialogue; only answers a bot may give are learned."""
        turns = rng.choice(self._dialogues)
        first = 0 if rng.random() < 0.5 else rng.randrange(len(turns) - 2)
        turns = turns[first : first + 2 * rng.randint(1, 4)]
        draft.scene = None
        for i, (query, answer) in enumerate(zip(turns[::2], turns[1::2], strict=False)):
            if fold(query) in self._held_out:
                return
            reply = polish(answer)
            # Joined in the middle, the first answer speaks of what only the writer can know.
            learned = (i > 0 or first == 0) and presentable(reply) and self._is_plain(reply)
            draft.say(query, reply, learned=learned)

    def _is_plain(self, reply: str) -> bool:
        """Whether every word is a common one: neither misspelled nor a name known to few."""
        return all(word in self._common for word in _WORD.findall(reply.lower()))

    def _typed(self, line: str, rng: Random) -> str:
        varied = vary(line, rng)
        return line if fold(varied) in self._held_out else varied

    def _in_a_room(self, turns: Sequence[Turn], rng: Random) -> list[Turn]:
        """The same among several people, and sometimes what one says to another in between, to
        which the bot's answer is none."""
        names = [
            invented_name(rng) if rng.random() < 0.3 else rng.choice(self._manners.words["name"])
            for _ in range(rng.randint(2, 4))
        ]
        written = []
        for turn in turns:
            if turn.name == BOT:
                written.append(turn)
                continue
            speaker, other, *_ = rng.sample(names, len(names))
            if rng.random() < 0.2:
                aside = rng.choice(rng.choice(self._manners.scenes).plain or ["ok"])
                written.append(asked(self._typed(aside, rng), other))
            written.append(asked(turn.text, speaker))
        return written
