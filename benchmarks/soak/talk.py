"""What people say to bots and do with the answers, drawn by chance from a seed. Knows no platform
but by `crowds`."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from benchmarks.soak.crowds import SLOW, is_slow, people
from benchmarks.soak.ledger import RECENT, Ledger, Question

if TYPE_CHECKING:
    from benchmarks.soak.crowds import Crowd

LETTERS = "abcdefghijklmnoprstuvw"
#: words of a question, and of a long one, which is two messages on Discord
SHORT, LONG = 12, 500
#: how likely a question goes on where an earlier one was answered, is long, is edited afterwards,
#: is taken back, and how likely a slow answer is stopped, and an answer judged, or asked for again
GOES_ON, IS_LONG, EDITED, TAKEN_BACK, STOPPED, PRESSED, AGAIN = (
    0.3,
    0.03,
    0.05,
    0.02,
    0.1,
    0.1,
    0.01,
)
LOOK = 0.05


class Talk:
    """One platform's talk."""

    def __init__(self, crowd: Crowd, seed: int) -> None:
        self.crowd = crowd
        self.ledger = Ledger(crowd.letter)
        self.healthy = True
        """Whether what is asked now will be counted for latency."""
        self._fake: Any = crowd.fake
        self._random = random.Random(f"{seed} {crowd.letter}")
        self._places = crowd.places()
        self._answered: list[Question] = []
        self._read = 0
        self._deeds: set[asyncio.Task[None]] = set()
        self.failed: list[BaseException] = []
        """What people could not do, by a mistake of this benchmark."""

    async def greet(self) -> None:
        """Everybody writes directly once, and is answered: a direct message that is the first ever
        and comes while the daemon is away is lost on Discord, which tells nobody of it."""
        for place in self._places:
            if place.direct:
                question = self.ledger.ask(place.channel, "", place.direct, time.time())
                await self.crowd.ask(place, question, self._text(question, place.call, False))
        greetings = list(self.ledger.questions.values())
        await self._fake.until(lambda: all(one.answered_at for one in greetings), timeout=60)

    async def go(self, rate: float, enough: asyncio.Event) -> None:
        """Ask so often a second, at random moments."""
        while not enough.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(enough.wait(), self._random.expovariate(rate))
            await self.once()

    async def once(self) -> None:
        chance = self._random.random
        recent = [one for one in self._answered[-100:] if one.at > time.time() - RECENT]
        before = self._random.choice(recent) if recent and chance() < GOES_ON else None
        if before is not None and (answer := self.crowd.answer(before)) is not None:
            question = self.ledger.ask(before.channel, before.topic, before.who, time.time())
            text = self._text(question, "", chance() < IS_LONG)
            await self.crowd.go_on(before, answer.id, question, text)
        else:
            place = self._random.choice(self._places)
            who = place.direct or self._random.choice(people())
            question = self.ledger.ask(place.channel, "", who, time.time())
            question.call = place.call
            text = self._text(question, place.call, chance() < IS_LONG)
            await self.crowd.ask(place, question, text)
        question.healthy = self.healthy and not is_slow(question.who)
        if chance() < EDITED and not question.ends:
            self._later(self._edit(question))
        elif chance() < TAKEN_BACK:
            question.may_fail = True
            self._later(self._take_back(question))
        elif is_slow(question.who) and chance() < STOPPED:
            self._later(self._stop(question))

    def _text(self, question: Question, call: str, long: bool) -> str:
        # Words without sense, since a bot that repeats itself is cut short.
        words = [
            "".join(self._random.choices(LETTERS, k=5)) for _ in range(LONG if long else SHORT)
        ]
        if long:
            question.ends = True
            words.append(f"{question.mark}z")
        called = f"{SLOW}, " if is_slow(question.who) else call
        return f"{called}{question.mark} {' '.join(words)}"

    # --- what they see ----------------------------------------------------------------------------

    async def watch(self) -> None:
        """Note answers as they appear, by the requests that make them."""
        while True:
            await asyncio.sleep(LOOK)
            calls, self._read = self._fake.calls[self._read :], len(self._fake.calls)
            for call in calls:
                if call.method != "GET" and call.status // 100 in (0, 2):
                    for question in self.ledger.answered(str(call.payload), call.at):
                        self._seen(question)

    def _seen(self, question: Question) -> None:
        if question.may_fail:
            return
        self._answered.append(question)
        if self._random.random() < PRESSED:
            self._later(self._judge(question))

    async def _answer(self, question: Question) -> Any:
        """The answer of a question that was just seen, when it has come to rest."""
        for _ in range(20):
            await asyncio.sleep(0.5)
            shown = self.crowd.answer(question)
            if shown is not None and shown.buttons and "Stop" not in shown.buttons:
                return shown
        return None

    # --- what they do -----------------------------------------------------------------------------

    async def _edit(self, question: Question) -> None:
        await asyncio.sleep(self._random.uniform(0, 3))
        text = self._text(question, question.call, long=False)
        await self._fake.edit(question.id, text, question.channel)

    async def _take_back(self, question: Question) -> None:
        await asyncio.sleep(self._random.uniform(0, 1))
        await self._fake.delete(question.id, channel=question.channel)

    async def _stop(self, question: Question) -> None:
        """Press the button of a growing answer, if it is one."""
        for _ in range(10):
            await asyncio.sleep(0.4)
            shown = self.crowd.answer(question)
            if shown is not None and "Stop" in shown.buttons:
                # It stops whatever was asked in that conversation by now.
                for one in self.ledger.unanswered(question.channel, question.topic):
                    one.may_fail = one.again = True
                where = {"who": question.who, "channel": question.channel}
                with suppress(LookupError, ValueError, AssertionError):  # it ended just now
                    await self._fake.press(shown.id, "Stop", **where)
                return

    async def _judge(self, question: Question) -> None:
        shown = await self._answer(question)
        if shown is None:
            return
        choice = self._random.choice(["\N{THUMBS UP SIGN}", "\N{THUMBS DOWN SIGN}"])
        if self._random.random() < AGAIN / PRESSED:
            choice = "Regenerate"
            for one in self.ledger.named(shown.text):
                one.again = True
        where = {"who": question.who, "channel": question.channel}
        if self._random.random() < 0.3 and choice != "Regenerate":
            await self._fake.react(shown.id, choice, **where)
        else:
            await self._fake.press(shown.id, choice, **where)

    def _later(self, deed: Any) -> None:
        task = asyncio.create_task(deed)
        self._deeds.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._deeds.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failed.append(error)

    async def rest(self) -> None:
        """Wait for what people still do."""
        if self._deeds:
            await asyncio.wait(self._deeds)
