"""Socket Mode of the fake Slack: tickets, envelopes, acks, redelivery. Does not know what an event
says."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
import uuid
from collections import deque
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web
from fake_faults import reset

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

MOST = 10
"""How many sockets an app may have."""


@dataclass(eq=False, slots=True)
class Live:
    """An open socket."""

    ws: web.WebSocketResponse
    request: web.Request
    silent: bool = False

    async def write(self, frame: dict[str, Any] | str) -> None:
        if self.silent:
            return
        # One that is closing takes nothing; whatever needs an ack is sent again.
        with suppress(ConnectionError):
            await self.ws.send_str(frame if isinstance(frame, str) else json.dumps(frame))


@dataclass(eq=False, slots=True)
class Delivery:
    """Something the app is to be told, over as many envelopes as it takes."""

    kind: str
    payload: dict[str, Any]
    answered: bool = False
    """Whether the ack may carry an answer."""
    acked: asyncio.Event = field(default_factory=asyncio.Event)
    answer: dict[str, Any] = field(default_factory=dict)
    attempts: int = 0


class SocketMode:
    def __init__(self, app_id: str, changed: Callable[[], None], errors: list[Exception]) -> None:
        self.ack_seconds = 3.0
        self.retry_factor = 1.0
        """Scales the waits before the second and third retry, a minute and five."""
        self.ticket_seconds = 30.0
        self.ping_seconds = 10.0
        self.refuse_handshakes = False
        """Urls are issued, but nobody can connect to them."""
        self.live: deque[Live] = deque()
        self.lost: list[dict[str, Any]] = []
        """Payloads given up after the last retry."""
        self.acked: list[str] = []
        """Ids of acknowledged events."""
        self._app_id = app_id
        self._changed = changed
        self._tickets: dict[str, float] = {}
        self._envelopes: dict[str, Delivery] = {}
        self._errors = errors
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            self.drop()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def ticket(self) -> str:
        ticket = secrets.token_urlsafe(16)
        self._tickets[ticket] = time.monotonic() + self.ticket_seconds
        return ticket

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """The handler of the urls that apps.connections.open issues. An url serves one attempt,
        a refused one included."""
        until = self._tickets.pop(request.query.get("ticket", ""), 0.0)
        if until < time.monotonic() or request.query.get("app_id") != self._app_id:
            return web.Response(status=404, text="unknown ticket")
        if self.refuse_handshakes:
            return web.Response(status=503, text="upstream connect error")
        # Pings are answered below, so that a silent socket can leave them unanswered.
        ws = web.WebSocketResponse(autoping=False)
        await ws.prepare(request)
        live = Live(ws, request)
        if len(self.live) >= MOST:
            await live.write(_disconnect("too_many_websockets"))
            await ws.close()
            return ws
        await live.write(self._hello())
        self.live.append(live)
        pinging = self._run(self._ping(live))
        self._changed()
        try:
            async for message in ws:
                if live.silent:
                    continue
                if message.type is WSMsgType.PING:
                    await ws.pong(message.data)
                elif message.type is WSMsgType.TEXT:
                    self._take(message.data)
        except ConnectionError:
            pass
        finally:
            pinging.cancel()
            self.live.remove(live)
            self._changed()
        return ws

    def tell(self, payload: dict[str, Any], *, attempt: int = 0) -> None:
        """An event, repeated until it is acknowledged or given up."""
        self._run(self._deliver(Delivery("events_api", payload, attempts=attempt)))

    async def ask(self, kind: str, payload: dict[str, Any], *, answered: bool) -> Delivery | None:
        """A command or a press: told once. None where nobody acknowledged it in time."""
        delivery = Delivery(kind, payload, answered)
        return delivery if await self._offer(delivery) else None

    async def write(self, frame: dict[str, Any] | str) -> None:
        """A frame to the next socket, whatever it says."""
        if not self.live:
            raise ValueError("no socket is open: connect an app before a frame is written to it")
        await self._next().write(frame)

    async def disconnect(self, reason: str) -> None:
        """Ask every socket to make room: warning, refresh_requested or too_many_websockets."""
        for live in list(self.live):
            await live.write(_disconnect(reason))

    def drop(self) -> None:
        for live in list(self.live):
            reset(live.request)

    def silence(self) -> None:
        """The sockets that are open now are half-open: nothing is heard, nothing comes."""
        for live in self.live:
            live.silent = True

    async def _deliver(self, delivery: Delivery) -> None:
        """At once, at once again, after a minute, after five."""
        for wait in (0, 0, 60, 300):
            if wait and await self._acked(delivery, wait * self.retry_factor):
                return
            if await self._offer(delivery):
                return
        self.lost.append(delivery.payload)
        self._changed()

    async def _offer(self, delivery: Delivery) -> bool:
        attempt, delivery.attempts = delivery.attempts, delivery.attempts + 1
        if not self.live:
            return False
        id = str(uuid.uuid4())
        envelope: dict[str, Any] = {
            "envelope_id": id,
            "type": delivery.kind,
            "accepts_response_payload": delivery.answered,
            "payload": delivery.payload,
        }
        if delivery.kind == "events_api":
            envelope["retry_attempt"] = attempt
            envelope["retry_reason"] = "timeout" if attempt else ""
        self._envelopes[id] = delivery
        await self._next().write(envelope)
        return await self._acked(delivery, self.ack_seconds)

    def _next(self) -> Live:
        self.live.rotate(-1)
        return self.live[-1]

    async def _acked(self, delivery: Delivery, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await delivery.acked.wait()
        except TimeoutError:
            return False
        return True

    def _take(self, text: str) -> None:
        """An ack, of an envelope that may have gone over another socket."""
        try:
            frame = json.loads(text)
        except ValueError:
            return
        delivery = self._envelopes.get(frame.get("envelope_id", ""))
        if delivery and not delivery.acked.is_set():
            delivery.answer = frame.get("payload") or {}
            self.acked.append(delivery.payload.get("event_id", ""))
            delivery.acked.set()
            self._changed()

    async def _ping(self, live: Live) -> None:
        while not live.ws.closed:
            await asyncio.sleep(self.ping_seconds)
            if not live.silent:
                try:
                    await live.ws.ping(b"Ping from the server")
                except ConnectionError:
                    return

    def _hello(self) -> dict[str, Any]:
        return {
            "type": "hello",
            "num_connections": len(self.live) + 1,
            "debug_info": {
                "host": "applink-1",
                "build_number": 1,
                "approximate_connection_time": 18060,
            },
            "connection_info": {"app_id": self._app_id},
        }

    def _run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self._errors.append(error)


def _disconnect(reason: str) -> dict[str, Any]:
    return {"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-1"}}
