"""The house's letters as Telegram's messages. Knows no update."""

from __future__ import annotations

import asyncio
import html
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from telegram import (
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    LinkPreviewOptions,
    ReplyParameters,
)
from telegram.constants import ChatAction, FileSizeLimit, ParseMode
from telegram.error import BadRequest, ChatMigrated, RetryAfter, TelegramError

from adapters.telegram.reader import BUTTON
from adapters.telegram.trouble import for_letter, says, seconds
from botdaemon.errors import TryLater, Undeliverable
from botdaemon.types import Control

if TYPE_CHECKING:
    from collections.abc import Mapping

    from telegram import Bot, Message

    from botdaemon.ports import Shelf
    from botdaemon.types import Address, File, Letter

LABELS: Mapping[Control, str] = {
    Control.STOP: "Stop",
    Control.RETRY: "Regenerate",
    Control.GOOD: "\U0001f44d",
    Control.BAD: "\U0001f44e",
}
#: what Telegram shows as a picture; anything else is a file to download
_PICTURES = ("image/jpeg", "image/png", "image/webp")
#: Telegram takes 20 messages a minute in a group: a growing draft must not use them up
GROUP_DRAFT_PAUSE = 3.0
#: seconds that an upload may take, and then the answer to it
UPLOAD, UPLOADED = 120.0, 60.0
#: the topic that is the group itself: it is named while typing, and must not be when writing
GENERAL = 1
#: chats whose pauses are remembered before those that are over are forgotten
_REMEMBERED = 1000

_NO_PREVIEW = LinkPreviewOptions(is_disabled=True)


