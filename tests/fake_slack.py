"""A Slack on loopback for tests: one workspace with one app in Socket Mode, and people in it."""

from __future__ import annotations

import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import fake_slack_chat as _chat  # noqa: F401  registers its methods
import fake_slack_reads as _reads  # noqa: F401  registers its methods
import fake_slack_views as _views  # noqa: F401  registers its methods
from aiohttp import web
from fake_faults import Faults
from fake_slack_people import People
from fake_slack_web import answer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fake_slack_team import JSON


class FakeSlack(People):
    """The platform. It outlives the daemons that connect to it."""

    def __init__(self) -> None:
        super().__init__(Faults(rate_limited=_rate_limited, is_send=_is_send))

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[FakeSlack]:
        app = web.Application(middlewares=[self.watch], client_max_size=64 * 2**20)
        app.add_routes(self.urls.routes)
        app.router.add_get("/link/", self.socket.connect)
        app.router.add_route("*", "/api/{method}", self._method)
        runner = web.AppRunner(app, shutdown_timeout=1, access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", self.port)
            await site.start()
            self.port = runner.addresses[0][1]
            self.team.base = f"http://127.0.0.1:{self.port}"
            async with self.socket.running():
                try:
                    yield self
                finally:
                    self.faults.clear()
        finally:
            await runner.cleanup()
        if self.errors:
            raise ExceptionGroup("the fake Slack itself failed", self.errors)

    @property
    def base_url(self) -> str:
        return f"{self.team.base}/api/"

    @property
    def bot_token(self) -> str:
        return self.access.bot_token

    @property
    def app_token(self) -> str:
        return self.access.app_token

    @property
    def scopes(self) -> set[str]:
        return self.access.scopes

    @scopes.setter
    def scopes(self, granted: set[str]) -> None:
        self.access.scopes = granted

    @property
    def ack_seconds(self) -> float:
        return self.socket.ack_seconds

    @ack_seconds.setter
    def ack_seconds(self, seconds: float) -> None:
        self.socket.ack_seconds = seconds

    @property
    def retry_factor(self) -> float:
        """Scales the minute and the five minutes before the last two retries."""
        return self.socket.retry_factor

    @retry_factor.setter
    def retry_factor(self, factor: float) -> None:
        self.socket.retry_factor = factor

    # --- faults -----------------------------------------------------------------------------------

    async def redeliver(self, id: str) -> None:
        """The events of a message once more, as if their acks had been lost."""
        for payload in self._told[id]:
            self.socket.tell(payload, attempt=1)

    async def poison(self, payload: JSON | str) -> None:
        """Something malformed: text or a frame of any kind goes out as it is, anything else
        inside an envelope, as an event."""
        if isinstance(payload, str) or "envelope_id" in payload:
            await self.socket.write(payload)
        else:
            self.socket.tell(self._payload(payload))

    async def drop(self) -> None:
        """Every socket is reset."""
        self.socket.drop()

    def silent(self) -> None:
        """The sockets that are open now are half-open from here on."""
        self.socket.silence()

    async def disconnect(self, reason: str = "refresh_requested") -> None:
        await self.socket.disconnect(reason)

    def end_streams(self) -> None:
        """Streams end by themselves after some minutes."""
        for post in self.team.posts.values():
            post.streaming = False

    # --- the server -------------------------------------------------------------------------------

    async def read(self, request: web.Request) -> Any:
        said = await super().read(request)
        if request.content_type == "application/json" and isinstance(said, dict):
            return {**request.query, **said}
        return said

    async def _method(self, request: web.Request) -> web.Response:
        return answer(request, self.team, self.access)


def _rate_limited(request: web.Request, after: float) -> web.Response:
    body = {"ok": False, "error": "ratelimited"}
    return web.json_response(body, status=429, headers={"Retry-After": str(math.ceil(after))})


def _is_send(request: web.Request) -> bool:
    writes = request.path.startswith("/api/chat.") and request.path != "/api/chat.postEphemeral"
    return writes or request.path == "/api/files.completeUploadExternal"
