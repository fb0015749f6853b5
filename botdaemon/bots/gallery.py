"""Pictures that were said before, and how they were drawn. Knows neither bots nor models, and of
the store only where a file lies."""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING

from botdaemon.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from botdaemon.types import File, ImageRequest, Message

#: A PNG begins with these; its width and height follow here (PNG specification, 5.2 and 11.2.2).
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_SIZE = 16


def pictures_in(message: Message | None) -> list[File]:
    """The pictures among a message's files."""
    files = message.files if message is not None else ()
    return [file for file in files if file.media_type.startswith("image/")]


def first_of(pictures: Sequence[File]) -> tuple[str, ...]:
    """What to say when only the first of some pictures is taken."""
    if len(pictures) < 2:
        return ()
    return (f"There are {len(pictures)} pictures; I took the first.",)


def size_of(content: bytes) -> tuple[int, int]:
    """Width and height in pixels, from a PNG's header. Raises `Refused` for anything else."""
    if not content.startswith(_PNG) or len(content) < _PNG_SIZE + 8:
        raise Refused("That is no picture of mine.")
    width, height = struct.unpack_from(">II", content, _PNG_SIZE)
    return width, height


class Gallery:
    """Kept pictures. `path` says where one lies by its SHA-256, `read` what it was drawn with (None
    if that cannot be told), `source_of` the SHA-256 of the one it was begun with ("" for none)."""

    def __init__(
        self,
        path: Callable[[str], Path],
        read: Callable[[bytes], ImageRequest | None],
        source_of: Callable[[bytes], str],
    ) -> None:
        self._path = path
        self._read = read
        self._source_of = source_of

    async def content(self, file: File) -> bytes:
        """Raises `Refused` when the file is gone."""
        return await self._bytes(file.sha256, "That picture is not there any more.")

    async def first(self, message: Message | None) -> tuple[bytes, ImageRequest]:
        """The first picture of a message and its request, without what it was begun with. Raises
        `Refused`. The request can be anybody's: people send pictures with any metadata."""
        if message is None or message.deleted_at is not None:
            raise Refused("That picture is not there any more.")
        pictures = pictures_in(message)
        if not pictures:
            raise Refused("There is no picture in that message.")
        content = await self.content(pictures[0])
        request = await self.request(content)
        if request is None:
            raise Refused(
                "I cannot tell how that picture was drawn. Reply to it with what it should become."
            )
        return content, request

    async def request(self, content: bytes) -> ImageRequest | None:
        """What a picture was drawn with; None if that cannot be told."""
        return await asyncio.to_thread(self._read, content)

    async def begun_with(self, content: bytes) -> bytes:
        """What a picture was begun with, b"" for nothing. Raises `Refused` when that is gone."""
        sha256 = await asyncio.to_thread(self._source_of, content)
        if not sha256:
            return b""
        return await self._bytes(
            sha256, "The picture that it was drawn from is not there any more."
        )

    async def all(self, message: Message) -> list[tuple[ImageRequest, str]]:
        """Every picture of a message of which it can be told: its request, and the SHA-256 of what
        it was begun with. Raises `Refused` when a file is gone."""
        found = []
        for file in pictures_in(message):
            content = await self.content(file)
            if request := await self.request(content):
                found.append((request, await asyncio.to_thread(self._source_of, content)))
        return found

    async def _bytes(self, sha256: str, otherwise: str) -> bytes:
        try:
            return await asyncio.to_thread(self._path(sha256).read_bytes)
        except (OSError, ValueError):  # no such file; no such name, in somebody else's metadata
            raise Refused(otherwise) from None