class Sender:
    """Sends for one account. It outlives connections: what it remembers is true of the chats."""

    def __init__(self, shelf: Shelf, first: str, *, own_faces: bool) -> None:
        """`first` speaks without its name; with `own_faces` the others say theirs."""
        self._shelf = shelf
        self._first = first
        self._own_faces = own_faces
        self._moved: dict[int, int] = {}
        self._forums: set[int] = set()
        self._quiet_until: dict[int, float] = {}
        self._draft_from: dict[int, float] = {}

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
        if growing and not self._may_draft(chat):
            return  # the next draft will say more, and the letter itself everything
        self._hold(chat)
        try:
            await self._edit(bot, letter, chat)
        except TelegramError as error:
            self._note(chat, error)
            skipped = growing and isinstance(error, RetryAfter)
            if not skipped and not says(error, "message is not modified"):
                raise for_letter(error) from None

    async def typing(self, bot: Bot, address: Address) -> None:
        """Show for about five seconds that somebody is at work there."""
        chat = self._chat(address)
        topic = _topic(address) or (GENERAL if chat in self._forums else None)
        await bot.send_chat_action(chat, ChatAction.TYPING, message_thread_id=topic)

    # --- how ----------------------------------------------------------------------------------

    async def _send(self, bot: Bot, letter: Letter, chat: int) -> Message:
        if letter.part.file is not None:
            return await self._send_file(bot, letter, letter.part.file, chat)
        try:
            return await self._send_text(bot, letter, chat, ParseMode.HTML)
        except BadRequest as error:
            if not says(error, "can't parse entities"):
                raise
        return await self._send_text(bot, letter, chat, None)

    async def _send_text(
        self, bot: Bot, letter: Letter, chat: int, mode: ParseMode | None
    ) -> Message:
        return await bot.send_message(
            chat,
            self._text(letter, mode),
            parse_mode=mode,
            link_preview_options=_NO_PREVIEW,
            message_thread_id=_topic(letter.address),
            reply_parameters=_reply(letter),
            reply_markup=_buttons(letter),
        )

    async def _send_file(self, bot: Bot, letter: Letter, file: File, chat: int) -> Message:
        try:
            content = await asyncio.to_thread(self._shelf.file(file.sha256).read_bytes)
        except OSError as error:
            raise Undeliverable(f"{file.name} cannot be read: {error.strerror}") from None
        if file.media_type in _PICTURES and file.size <= FileSizeLimit.PHOTOSIZE_UPLOAD:
            try:
                return await bot.send_photo(
                    chat,
                    content,
                    filename=file.name,
                    caption=self._name(letter, ParseMode.HTML),
                    parse_mode=ParseMode.HTML,
                    message_thread_id=_topic(letter.address),
                    reply_parameters=_reply(letter),
                    reply_markup=_buttons(letter),
                    write_timeout=UPLOAD,
                    read_timeout=UPLOADED,
                )
            except BadRequest as error:
                if not says(error, "photo", "image"):  # too wide, or no picture after all
                    raise
        return await bot.send_document(
            chat,
            content,
            filename=file.name,
            disable_content_type_detection=True,
            caption=self._name(letter, ParseMode.HTML),
            parse_mode=ParseMode.HTML,
            message_thread_id=_topic(letter.address),
            reply_parameters=_reply(letter),
            reply_markup=_buttons(letter),
            write_timeout=UPLOAD,
            read_timeout=UPLOADED,
        )

    async def _edit(self, bot: Bot, letter: Letter, chat: int) -> None:
        message = int(letter.remote)
        if letter.part.file is not None:  # only its buttons can have changed
            await bot.edit_message_reply_markup(chat, message, reply_markup=_buttons(letter))
            return
        try:
            await self._edit_text(bot, letter, chat, message, ParseMode.HTML)
        except BadRequest as error:
            if not says(error, "can't parse entities"):
                raise
            await self._edit_text(bot, letter, chat, message, None)

    async def _edit_text(
        self, bot: Bot, letter: Letter, chat: int, message: int, mode: ParseMode | None
    ) -> None:
        await bot.edit_message_text(
            self._text(letter, mode),
            chat,
            message,
            parse_mode=mode,
            link_preview_options=_NO_PREVIEW,
            reply_markup=_buttons(letter),
        )

    def _text(self, letter: Letter, mode: ParseMode | None) -> str:
        text = letter.part.text if mode else letter.part.plain
        name = self._name(letter, mode)
        if not name:
            return text
        return f"{name}\n{text}" if text.startswith(("<pre", "<blockquote")) else f"{name} {text}"

    def _name(self, letter: Letter, mode: ParseMode | None) -> str:
        """Who speaks, where that has to be said: an account has only one name and face here."""
        if not self._own_faces or letter.speaker in ("", self._first) or letter.number:
            return ""
        return f"<b>{html.escape(letter.speaker)}:</b>" if mode else f"{letter.speaker}:"

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
            raise TryLater("Telegram asks to slow down", after=left)

    def _note(self, chat: int, error: TelegramError) -> None:
        if isinstance(error, RetryAfter):
            _remember(self._quiet_until, chat, seconds(error))

    def _may_draft(self, chat: int) -> bool:
        now = time.monotonic()
        if max(self._quiet_until.get(chat, 0.0), self._draft_from.get(chat, 0.0)) > now:
            return False
        if chat < 0:
            _remember(self._draft_from, chat, GROUP_DRAFT_PAUSE)
        return True


def _remember(pauses: dict[int, float], chat: int, after: float) -> None:
    now = time.monotonic()
    if len(pauses) >= _REMEMBERED:
        for one in [one for one, until in pauses.items() if until < now]:
            del pauses[one]
    pauses[chat] = now + after


def _topic(address: Address) -> int | None:
    topic = int(address.topic) if address.topic.isdigit() else 0
    return topic if topic > GENERAL else None


def _reply(letter: Letter) -> ReplyParameters | None:
    if not letter.reply_to.isdigit():
        return None
    # That somebody has deleted the question is no reason not to be answered.
    return ReplyParameters(int(letter.reply_to), allow_sending_without_reply=True)


def _buttons(letter: Letter) -> InlineKeyboardMarkup | None:
    if not letter.controls:
        return None
    row = [
        InlineKeyboardButton(LABELS[control], callback_data=f"{BUTTON}{control.value}")
        for control in letter.controls
    ]
    return InlineKeyboardMarkup([row])
