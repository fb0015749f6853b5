"""What a message on Telegram carries besides its text: files, and things that can be said in words.

Knows no connection: nothing is fetched here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from telegram import Message

#: attributes of a message that hold one file each, and what a file without a name is called.
#: The order matters: a message with an animation has the same as a document, too.
_FILES = {
    "animation": "animation.mp4",
    "document": "document",
    "audio": "audio.mp3",
    "video": "video.mp4",
    "voice": "voice.ogg",
    "video_note": "video.mp4",
}


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of a message, which has yet to be fetched."""

    id: str
    name: str
    size: int
    claimed: str


def attachments(message: Message) -> list[Attachment]:
    """The files of a message. A sticker is no file: its emoji says it."""
    if message.photo:  # the same picture in several sizes
        largest = max(message.photo, key=lambda size: size.width * size.height)
        return [Attachment(largest.file_id, "photo.jpg", largest.file_size or 0, "image/jpeg")]
    for kind, default in _FILES.items():
        if file := getattr(message, kind):
            name = getattr(file, "file_name", None) or default
            claimed = getattr(file, "mime_type", None) or ""
            return [Attachment(file.file_id, name, file.file_size or 0, claimed)]
    return []


def in_words(message: Message) -> str:
    """What is neither text nor file; empty for a notice, such as that somebody has joined."""
    if message.sticker:
        return message.sticker.emoji or "[sticker]"
    if message.dice:
        return f"{message.dice.emoji} {message.dice.value}"
    if message.venue:
        return f"[place: {message.venue.title}, {message.venue.address}]"
    if message.location:
        return f"[place: {message.location.latitude}, {message.location.longitude}]"
    if message.contact:
        name = " ".join(filter(None, (message.contact.first_name, message.contact.last_name)))
        return f"[contact: {name}, {message.contact.phone_number}]"
    if message.poll:
        options = " / ".join(option.text for option in message.poll.options)
        return f"[poll: {message.poll.question} {options}]"
    if message.story:
        return "[story]"
    return ""
