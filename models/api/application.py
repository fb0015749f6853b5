"""The ASGI application: from HTTP to engines and back. Knows no socket and no process.

Every error is one sentence in OpenAI's shape. A client that goes away takes its request with it.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from botdaemon.errors import BotdaemonError
from botdaemon.types import Picture
from models.api import answers
from models.api.asked import (
    ChatAsked,
    CompletionAsked,
    ImageAsked,
    TextAsked,
    TokenizeAsked,
    read,
)
from models.api.bodies import form_of, json_of
from models.api.refusals import HANDLERS, Guard, status_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Mapping

    from starlette.requests import Request
    from starlette.types import Lifespan, Receive, Scope, Send

    from botdaemon.ports import ImageEngine, TextEngine
    from botdaemon.types import Piece, TextRequest

T = TypeVar("T")


def application(
    text: Mapping[str, TextEngine],
    images: Mapping[str, ImageEngine],
    *,
    key: str | None = None,
    lifespan: Lifespan[Starlette] | None = None,
) -> Starlette:
    """The engines under the names of their models; one that speaks with an adapter is usually
    called "model:adapter". `key`: whoever asks has to send it as the bearer token. `lifespan`: what
    the server enters before the first request; the engines may be put into their places there."""
    house = _House(text, images)
    app = Starlette(
        routes=[
            Route("/health", house.health),
            Route("/v1/models", house.models),
            Route("/v1/models/{name:path}", house.model),
            Route("/v1/chat/completions", house.chat, methods=["POST"]),
            Route("/v1/completions", house.completions, methods=["POST"]),
            Route("/v1/images/generations", house.generations, methods=["POST"]),
            Route("/v1/images/edits", house.edits, methods=["POST"]),
            Route("/tokenize", house.tokenize, methods=["POST"]),
        ],
        middleware=[Middleware(Guard, key=key)] if key else [],
        exception_handlers=dict(HANDLERS),
        lifespan=lifespan,
    )
    app.state.has_key = bool(key)
    return app


class _House:
    """What is served."""

    def __init__(self, text: Mapping[str, TextEngine], images: Mapping[str, ImageEngine]) -> None:
        self._text = text
        self._images = images
        self._born = int(time.time())

    async def health(self, request: Request) -> Response:
        """That the loop answers is all there is to say."""
        return Response()

    async def models(self, request: Request) -> Response:
        return JSONResponse(answers.models(self._text, self._images, self._born))

    async def model(self, request: Request) -> Response:
        name = request.path_params["name"]
        for entry in answers.models(self._text, self._images, self._born)["data"]:
            if entry["id"] == name:
                return JSONResponse(entry)
        raise self._unknown(name, (*self._text, *self._images))

    async def chat(self, request: Request) -> Response:
        return await self._say("chat", read(ChatAsked, await json_of(request)), request)

    async def completions(self, request: Request) -> Response:
        return await self._say("completion", read(CompletionAsked, await json_of(request)), request)

    async def tokenize(self, request: Request) -> Response:
        asked = read(TokenizeAsked, await json_of(request))
        # vLLM, which invented this, has but one model and asks for no name.
        engine = self._engine(self._text, asked.model or next(iter(self._text), ""))
        count = await engine.count(asked.request())
        return JSONResponse({"count": count, "max_model_len": engine.card.context})

    async def generations(self, request: Request) -> Response:
        return await self._draw(read(ImageAsked, await json_of(request)), b"", request)

    async def edits(self, request: Request) -> Response:
        fields, source = await form_of(request)
        return await self._draw(read(ImageAsked, fields), source, request)

    # --- text ------------------------------------------------------------------------------------

    async def _say(self, kind: answers.Kind, asked: TextAsked, request: Request) -> Response:
        engine = self._engine(self._text, asked.model)
        answer = answers.Answer(kind, asked.model, asked.count)
        pieces = _several(engine, asked.request(), asked.count)
        if asked.stream:
            # The first piece is waited for, so that an error before it has a status.
            first = await _while_there(request.receive, anext(pieces))
            return _Events(_events(answer, first, pieces, usage=asked.usage_wanted))

        async def whole() -> None:
            async with aclosing(pieces):
                async for index, piece in pieces:
                    answer.add(index, piece)

        await _while_there(request.receive, whole())
        return JSONResponse(answer.whole())

    # --- pictures --------------------------------------------------------------------------------

    async def _draw(self, asked: ImageAsked, source: bytes, request: Request) -> Response:
        engine = self._engine(self._images, asked.model)

        async def all_of_them() -> list[Picture]:
            async with aclosing(engine.draw(asked.request(source))) as drawing:
                return [drawn async for drawn in drawing if isinstance(drawn, Picture)]

        drawn = await _while_there(request.receive, all_of_them())
        return JSONResponse(answers.pictures(drawn))

    def _engine(self, engines: Mapping[str, T], name: str) -> T:
        if name not in engines:
            raise self._unknown(name, engines)
        return engines[name]

    @staticmethod
    def _unknown(name: str, there: Any) -> HTTPException:
        names = ", ".join(there) or "none"
        return HTTPException(404, f'there is no model "{name}" for this; there are: {names}')


async def _several(
    engine: TextEngine, request: TextRequest, count: int
) -> AsyncGenerator[tuple[int, Piece]]:
    """So many answers at once, each piece with the number of its answer."""
    queue: asyncio.Queue[tuple[int, Piece] | Exception] = asyncio.Queue()
    seed = request.sampling.seed

    async def one(index: int) -> None:
        other = None if seed is None else seed + index
        again = replace(request, sampling=replace(request.sampling, seed=other))
        try:
            async with aclosing(engine.generate(again)) as pieces:
                async for piece in pieces:
                    queue.put_nowait((index, piece))
        except Exception as error:
            queue.put_nowait(error)

    tasks = [asyncio.create_task(one(index)) for index in range(count)]
    try:
        while count:
            said = await queue.get()
            if isinstance(said, Exception):
                raise said
            yield said
            count -= bool(said[1].finish)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _events(
    answer: answers.Answer,
    first: tuple[int, Piece],
    pieces: AsyncGenerator[tuple[int, Piece]],
    *,
    usage: bool,
) -> AsyncGenerator[bytes]:
    async with aclosing(pieces):
        yield answers.event(answer.add(*first))
        try:
            async for index, piece in pieces:
                yield answers.event(answer.add(index, piece))
        except BotdaemonError as error:
            # Too late for a status; vLLM puts it there, and so clients look for it there.
            status = status_of(error)
            yield answers.event(answers.error(str(error), status=status, code=str(status)))
            return
        if usage:
            yield answers.event(answer.last())
        yield answers.DONE


class _Events(StreamingResponse):
    """A stream of events that ends when its client goes away, also while it has nothing to say."""

    def __init__(self, events: AsyncGenerator[bytes]) -> None:
        super().__init__(events, media_type="text/event-stream")
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._events):
            await _while_there(receive, self.stream_response(send))


async def _while_there(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of some work, which is cancelled when the client goes away. Its body has been
    read, so that all that can still come is its end. Raises `ClientDisconnect`."""

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    doing, going = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait((doing, going), return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
        raise ClientDisconnect
    finally:
        doing.cancel()
        going.cancel()
        await asyncio.gather(doing, going, return_exceptions=True)
