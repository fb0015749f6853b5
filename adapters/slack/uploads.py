"""Files on their way to Slack. Knows no text and no buttons.

A picture is uploaded into no channel, and then named by the message that shows it. Any other file
is shared into the channel, which makes a message of it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from adapters.slack.pending import Recent
from adapters.slack.web import sending
from botdaemon.errors import AdapterDown, TryLater

if TYPE_CHECKING:
    from adapters.slack.web import Web
    from botdaemon.ports import Shelf
    from botdaemon.types import File, Letter

log = logging.getLogger(__name__)

#: what an image block shows
PICTURES = frozenset({"image/png", "image/jpeg", "image/gif"})


def is_picture(file: File | None) -> bool:
    """Whether Slack shows the file inside of a message."""
    return file is not None and file.media_type in PICTURES


class Uploads:
    """Uploads, and remembers the pictures it has uploaded."""

    def __init__(self, web: Web, shelf: Shelf) -> None:
        self._web = web
        self._shelf = shelf
        #: Slack's ids of pictures by the keys of their letters, "" for one that it does not show
        self._known: Recent[str, str] = Recent()

    def know(self, key: str, file: str) -> None:
        """The picture of the letter with this key was uploaded before."""
        self._known[key] = file

    async def refused(self, letter: Letter) -> None:
        """The letter's picture was uploaded for nothing."""
        if file := self._known.get(letter.key):
            await self.discard(file)
        self._known[letter.key] = ""

    def was_refused(self, letter: Letter) -> bool:
        """Whether Slack does not show the letter's picture."""
        return self._known.get(letter.key) == ""

    async def picture(self, letter: Letter) -> str:
        """The id of the letter's picture, which is uploaded once. Raises `TryLater`, since nobody
        sees anything yet."""
        if found := self._known.get(letter.key):
            return found
        assert letter.part.file is not None
        try:
            file = await self._put(letter.part.file)
            with sending():
                await self._web.api.files_completeUploadExternal(
                    files=[{"id": file, "title": letter.part.file.name}]
                )
        except AdapterDown as error:
            raise TryLater(str(error)) from None
        self._known[letter.key] = file
        return file

    async def share(self, letter: Letter, words: str) -> str:
        """Upload the letter's file into its thread, with words; the file's id. Raises like
        `Courier.send`."""
        assert letter.part.file is not None
        try:
            file = await self._put(letter.part.file)
        except AdapterDown as error:  # nothing is shown before the next step
            raise TryLater(str(error)) from None
        with sending():
            await self._web.api.files_completeUploadExternal(
                files=[{"id": file, "title": letter.part.file.name}],
                channel_id=letter.address.channel,
                thread_ts=letter.address.topic or None,
                initial_comment=words or None,
            )
        return file

    async def _put(self, file: File) -> str:
        content = await asyncio.to_thread(self._shelf.file(file.sha256).read_bytes)
        with sending():
            place = await self._web.api.files_getUploadURLExternal(
                filename=file.name, length=len(content)
            )
            async with self._web.session.post(
                str(place["upload_url"]),
                data=content,
                headers={"Content-Type": "application/octet-stream"},
            ) as answer:
                if answer.status != 200:
                    raise TryLater(f"Slack did not take the file ({answer.status})")
        return str(place["file_id"])

    async def discard(self, file: str) -> None:
        """Delete a file. That it cannot be, or is gone already, keeps nobody from anything."""
        try:
            await self._web.api.files_delete(file=file)
        except Exception as error:
            log.info("a file was not deleted: %s", type(error).__name__)
