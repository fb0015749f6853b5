"""The whole daemon killed at random while people talk to it over its API: nothing said is lost, and
nothing is answered twice. `make campaign` kills it more often (CHAOS_KILLS)."""

from __future__ import annotations

import asyncio
import os
import random
import re
import sys
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

KILLS = int(os.environ.get("CHAOS_KILLS", "4"))

CONFIG = """
[daemon]
log_level = "warning"
[adapters.web]
kind = "web"
port = 0
[models.echo]
kind = "echo"
delay_seconds = 0.02
[bots.parrot]
kind = "text"
model = "echo"
[rooms.lounge]
bots = ["parrot"]
[limits]
merge_seconds = 0.0
turns_at_once = 8
queue = 10000
queue_per_person = 10000
answers_per_minute_person = 1000000
answers_per_minute_channel = 1000000
answers_per_minute_server = 1000000
"""


class Victim:
    """The daemon, through all its lives."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._process: asyncio.subprocess.Process | None = None
        self.url = ""

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "botdaemon", "run", "--config", str(self._config)),
            stderr=asyncio.subprocess.PIPE,
        )
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            if found := re.search(rb"open (http://\S+) in", line):
                self.url = found[1].decode()
                return
        raise AssertionError("the daemon did not start")

    async def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        # The pipe is read to its end, or its transport would be collected unclosed.
        await self._process.communicate()


@asynccontextmanager
async def living(config: Path) -> AsyncIterator[Victim]:
    victim = Victim(config)
    await victim.start()
    try:
        yield victim
    finally:
        await victim.kill()


async def until_it_works(
    session: aiohttp.ClientSession, victim: Victim, method: str, path: str, body: Any = None
) -> Any:
    """What a careful program does: the same request again, until it is answered."""
    while True:
        try:
            async with session.request(method, victim.url + path, json=body) as answer:
                if answer.ok:
                    return await answer.json()
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.05)


async def test_killed_at_random_the_daemon_loses_nothing_and_answers_nothing_twice(
    tmp_path: Path,
) -> None:
    (tmp_path / "config.toml").write_text(CONFIG)
    said: list[str] = []
    async with (
        aiohttp.ClientSession() as session,
        living(tmp_path / "config.toml") as victim,
    ):
        threads = [
            (
                await until_it_works(
                    session, victim, "POST", "api/rooms/lounge/threads", {"title": str(number)}
                )
            )["id"]
            for number in range(10)
        ]

        enough = asyncio.Event()

        async def talk() -> None:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    number = len(said)
                    said.append(f"message {number}")
                    body = {
                        "author": f"ann {number % 7}",
                        "text": said[-1],
                        "thread": threads[number % len(threads)],
                        "key": str(number),
                    }
                    tasks.create_task(
                        until_it_works(session, victim, "POST", "api/rooms/lounge/messages", body)
                    )
                    if enough.is_set():
                        return
                    await asyncio.sleep(0.03)

        talking = asyncio.create_task(talk())
        for _ in range(KILLS):
            await asyncio.sleep(random.uniform(0.3, 1.5))
            await victim.kill()
            await victim.start()
        enough.set()
        await talking

        while True:
            heard = await everything(session, victim)
            answers = Counter(
                line for one in heard if one["bot"] for line in one["text"].splitlines()
            )
            if answers.total() >= len(said):
                break
            await asyncio.sleep(0.1)

    assert sorted(said) == sorted(one["text"] for one in heard if not one["bot"])
    # Messages of one person that waited together are answered together, a line each.
    assert dict.fromkeys(said, 1) == answers


async def everything(session: aiohttp.ClientSession, victim: Victim) -> list[dict[str, Any]]:
    """All messages of the room."""
    heard: list[dict[str, Any]] = []
    while True:
        after = heard[-1]["id"] if heard else 0
        path = f"api/rooms/lounge/messages?after={after}&limit=500"
        page = await until_it_works(session, victim, "GET", path)
        if not page:
            return heard
        heard += page
