"""What the fake platforms share: a record of requests, waiting, and faults. Knows no platform.

A fake inherits from `Fake`, puts `self.watch` first among the middlewares of its application, finds
what a request says in `request[PAYLOAD]`, and calls `self.changed()` after everything that a test
may be waiting for.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from aiohttp.typedefs import Middleware

PAYLOAD = web.RequestKey("payload", Any)
"""What a request says, as the fake's `read` took it in."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Shown:
    """A message as a person sees it now."""

    id: str
    author: str
    text: str
    versions: list[str]
    """Every text it has had, the present one last."""
    reply_to: str = ""
    files: list[tuple[str, bytes]] = field(default_factory=list)
    buttons: list[str] = field(default_factory=list)
    """Their labels."""
    topic: str = ""
    raw: dict[str, Any] = field(default_factory=dict)
    """As the platform writes it."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it came in."""

    at: float
    method: str
    path: str
    payload: Any
    status: int
    """0 where the answer was withheld. A call is recorded when it ends, a websocket's included."""


# --- actions: each takes the place of the ordinary answer -----------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """This answer, nothing carried out. A body that is not text is sent as JSON."""

    status: int
    body: Any = ""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Status5xx:
    """What a proxy in front of the platform says, in HTML."""

    status: int = 502


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Too many requests, in the platform's own form."""

    after: float


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset, before or after the request was carried out."""

    applied: bool = False


@dataclass(frozen=True, slots=True)
class Delay:
    """Carried out and answered, but later."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hang:
    """No answer at all until `Faults.clear`, then a reset."""

    applied: bool = False


@dataclass(frozen=True, slots=True)
class HalfAnswer:
    """Carried out; half of the answer's body arrives, then the connection ends."""


Action = Answer | Status5xx | RateLimit | Reset | Delay | Hang | HalfAnswer


