"""A message that comes with files, as a form's parts. Knows no room and no page.

The first part is the message itself, so that nothing of the files is read for one that is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import BodyPartReader, MultipartReader, web

from adapters import files
from adapters.web.desk import TooLong

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from botdaemon.ports import Shelf
    from botdaemon.types import File

#: files of one message
MOST = 10
MESSAGE = "message"
_CHUNK = 2**16


class Upload:
    """One request's parts, in order. Everything raises `HTTPBadRequest` for a broken form."""

    def __init__(self, request: web.Request) -> None:
        try:
            self._parts: MultipartReader = MultipartReader(request.headers, request.content)
        except (ValueError, AssertionError) as error:
            raise _broken(error) from None

    async def message(self, most: int) -> bytes:
        """The body of the part "message", of at most `most` bytes."""
        part = await self._next()
        if part is None or part.name != MESSAGE:
            raise web.HTTPBadRequest(
                text=f'the first part of the form is "{MESSAGE}", the message as JSON'
            )
        try:
            return await files.fetch(_chunks(part), most)
        except files.TooLarge:
            raise TooLong(f'the part "{MESSAGE}" has more than {most:,} bytes') from None

    async def files(self, shelf: Shelf, cap: int) -> tuple[File, ...]:
        """The files after the message, kept; `TooLong` for one of more than `cap` bytes."""
        found: list[File] = []
        while (part := await self._next()) is not None:
            name = files.tidy(part.filename or "")
            if len(found) == MOST:
                raise TooLong(f"a message has at most {MOST} files; send the others in another one")
            try:
                content = await files.fetch(_chunks(part), cap)
            except files.TooLarge:
                raise TooLong(
                    f'the file "{name}" has more than {files.words(cap)} (limits.file_megabytes);'
                    " send a smaller one"
                ) from None
            kind = files.media_type(content, name, part.headers.get("Content-Type", ""))
            found.append(await shelf.keep(content, name, kind))
        return tuple(found)

    async def _next(self) -> BodyPartReader | None:
        try:
            part = await self._parts.next()
        except (ValueError, web.RequestPayloadError) as error:
            raise _broken(error) from None
        if isinstance(part, MultipartReader):
            raise _broken("a part has parts of its own")
        return part


async def _chunks(part: BodyPartReader) -> AsyncGenerator[bytes]:
    try:
        while chunk := await part.read_chunk(_CHUNK):
            yield chunk
    except (ValueError, AssertionError) as error:
        raise _broken(error) from None


def _broken(why: object) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=f"the form cannot be read: {why}")
