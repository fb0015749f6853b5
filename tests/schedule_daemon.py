"""A daemon with schedules that kills itself at one step. Run by test_schedules.py, never imported.

    python schedule_daemon.py PORT DIRECTORY STEP SLOT

STEP is as for crash_daemon.py. In each of three channels a bot writes first at the time SLOT.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from crash_daemon import Fatal
from house import CueBot, home
from platform_server import PlatformAdapter

from botdaemon.governor import Governor, Rules
from botdaemon.schedule import Clock
from botdaemon.types import Address, Cue, Once, Schedule

if TYPE_CHECKING:
    from typing import Any


async def main(port: int, directory: Path, step: str, slot: float) -> None:
    adapter = PlatformAdapter("chat", port, edits_per_second=50)

    def fatal(part: Any) -> Any:
        return Fatal(part, step)

    now = slot - 60.0  # the schedules are made before their time
    async with home(directory, {"bot": CueBot()}, [adapter], around=fatal, clock=lambda: now) as it:
        await it.store.settle_schedules(
            Schedule(
                name=f"channel {number}",
                bot="bot",
                when=Once(slot),
                cue=Cue(prompt=f"number {number}"),
                address=Address("chat", f"channel {number}"),
                missed="once",
            )
            for number in range(3)
        )
        now = slot
        clock = Clock(
            fatal(it.store),
            Governor(Rules()),
            bots=("bot",),
            painters=(),
            take=it.dispatcher.turns.take,
        )
        await clock.run()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], float(sys.argv[4])))
