"""A world whose time is a number: a platform behind real sockets, the house, and schedules that are
looked at when they are due."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from house import CueBot, DrawingBot, Home, home
from platform_server import Platform, PlatformAdapter, Shown

from botdaemon.governor import Governor, Rules
from botdaemon.schedule import Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from botdaemon.ports import Bot
    from botdaemon.types import Reason, Schedule


def at(text: str, zone: str = "Europe/Berlin") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


NOON = at("2026-06-10 12:00")


BERLIN = Rules(timezone="Europe/Berlin")


class Time:
    """A clock that stands still until it is moved."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class World:
    """A platform, the house, and its clocks."""

    def __init__(self, platform: Platform, house: Home, clock: Clock, time: Time) -> None:
        self.platform = platform
        self.house = house
        self.store = house.store
        self.clock = clock
        self.time = time

    async def until(self, when: float) -> list[Shown]:
        """Let it become a time, looking at every schedule when it is due; what was shown then."""
        before = len(self.platform.ever_shown)
        while (due_in := await self.store.due_in()) is not None and self.time.now + due_in <= when:
            self.time.now += max(0.0, due_in)
            await self.clock.look()
            await self.settled()
        self.time.now = when
        return self.platform.ever_shown[before:]

    async def settled(self) -> None:
        """Every turn has ended, and its letters are there."""
        actors = [task for task in asyncio.all_tasks() if task.get_name().startswith("thread ")]
        if actors:
            await asyncio.wait(actors)
        await self.house.outboxes.drained()

    async def say(self, text: str, **more: Any) -> str:
        """A person says something, which is recorded."""
        id = self.platform.say(text, sent_at=self.time.now, **more)
        await self.platform.until(lambda: id in self.platform.confirmed)
        return id

    async def ask(self, text: str, **more: Any) -> str:
        """A person says something, and is answered."""
        before = len(self.platform.ever_shown)
        await self.say(text, direct=True, **more)
        await self.platform.until(lambda: len(self.platform.ever_shown) > before)
        await self.house.outboxes.drained()
        return self.platform.ever_shown[-1].text

    async def reasons(self) -> list[Reason]:
        return [decision.ruling.reason for decision in await self.store.decisions()]


@asynccontextmanager
async def world(
    directory: Path,
    *schedules: Schedule,
    start: float = NOON,
    bots: Mapping[str, Bot] | None = None,
    rules: Rules = BERLIN,
    **more: Any,
) -> AsyncIterator[World]:
    time = Time(start)
    everybody: dict[str, Bot] = {"bot": CueBot(), **(bots or {})}
    async with Platform().serving() as platform:
        adapter = PlatformAdapter("chat", platform.port)
        async with home(directory, everybody, [adapter], clock=time, **more) as house:
            await house.store.settle_schedules(schedules)
            painters = [name for name, bot in everybody.items() if isinstance(bot, DrawingBot)]
            clock = Clock(
                house.store,
                Governor(rules),
                bots=everybody,
                painters=painters,
                take=house.dispatcher.turns.take,
            )
            yield World(platform, house, clock, time)
