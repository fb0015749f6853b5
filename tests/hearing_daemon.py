"""A daemon that is sent a voice note and kills itself at one step. Run by test_voice_notes.py,
never imported.

    python hearing_daemon.py PORT DIRECTORY STEP

STEP is as for crash_daemon.py. Each time the recording is listened to, the file `heard` in
DIRECTORY has one more line.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from crash_daemon import Fatal
from house import SayingBot, home
from platform_server import PlatformAdapter
from sound_engines import Hears, listening

from botdaemon.types import Address, Identity, Message, Posted

if TYPE_CHECKING:
    from botdaemon.types import HearingRequest, Transcript


class Counts(Hears):
    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file

    async def hear(self, request: HearingRequest) -> Transcript:
        with self.file.open("a") as file:
            file.write(f"{request.name}\n")
        return await super().hear(request)


async def main(port: int, directory: Path, step: str) -> None:
    async with home(
        directory,
        {"bot": SayingBot()},
        [PlatformAdapter("chat", port)],
        around=lambda part: Fatal(part, step),
        listening=listening(Counts(directory / "heard"), show=True),
    ) as it:
        note = await it.store.keep(b"OggS ...", "p1", "audio/ogg")
        said = Message(
            address=Address("chat", "general"),
            text="",
            sent_at=1.0,
            author=Identity(adapter="chat", account="ada", name="ada"),
            platform_id="p1",
            files=(note,),
        )
        # Delivered again after a crash, as platforms do.
        await it.dispatcher.deliver(Posted(key="p1", message=said, direct=True))
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
