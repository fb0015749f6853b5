"""Five people who write to a room as people do: by day, in bursts, to each other and to the bots,
and in answer to what a bot writes first. All of it by lot, the same for the same seed. Knows no
clock."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

MINUTE = 60.0
BOTS = ("bot", "joe")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody's habits."""

    name: str
    #: when they get up and go to bed, in hours after midnight
    up: float
    to_bed: float
    #: times a day that they look in and write something
    looks_in: float
    #: how likely they answer what a bot writes first
    answers: float


EVERYBODY = (
    Person(name="ada", up=6.5, to_bed=22.5, looks_in=2.0, answers=0.35),
    Person(name="ben", up=8.0, to_bed=23.5, looks_in=1.0, answers=0.15),
    Person(name="cleo", up=7.0, to_bed=23.0, looks_in=1.5, answers=0.25),
    Person(name="dan", up=10.5, to_bed=25.5, looks_in=0.7, answers=0.1),
    Person(name="eve", up=5.5, to_bed=21.5, looks_in=0.3, answers=0.05),
)


@dataclass(frozen=True, slots=True, order=True)
class Saying:
    """Something that somebody is going to write."""

    at: float
    who: str
    text: str


class People:
    """Their lot: `seed` decides everything they do."""

    def __init__(self, zone: ZoneInfo, seed: int) -> None:
        self._zone = zone
        self._lot = random.Random(seed)

    def day(self, midnight: datetime) -> Iterator[Saying]:
        """What they write on a day of their own accord."""
        # On some days nobody is there, and on some one of them wants quiet.
        mood = self._lot.choice((0.0, 0.5, 1.0, 1.0, 1.5))
        if self._lot.random() < 0.1:
            yield Saying(self._at(midnight, self._lot.uniform(9, 18)), "cleo", "/quiet 6")
        for person in EVERYBODY:
            for _ in range(self._times(mood * person.looks_in)):
                at = self._at(midnight, self._lot.triangular(person.up, person.to_bed, 18.0))
                for _ in range(self._lot.randint(1, 4)):
                    yield Saying(at, person.name, self._words())
                    at += self._lot.uniform(0.3, 4.0) * MINUTE

    def to(self, first: float) -> Iterator[Saying]:
        """What they write in answer to a message that a bot wrote first at that time."""
        local = datetime.fromtimestamp(first, self._zone)
        hour = local.hour + local.minute / 60
        for person in EVERYBODY:
            awake = person.up <= hour <= person.to_bed
            if awake and self._lot.random() < person.answers:
                at = first + self._lot.expovariate(1 / (25 * MINUTE))
                yield Saying(at, person.name, self._words())

    def _times(self, mean: float) -> int:
        """How often something happens today that happens so often on average."""
        return sum(self._lot.random() < mean / 8 for _ in range(8))

    def _words(self) -> str:
        if self._lot.random() < 0.3:
            return f"{self._lot.choice(BOTS)}, what do you think?"
        return self._lot.choice(("hm", "did you see that?", "back later", "ha!", "no idea"))

    def _at(self, midnight: datetime, hours: float) -> float:
        return (midnight + timedelta(hours=hours)).timestamp()
