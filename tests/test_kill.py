"""After ``kill -9`` at any step of the road nothing said by a person is lost, and nothing is
answered twice. The daemon under test is a process of its own and really kills itself; the platform,
here, outlives it and delivers again what was not confirmed."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import pytest
from platform_server import Platform, daemon

if TYPE_CHECKING:
    from pathlib import Path

#: the numbered steps of the road, each from both sides
STEPS = [
    "before:record_posted",  # 1 and 3: the message and its turn
    "after:record_posted",
    "before:claim_turn",  # 4: the actor
    "after:claim_turn",
    "reply",  # 5: the bot
    "before:open_draft",  # 6: the live draft
    "after:open_draft",
    "before:draft_sent",
    "after:draft_sent",
    "before:edit",
    "after:edit",
    "before:say",  # 7: the answer
    "after:say",
    "before:claim_letter",  # 8: the outbox
    "after:claim_letter",
    "before:send",
    "after:send",
]


@pytest.mark.parametrize("step", STEPS)
async def test_after_kill_9_nothing_is_lost_and_nothing_is_answered_twice(
    step: str, tmp_path: Path
) -> None:
    async with Platform().serving() as platform:
        asked = [
            platform.say(f"question {number}", direct=True, channel=f"channel {number}")
            for number in range(3)
        ]
        # 1. The daemon dies at the step.
        async with daemon("crash_daemon.py", platform.port, tmp_path, step) as process:
            assert await process.wait() == -signal.SIGKILL
        # 2. Another one, on the same directory, does the rest. What it did is on the platform
        #    before it takes its last question's answer there.
        async with daemon("crash_daemon.py", platform.port, tmp_path, "none"):
            for id in asked:
                await platform.until(partial(_is_answered, platform, id))
            last = platform.say("are you there?", direct=True, channel="channel 0")
            await platform.until(partial(_is_answered, platform, last))

    # 3. Every question was recorded and confirmed, every one is answered, none twice.
    assert {*asked, last} <= set(platform.confirmed)
    for id in (*asked, last):
        assert len(platform.answers_to(id)) == 1, platform.answers_to(id)
    with closing(sqlite3.connect(tmp_path / "botdaemon.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        assert db.execute(
            """SELECT (SELECT count(*) FROM messages WHERE bot = ''),
            (SELECT count(*) FROM messages WHERE bot <> ''),
            (SELECT count(*) FROM turns WHERE state = 'answered'),
            (SELECT messages FROM relations)"""
        ).fetchone() == (4, 4, 4, 4)


def _is_answered(platform: Platform, id: str) -> bool:
    """The whole answer is there, not only a draft of it."""
    return any(shown.text.endswith(("0", "1", "2", "?")) for shown in platform.answers_to(id))
