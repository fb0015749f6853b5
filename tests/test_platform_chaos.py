"""The daemon killed at random while people talk to it on Discord, Slack and Telegram at once, and
one in twenty answers to what it sends is thrown away: nothing said is lost, nothing is answered
twice. `make campaign` kills it more often (CHAOS_KILLS). CHAOS_SEED repeats a run, as far as time
allows.

The last tests break the daemon on purpose: then the same judge must find it out.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from typing import TYPE_CHECKING

import pytest
from fake_faults import Reset
from three_platforms import NAMES, PATIENCE, Daemons, World, three_platforms

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from three_platforms import Question

log = logging.getLogger(__name__)

KILLS = int(os.environ.get("CHAOS_KILLS", "12"))
SEED = int(os.environ.get("CHAOS_SEED", random.randrange(10**6)))
#: seconds that a life lasts, and between two things that people do on one platform
LIFE, TALK = (0.3, 2.0), (0.1, 0.4)
LOST_ANSWERS = 0.05


@pytest.fixture(scope="module")
def daemons() -> Iterator[Daemons]:
    with Daemons() as found:
        yield found


@pytest.mark.timeout(60 + 10 * KILLS)
async def test_killed_at_random_it_loses_nothing_and_answers_nothing_twice(
    daemons: Daemons, tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    async with three_platforms(daemons, tmp_path) as world:
        for number, fake in enumerate(world.fakes.values()):
            fake.faults.random = random.Random(SEED + number)
            fake.faults.lose_response = LOST_ANSWERS
        await world.live()
        await world.connected()
        said: list[Question] = []
        talking = [
            asyncio.create_task(talk(world, platform, said, random.Random(f"{SEED} {platform}")))
            for platform in NAMES
        ]
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(*LIFE))
            await world.kill()
            await world.live()
        for task in talking:
            task.cancel()
        for result in await asyncio.gather(*talking, return_exceptions=True):
            assert isinstance(result, asyncio.CancelledError), result
        problems = await world.finished(said, patience=2 * PATIENCE)
        await world.kill()
        lost = sum(fake.faults.lost for fake in world.fakes.values())
        log.info(
            "CHAOS_SEED=%d: %d lives, %d questions, %d answers to sends thrown away, "
            "%d orphans of %d ambiguous sends",
            *(SEED, world.lives, len(said), lost, world.orphans(), world.ambiguous()),
        )
    assert problems == [], f"CHAOS_SEED={SEED}\n{world.explained(problems)}"
    assert lost > 0
    assert world.orphans() <= world.ambiguous()


async def talk(world: World, platform: str, said: list[Question], chance: random.Random) -> None:
    """People ask, correct themselves, talk in threads, and the platform repeats itself."""
    mine: list[Question] = []
    while True:
        await asyncio.sleep(chance.uniform(*TALK))
        what = chance.random()
        if what < 0.15 and mine:
            await world.correct(chance.choice(mine[-20:]))
        elif what < 0.3 and mine:
            await world.repeat(chance.choice(mine[-20:]))
        else:
            manner = chance.choice(("slowly", "quickly"))
            in_thread = chance.random() < 0.25
            bot = chance.choice(("", "", "comic"))
            question = await world.ask(platform, manner, bot=bot, in_thread=in_thread)
            said.append(question)
            if not in_thread:
                mine.append(question)


# --- the same judge, and a daemon that does it wrong ---------------------------------------------


async def test_a_daemon_that_confirms_before_it_records_is_found_out(
    daemons: Daemons, tmp_path: Path
) -> None:
    async with three_platforms(daemons, tmp_path) as world:
        await world.live(wrong="hasty", point="before:record_posted", occurrence=2)
        await world.connected()
        before = [await world.ask(platform) for platform in NAMES]
        for question in before:
            await world.read_up_to(question)
        asked = [await world.ask(platform) for platform in NAMES]
        await world.dies("before:record_posted")
        await world.live()
        assert await world.finished(before) == []
        problems = world.problems(asked)
        await world.kill()
    assert problems == [f"{each.platform}: {each.text!r} is lost" for each in asked]


async def test_a_daemon_that_verifies_nothing_is_found_out(
    daemons: Daemons, tmp_path: Path
) -> None:
    async with three_platforms(daemons, tmp_path) as world:
        world.discord.nonce_memory = 0.0
        await world.live(wrong="unverified", point="after:send answer")
        await world.connected()
        asked = [await world.ask(platform) for platform in NAMES]
        await world.dies("after:send answer")
        await world.live(wrong="unverified")
        problems = await world.finished(asked)
        await world.kill()
    assert len(problems) == 2, problems
    for problem, question in zip(problems, asked, strict=False):
        assert problem.startswith(f"{question.platform}: {question.text!r} is answered twice")
    # Telegram cannot be asked: what was sent twice there is an empty message.
    assert world.orphans() == 1


async def test_the_retries_of_slacks_own_client_are_found_out(
    daemons: Daemons, tmp_path: Path
) -> None:
    problems = {}
    for wrong in ("", "sdk retries"):
        directory = tmp_path / (wrong or "right")
        directory.mkdir()
        async with three_platforms(daemons, directory) as world:
            await world.live(wrong=wrong)
            await world.connected()
            world.slack.faults.next("chat.postMessage", Reset(applied=True))
            asked = await world.ask("slack")
            problems[wrong] = await world.finished([asked])
            await world.kill()
    assert problems[""] == []
    [problem] = problems["sdk retries"]
    assert problem.startswith(f"slack: {asked.text!r} is answered twice")
