"""A model server on loopback that speaks OpenAI's protocol, well or in any wrong way there is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Iterable

Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]


def chunk(text: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """A part of a chat's answer, or of a completion's."""
    delta = {} if text is None else {"content": text}
    return {
        "choices": [{"index": 0, "delta": delta, "text": text, "finish_reason": finish}],
        **more,
    }


USAGE = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}}
HELLO = (chunk("Hello"), chunk(" the"), chunk("re."), chunk(finish="stop"), USAGE)


async def until(true: Callable[[], bool]) -> None:
    """Wait for something that nobody announces."""
    while not true():  # noqa: ASYNC110  # as said
        await asyncio.sleep(0.01)


def line(data: Any) -> bytes:
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


class ModelServer:
    """Does `behave` when it is asked for an answer. `asked` are (path, body) of what it was asked
    but for its models; `gone` counts clients that went away before their answer was there."""

    def __init__(self, port: int = 0, model: str = "m") -> None:
        self.port = port
        self.behave: Behaviour = says(HELLO)
        self.others: dict[str, Behaviour] = {}
        self.models: Any = {"data": [{"id": model}]}
        self.models_status = 200
        self.asked: list[tuple[str, Any]] = []
        self.gone = asyncio.Semaphore(0)
        app = web.Application()
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/{path:.*}", self._post)
        # A handler is cancelled when its client goes away.
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def answers(self) -> list[Any]:
        """The bodies of what it was asked to answer."""
        return [body for path, body in self.asked if path.startswith("/v1/")]

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._runner.cleanup()

    async def _models(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self.models, status=self.models_status)

    async def _post(self, request: web.Request) -> web.StreamResponse:
        body: Any = None
        if request.content_type == "application/json":
            body = await request.json()
        elif request.content_type == "multipart/form-data":
            body = dict(await request.post())
        self.asked.append((request.path, body))
        try:
            if not request.path.startswith("/v1/") or request.path in self.others:
                behave = self.others.get(request.path, refuses(404, "Not Found"))
                return await behave(request)
            return await self.behave(request)
        except asyncio.CancelledError:
            self.gone.release()
            raise


def says(parts: Iterable[Any], *, end: bytes = b"data: [DONE]\n\n") -> Behaviour:
    """Streams these parts; bytes are sent as they are."""

    async def behave(request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        for part in parts:
            await stream.write(line(part))
        await stream.write(end)
        return stream

    return behave


def breaks_off(*parts: Any) -> Behaviour:
    """Streams these parts and then cuts the connection."""

    async def behave(request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        for part in parts:
            await stream.write(line(part))
        assert request.transport is not None
        request.transport.close()
        return stream

    return behave


def hangs(*parts: Any) -> Behaviour:
    """Streams these parts and then nothing, until the client goes away."""

    async def behave(request: web.Request) -> web.StreamResponse:
        if parts:
            stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await stream.prepare(request)
            for part in parts:
                await stream.write(line(part))
        await asyncio.Event().wait()
        raise AssertionError

    return behave


def refuses(status: int, text: str, **headers: str) -> Behaviour:
    """Answers with an error in the protocol's shape."""

    async def behave(request: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.json_response({"error": {"message": text}}, status=status, headers=named)

    return behave


def answers(data: Any, content_type: str = "application/json") -> Behaviour:
    """Answers whatever is given: text as it is, the rest as JSON."""

    async def behave(request: web.Request) -> web.StreamResponse:
        text = data if isinstance(data, str) else json.dumps(data)
        return web.Response(text=text, content_type=content_type)

    return behave


def one_after_the_other(*behaviours: Behaviour) -> Behaviour:
    """Does each once, the last one from then on."""
    left = list(behaviours)

    async def behave(request: web.Request) -> web.StreamResponse:
        now = left.pop(0) if len(left) > 1 else left[0]
        return await now(request)

    return behave
