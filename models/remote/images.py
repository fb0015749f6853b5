"""An image model on servers that speak OpenAI's protocol. Knows no server's health.

The protocol has a prompt, a size and a number of pictures. The rest goes in the fields of vLLM-Omni
and of `models.api`; other servers leave them aside.
"""

from __future__ import annotations

import asyncio
import secrets
from base64 import b64decode
from contextlib import aclosing
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from botdaemon.types import ImageCard, Picture, Progress
from models.remote.engine import RemoteEngine
from models.remote.troubles import NotTheProtocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from botdaemon.config import OpenAIConfig
    from botdaemon.types import ImageRequest
    from models.remote.servers import Server

#: what most models of today draw, where the server does not say
_USUAL = ImageCard(width=1024, height=1024, steps=30, guidance=5.0)
_CARD = {field.name for field in fields(ImageCard)}
_SEEDS = 2**32
_NO_SOURCE = "it was drawn from the words alone: the server cannot begin with a picture"


class RemoteImageEngine(RemoteEngine):
    """An `ImageEngine`.

    Each picture is a request of its own, so that it is shown when it is there, and only the one
    that a server failed at is asked for again. `draw` raises like `RemoteTextEngine.generate`.
    """

    def __init__(self, name: str, table: OpenAIConfig, key: str | None) -> None:
        self._name = name
        super().__init__(name, table, key)

    @property
    def card(self) -> ImageCard:
        """What the server says of the model, if it is one of `models.api`; else what is usual."""
        for entry in self._servers.entries():
            if isinstance(said := entry.get("card"), dict):
                return _card(said)
        return _USUAL

    async def draw(self, request: ImageRequest) -> AsyncGenerator[Progress | Picture]:
        seed = secrets.randbelow(_SEEDS) if request.seed is None else request.seed
        for number in range(request.count):
            one = replace(request, model=self._name, seed=seed + number, count=1)

            def ask(server: Server, one: ImageRequest = one) -> AsyncGenerator[Picture]:
                return self._ask(server, one)

            async with aclosing(self._servers.answered(ask)) as pictures:
                async for picture in pictures:
                    yield picture
            yield Progress(step=number + 1, steps=request.count)

    def read(self, picture: bytes) -> ImageRequest | None:
        from models.image import metadata

        return metadata.read(picture)

    async def _ask(self, server: Server, request: ImageRequest) -> AsyncGenerator[Picture]:
        """One picture of one server."""
        said, notes = await self._create(server, request)
        data = getattr(said, "data", None)
        first = data[0] if isinstance(data, list) and data else None
        encoded = getattr(first, "b64_json", None)
        if not isinstance(encoded, str):
            raise NotTheProtocol("its answer has no picture (b64_json)")
        unsafe = getattr(first, "unsafe", None)
        further = getattr(first, "notes", None) or ()
        notes += [note for note in further if isinstance(note, str)]
        try:
            content = b64decode(encoded, validate=True)
        except ValueError:
            raise NotTheProtocol("its picture is not base64") from None
        if content:
            content, request = await asyncio.to_thread(_signed, content, request)
        elif not unsafe:
            raise NotTheProtocol("its picture is empty")
        yield Picture(
            content=content,
            request=request,
            notes=tuple(notes),
            unsafe=unsafe if isinstance(unsafe, bool) else None,
        )

    async def _create(self, server: Server, request: ImageRequest) -> tuple[Any, list[str]]:
        """What the server answers, and what it did not do as asked."""
        import openai

        card = self.card
        width, height = request.width or card.width, request.height or card.height
        options: dict[str, Any] = {
            "model": self._table.model,
            "prompt": request.prompt,
            "n": 1,
            "size": f"{width}x{height}",
        }
        given = {
            "response_format": "b64_json",  # the only one that some models have, and refuse to hear
            "negative_prompt": request.negative,
            "seed": request.seed,
            "num_inference_steps": request.steps,
            "guidance_scale": request.guidance,
            "strength": request.strength,
            "enlarge": request.enlarge if request.enlarge > 1 else None,
        }
        extra = {key: value for key, value in given.items() if value is not None}
        images = server.client.images
        if not request.source:
            return await server.create(images.generate, options, extra), []
        source = {"image": ("source.png", request.source)}
        if not (request.width and request.height):
            del options["size"]  # that of the picture it begins with
        try:
            return await server.create(images.edit, options | source, extra), []
        except openai.APIStatusError as error:
            if error.status_code not in (404, 405, 415, 501):
                raise
        # Where it is the model that is not there, this says so.
        options["size"] = f"{width}x{height}"
        return await server.create(images.generate, options, extra), [_NO_SOURCE]


def _signed(content: bytes, request: ImageRequest) -> tuple[bytes, ImageRequest]:
    """The picture as a PNG that knows what it was drawn with. Raises `NotTheProtocol`."""
    from botdaemon.errors import EngineFailed
    from models.image import metadata, sources

    if (drawn := metadata.read(content)) is not None:  # a server of ours wrote down all of it
        drawn = replace(drawn, model=request.model, source=request.source)
        return content, drawn
    try:
        picture = sources.decode(content)
    except EngineFailed:
        raise NotTheProtocol("its picture cannot be read") from None
    drawn = replace(request, width=picture.width, height=picture.height)
    return metadata.write(picture, drawn), drawn


def _card(said: dict[str, Any]) -> ImageCard:
    """From the server's JSON; what is not right in it is left as usual."""
    from pydantic import TypeAdapter, ValidationError

    known = {key: value for key, value in said.items() if key in _CARD}
    try:
        return TypeAdapter(ImageCard).validate_python({**_fields(_USUAL), **known})
    except ValidationError:
        return _USUAL


def _fields(card: ImageCard) -> dict[str, Any]:
    return {name: getattr(card, name) for name in _CARD}
