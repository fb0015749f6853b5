"""Where what people do becomes events, and where rooms and threads are looked up. Knows no HTTP."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Protocol

from botdaemon.errors import Refused
from botdaemon.ports import Archive, Shelf
from botdaemon.types import Address, Control, Identity, Message, Posted, Pressed, Room

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapters.web.wire import Said
    from botdaemon.ports import Deliver, PromptOf


class Storage(Archive, Shelf, Protocol):
    """The store as this adapter uses it."""


class Unknown(Refused):
    """There is no such room or thread."""


class NotOpen(Refused):
    """The daemon is starting or stopping."""


class TooLong(Refused):
    """The message, or one of its files, is longer than the configuration allows."""


class Desk:
    """Takes what people say and press, once the adapter runs."""

    def __init__(
        self,
        name: str,
        archive: Storage,
        bots: Mapping[str, str],
        message_characters: int,
        prompt_of: PromptOf | None,
    ) -> None:
        self.name = name
        self.archive = archive
        self.bots = bots
        self.limit = message_characters
        self._prompt_of = prompt_of
        self._deliver: Deliver | None = None

    def open(self, deliver: Deliver) -> None:
        self._deliver = deliver

    def close(self) -> None:
        self._deliver = None

    @property
    def deliver(self) -> Deliver:
        if self._deliver is None:
            raise NotOpen("the daemon is starting or stopping; try again in a moment")
        return self._deliver

    async def room(self, name: str) -> Room:
        """The room of that name, in whatever case it is written."""
        for room in await self.archive.rooms():
            if room.name.casefold() == name.casefold():
                return room
        raise _no_room(name)

    async def place(self, room: str, thread: int | None) -> tuple[str, int]:
        """The room as it is written and the thread, made sure to be one of its threads; for None
        its main thread."""
        try:
            return await self.archive.find_thread(room, thread)
        except Refused as refusal:
            raise Unknown(f"{refusal}; GET /api/rooms lists the rooms") from refusal

    async def message(self, room: str, said: Said) -> Message:
        """What somebody wants to say, as it can be handed over."""
        self._check(said.text)
        who = self._identity(said.author)
        room, thread = await self.place(room, said.thread)
        return Message(
            address=Address(self.name, room, str(thread)),
            author=who,
            text=said.text,
            sent_at=time.time(),
            # A key is its sender's own: two people (or rooms) may both count theirs from 1.
            platform_id=f"{room}/{who.account}/{said.key}" if said.key else uuid.uuid4().hex,
            reply_to="" if said.reply_to is None else str(said.reply_to),
        )

    async def say(self, message: Message) -> int:
        """Hand a message over; its id, once it is safe on disk."""
        return await self.deliver(Posted(key=message.platform_id, message=message))

    async def press(
        self,
        room: str,
        thread: int,
        name: str,
        control: Control,
        message: int | None,
        text: str = "",
    ) -> None:
        """Hand over that somebody pressed a button, under a message or for the whole thread."""
        self._check(text)
        who = self._identity(name)
        room, thread = await self.place(room, thread)
        await self.deliver(
            Pressed(
                key=uuid.uuid4().hex,
                address=Address(self.name, room, str(thread)),
                who=who,
                control=control,
                at=time.time(),
                platform_id="" if message is None else str(message),
                text=text,
            )
        )

    async def prompt(self, room: str, thread: int, message: int) -> str:
        """The prompt of the picture in a message, "" when it is not known."""
        room, thread = await self.place(room, thread)
        if self._prompt_of is None:
            return ""
        return await self._prompt_of(Address(self.name, room, str(thread)), str(message))

    def _check(self, text: str) -> None:
        if len(text) > self.limit:
            raise TooLong(
                f"the message has {len(text):,} characters and the limit is {self.limit:,} "
                "(limits.message_characters); send it in parts"
            )

    def _identity(self, name: str) -> Identity:
        account = name.casefold()
        if account in {bot.casefold() for bot in self.bots}:
            raise Refused(f'"{name}" is the name of a bot here; choose another name for yourself')
        return Identity(adapter=self.name, account=account, name=name)


def _no_room(name: str) -> Unknown:
    return Unknown(f'there is no room "{name}"; GET /api/rooms lists them')
