"""A daemon that kills itself at one step of the road. Run by test_kill.py, never imported.

    python crash_daemon.py PORT DIRECTORY STEP

STEP is ``before:NAME`` or ``after:NAME`` of a method of the store or the adapter, ``reply`` for the
middle of a bot's answer, or ``none``. With ``after:send`` the platform has the letter and the
daemon does not know it yet.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from house import DrawingBot, SayingBot, home
from platform_server import PlatformAdapter

from botdaemon.dispatcher import Manners
from botdaemon.posts import Several
from botdaemon.types import Draft

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from botdaemon.ports import Bot
    from botdaemon.types import Turn


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Fatal:
    """Passes everything on, and dies before or after one method."""

    def __init__(self, part: Any, step: str) -> None:
        self._part = part
        self._when, _, self._name = step.partition(":")

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._part, name)
        if name != self._name:
            return method

        @wraps(method)
        async def deadly(*args: Any, **more: Any) -> Any:
            if self._when == "before":
                die()
            result = await method(*args, **more)
            die()
            return result

        return deadly


class SlowBot:
    """Takes long enough for a live draft to be opened and edited."""

    def __init__(self, step: str) -> None:
        self._step = step

    async def reply(self, turn: Turn) -> AsyncGenerator[Draft]:
        text = "answer: " + turn.history[-1].text
        for end in range(0, len(text), 3):
            yield Draft(text=text[:end])
            await asyncio.sleep(0.03)
            if self._step == "reply" and end > len(text) // 2:
                die()
        yield Draft(text=text, final=True)


class SlowPainter(DrawingBot):
    """Likewise."""

    async def reply(self, turn: Turn) -> AsyncGenerator[Draft]:
        async for draft in super().reply(turn):
            yield draft
            await asyncio.sleep(0.15)


async def main(port: int, directory: Path, step: str) -> None:
    adapter = PlatformAdapter("chat", port, edits_per_second=10, captions=100, buttons=True)
    bots: dict[str, Bot] = {
        "bot": SlowBot(step),
        "painter": SlowPainter(),
        # Asked for "one|two|three" it says that in three messages.
        "chatty": SayingBot(lambda text: text.removeprefix("@chatty ")),
    }
    several = Several(most=3, separator="|", characters_per_second=20)
    manners = {"chatty": Manners(several=several)}
    async with home(
        directory, bots, [adapter], around=lambda part: Fatal(part, step), manners=manners
    ):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
