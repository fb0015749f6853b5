"""What is said while the daemon is away, and read when it comes back: ten thousand messages in a
hundred channels and two hundred threads, on each platform with a history. Knows no trouble."""

from __future__ import annotations

import asyncio
import math
import random
import time
from bisect import bisect_left
from typing import TYPE_CHECKING, Any

from benchmarks.soak.crowds import DiscordCrowd, Place, SlackCrowd, people
from benchmarks.soak.house import settled_in
from benchmarks.soak.ledger import Ledger

if TYPE_CHECKING:
    from pathlib import Path

    from fake_faults import Call

    from benchmarks.soak.crowds import Reader
    from benchmarks.soak.victim import Victim

CHANNELS, THREADS = 100, 200
#: messages in each thread, each of ten busy channels, and each of the others
IN_THREAD, IN_BUSY, IN_OTHERS = 40, 110, 10
BUSY = 10
#: messages on a page
PAGE = 100
#: What is missed is recorded and not answered, so that reading alone is measured.
STALE = "stale_minutes = 0.0\n"
#: seconds that all of it may take
PATIENCE = 120.0
#: requests for each page that has something new, and a second
REQUESTS_A_PAGE, REQUESTS_A_SECOND = 2.0, 20.0

Heard = dict[tuple[str, str], list[str]]
"""What was said in each channel ("" for the topic) and thread, in order."""


async def run(directory: Path) -> tuple[dict[str, float], list[str]]:
    """The figures, and what is wrong."""
    figures: dict[str, float] = {}
    wrong: list[str] = []
    # One after the other: while one fake is busy, requests to the other would pile up and look as
    # if they had come at once.
    crowds: list[Reader] = [DiscordCrowd(CHANNELS), SlackCrowd(CHANNELS)]
    for crowd in crowds:
        async with settled_in(directory / crowd.name, [crowd], STALE) as victim:
            away = _Away(crowd)
            await victim.start()
            await crowd.fake.until(crowd.connected)
            await away.meet()
            await victim.stop()
            await away.talk()
            began = time.time()
            await victim.start()
            await away.caught_up(victim)
            more, failures = away.judge(victim, began)
            memory = max(vital.memory for vital in victim.vitals) / 2**20
            figures |= more | {f"missed_{crowd.name}_memory_mib": memory}
            wrong += failures
            await victim.stop()
    return figures, wrong


class _Away:
    """One platform, on which people talk to each other while the daemon is away."""

    def __init__(self, crowd: Reader) -> None:
        self.crowd = crowd
        self._fake: Any = crowd.fake
        self._said: Heard = {}
        self._threads: list[tuple[str, str]] = []
        self._ended = 0.0
        self._random = random.Random(crowd.letter)

    async def meet(self) -> None:
        """A bot is asked, and has answered, in all threads there will be."""
        ledger = Ledger(self.crowd.letter)
        rooms = [place for place in self.crowd.places() if place.channel.startswith("room")]
        for number in range(THREADS):
            place: Place = rooms[number % CHANNELS]
            question = ledger.ask(place.channel, "", "ann0", time.time())
            await self.crowd.ask(place, question, f"{place.call}{question.mark}")
            self._threads.append((place.channel, question.topic))
        await self._fake.until(
            lambda: not ledger.judge(shown.text for shown in self.crowd.said()).lost, PATIENCE
        )

    async def talk(self) -> None:
        """Ten thousand messages, in any order of the places."""
        self.crowd.deaf(True)
        channels = [(channel, "") for channel, _ in self._threads[:CHANNELS]]
        places = channels[:BUSY] * IN_BUSY + channels[BUSY:] * IN_OTHERS
        places += self._threads * IN_THREAD
        self._random.shuffle(places)
        for number, (channel, topic) in enumerate(places):
            text = f"{self.crowd.letter}m{number:05d}"
            who = self._random.choice(people())
            await self._fake.say(text, channel=channel, topic=topic, who=who)
            self._said.setdefault((self.crowd.id_of(channel), topic), []).append(text)
            if number % 100 == 0:
                await asyncio.sleep(0)
        self.crowd.deaf(False)

    async def caught_up(self, victim: Victim) -> None:
        """Wait until as many messages are recorded as were said."""
        said = sum(map(len, self._said.values()))
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            await asyncio.sleep(0.5)
            if len(self._recorded(victim)) >= said:
                break
        self._ended = time.time()

    def _recorded(self, victim: Victim) -> list[tuple[str, str, str]]:
        return victim.ask(
            "SELECT channel, topic, text FROM messages WHERE adapter = ? AND text GLOB ?"
            " ORDER BY id",
            (self.crowd.name, f"{self.crowd.letter}m[0-9]*"),
        )

    # --- how it went ------------------------------------------------------------------------------

    def judge(self, victim: Victim, began: float) -> tuple[dict[str, float], list[str]]:
        name = self.crowd.name
        heard: Heard = {}
        for channel, topic, text in self._recorded(victim):
            place = (channel, topic) if (channel, topic) in self._said else (channel, "")
            heard.setdefault(place, []).append(text)
        lost = sum(len(set(said) - set(heard.get(place, []))) for place, said in self._said.items())
        twice = sum(len(texts) - len(set(texts)) for texts in heard.values())
        # On Slack a message of a channel is a thread of its own, and there is no order of threads.
        ordered = [place for place in self._said if place[1] or self.crowd.ordered]
        jumbled = sum(heard.get(place) != self._said[place] for place in ordered)
        asked = [
            call
            for call in self._fake.calls
            if began <= call.at <= self._ended and call.method in ("GET", "POST")
        ]
        asked = [call for call in asked if call.path not in ("/", "/link/")]
        read = sum(map(self.crowd.reads, asked))
        pages = sum(math.ceil(len(texts) / PAGE) for texts in self._said.values())
        limited = sum(call.status == 429 for call in asked)
        rate = _rate(asked)
        figures = {
            f"missed_{name}_messages": sum(map(len, self._said.values())),
            f"missed_{name}_lost": lost,
            f"missed_{name}_twice": twice,
            f"missed_{name}_places_out_of_order": jumbled,
            f"missed_{name}_seconds": self._ended - began,
            f"missed_{name}_requests": len(asked),
            f"missed_{name}_requests_a_page": read / pages,
            f"missed_{name}_requests_a_second": rate,
            f"missed_{name}_rate_limited": limited,
        }
        wrong = [
            f"{figure} is {figures[figure]:.1f}"
            for figure, most in (
                (f"missed_{name}_lost", 0),
                (f"missed_{name}_twice", 0),
                (f"missed_{name}_places_out_of_order", 0),
                (f"missed_{name}_rate_limited", 0),
                (f"missed_{name}_requests_a_page", REQUESTS_A_PAGE),
                (f"missed_{name}_requests_a_second", REQUESTS_A_SECOND),
            )
            if figures[figure] > most
        ]
        return figures, wrong


def _rate(calls: list[Call]) -> float:
    """Most requests a second over five seconds: a busy machine bunches what was sent evenly."""
    times = sorted(call.at for call in calls)
    most = max((bisect_left(times, at + 5.0) - i for i, at in enumerate(times)), default=0)
    return most / 5.0
