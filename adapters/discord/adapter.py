"""The Discord adapter as the house sees it: a courier. Knows that connections end, not how."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import aiohttp

from adapters.discord.answers import Answers
from adapters.discord.client import Identifies
from adapters.discord.connection import Broken, Connection
from botdaemon.errors import TryLater
from botdaemon.ports import Traits

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from botdaemon.config import DiscordConfig
    from botdaemon.ports import Deliver, Surroundings
    from botdaemon.types import Address, Letter

log = logging.getLogger(__name__)

#: Discord's 2000 characters, less room for the name of a bot
TEXT_LIMIT = 1960
#: the same beside a file, less room for words on why the file is missing
CAPTION_LIMIT = 1800
FILE_LIMIT = 10 * 2**20
#: Discord allows five edits in five seconds, and 50 requests a second in all
EDITS_PER_SECOND, LETTERS_PER_SECOND = 0.8, 40.0
#: seconds after which a send without an answer has arrived or never will
SETTLES_AFTER = 5.0
#: connections at once; the library's own connector has no limit, and after an outage opens hundreds
CONNECTIONS = 32
#: seconds until letters are tried again while there is no connection
RECONNECTED = 2.0


def _connector() -> aiohttp.BaseConnector:
    return aiohttp.TCPConnector(limit=CONNECTIONS)


class DiscordAdapter:
    """One account on Discord.

    `connector` makes the connectors of its connections; it is for tests, which have no other
    Discord to go to."""

    def __init__(
        self,
        name: str,
        table: DiscordConfig,
        token: str,
        around: Surroundings,
        *,
        connector: Callable[[], aiohttp.BaseConnector] | None = None,
    ) -> None:
        self.name = name
        self.traits = Traits(
            dialect="discord",
            text_limit=TEXT_LIMIT,
            edits_per_second=EDITS_PER_SECOND if table.live_drafts else 0.0,
            letters_per_second=LETTERS_PER_SECOND,
            file_limit=FILE_LIMIT,
            captions=CAPTION_LIMIT,
            previews=True,
            buttons=True,
            settles_after=SETTLES_AFTER,
        )
        self._table = table
        self._token = token
        self._around = around
        self._connector = connector or _connector
        self._identifies = Identifies()
        self._answers = Answers()
        self._connection: Connection | None = None

    async def run(self, deliver: Deliver) -> None:
        """Be connected until cancelled; a client that ended over an event it could not read is
        replaced at once. Raises `AdapterDown` and `AdapterRefused`."""
        while True:
            self._connection = Connection(
                self.name,
                self._table,
                self._around,
                deliver,
                self._identifies,
                self._answers,
                self._connector,
            )
            try:
                await self._connection.live(self._token)
            except Broken as error:
                log.warning(
                    "the connection ended over something unreadable, and is made anew: %s",
                    error,
                    extra={"event": "rebuilt", "adapter": self.name},
                )
            finally:
                self._connection = None

    @property
    def connected(self) -> bool:
        """Whether the gateway tells what is said."""
        return self._connection is not None and self._connection.usable

    def typing(self, address: Address, bot: str) -> AbstractAsyncContextManager[None]:
        """Show that `bot` is at work here; Discord shows the account's name."""
        return self._connected().typing(address)

    async def send(self, letter: Letter) -> str:
        """Send it and return the message's id. Raises like `Courier.send`."""
        return await self._connected().mail.send(letter)

    async def edit(self, letter: Letter) -> None:
        """Make the message say this. Raises like `Adapter.edit`."""
        await self._connected().mail.edit(letter)

    async def find(self, letter: Letter) -> str | None:
        """The message of an earlier attempt, if there is one. Raises like `Courier.send`."""
        return await self._connected().mail.find(letter)

    async def remove(self, letter: Letter) -> None:
        """Take the message away, if it is still there. Raises like `Courier.send`."""
        await self._connected().mail.remove(letter)

    def _connected(self) -> Connection:
        if self._connection is None or not self._connection.usable:
            raise TryLater(f"[adapters.{self.name}] is not connected to Discord", after=RECONNECTED)
        return self._connection
