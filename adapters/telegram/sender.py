"""The house's letters as Telegram's messages: sent, edited, taken away. Knows no update.

A text that stands there can be given a file, by which it becomes a message with a caption. It does
not become a text again: what is only a text then is sent anew.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from telegram import InputMediaPhoto, LinkPreviewOptions
from telegram.constants import ChatAction, ParseMode
from telegram.error import BadRequest, ChatMigrated, RetryAfter, TelegramError

from adapters.telegram.trouble import REVOKED, for_letter, says, seconds
from adapters.telegram.wording import (
    GENERAL,
    UNPARSED,
    Voice,
    Wording,
    buttons,
    media,
    otherwise,
    preview,
    reply,
    shows,
    topic,
    without_file,
)
from botdaemon.errors import Gone, RateLimited, TryLater, Undeliverable
from botdaemon.types import Control

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from telegram import Bot, Message

    from adapters.telegram.wording import Media
    from botdaemon.errors import BotdaemonError
    from botdaemon.ports import Shelf
    from botdaemon.types import Address, File, Letter

#: Telegram takes 20 messages a minute in a group: a growing draft must not use them up
GROUP_DRAFT_PAUSE = 3.0
#: seconds between two previews of a picture, each of which is an upload
PREVIEW_PAUSE = 3.0
#: seconds that an upload may take, and then the answer to it
UPLOAD, UPLOADED = 120.0, 60.0
#: chats whose pauses are remembered before those that are over are forgotten
_REMEMBERED = 1000

_NO_LINKS = LinkPreviewOptions(is_disabled=True)
_PATIENT: dict[str, Any] = {"write_timeout": UPLOAD, "read_timeout": UPLOADED}

T = TypeVar("T")


class Sender:
    """Sends for one account. It outlives connections: what it remembers is true of the chats."""

    def __init__(self, shelf: Shelf, bots: Sequence[str], *, own_faces: bool) -> None:
        """The first of the account's `bots` speaks without its name; with `own_faces` the others
        say theirs."""
        self._shelf = shelf
        self._wording = Wording(bots, own_faces=own_faces)
        self._moved: dict[int, int] = {}
        self._forums: set[int] = set()
        self._quiet_until: dict[int, float] = {}
        self._draft_from: dict[int, float] = {}
        #: whether a text can be given a file; an old Bot API server of somebody's own refuses it
        self.gives_files = True

    def moved(self, old: int, new: int) -> None:
        """A group has become a supergroup, with another id."""
        self._moved[old] = new

    def is_forum(self, chat: int) -> None:
        """The group has topics."""
        self._forums.add(chat)

    # --- letters ------------------------------------------------------------------------------

    async def send(self, bot: Bot, letter: Letter) -> str:
        """Send it as a new message, and return its id."""
        chat = self._chat(letter.address)
        self._hold(chat)
        try:
            try:
                sent = await self._send(bot, letter, chat)
            except ChatMigrated as error:
                self.moved(chat, error.new_chat_id)
                sent = await self._send(bot, letter, error.new_chat_id)
            except BadRequest as error:
                if not letter.reply_to or not says(error, "replied"):
                    raise
                sent = await self._send(bot, replace(letter, reply_to=""), chat)
        except TelegramError as error:
            self._note(chat, error)
            raise for_letter(error) from None
        return str(sent.message_id)

    async def edit(self, bot: Bot, letter: Letter) -> None:
        """Make the message say what the letter says."""
        chat = self._chat(letter.address)
        growing = Control.STOP in letter.controls
        if growing and not self._may_draft(chat, PREVIEW_PAUSE if letter.part.preview else 0.0):
            return  # the next draft will say more, and the letter itself everything
        self._hold(chat)
        try:
            await self._edit(bot, letter, chat)
        except TelegramError as error:
            self._note(chat, error)
            skipped = growing and isinstance(error, RetryAfter)
            if not skipped and not says(error, "message is not modified"):
                raise for_letter(error) from None

    async def remove(self, bot: Bot, letter: Letter) -> None:
        """Take the message away; it may be gone already."""
        chat = self._chat(letter.address)
        self._hold(chat)
        try:
            await bot.delete_message(chat, int(letter.remote))
        except ChatMigrated:
            pass  # with the old group, its messages are out of everybody's reach
        except TelegramError as error:
            self._note(chat, error)
            if says(error, "can't be deleted"):
                raise Undeliverable(
                    "Telegram lets a bot take back only what it said in the last 48 hours"
                ) from None
            if not says(error, "message to delete not found", "message_id_invalid"):
                raise for_letter(error) from None

    async def typing(self, bot: Bot, address: Address) -> None:
        """Show for about five seconds that somebody is at work there."""
        chat = self._chat(address)
        thread = topic(address) or (GENERAL if chat in self._forums else None)
        await bot.send_chat_action(chat, ChatAction.TYPING, message_thread_id=thread)

    # --- sending ------------------------------------------------------------------------------

    async def _send(self, bot: Bot, letter: Letter, chat: int) -> Message:
        about: dict[str, Any] = {
            "message_thread_id": topic(letter.address),
            "reply_parameters": reply(letter),
            "reply_markup": buttons(letter),
        }

        async def send_file(it: Media) -> Message:
            more = about | {"caption": it.caption, "parse_mode": it.parse_mode} | _PATIENT
            if isinstance(it, InputMediaPhoto):
                return await bot.send_photo(chat, it.media, has_spoiler=it.has_spoiler, **more)
            if isinstance(it, Voice):
                return await bot.send_voice(
                    chat, it.media, duration=it.seconds, filename=it.filename, **more
                )
            return await bot.send_document(
                chat, it.media, disable_content_type_detection=True, **more
            )

        async def send_text(text: str, mode: ParseMode | None) -> Message:
            return await bot.send_message(
                chat, text, parse_mode=mode, link_preview_options=_NO_LINKS, **about
            )

        if letter.part.file is not None:
            try:
                return await self._with_file(letter, letter.part.file, send_file)
            except BadRequest as error:
                letter = without_file(letter, error)
        return await self._in_words(letter, send_text)

    async def _with_file(
        self, letter: Letter, file: File, do: Callable[[Media], Awaitable[T]]
    ) -> T:
        """Send or edit with a file: as a picture if Telegram takes it for one."""
        try:
            content = await asyncio.to_thread(self._shelf.file(file.sha256).read_bytes)
        except OSError as error:
            raise Undeliverable(f"{file.name} cannot be read: {error.strerror}") from None
        mode: ParseMode | None = ParseMode.HTML
        shown = shows(file)
        while True:
            text = self._wording.text(letter, mode)
            try:
                return await do(media(file, content, text, mode, shown=shown))
            except BadRequest as error:
                mode, shown = otherwise(error, mode, shown=shown)

    async def _in_words(
        self, letter: Letter, do: Callable[[str, ParseMode | None], Awaitable[T]]
    ) -> T:
        """Send or edit with text alone: without markup where that is refused."""
        try:
            return await do(self._wording.text(letter, ParseMode.HTML), ParseMode.HTML)
        except BadRequest as error:
            if not says(error, UNPARSED):
                raise
        return await do(self._wording.text(letter, None), None)

    # --- editing ------------------------------------------------------------------------------

    async def _edit(self, bot: Bot, letter: Letter, chat: int) -> None:
        message, keyboard = int(letter.remote), buttons(letter)

        async def put(it: Media) -> None:
            assert not isinstance(it, Voice)
            await bot.edit_message_media(it, chat, message, reply_markup=keyboard, **_PATIENT)

        async def say(text: str, mode: ParseMode | None) -> None:
            await bot.edit_message_text(
                text,
                chat,
                message,
                parse_mode=mode,
                link_preview_options=_NO_LINKS,
                reply_markup=keyboard,
            )

        async def say_beside(text: str, mode: ParseMode | None) -> None:
            await bot.edit_message_caption(
                chat, message, caption=text, parse_mode=mode, reply_markup=keyboard
            )

        if letter.part.preview:
            try:
                text = self._wording.text(letter, ParseMode.HTML)
                await put(preview(letter.part.preview, text))
            except RetryAfter:
                raise
            except TelegramError:
                pass  # a courtesy: the words will do
            else:
                return
        if letter.part.file is not None and letter.part.file.is_spoken:
            await self._take_away(bot, chat, message)
            raise Gone("a text cannot become a voice note, and was taken away")
        if letter.part.file is not None:
            try:
                await self._with_file(letter, letter.part.file, put)
            except (BadRequest, *REVOKED) as error:  # an unknown method is as an unknown token
                if isinstance(error, REVOKED) or says(error, "no media in the message"):
                    await self._take_away(bot, chat, message)
                    raise self._no_files() from None
                letter = without_file(letter, error)
            else:
                return
        try:
            await self._in_words(letter, say)
        except BadRequest as error:
            if not says(error, "there is no text in the message"):
                raise
            if Control.STOP in letter.controls:  # what could be seen so far stays
                await self._in_words(letter, say_beside)
                return
            await self._take_away(bot, chat, message)
            raise Gone("a picture cannot become a text again, and was taken away") from None

    def _no_files(self) -> BotdaemonError:
        """What the refusal to give a text a file means for the letter: it is sent anew, and once
        that is known, without a placeholder."""
        if self.gives_files:
            self.gives_files = False
            return TryLater("this server of Telegram's gives a text no file", after=0.0)
        return Gone("a text that should have become a picture was taken away")

    async def _take_away(self, bot: Bot, chat: int, message: int) -> None:
        with suppress(BadRequest):  # it is gone, or is too old for that
            await bot.delete_message(chat, message)

    def _chat(self, address: Address) -> int:
        try:
            chat = int(address.channel)
        except ValueError:
            raise Undeliverable(f'"{address.channel}" is no chat of Telegram\'s') from None
        return self._moved.get(chat, chat)

    # --- pauses -------------------------------------------------------------------------------

    def _hold(self, chat: int) -> None:
        """Leave a chat alone for as long as Telegram has asked: asking again makes it longer."""
        left = self._quiet_until.get(chat, 0.0) - time.monotonic()
        if left > 0:
            raise RateLimited("Telegram asks to slow down", after=left)

    def _note(self, chat: int, error: TelegramError) -> None:
        if isinstance(error, RetryAfter):
            _remember(self._quiet_until, chat, seconds(error))

    def _may_draft(self, chat: int, pause: float) -> bool:
        """Whether a draft may change there now; if so, the next may only after a pause."""
        now = time.monotonic()
        if max(self._quiet_until.get(chat, 0.0), self._draft_from.get(chat, 0.0)) > now:
            return False
        if pause := max(pause, GROUP_DRAFT_PAUSE if chat < 0 else 0.0):
            _remember(self._draft_from, chat, pause)
        return True


def _remember(pauses: dict[int, float], chat: int, after: float) -> None:
    now = time.monotonic()
    if len(pauses) >= _REMEMBERED:
        for one in [one for one, until in pauses.items() if until < now]:
            del pauses[one]
    pauses[chat] = now + after
