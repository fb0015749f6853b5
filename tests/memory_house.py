"""A daemon whose bots remember, over a chat platform and a model server on loopback that notes what
the test wants it to."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from model_server import ModelServer, chunk, says
from platform_server import Platform, PlatformAdapter

from botdaemon.app import running
from botdaemon.config import parse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from aiohttp import web

    from botdaemon.app import Daemon
    from botdaemon.store import Memories

CONFIGURATION = """
[daemon]
data_dir = "data"
[adapters.chat]
kind = "terminal"
bot = "bot"
[models.large]
kind = "openai"
servers = ["{url}"]
model = "m"
context = {context}
[bots.bot]
kind = "text"
model = "large"
persona = "You are a bot."
history_messages = {history}
sampling = {{ max_tokens = 20 }}
[bots.bot.memory]
scope = "{scope}"
facts = "large"
summarise = "large"
summary_tokens = 120
[bots.other]
kind = "text"
model = "large"
[rooms.lounge]
bots = ["bot", "other"]
host = "bot"
channels = ["chat:lounge"]
[rooms.kitchen]
bots = ["bot"]
channels = ["chat:kitchen"]
[limits]
merge_seconds = 0.0
answers_per_minute_person = 1000
answers_per_minute_channel = 1000
{more}
"""


def said_of_themself(material: str) -> str:
    """A fact that says what they said."""
    return f"- said {material.rpartition('wrote:')[2].strip()}"


class Mind:
    """The model: answers, notes and summarises. `prompts` are the prompts of its answers."""

    def __init__(self) -> None:
        self.server = ModelServer()
        self.server.behave = self._behave
        self.facts: Callable[[str], str] = said_of_themself
        self.summary: Callable[[str], str] = lambda material: f"Minutes of: {material}"
        self.prompts: list[str] = []
        #: what it was asked to note, and to summarise
        self.noted: list[str] = []
        self.summarised: list[str] = []
        #: notes are held back while it is not set
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()

    async def _behave(self, request: web.Request) -> web.StreamResponse:
        messages = (await request.json())["messages"]
        system = messages[0]["content"] if messages[0]["role"] == "system" else ""
        material = messages[-1]["content"]
        if system.startswith("You keep notes about people"):
            self.begun.set()
            await self.gate.wait()
            self.noted.append(material)
            text = self.facts(material)
        elif "minutes of a conversation" in system:
            await self.gate.wait()
            self.summarised.append(material)
            text = self.summary(material)
        else:
            self.prompts.append("\n".join(message["content"] for message in messages))
            text = f"answer {len(self.prompts)}"
        return await says((chunk(text), chunk(finish="stop")))(request)


class World:
    """All of it."""

    def __init__(self, platform: Platform, mind: Mind, daemon: Daemon) -> None:
        self.platform = platform
        self.mind = mind
        self.store = daemon.store
        self.memories: Memories = daemon.store.memories

    async def ask(self, text: str, channel: str = "lounge", who: str = "ada", **more: Any) -> str:
        """Somebody says something, and is answered; returns the id under which it was said."""
        before = len(self.platform.ever_shown)
        id = self.platform.say(text, channel=channel, who=who, **more)
        await self.platform.until(lambda: len(self.platform.ever_shown) > before)
        await self.platform.until(lambda: id in self.platform.confirmed)
        return id

    async def whisper(self, text: str, who: str = "ada", **more: Any) -> str:
        """The same, to the bot alone."""
        return await self.ask(text, channel=f"dm-{who}", who=who, direct=True, **more)

    async def command(
        self, text: str, channel: str = "lounge", who: str = "ada", **more: Any
    ) -> str:
        """What the daemon says to a command."""
        await self.ask(text, channel, who, **more)
        return self.platform.ever_shown[-1].text

    async def learned(self) -> None:
        """Wait until everything that was answered has been learned from."""
        while True:
            exchange, _ = await self.memories.next_exchange("bot", await self.memories.begin("bot"))
            if exchange is None:
                return
            await asyncio.sleep(0.01)

    async def told(self, text: str, **more: Any) -> str:
        """What the bot is told when somebody says something."""
        await self.learned()
        before = len(self.mind.prompts)
        await self.ask(text, **more)
        return self.mind.prompts[before]


@asynccontextmanager
async def world(
    directory: Path,
    *,
    scope: str = "person-in-room",
    context: int = 4096,
    history: int = 40,
    more: str = "",
    mind: Mind | None = None,
) -> AsyncIterator[World]:
    mind = mind or Mind()
    async with mind.server, Platform().serving() as platform:
        text = CONFIGURATION.format(
            url=mind.server.url, scope=scope, context=context, history=history, more=more
        )
        config = parse(text, directory / "config.toml")
        adapter = PlatformAdapter("chat", platform.port)
        async with running(config, adapters=lambda store: [adapter]) as daemon:
            yield World(platform, mind, daemon)
