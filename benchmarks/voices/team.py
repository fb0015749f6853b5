"""Makes the Slack export of a team that never was, out of small talk that is free to use. Knows no
importer.

Friends ask, and one of them, Pat, answers everything as somebody would who is always on duty; and
they talk about films and music, in which Pat joins. Around that is what exports have: several
channels and direct messages, silences of hours and bursts of seconds, threads, joins, reactions,
edits, a bot, and what should not leave a chat.
"""

from __future__ import annotations

import csv
import json
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, Any

from botdaemon.errors import Refused
from models.training.corpora import read_self_dialogue, tidy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PAT = "Pat"
"""Who becomes a voice."""
PEOPLE = {"U01PAT": PAT, "U02ADA": "Ada", "U03BEN": "Ben", "U04CLEO": "Cleo", "U05DAN": "Dan"}
_FRIENDS = tuple(id for id, name in PEOPLE.items() if name != PAT)
_PAT, _BELL = "U01PAT", "U09BELL"

_GENERAL, _FILMS, _KITCHEN, _DIRECT = "general", "films", "kitchen", "D0PATADA"
FILMS = "C02"
"""The id of the channel in which nobody asks Pat for anything."""
_PLACES = (_GENERAL, _GENERAL, _GENERAL, _KITCHEN, _DIRECT)
"""Where Pat is asked; what stands here more often, more often."""
_CALLS = ("hey Pat", "Pat?", "quick question", "hi!")
_PRIVATE = (
    "my new number is +49 30 901820, just in case",
    "write to <mailto:ada@example.org|ada@example.org> if I am late",
    "found it: <https://example.org/notes?id=4711|the notes>",
)
_FIRST = datetime(2025, 1, 6, 9, tzinfo=UTC)
_EVENING = 20
_PERSONA = "personality-chat/qna_chitchat_the_professional.tsv"
_DIALOGUES = "self-dialogue.jsonl.gz"


