"""What a letter is in Telegram's own terms: text, buttons, a file. Knows no connection."""

from __future__ import annotations

import html
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from telegram import (
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InputMediaDocument,
    InputMediaPhoto,
    ReplyParameters,
)
from telegram.constants import FileSizeLimit, ParseMode

from adapters.controls import LABELS, MARK, rows
from adapters.telegram.trouble import says

if TYPE_CHECKING:
    from collections.abc import Sequence

    from telegram.error import BadRequest

    from botdaemon.types import Address, File, Letter


#: what Telegram shows as a picture; anything else is a file to download
_PICTURES = ("image/jpeg", "image/png", "image/webp")
#: the topic that is the group itself: it is named while typing, and must not be when writing
GENERAL = 1
UNPARSED = "can't parse entities"


class Wording:
    """The words of an account that may speak for several bots."""

    def __init__(self, bots: Sequence[str], *, own_faces: bool) -> None:
        """The first of `bots` speaks without its name; with `own_faces` the others say theirs."""
        self._bots = bots
        self._unnamed = ("", *bots[:1])
        self._own_faces = own_faces

    def text(self, letter: Letter, mode: ParseMode | None) -> str:
        """A letter's text, or its caption: as HTML, or without any markup."""
        text = letter.part.text if mode else letter.part.plain
        name = self._name(letter, mode)
        if not name or not text:
            return name or text
        return f"{name}\n{text}" if text.startswith(("<pre", "<blockquote")) else f"{name} {text}"

    def _name(self, letter: Letter, mode: ParseMode | None) -> str:
        """Who speaks, where that has to be said: an account has only one name and face here."""
        # A bot says its name once, each of a crowd with its message.
        again = letter.number > 0 and letter.speaker in self._bots
        if not self._own_faces or letter.speaker in self._unnamed or again:
            return ""
        return f"<b>{html.escape(letter.speaker)}:</b>" if mode else f"{letter.speaker}:"


def topic(address: Address) -> int | None:
    """The topic to write in; None for General, and where there are none."""
    number = int(address.topic) if address.topic.isdigit() else 0
    return number if number > GENERAL else None


def reply(letter: Letter) -> ReplyParameters | None:
    """What a letter answers."""
    if not letter.reply_to.isdigit():
        return None
    # That somebody has deleted the question is no reason not to be answered.
    return ReplyParameters(int(letter.reply_to), allow_sending_without_reply=True)


def buttons(letter: Letter) -> InlineKeyboardMarkup | None:
    """The keyboard under a letter."""
    if not letter.controls:
        return None
    return InlineKeyboardMarkup(
        [
            [InlineKeyboardButton(LABELS[one], callback_data=f"{MARK}{one}") for one in row]
            for row in rows(letter.controls)
        ]
    )


# --- files --------------------------------------------------------------------------------------


def shows(file: File) -> bool:
    """Whether Telegram should show it as a picture, or play it as a voice note."""
    if file.is_spoken:
        return True
    return file.media_type in _PICTURES and file.size <= FileSizeLimit.PHOTOSIZE_UPLOAD


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice note with its caption. Telegram has no way to make one of another message."""

    media: bytes
    caption: str
    parse_mode: ParseMode | None
    seconds: int
    filename: str


Media = InputMediaPhoto | InputMediaDocument | Voice


def media(file: File, content: bytes, text: str, mode: ParseMode | None, *, shown: bool) -> Media:
    """A file with its caption: shown as a picture, perhaps covered, played as a voice note, or as a
    document."""
    if shown and file.is_spoken:
        return Voice(content, text, mode, max(1, round(file.seconds)), file.name)
    if shown:
        return InputMediaPhoto(content, text, mode, filename=file.name, has_spoiler=file.spoiler)
    # A document has no cover: what is to have one gets a name of which Telegram shows nothing.
    name = f"{file.name}.bin" if file.spoiler else file.name
    return InputMediaDocument(
        content, text, mode, disable_content_type_detection=True, filename=name
    )


def preview(content: bytes, text: str) -> InputMediaPhoto:
    """A picture that is being drawn."""
    return InputMediaPhoto(content, text, ParseMode.HTML, filename="preview.jpg")


def otherwise(
    error: BadRequest, mode: ParseMode | None, *, shown: bool
) -> tuple[ParseMode | None, bool]:
    """How a file that was refused is tried again: without markup, or as a document. Raises the
    error where neither would help."""
    if mode and says(error, UNPARSED):
        return None, shown
    if shown and says(error, "photo", "image") and not _forbidden(error):
        return mode, False  # too wide, or no picture after all
    if shown and says(error, "voice"):  # neither the group nor the person wants any
        return mode, False
    raise error


def without_file(letter: Letter, error: BadRequest) -> Letter:
    """The same letter with words in place of a file that may not stand there. Raises the error
    where it was about something else."""
    if not _forbidden(error):
        raise error
    words = "The file cannot be shown: the bot may not send files in this chat."
    part = letter.part
    text = f"{part.text}\n<i>{words}</i>".strip()
    plain = f"{part.plain}\n{words}".strip()
    return replace(letter, part=replace(part, file=None, text=text, plain=plain))


def _forbidden(error: BadRequest) -> bool:
    """Whether a group's administrators do not let the bot send files of this kind."""
    return says(error, "not enough rights to send", "_forbidden")
