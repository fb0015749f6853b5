"""An image engine for tests that needs no model: real PNGs with real metadata, at once."""

from __future__ import annotations

import asyncio
import io
from dataclasses import replace
from typing import TYPE_CHECKING

from PIL import Image

from botdaemon.types import ImageCard, ImageRequest, Picture, Progress
from models.image import metadata, sources

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

CARD = ImageCard(width=96, height=64, steps=3, guidance=4.0, harmless=True)


class Easel:
    """Fills each picture with a colour that its seed chooses; over a source it is half as strong.
    `requests` are what it was asked for, `closed` how many drawings have ended, `error` is raised
    after the first picture (or before it, when only one is wanted)."""

    def __init__(
        self,
        card: ImageCard = CARD,
        *,
        unsafe: bool | None = None,
        blank: bool = False,
        notes: tuple[str, ...] = (),
        error: Exception | None = None,
    ) -> None:
        self.card = card
        self.requests: list[ImageRequest] = []
        self.closed = 0
        self._unsafe = unsafe
        self._blank = blank
        self._notes = notes
        self._error = error

    async def draw(self, request: ImageRequest) -> AsyncGenerator[Progress | Picture]:
        self.requests.append(request)
        steps = request.steps or self.card.steps
        seed = 1000 + len(self.requests) if request.seed is None else request.seed
        try:
            for number in range(request.count):
                for step in range(1, steps + 1):
                    await asyncio.sleep(0)
                    done = number * steps + step
                    left = 2.0 * (request.count * steps - done)
                    yield Progress(
                        step=done, steps=request.count * steps, preview=b"jpeg", left=left
                    )
                if self._error is not None and (number or request.count == 1):
                    raise self._error
                yield self._picture(replace(request, seed=seed + number, steps=steps))
        finally:
            self.closed += 1

    def _picture(self, request: ImageRequest) -> Picture:
        width, height = self.card.width, self.card.height
        if request.source:
            begun_with = sources.decode(request.source)
            width, height = (side * request.enlarge for side in begun_with.size)
        width, height = request.width or width, request.height or height
        seed = request.seed or 0
        drawn = Image.new("RGB", (width, height), (seed % 256, seed // 256 % 256, 128))
        if request.source:
            drawn = Image.blend(begun_with.resize(drawn.size), drawn, 0.5)
        request = replace(request, width=width, height=height, count=1)
        content = b"" if self._blank else metadata.write(drawn, request)
        return Picture(content=content, request=request, notes=self._notes, unsafe=self._unsafe)

    def read(self, picture: bytes) -> ImageRequest | None:
        return metadata.read(picture)


def photo(width: int = 40, height: int = 30) -> bytes:
    """A picture that nobody here drew."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(file, "JPEG")
    return file.getvalue()
