"""Telegram as an adapter of the house: its life, and where letters go in. Knows no platform object.

A bot on Telegram cannot read what it has said, so a letter whose answer was lost is never found
again: a letter is sent as a placeholder first and edited into it, text and file alike.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import aiohttp
from telegram.constants import FileSizeLimit
from telegram.error import BadRequest, Forbidden, RetryAfter, TelegramError

from adapters.inlet import Inlet
from adapters.telegram.intake import Intake
from adapters.telegram.login import OFFICIAL, announce, connected
from adapters.telegram.poller import Poller
from adapters.telegram.reader import Reader
from adapters.telegram.sender import Sender
from adapters.telegram.trouble import in_short, seconds
from botdaemon.errors import AdapterDown, BotdaemonError, TryLater
from botdaemon.ports import Traits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from telegram import Bot

    from adapters.telegram.login import Connection
    from botdaemon.config import TelegramConfig
    from botdaemon.ports import Deliver, Surroundings
    from botdaemon.types import Address, Letter

log = logging.getLogger(__name__)

#: Telegram takes 4096, and 1024 with a file; the rest is room for the name of whoever speaks
TEXT_LIMIT, CAPTION_LIMIT = 4000, 928
#: what it takes of all chats together is 30 a second
LETTERS_PER_SECOND = 25.0
#: seconds: Telegram shows typing for five
TYPING_PAUSE = 4.0
#: seconds until letters are tried again while there is no connection
RECONNECTED = 2.0
#: seconds until letters are tried again while another program has the account
RIVAL_PAUSE = 5.0


class TelegramAdapter:
    """A bot account on Telegram, by long polling."""

    def __init__(self, name: str, table: TelegramConfig, token: str, around: Surroundings) -> None:
        self._name = name
        self._table = table
        self._token = token
        self._around = around
        self._traits = Traits(
            dialect="telegram",
            text_limit=TEXT_LIMIT,
            text_unit="utf-16",
            edits_per_second=1.0 if table.live_drafts else 0.0,
            letters_per_second=LETTERS_PER_SECOND,
            file_limit=int(FileSizeLimit.FILESIZE_UPLOAD),
            captions=CAPTION_LIMIT,
            previews=True,
            buttons=True,
            placeholders=True,
        )
        self._sender = Sender(around.shelf, tuple(around.bots), own_faces=table.own_faces)
        self._bot: Bot | None = None
        self._poller: Poller | None = None
        self._said: set[str] = set()

    @property
    def name(self) -> str:
        return self._name

    @property
    def traits(self) -> Traits:
        if self._sender.gives_files:
            return self._traits
        return replace(self._traits, captions=0, previews=False, placeholders=False)

    @property
    def connected(self) -> bool:
        """Whether Telegram gives out what is said."""
        return self._bot is not None and self._poller is not None and self._poller.heard

    # --- in -----------------------------------------------------------------------------------

    async def run(self, deliver: Deliver) -> None:
        """Take updates until cancelled."""
        async with (
            connected(self._name, self._table, self._token) as connection,
            aiohttp.ClientSession(trust_env=True) as session,
        ):
            bot, account = connection.bot, connection.account
            try:
                await bot.delete_webhook()  # with one, there is no polling; the queue stays
            except Exception as error:
                raise AdapterDown(f"Telegram cannot be polled ({in_short(error)})") from None
            await announce(self._name, bot, self._around.commands)
            self._say_privacy(connection)
            intake = Intake(
                self._name,
                bot,
                session,
                Reader(self._name, account, self._around.bots),
                self._sender,
                Inlet(self._name, self._around.shelf, deliver),
                self._around,
                deliver,
                file_limit=self._file_limit(),
            )
            self._poller = Poller(
                self._name, bot, connection.polling, intake.take, beat=self._around.beat
            )
            self._bot = bot
            log.info("connected as @%s", account.username, extra=self._event("connected"))
            try:
                await self._poller.run()
            finally:
                self._bot = None

    def _file_limit(self) -> int:
        """What Telegram's own server hands out; one that somebody runs for himself has no limit."""
        if not self._table.base_url.startswith(OFFICIAL):
            return self._around.file_limit
        return min(int(FileSizeLimit.FILESIZE_DOWNLOAD), self._around.file_limit)

    def _say_privacy(self, connection: Connection) -> None:
        if not connection.account.can_read_all_group_messages:
            self._once(
                "privacy",
                "privacy mode is on: in groups, only commands, mentions and replies are seen; "
                "`botdaemon setup telegram` says how to change that",
            )

    # --- out ----------------------------------------------------------------------------------

    async def send(self, letter: Letter) -> str:
        """Send it as a new message, and return its id."""
        return await self._sender.send(self._connected(), letter)

    async def edit(self, letter: Letter) -> None:
        """Make the message say what the letter says."""
        await self._sender.edit(self._connected(), letter)

    async def remove(self, letter: Letter) -> None:
        """Take the message away, if it is still there."""
        await self._sender.remove(self._connected(), letter)

    async def find(self, letter: Letter) -> str | None:
        """A bot cannot read what it has said."""
        return None

    @asynccontextmanager
    async def typing(self, address: Address, bot: str) -> AsyncIterator[None]:
        """Show that somebody is at work there, for as long as the context lasts."""
        task = asyncio.create_task(self._keep_typing(address), name=f"typing {address}")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _keep_typing(self, address: Address) -> None:
        while True:
            pause = TYPING_PAUSE
            try:
                if self._bot is not None:
                    await self._sender.typing(self._bot, address)
            except RetryAfter as error:
                pause = max(pause, seconds(error))
            except (TelegramError, BotdaemonError) as error:
                self._once(f"typing {in_short(error)}", f"no typing: {in_short(error)}")
                if isinstance(error, (BadRequest, Forbidden, BotdaemonError)):
                    return
            await asyncio.sleep(pause)

    def _connected(self) -> Bot:
        if self._bot is None or self._poller is None:
            raise TryLater(
                f"[adapters.{self._name}] is not connected to Telegram", after=RECONNECTED
            )
        if self._poller.rival:
            raise TryLater("another program polls Telegram with the same token", after=RIVAL_PAUSE)
        return self._bot

    # --- what it says in the log --------------------------------------------------------------

    def _once(self, cause: str, words: str) -> None:
        if cause not in self._said:
            self._said.add(cause)
            log.info("%s", words, extra=self._event(cause.partition(" ")[0]))

    def _event(self, event: str) -> dict[str, str]:
        return {"event": event, "adapter": self._name}