@dataclass(frozen=True, slots=True)
class Exchange:
    """Somebody asks, Pat answers."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Written:
    """What an export holds, to compare an import with."""

    #: messages of people
    messages: int
    #: posts of bots, and Slack's own news
    left_out: int
    #: what Pat wrote
    pat: int


def read(corpora: Path, dialogues: int) -> tuple[list[Exchange], list[list[str]]]:
    """What is said to Pat and answered, and so many conversations of others. Raises `Refused` when
    the corpora are not there."""
    for name in (_PERSONA, _DIALOGUES):
        if not (corpora / name).exists():
            raise Refused(
                f"{corpora / name} is missing: --corpora names a folder with {_PERSONA}"
                f" (Microsoft's BotBuilder-PersonalityChat, MIT) and {_DIALOGUES}"
                " (the Self-dialogue Corpus, BSD-3-Clause)"
            )
    with (corpora / _PERSONA).open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    exchanges = [Exchange(tidy(question), tidy(answer)) for question, answer, *_ in rows]
    return exchanges, list(islice(read_self_dialogue(corpora), dialogues))


def write(
    path: Path, exchanges: Sequence[Exchange], dialogues: Sequence[Sequence[str]], seed: int
) -> Written:
    """Write the export as the zip that Slack would make. The same for the same arguments."""
    dice = Random(seed)
    asked = dice.sample(exchanges, len(exchanges))
    book = _Book(dice)
    for place in (_GENERAL, _FILMS, _KITCHEN):
        for id in PEOPLE:
            book.news(place, id)
    rounds = [asked[i : i + 3] for i in range(0, len(asked), 3)]
    others = iter(dialogues)
    share = len(dialogues) / len(rounds)
    for number, talk in enumerate(rounds):
        book.clock.pause()
        _talk(book, dice.choice(_PLACES), talk)
        wanted = int((number + 1) * share) - int(number * share)
        for dialogue in islice(others, wanted):
            _chat(book, dialogue)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in (_index() | book.days).items():
            archive.writestr(name, json.dumps(data, indent=1))
    return Written(book.count["people"], book.count["others"], book.count[PAT])


def _talk(book: _Book, place: str, exchanges: Sequence[Exchange]) -> None:
    """Friends ask in turn; in direct messages only Ada can."""
    dice = book.dice
    for exchange in exchanges:
        friend = _FRIENDS[0] if place == _DIRECT else dice.choice(_FRIENDS)
        if dice.random() < 0.04:
            book.say(place, friend, dice.choice(_PRIVATE), wait=(20, 90))
        if dice.random() < 0.15:
            book.say(place, friend, dice.choice(_CALLS), wait=(20, 90))
        called = f"<@{_PAT}> " if dice.random() < 0.1 else ""
        asked = book.say(place, friend, called + exchange.question, wait=(5, 120))
        thread = {}
        if place != _DIRECT and dice.random() < 0.1:
            asked |= {"thread_ts": asked["ts"], "reply_count": 1}
            thread = {"thread_ts": asked["ts"], "parent_user_id": friend}
        first, stop, rest = exchange.answer.partition(". ")
        if rest and not thread and dice.random() < 0.3:  # in two messages, as people type
            book.say(place, _PAT, first + stop.strip(), wait=(5, 40))
            book.say(place, _PAT, rest, wait=(3, 15))
        else:
            book.say(place, _PAT, exchange.answer, wait=(5, 40), **thread)


def _chat(book: _Book, turns: Sequence[str]) -> None:
    """Two of them talk about something else."""
    book.clock.pause()
    pair = book.dice.sample(_FRIENDS, 2)
    if book.dice.random() < 0.6:
        pair[book.dice.randrange(2)] = _PAT
    for number, turn in enumerate(turns):
        book.say(_FILMS, pair[number % 2], turn, wait=(10, 60))


class _Clock:
    """The time of a team that sleeps at night."""

    def __init__(self, dice: Random) -> None:
        self._dice = dice
        self.now = _FIRST

    def pause(self) -> None:
        """Nothing is said for a while."""
        self.now += timedelta(minutes=self._dice.uniform(25, 150))
        if self.now.hour >= _EVENING or self.now.hour < _FIRST.hour:
            morning = self.now.replace(hour=_FIRST.hour, minute=0, second=0)
            days = 1 if self.now.hour >= _EVENING else 0
            self.now = morning + timedelta(days=days, minutes=self._dice.uniform(5, 60))

    def wait(self, least: float, most: float) -> str:
        """A little later, as Slack writes times."""
        self.now += timedelta(seconds=self._dice.uniform(least, most))
        return f"{self.now.timestamp():.6f}"


@dataclass(slots=True)
class _Book:
    """The messages so far, by the files that they lie in."""

    dice: Random
    clock: _Clock = field(init=False)
    days: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    count: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.clock = _Clock(self.dice)

    def say(
        self, place: str, user: str, text: str, *, wait: tuple[float, float], **more: str
    ) -> dict[str, Any]:
        """The message, which may still be added to."""
        said: dict[str, Any] = {"type": "message", "user": user, "text": text, **more}
        said["ts"] = self.clock.wait(*wait)
        if self.dice.random() < 0.1:
            said["reactions"] = [{"name": "clap", "users": [_FRIENDS[0]], "count": 1}]
        if self.dice.random() < 0.05:
            said["edited"] = {"user": user, "ts": said["ts"]}
        self._add(place, said)
        self.count["people"] += 1
        self.count[PAT] += user == _PAT
        return said

    def news(self, place: str, user: str) -> None:
        """Somebody joins."""
        text = f"<@{user}> has joined the channel"
        joined = {"type": "message", "subtype": "channel_join", "user": user, "text": text}
        self._add(place, joined | {"ts": self.clock.wait(1, 5)})
        self.count["others"] += 1

    def _add(self, place: str, message: dict[str, Any]) -> None:
        name = f"{place}/{self.clock.now.date()}.json"
        if name not in self.days:
            self.days[name] = []
            if place == _GENERAL:  # the first thing in the morning
                bell = {"type": "message", "subtype": "bot_message", "bot_id": "B09", "ts": ""}
                morning = self.clock.now.replace(hour=8, minute=30)
                bell |= {"username": "Bell", "text": "Stand-up in 15 minutes!"}
                bell["ts"] = f"{morning.timestamp():.6f}"
                self.days[name].append(bell)
                self.count["others"] += 1
        self.days[name].append(message)


def _index() -> dict[str, list[dict[str, Any]]]:
    people = [
        {"id": id, "name": name.lower(), "profile": {"real_name": name, "display_name": name}}
        for id, name in PEOPLE.items()
    ]
    bell = {"id": _BELL, "name": "bell", "is_bot": True, "profile": {"real_name": "Bell"}}
    everybody = list(PEOPLE)
    return {
        "users.json": [*people, bell],
        "channels.json": [
            {"id": "C01", "name": _GENERAL, "members": everybody},
            {"id": FILMS, "name": _FILMS, "members": everybody},
        ],
        "groups.json": [{"id": "G01", "name": _KITCHEN, "members": everybody}],
        "dms.json": [{"id": _DIRECT, "members": [_PAT, _FRIENDS[0]]}],
    }
