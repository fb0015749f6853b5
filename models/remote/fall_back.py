"""One engine that answers while another cannot. Knows neither of them."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from botdaemon.errors import EngineDied, ModelUnusable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from botdaemon.types import (
        ImageCard,
        ImageRequest,
        ModelCard,
        Picture,
        Piece,
        Progress,
        TextRequest,
    )


class FallBack:
    """A `TextEngine` of two text engines, or an `ImageEngine` of two image engines: `other` answers
    while no server of `primary` does. Its card and its counting are those of the engine that would
    answer now.

    Raises what the engine that answered raises. When `primary` failed before it said anything and
    the request was written for a longer context than `other` has, it raises `EngineDied`: the turn
    is repeated, and written for `other`.
    """

    def __init__(self, primary: Any, other: Any) -> None:
        self._primary = primary
        self._other = other

    @property
    def available(self) -> bool:
        return available(self._primary) or available(self._other)

    @property
    def card(self) -> Any:
        card: ModelCard | ImageCard = self._now().card
        return card

    async def count(self, request: TextRequest) -> int:
        tokens: int = await self._now().count(request)
        return tokens

    def read(self, picture: bytes) -> ImageRequest | None:
        request: ImageRequest | None = self._now().read(picture)
        return request

    async def generate(self, request: TextRequest) -> AsyncGenerator[Piece]:
        if available(self._primary):
            try:
                async with aclosing(_whole(self._primary.generate, request)) as pieces:
                    async for piece in pieces:
                        yield piece
                return
            except _Unanswered as unanswered:
                reply = request.sampling.max_tokens or self._other.card.max_tokens
                if await self._other.count(request) + reply > self._other.card.context:
                    raise EngineDied(str(unanswered.__cause__)) from unanswered.__cause__
        async with aclosing(self._other.generate(request)) as pieces:
            async for piece in pieces:
                yield piece

    async def draw(self, request: ImageRequest) -> AsyncGenerator[Progress | Picture]:
        if available(self._primary):
            try:
                async with aclosing(_whole(self._primary.draw, request)) as drawing:
                    async for drawn in drawing:
                        yield drawn
                return
            except _Unanswered:
                pass
        async with aclosing(self._other.draw(request)) as drawing:
            async for drawn in drawing:
                yield drawn

    def _now(self) -> Any:
        return self._primary if available(self._primary) else self._other


def available(engine: Any) -> bool:
    """Whether an engine would answer now; one that runs here always would."""
    return bool(getattr(engine, "available", True))


class _Unanswered(Exception):
    """An engine that can be fallen back from failed before it said anything."""


async def _whole(ask: Callable[[Any], AsyncGenerator[Any]], request: Any) -> AsyncGenerator[Any]:
    """All of an answer. Raises `_Unanswered` where somebody else may answer in its place."""
    begun = False
    try:
        async with aclosing(ask(request)) as answer:
            async for part in answer:
                begun = True
                yield part
    except (EngineDied, ModelUnusable) as error:
        if begun:
            raise
        raise _Unanswered from error
