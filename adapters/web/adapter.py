"""The web page as an adapter of the house. Knows neither its server nor its database."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from adapters.web.api import Api
from adapters.web.desk import Desk
from adapters.web.hub import Hub
from adapters.web.live import Live
from botdaemon.ports import Traits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from aiohttp import web

    from adapters.web.desk import Storage
    from botdaemon.ports import Deliver, PromptOf
    from botdaemon.types import Address, Letter

#: Live drafts of one answer; more than the eye can use, less than a socket notices.
EDITS_PER_SECOND = 10.0


class WebAdapter:
    """A mirror: pages and programs see threads straight from the archive, so nothing is sent."""

    def __init__(
        self,
        name: str,
        archive: Storage,
        bots: Mapping[str, str],
        message_characters: int,
        *,
        file_limit: int = 20_000_000,
        prompt_of: PromptOf | None = None,
        hello_seconds: float = 10.0,
    ) -> None:
        """`bots` says of each bot what it is, for people who make a room. Files are taken up to
        `file_limit` bytes. `prompt_of` tells the prompt of a picture, as `Surroundings` do. A
        socket that has not opened a room after `hello_seconds` is closed."""
        self._name = name
        self._traits = Traits(
            dialect="commonmark",
            text_limit=message_characters,
            edits_per_second=EDITS_PER_SECOND,
            previews=True,
            buttons=True,
        )
        self._desk = Desk(name, archive, bots, message_characters, prompt_of)
        self._hub = Hub(name, archive)
        self._api = Api(self._desk, self._hub, file_limit)
        self._live = Live(self._desk, self._hub, hello_seconds)

    @property
    def name(self) -> str:
        return self._name

    @property
    def traits(self) -> Traits:
        return self._traits

    def mount(self, app: web.Application) -> None:
        """Add the page, the API and the live socket to a server's application."""
        self._api.mount(app)
        self._live.mount(app)

    async def run(self, deliver: Deliver) -> None:
        """Take messages from pages and programs, and show every change to the pages."""
        try:
            await self._hub.start()
            self._desk.open(deliver)
            await self._hub.follow()
        finally:
            self._desk.close()
            self._hub.close()

    @asynccontextmanager
    async def typing(self, address: Address, bot: str) -> AsyncIterator[None]:
        """Show that `bot` is at work in a thread."""
        place = address.channel, int(address.topic)
        self._hub.begin(*place, bot)
        try:
            yield
        finally:
            self._hub.end(*place, bot)

    async def edit(self, letter: Letter) -> None:
        """Show a live draft."""
        place = letter.address.channel, int(letter.address.topic)
        self._hub.draft(*place, letter.speaker, letter.remote, letter.part)
