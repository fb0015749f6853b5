"""What goes wrong on each platform, one thing after the other, in an order drawn from a seed. Knows
the fakes' controls; what it does to people is measured by `course`."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fake_faults import Answer, Delay, HalfAnswer, Hang, RateLimit, Reset, Status5xx
from fake_telegram import refusal
from fake_telegram_updates import ANOTHER

from benchmarks.soak.crowds import DiscordCrowd, SlackCrowd, TelegramCrowd

if TYPE_CHECKING:
    from benchmarks.soak.talk import Talk

#: the share of answers to sends that are thrown away all the time
LOST = 0.05
#: seconds between the end of a trouble and the next one
PAUSE = (4.0, 8.0)
#: seconds that an outage, or a standstill, takes
OUTAGE = 4.0
#: seconds that a row of failures may take
LONGEST = 30.0

Happens = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that can go wrong. A `cut` ends every connection, so that the platform can tell
    the daemon nothing before it is back."""

    name: str
    happens: Happens
    cut: bool = False
    once: bool = False


@dataclass(frozen=True, slots=True)
class Cut:
    """A cut that there was."""

    name: str
    began: float
    ended: float


@dataclass
class Troubles:
    """All troubles of a platform."""

    talk: Talk
    seed: int
    cuts: list[Cut] = field(default_factory=list)
    happened: list[str] = field(default_factory=list)
    poison: int = 0
    redelivered: int = 0

    def __post_init__(self) -> None:
        self._crowd = self.talk.crowd
        self._fake: Any = self._crowd.fake
        self._random = random.Random(f"troubles {self.seed} {self._crowd.letter}")

    def begin(self) -> None:
        """From now on, some answers are lost."""
        self._fake.faults.lose_response = LOST

    def end(self) -> None:
        """All is well."""
        self._fake.refuse_connections = False
        self._fake.faults.clear()

    async def go(self, enough: asyncio.Event) -> None:
        """One trouble after the other; those that there can be only one of come first."""
        ordinary = [trouble for trouble in self.all() if not trouble.once]
        coming = [trouble for trouble in self.all() if trouble.once]
        while not enough.is_set():
            if not coming:
                coming = self._random.sample(ordinary, len(ordinary))
            trouble = coming.pop()
            self.happened.append(trouble.name)
            began = time.time()
            await trouble.happens()
            if trouble.cut:
                self.cuts.append(Cut(trouble.name, began, time.time()))
            with suppress(TimeoutError):
                await asyncio.wait_for(enough.wait(), self._random.uniform(*PAUSE))

    def all(self) -> list[Trouble]:
        """What can go wrong here."""
        match self._crowd:
            case DiscordCrowd():
                own = self._discord(self._crowd)
            case SlackCrowd():
                own = self._slack(self._crowd)
            case TelegramCrowd():
                own = self._telegram(self._crowd)
            case _:
                own = []
        return [
            Trouble("dropped", self._fake.drop, cut=True),
            Trouble("unreachable", self._unreachable, cut=True),
            Trouble("failing sends", self._failing_sends),
            Trouble("slow sends", self._slow_sends),
            Trouble("sends that hang", self._hanging_sends),
            Trouble("redelivered", self._redeliver),
            Trouble("poison", self._poison),
            *own,
        ]

    # --- on all of them ---------------------------------------------------------------------------

    async def _unreachable(self) -> None:
        self._fake.refuse_connections = True
        await self._fake.drop()
        await asyncio.sleep(OUTAGE)
        self._fake.refuse_connections = False

    async def _failing_sends(self) -> None:
        self._fake.faults.next(
            self._crowd.send,
            *(RateLimit(2), Status5xx(502), Reset(applied=True), Reset(), HalfAnswer()),
            *(Status5xx(503), RateLimit(1), Status5xx(500)),
        )

    async def _slow_sends(self) -> None:
        self._fake.faults.always(self._crowd.send, Delay(1.5))
        await asyncio.sleep(OUTAGE)
        self._well_again()

    async def _hanging_sends(self) -> None:
        self._fake.faults.next(self._crowd.send, Hang(applied=True), Hang())
        await asyncio.sleep(OUTAGE)
        self._well_again()

    def _well_again(self) -> None:
        self._fake.faults.clear()
        self.begin()

    async def _redeliver(self) -> None:
        recent = [one for one in list(self.talk.ledger.questions.values())[-40:] if one.id]
        for question in self._random.sample(recent, min(10, len(recent))):
            if not question.may_fail:  # what was deleted cannot be told again
                await self._fake.redeliver(question.id)
                self.redelivered += 1

    async def _poison(self) -> None:
        match self._crowd:
            case DiscordCrowd():
                for event, payload in DISCORD:
                    await self._crowd.fake.poison(payload, event)
                    self.poison += 1
            case SlackCrowd():
                for payload in SLACK:
                    await self._crowd.fake.poison(payload)
                    self.poison += 1
            case TelegramCrowd():
                for update in TELEGRAM:
                    await self._crowd.fake.poison(update)
                    self.poison += 1

    # --- on one of them ---------------------------------------------------------------------------

    def _discord(self, crowd: DiscordCrowd) -> list[Trouble]:
        fake = crowd.fake

        async def reconnect() -> None:
            fake.gateway.ask_to_reconnect()

        async def invalid() -> None:
            fake.gateway.invalidate()

        async def forgotten() -> None:
            fake.forget_sessions()
            await fake.drop()

        async def outage() -> None:
            await fake.outage()
            await asyncio.sleep(OUTAGE)
            await fake.recover()

        return [
            Trouble("closed with 4000", lambda: fake.drop(4000), cut=True),
            Trouble("asked to reconnect", reconnect, cut=True),
            Trouble("server unavailable", outage),
            # A session may not begin often: Discord takes away the token of who tries.
            Trouble("invalid session", invalid, cut=True, once=True),
            Trouble("session forgotten", forgotten, cut=True, once=True),
        ]

    def _slack(self, crowd: SlackCrowd) -> list[Trouble]:
        fake = crowd.fake

        async def refused() -> None:
            fake.socket.refuse_handshakes = True
            await fake.drop()
            await asyncio.sleep(OUTAGE)
            fake.socket.refuse_handshakes = False

        async def silent() -> None:
            fake.silent()

        return [
            Trouble("refresh requested", fake.disconnect, cut=True),
            Trouble("warned", lambda: fake.disconnect("warning"), cut=True),
            Trouble("handshakes refused", refused, cut=True),
            Trouble("half-open", silent, cut=True),
        ]

    def _telegram(self, crowd: TelegramCrowd) -> list[Trouble]:
        fake = crowd.fake

        async def poll_fails(*how: Any) -> None:
            fake.faults.next("/getUpdates*", *how)
            await fake.drop()
            with suppress(AssertionError):  # a send may be among those that still have to fail
                await fake.until(lambda: not fake.faults.pending(), timeout=LONGEST)

        async def rival() -> None:
            await poll_fails(refusal(409, ANOTHER), refusal(409, ANOTHER))

        async def proxy() -> None:
            await poll_fails(
                *(Status5xx(), HalfAnswer(), RateLimit(1), Answer(200, "<html>?</html>")),
                *(Reset(applied=True), refusal(401, "Unauthorized")),
            )

        async def silent() -> None:
            fake.silent()
            await asyncio.sleep(OUTAGE)
            self._well_again()

        return [
            Trouble("another poller", rival, cut=True),
            Trouble("polls that fail", proxy, cut=True),
            Trouble("silent", silent, cut=True),
        ]


# --- what nobody can read -------------------------------------------------------------------------

DISCORD: list[tuple[str, Any]] = [
    ("MESSAGE_CREATE", {"content": "without an id"}),
    ("MESSAGE_CREATE", {"id": "x", "channel_id": "y", "author": None, "content": 5}),
    ("MESSAGE_UPDATE", {"id": [], "channel_id": None, "edited_timestamp": "then"}),
    ("MESSAGE_REACTION_ADD", {"emoji": None}),
    ("INTERACTION_CREATE", {"type": 3, "data": None}),
]
SLACK: list[Any] = [
    {"type": "message", "channel": 5, "text": None, "ts": "then"},
    {"type": "message", "channel": "C1", "user": "U1", "text": "hello", "ts": "then"},
    {"type": "app_mention", "user": {}},
    {"type": "reaction_added", "user": "U1", "item": {"type": "message", "ts": None}},
    {},
]
TELEGRAM: list[Any] = [
    {"message": {"message_id": "x", "chat": None}},
    {"message": {"chat": {"id": 1}, "from": 7, "date": "then"}},
    {"edited_message": 5},
    {"callback_query": {"id": None, "from": []}},
    {"message_reaction": {"chat": {}}},
]
