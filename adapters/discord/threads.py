"""The threads that the account makes of messages that mention it. Knows nothing of what is said
there."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import discord

from adapters.discord.wire import FAILURES, UNKNOWN_CHANNEL, UNKNOWN_MESSAGE, verdict
from botdaemon.errors import BotdaemonError, Undeliverable

if TYPE_CHECKING:
    from collections.abc import Collection

    from adapters.discord.directory import Directory
    from adapters.discord.wire import Wire
    from botdaemon.config import DiscordConfig
    from botdaemon.types import Address

log = logging.getLogger(__name__)

#: minutes without a word after which Discord puts a thread away; it comes back with the next one
PUT_AWAY_AFTER = 1440
LONGEST_NAME = 80
ALREADY_MADE = 160004


class Threads:
    """A thread made of a message has the message's id, so nothing of them need be remembered."""

    def __init__(
        self, table: DiscordConfig, shared: Collection[str], wire: Wire, directory: Directory
    ) -> None:
        self._table = table
        self._shared = shared
        self._wire = wire
        self._directory = directory
        self._opening: dict[str, asyncio.Task[None]] = {}
        #: channels in which the account may make none
        self._refused: set[str] = set()

    def wanted(self, channel: str) -> bool:
        """Whether a mention in this channel gets a thread of its own."""
        free = channel in self._shared or channel in self._table.free_channels
        return self._table.auto_threads and not free and channel not in self._refused

    def home(self, address: Address) -> str:
        """The channel or thread in which an address's messages stand."""
        if address.channel in self._refused and address.topic not in self._directory.places:
            return address.channel
        return address.topic or address.channel

    def begin(self, address: Address, text: str) -> None:
        """Make the thread at once, without anybody waiting for it."""
        if address.topic not in self._directory.places:
            self._task(address, text).add_done_callback(_say)

    async def made(self, address: Address) -> bool:
        """Make the thread of an address that has none, or note that the account may not, so that
        `home` is the channel from now on. False if it cannot be one of ours.

        Raises what the request ends with, as a verdict on the letter that needs it."""
        if address.topic in self._directory.places:
            return False
        if not self.wanted(address.channel):
            return address.channel in self._refused
        await asyncio.shield(self._task(address, ""))
        return True

    async def opened(self, topic: str) -> None:
        """Wait for the thread, if it is being made."""
        if (task := self._opening.get(topic)) is not None:
            await asyncio.wait([task])

    def close(self) -> None:
        """Leave off."""
        for task in self._opening.values():
            task.cancel()

    def _task(self, address: Address, text: str) -> asyncio.Task[None]:
        task = self._opening.get(address.topic)
        if task is None:
            task = asyncio.create_task(self._open(address, text), name=f"thread {address}")
            self._opening[address.topic] = task
            task.add_done_callback(lambda _: self._opening.pop(address.topic, None))
        return task

    async def _open(self, address: Address, text: str) -> None:
        channel, message = address.channel, address.topic
        path = "/channels/{channel_id}/messages/{message_id}"
        try:
            if not text:
                asked = await self._wire("GET", path, channel_id=channel, message_id=message)
                text = str(asked.get("content") or "")
            thread = await self._wire(
                "POST",
                f"{path}/threads",
                json={"name": _name(text), "auto_archive_duration": PUT_AWAY_AFTER},
                channel_id=channel,
                message_id=message,
            )
            self._directory.place(thread)
        except FAILURES as error:
            if isinstance(error, discord.HTTPException):
                if error.code == ALREADY_MADE:
                    return
                if error.code in (UNKNOWN_CHANNEL, UNKNOWN_MESSAGE):
                    raise Undeliverable(
                        "the message that the thread was to be made of is not there any more"
                    ) from None
                if error.status == 403:
                    self._refused.add(address.channel)
                    log.warning(
                        "in channel %s the bot answers without threads: it lacks the permission"
                        " Create Public Threads",
                        address.channel,
                        extra={"event": "no_threads", "adapter": address.adapter},
                    )
                    return
            raise verdict(error) from None


def _name(text: str) -> str:
    lines = text.strip().splitlines()
    words = " ".join(lines[0].split()) if lines else ""
    return words[:LONGEST_NAME].strip() or "Conversation"


def _say(task: asyncio.Task[None]) -> None:
    if task.cancelled():
        return
    error = task.exception()
    if isinstance(error, BotdaemonError):
        log.warning("no thread yet: %s", error, extra={"event": "thread_failed"})
    elif error is not None:
        log.error("no thread: %r", error, extra={"event": "thread_failed"})
