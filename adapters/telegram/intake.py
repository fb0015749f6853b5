"""A batch of updates into the house: read, recorded, and counted. Knows no queue and no letter."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from telegram import Update

from adapters.files import Offer, Taken, take_in
from adapters.telegram.contents import attachments
from adapters.telegram.reader import chat_of, moved_to, update_id
from adapters.telegram.trouble import in_short
from botdaemon.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    import aiohttp
    from telegram import Bot, CallbackQuery, ChatMemberUpdated, Message

    from adapters.inlet import Inlet
    from adapters.telegram.reader import Reader
    from adapters.telegram.sender import Sender
    from botdaemon.ports import Deliver, Surroundings

log = logging.getLogger(__name__)

#: chats whose updates are recorded at the same time, and files that are fetched
CHATS_AT_ONCE, FILES_AT_ONCE = 32, 4
#: seconds the files of a message may hold up whatever comes after it
PATIENCE = 20.0
CHUNK = 2**16


@dataclass(frozen=True, slots=True)
class _Job:
    """Updates that are one event: an album's are several, anything else is one."""

    at: list[int]
    raws: list[Any]
    updates: list[Update]
    album: str = ""


class Intake:
    """Where one connection's updates go."""

    def __init__(
        self,
        name: str,
        bot: Bot,
        session: aiohttp.ClientSession,
        reader: Reader,
        sender: Sender,
        inlet: Inlet,
        around: Surroundings,
        deliver: Deliver,
        *,
        file_limit: int,
    ) -> None:
        self._name = name
        self._bot = bot
        self._session = session
        self._reader = reader
        self._sender = sender
        self._inlet = inlet
        self._shelf = around.shelf
        self._deliver = deliver
        self._file_limit = file_limit
        self._chats = asyncio.Semaphore(CHATS_AT_ONCE)
        self._files = asyncio.Semaphore(FILES_AT_ONCE)

    async def take(self, raws: Sequence[Any], missed: bool) -> int:
        """Record a batch, chats side by side and each in order. Returns how many from its beginning
        are on disk: the first that is not, and all after it, must come again."""
        done: set[int] = set()
        lanes: dict[object, list[_Job]] = {}
        for at, raw in enumerate(raws):
            if update_id(raw) is None:  # it cannot be confirmed, and would be put away for ever
                log.error("an update without a number is left", extra=self._event("unnumbered"))
                done.add(at)
                continue
            try:
                update = Update.de_json(raw, self._bot)
                chat: object = chat_of(update) or f"update {at}"
            except Exception as error:
                if await self._put_away([raw], error):
                    done.add(at)
                continue
            jobs = lanes.setdefault(chat, [])
            album = update.message.media_group_id if update.message else None
            if album and jobs and jobs[-1].album == album:
                jobs[-1].at.append(at)
                jobs[-1].raws.append(raw)
                jobs[-1].updates.append(update)
            else:
                jobs.append(_Job([at], [raw], [update], album or ""))
        async with asyncio.TaskGroup() as tasks:
            for jobs in lanes.values():
                tasks.create_task(self._lane(jobs, missed, done))
        return next((at for at in range(len(raws)) if at not in done), len(raws))

    async def _lane(self, jobs: list[_Job], missed: bool, done: set[int]) -> None:
        async with self._chats:
            for job in jobs:
                try:
                    await self._handle(job, missed)
                except StoreError as error:
                    log.warning(
                        "not recorded, so not confirmed: %s", error, extra=self._event("not_stored")
                    )
                    return
                except Exception as error:
                    if not await self._put_away(job.raws, error):
                        return
                done.update(job.at)

    async def _put_away(self, raws: Sequence[Any], error: Exception) -> bool:
        """Whether it is safe to go on without them."""
        try:
            for raw in raws:
                await self._inlet.quarantine(json.dumps(raw), error)
        except StoreError:
            return False
        return True

    # --- one event ----------------------------------------------------------------------------

    async def _handle(self, job: _Job, missed: bool) -> None:
        update = job.updates[0]
        if message := update.message or update.channel_post:
            parts = [one.message or one.channel_post for one in job.updates]
            await self._posted(message, [part for part in parts if part], missed)
        elif edited := update.edited_message or update.edited_channel_post:
            if change := self._reader.edited(edited, update.update_id):
                await self._deliver(change)
        elif update.callback_query:
            await self._pressed(update.callback_query)
        elif update.message_reaction:
            for reacted in self._reader.reacted(update.message_reaction, update.update_id):
                await self._deliver(reacted)
        elif update.my_chat_member:
            self._say_membership(update.my_chat_member)

    async def _posted(self, message: Message, parts: list[Message], missed: bool) -> None:
        if message.chat.is_forum:
            self._sender.is_forum(message.chat.id)
        if moved := moved_to(message):
            self._sender.moved(*moved)
            log.warning("chat %d is now %d", *moved, extra=self._event("chat_moved"))
        taken = await self._take_in(parts)
        if posted := self._reader.posted(parts, taken, missed=missed):
            await self._deliver(posted)

    async def _pressed(self, query: CallbackQuery) -> None:
        if pressed := self._reader.pressed(query):
            await self._deliver(pressed)
        try:  # until then, the button looks busy
            await self._bot.answer_callback_query(query.id)
        except Exception as error:  # it was pressed long ago
            log.info("a button stays busy: %s", in_short(error), extra=self._event("unanswered"))

    def _say_membership(self, change: ChatMemberUpdated) -> None:
        out = change.new_chat_member.status in ("left", "kicked")
        chat = change.chat
        if chat.type == "private":
            words = "%s has blocked the bot (chat %d)" if out else "%s lets the bot write (chat %d)"
        else:
            words = "taken out of %s (chat %d)" if out else "a member of %s (chat %d)"
        log.log(
            logging.WARNING if out else logging.INFO,
            words,
            chat.effective_name or "a chat",
            chat.id,
            extra=self._event("left_chat" if out else "joined_chat"),
        )

    # --- files --------------------------------------------------------------------------------

    async def _take_in(self, parts: list[Message]) -> Taken:
        offers = [
            Offer(
                name=file.name,
                chunks=partial(self._download, file.id),
                size=file.size,
                claimed=file.claimed,
            )
            for part in parts
            for file in attachments(part)
        ]
        if not offers:
            return Taken()
        async with self._files:
            return await take_in(offers, self._shelf, self._file_limit, PATIENCE)

    async def _download(self, id: str) -> AsyncGenerator[bytes]:
        file = await self._bot.get_file(id)
        if not file.file_path:
            raise FileNotFoundError(id)
        # The address has the token in it: it is not to be taken elsewhere by a redirection.
        async with self._session.get(file.file_path, allow_redirects=False) as response:
            if response.status != 200:
                raise FileNotFoundError(f"answered with {response.status}")
            async for chunk in response.content.iter_chunked(CHUNK):
                yield chunk

    def _event(self, event: str) -> Mapping[str, str]:
        return {"event": event, "adapter": self._name}