class Faults:
    """Which requests go wrong, and how.

    A pattern is matched against the end of "METHOD /path", with the wildcards of fnmatch:
    "sendMessage", "POST */messages", "/api/chat.postMessage", "*".
    """

    def __init__(
        self,
        *,
        rate_limited: Callable[[web.Request, float], web.Response],
        is_send: Callable[[web.Request], bool],
    ) -> None:
        self.lose_response = 0.0
        self.random = random.Random(1)
        self.lost = 0
        """How many answers `lose_response` threw away."""
        self._rate_limited = rate_limited
        self._is_send = is_send
        self._next: list[tuple[str, Action]] = []
        self._always: list[tuple[str, Action]] = []
        self._cleared = asyncio.Event()

    def next(self, pattern: str, *actions: Action) -> None:
        """Queue one-shot actions: each is spent on one matching request."""
        self._next.extend((pattern, action) for action in actions)

    def always(self, pattern: str, action: Action) -> None:
        self._always.append((pattern, action))

    def clear(self) -> None:
        """From now on all is well; requests that hang are reset."""
        self._next.clear()
        self._always.clear()
        self.lose_response = 0.0
        self._cleared.set()
        self._cleared = asyncio.Event()

    def pending(self) -> int:
        """How many one-shot actions have not been spent yet."""
        return len(self._next)

    def stalled(self, request: web.Request) -> bool:
        """Whether all requests like this one hang now: those already under way may join them."""
        line = f"{request.method} {request.path}"
        return any(
            isinstance(action, Hang) and fnmatchcase(line, f"*{pattern}")
            for pattern, action in self._always
        )

    async def until_clear(self) -> None:
        await self._cleared.wait()

    async def pass_through(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        action = self._choose(request)
        match action:
            case None:
                return await handler(request)
            case Answer(status, str(text), headers):
                return web.Response(status=status, text=text, headers=headers)
            case Answer(status, body, headers):
                return web.json_response(body, status=status, headers=headers)
            case Status5xx(status):
                page = f"<html><body><h1>{status}</h1></body></html>"
                return web.Response(status=status, text=page, content_type="text/html")
            case RateLimit(after):
                return self._rate_limited(request, after)
            case Delay(seconds):
                await asyncio.sleep(seconds)
                return await handler(request)
            case Reset(applied):
                if applied:
                    await handler(request)
            case Hang(applied):
                if applied:
                    await handler(request)
                await self._cleared.wait()
            case HalfAnswer():
                return await _half(request, await handler(request))
        return reset(request)

    def _choose(self, request: web.Request) -> Action | None:
        line = f"{request.method} {request.path}"
        for index, (pattern, action) in enumerate(self._next):
            if fnmatchcase(line, f"*{pattern}"):
                del self._next[index]
                return action
        for pattern, action in self._always:
            if fnmatchcase(line, f"*{pattern}"):
                return action
        if (
            self.lose_response
            and self._is_send(request)
            and self.random.random() < self.lose_response
        ):
            self.lost += 1
            return Reset(applied=True)
        return None


def reset(request: web.BaseRequest) -> web.Response:
    """End a connection with RST, as a crashed peer or a middlebox does. The answer goes nowhere."""
    if request.transport is not None:
        endpoint: socket.socket = request.transport.get_extra_info("socket")
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    return web.Response(headers={"X-Withheld": "1"})


async def _half(request: web.Request, whole: web.StreamResponse) -> web.StreamResponse:
    assert isinstance(whole, web.Response), "only an ordinary answer can be halved"
    body = whole.body
    assert isinstance(body, bytes), "an answer without a body cannot be halved"
    half = web.StreamResponse(status=whole.status, headers={"X-Withheld": "1"})
    half.content_type = whole.content_type
    half.content_length = len(body)
    await half.prepare(request)
    await half.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return half


class Fake:
    """A platform that remembers its requests, and on which tests can wait."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.calls: list[Call] = []
        self.errors: list[Exception] = []
        """Mistakes of the fake itself. A test that meets one should fail for it."""
        self.refuse_connections = False
        self._waiting: list[asyncio.Event] = []

    @property
    def watch(self) -> Middleware:
        """The outermost middleware: records every request and lets the faults happen."""

        @web.middleware
        async def watch(request: web.Request, handler: Handler) -> web.StreamResponse:
            if self.refuse_connections:
                return reset(request)
            at, status = time.time(), 0
            payload = request[PAYLOAD] = await self.read(request)
            try:
                response = await self.faults.pass_through(request, handler)
                status = 0 if "X-Withheld" in response.headers else response.status
                return response
            except web.HTTPException as answer:
                status = answer.status
                raise
            except ConnectionResetError:  # the client is gone: no mistake of the fake
                raise
            except Exception as error:
                self.errors.append(error)
                raise
            finally:
                self.calls.append(Call(at, request.method, request.path, payload, status))
                self.changed()

        return watch

    async def read(self, request: web.Request) -> Any:
        """What a request says: its JSON, its form and query as one dict, or its bytes."""
        if request.content_type == "application/json":
            try:
                return await request.json()
            except ValueError:
                return await request.read()
        if request.content_type == "application/octet-stream" and request.can_read_body:
            return await request.read()
        return {**request.query, **await request.post()}

    def changed(self) -> None:
        """Something happened: everyone who waits looks again."""
        for event in self._waiting:
            event.set()

    async def until(self, predicate: Callable[[], object], timeout: float = 20) -> None:
        """Wait until it is true. It is looked at after everything that happens here."""
        with self._waking() as event:
            try:
                async with asyncio.timeout(timeout):
                    while not predicate():
                        event.clear()
                        await event.wait()
            except TimeoutError:
                raise AssertionError(
                    f"waited {timeout} s in vain on {type(self).__name__}; {self.seen()}"
                ) from None

    @contextmanager
    def _waking(self) -> Iterator[asyncio.Event]:
        event = asyncio.Event()
        self._waiting.append(event)
        try:
            yield event
        finally:
            self._waiting.remove(event)

    def seen(self) -> str:
        """What happened last, for a person reading a failed test. Fakes may say more."""
        last = [f"{call.method} {call.path} {call.status} {call.payload}" for call in self.calls]
        return "the last requests were:\n  " + "\n  ".join(last[-20:] or ["none"])
