"""After ``kill -9`` at any step of the road over Discord, Slack and Telegram nothing said is lost
and nothing is answered twice, as people there see it.

The daemon, a process of its own with the real adapters, dies at a point when all three platforms
have come to it. ``CRASH_POINTS=all`` runs every point; by default those run at which the platforms
differ from each other, since the road between them is one (``test_kill.py``): what was recorded and
not yet confirmed, what a platform took and nobody recorded, and the middle of a catch-up.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from three_platforms import NAMES, Daemons, Question, World, three_platforms

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WITH_HISTORY = ["discord", "slack"]

#: while people talk and listen
POINTS = [
    "before:record_posted",
    "after:record_posted",
    "before:claim_turn",
    "after:claim_turn",
    "reply",
    "before:open_draft",
    "after:open_draft",
    "before:send draft",
    "after:send draft",
    "after:draft_sent",
    "before:edit draft",
    "after:edit draft",
    "before:say",
    "after:say",
    "before:claim_letter",
    "after:claim_letter",
    "before:send answer",
    "after:send answer",
    "before:edit answer",
    "after:edit answer",
]
#: around what makes a message, for a bot that does not speak as the account
SENDING = ["after:send draft", "after:edit draft", "after:send answer", "before:edit answer"]
#: while it reads what was said when it was not there
CATCHING_UP = [
    "before:record_posted",
    "after:record_posted",
    "before:move_cursor",
    "after:move_cursor",
]
#: while it finds out whether a letter had arrived, and sends it again where it cannot
VERIFYING = ["before:find", "after:find", "after:send answer"]
#: where the platforms differ
OFTEN = {
    "after:record_posted",
    "after:send draft",
    "after:send answer",
    "after:edit answer",
    "after:find",
}

ALL = os.environ.get("CRASH_POINTS") == "all"


def chosen(points: list[str]) -> list[str]:
    return [point for point in points if ALL or point in OFTEN]


@pytest.fixture(scope="module")
def daemons() -> Iterator[Daemons]:
    with Daemons() as found:
        yield found


@pytest.mark.parametrize("point", chosen(SENDING))
async def test_after_kill_9_what_a_bot_says_under_its_own_name_is_there_once(
    point: str, daemons: Daemons, tmp_path: Path
) -> None:
    async with three_platforms(daemons, tmp_path) as world:
        await world.live(point=point)
        await world.connected()
        asked = await questions(world, "comic")
        await world.dies(point)
        await world.live()
        await judge(world, asked)
        speakers = {each.author for question in asked for each in world.answers(question)}
    assert "comic" in speakers


@pytest.mark.parametrize("occurrence", [1, 2], ids=["first", "second"])
@pytest.mark.parametrize("point", chosen(POINTS))
async def test_after_kill_9_nobody_waits_for_an_answer_and_nobody_gets_two(
    point: str, occurrence: int, daemons: Daemons, tmp_path: Path
) -> None:
    async with three_platforms(daemons, tmp_path) as world:
        # 1. The daemon dies at the point, on all platforms.
        await world.live(point=point, occurrence=occurrence)
        await world.connected()
        asked = await questions(world)
        await world.dies(point)
        # 2. The next one does the rest.
        await world.live()
        await judge(world, asked)


@pytest.mark.parametrize("occurrence", [1, 2], ids=["first", "second"])
@pytest.mark.parametrize("point", chosen(CATCHING_UP))
async def test_killed_while_it_catches_up_it_catches_up_again(
    point: str, occurrence: int, daemons: Daemons, tmp_path: Path
) -> None:
    async with three_platforms(daemons, tmp_path) as world:
        await world.live()
        await world.connected()
        before = await questions(world)
        assert await world.finished(before) == []
        await world.kill()
        # 1. People go on talking; the next daemon dies over reading that.
        asked = await questions(world)
        doomed = WITH_HISTORY if "cursor" in point else NAMES
        await world.live(point=point, occurrence=occurrence, doomed=doomed)
        await world.dies(point)
        # 2. The one after that does the rest.
        await world.live()
        await judge(world, before + asked)


@pytest.mark.parametrize("point", chosen(VERIFYING))
async def test_killed_again_while_it_verifies_a_letter_it_sends_it_once(
    point: str, daemons: Daemons, tmp_path: Path
) -> None:
    async with three_platforms(daemons, tmp_path) as world:
        await world.live(point="after:send answer")
        await world.connected()
        asked = await questions(world)
        await world.dies("after:send answer")
        again = ["telegram"] if "send" in point else NAMES  # the others find it
        await world.live(point=point, doomed=again)
        await world.dies(point)
        await world.live()
        await judge(world, asked)


async def questions(world: World, bot: str = "") -> list[Question]:
    """Two of each kind on each platform."""
    return [
        await world.ask(platform, manner, bot=bot)
        for platform in NAMES
        for manner in ("slowly", "quickly", "slowly", "quickly")
    ]


async def judge(world: World, asked: list[Question]) -> None:
    problems = await world.finished(asked)
    await world.kill()
    assert problems == [], world.explained(problems)
    assert world.orphans() <= world.ambiguous()
    with closing(sqlite3.connect(world.directory / "botdaemon.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        open_turns = "SELECT count(*) FROM turns WHERE state <> 'answered'"
        assert db.execute(open_turns).fetchone() == (0,)
