"""A daemon that remembers and kills itself at one step. Run by test_memory.py, never imported.

    python memory_daemon.py PORT DIRECTORY STEP

STEP is as for crash_daemon.py, of the store's memories, or ``generate`` for the middle of a note.
When all of six exchanges have been learned from, and what is to be summarised is, it says so.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from crash_daemon import Fatal, die
from house import SayingBot, home
from platform_server import PlatformAdapter

from botdaemon.memory import Habits, Scribe, remember_along
from botdaemon.memory.summaries import Window
from botdaemon.types import Address, Kind, Letter, Message, ModelCard, Part, Piece

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from house import Home

    from botdaemon.types import TextRequest


class Notes:
    """A model that notes what was said, in two pieces."""

    card = ModelCard(context=1000)

    def __init__(self, step: str) -> None:
        self._step = step

    async def count(self, request: TextRequest) -> int:
        return sum(len(line.text.split()) for line in request.lines)

    async def generate(self, request: TextRequest) -> AsyncGenerator[Piece]:
        said = request.lines[-1].text.rpartition("wrote:")[2].strip()
        yield Piece(text="- said ")
        if self._step == "generate" and "3" in said:
            die()
        yield Piece(text=said.replace("\n", " "), finish="stop")


async def tell_when_done(it: Home) -> None:
    """Say in the thread that everything is remembered."""
    here, memories = Address("chat", "general"), it.store.memories
    while (  # noqa: ASYNC110  # nobody announces it
        sum([len(await memories.about(person)) for person in range(1, 7)]) < 6
        or not await memories.summaries("bot", 1)
        or (await memories.next_exchange("bot", await memories.begin("bot")))[0] is not None
    ):
        await asyncio.sleep(0.01)
    said = Message(address=here, text="done", kind=Kind.NOTICE, thread=1, sent_at=1.0)
    part = Part(text="done", plain="done")
    await it.store.say(said, [Letter(id=0, key="", address=here, speaker="", part=part)])
    it.outboxes.post([here])


async def heard(message: Message) -> Message:
    return message


async def main(port: int, directory: Path, step: str) -> None:
    adapter = PlatformAdapter("chat", port)
    async with home(directory, {"bot": SayingBot()}, [adapter]) as it:
        notes = Scribe(Notes(step), "notes")
        habits = Habits(
            bot="bot",
            scope="person",
            facts=notes,
            summaries=notes,
            facts_tokens=100,
            summary_tokens=90,
            most_facts=50,
            window=Window(
                bot="bot", persona="", model="notes", engine=notes.engine, messages=2, answer=10,
                notes=0,
            ),
            hear=heard,
        )  # fmt: skip
        store = SimpleNamespace(
            latest=it.store.latest,
            changed=it.store.changed,
            memories=Fatal(it.store.memories, step),
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(remember_along(store, it.dispatcher.turns.lull, [habits]))  # type: ignore[arg-type]
            tasks.create_task(tell_when_done(it))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
