"""The daemon set up beside the platforms it talks to. Knows its configuration."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from benchmarks.soak.victim import Victim

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from benchmarks.soak.crowds import Crowd

#: the limits are such that people are never told to wait: whatever they say must be answered
CONFIG = """
[daemon]
log_format = "json"
[models.echo]
kind = "echo"
[models.slow-echo]
kind = "echo"
delay_seconds = 0.7
[bots.parrot]
kind = "text"
model = "echo"
[bots.sloth]
kind = "text"
model = "slow-echo"
[limits]
merge_seconds = 0.0
turns_at_once = 64
queue = 100000
queue_per_person = 100000
answers_per_minute_person = 100000
answers_per_minute_channel = 100000
answers_per_minute_server = 100000
"""


@asynccontextmanager
async def settled_in(
    directory: Path, crowds: Sequence[Crowd], more: str = ""
) -> AsyncIterator[Victim]:
    """The platforms, and a daemon for them that is not started yet. `more` are lines for the limits
    in its configuration."""
    async with AsyncExitStack() as stack:
        tables, environment, arguments = [more], dict(os.environ), ("0", "")
        for crowd in crowds:
            await stack.enter_async_context(crowd.fake.serving())
            tables.append(crowd.table())
            environment |= crowd.secrets()
            if crowd.name == "discord":
                arguments = (str(crowd.fake.port), str(crowd.fake.ca))
        victim = Victim(directory, arguments, environment)
        victim.settle(CONFIG + "".join(tables))
        stack.push_async_callback(victim.bury)
        yield victim
