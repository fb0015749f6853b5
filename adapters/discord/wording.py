"""What a letter is in Discord's own terms: text, a file, what it answers. Knows no connection."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from adapters.discord.reading import prefix
from adapters.discord.wire import MISSING_PERMISSIONS, NO_VOICE, TOO_LARGE, Attached
from botdaemon.errors import Undeliverable
from botdaemon.types import Control

if TYPE_CHECKING:
    import discord

    from adapters.discord.faces import Face, Faces
    from adapters.discord.wire import JSON
    from botdaemon.ports import Shelf
    from botdaemon.types import Address, Letter

#: a file with this before its name is shown covered
_SPOILER = "SPOILER_"
#: why a file is not there, said in its place
_FILE_REFUSED = {
    MISSING_PERMISSIONS: "the bot lacks the permission Attach Files in this channel",
    TOO_LARGE: "it is too large for this server",
}


class Wording:
    """The words and files of an account that may speak for several bots."""

    def __init__(self, shelf: Shelf, faces: Faces) -> None:
        self._shelf = shelf
        self._faces = faces

    def text(self, letter: Letter, face: Face | None) -> str:
        """A letter's text, under the name of its bot where no face says it."""
        text = letter.part.text
        if text and face is None and self._faces.named(letter):
            return prefix(letter.speaker) + text
        return text

    async def attached(self, letter: Letter) -> Attached | None:
        """The file of a letter, or what there is to see of one that is being drawn."""
        file = letter.part.file
        if file is None:
            preview = letter.part.preview
            return Attached("preview.jpg", preview) if preview else None
        try:
            content = await asyncio.to_thread(self._shelf.file(file.sha256).read_bytes)
        except OSError as error:
            raise Undeliverable(f"{file.name} cannot be read: {error.strerror}") from None
        if file.is_spoken:
            about = {
                "duration_secs": file.seconds,
                "waveform": base64.b64encode(file.waveform).decode(),
            }
            return Attached(file.name, content, about, file.media_type)
        return Attached(f"{_SPOILER if file.spoiler else ''}{file.name}", content)


def is_voice(letter: Letter) -> bool:
    """Whether it is a voice note, which is a message of its own kind here."""
    return letter.part.file is not None and letter.part.file.is_spoken


def unvoiced(letter: Letter) -> Letter:
    """The same as a file that can be played."""
    assert letter.part.file is not None
    file = replace(letter.part.file, waveform=b"")
    return replace(letter, part=replace(letter.part, file=file))


def otherwise(letter: Letter, error: discord.HTTPException) -> Letter:
    """The same letter as Discord may take it. Raises the error where there is no other way."""
    if is_voice(letter) and error.code == NO_VOICE:
        return unvoiced(letter)
    return without_file(letter, error)


def growing(letter: Letter) -> bool:
    """Whether it is a live draft."""
    return Control.STOP in letter.controls


def as_sent(message: JSON, text: str, attached: bool) -> bool:
    """Whether what stands there now is what was sent, and not what an earlier attempt had."""
    said = str(message.get("content", text)).strip() == text.strip()
    return said and bool(message.get("attachments", attached)) == attached


def without_file(letter: Letter, error: discord.HTTPException) -> Letter:
    """The same without what Discord does not let stand there: a preview is only a courtesy, and
    for a file there are words. Raises the error where it was about something else."""
    part = letter.part
    if part.preview and error.status in (400, 403, 413):
        return replace(letter, part=replace(part, preview=b""))
    if part.file is None or error.code not in _FILE_REFUSED:
        raise error
    words = f"*The file cannot be shown: {_FILE_REFUSED[error.code]}.*"
    return replace(letter, part=replace(part, file=None, text=f"{part.text}\n{words}".strip()))


def reference(letter: Letter, where: str) -> str:
    """The message to answer. A thread is the answer to the message it was made of, which stands
    outside of it."""
    return "" if letter.reply_to == where else letter.reply_to


def nonce(letter: Letter) -> str:
    """The same on every attempt, and at most 25 characters. With the time, since keys begin anew
    with an empty database, and Discord remembers them longer than that takes."""
    name = f"{letter.key} {letter.created_at}".encode()
    return hashlib.blake2b(name, digest_size=10).hexdigest()


def in_thread(address: Address, where: str) -> JSON:
    """The parameters by which a webhook writes in a thread of its channel."""
    return {"thread_id": where} if where != address.channel else {}
