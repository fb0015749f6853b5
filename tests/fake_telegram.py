"""Telegram's Bot API on loopback. Knows the API's documents, and nothing of this project."""

from __future__ import annotations

from contextlib import asynccontextmanager
from inspect import isawaitable, isfunction
from typing import TYPE_CHECKING, Any

from aiohttp import web
from fake_faults import PAYLOAD, Answer, Faults, Hang, reset
from fake_telegram_methods import Methods
from fake_telegram_params import Params, read
from fake_telegram_people import People
from fake_telegram_sending import Sending, too_many
from fake_telegram_world import Json, Person, Refused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BIGGEST_UPLOAD = 50 << 20
SENDS = ("sendmessage", "sendphoto", "senddocument")


def refusal(code: int, description: str, **parameters: Any) -> Answer:
    """An answer in the API's own form, for `faults.next` and `faults.always`."""
    body: Json = {"ok": False, "error_code": code, "description": description}
    return Answer(code, body | ({"parameters": parameters} if parameters else {}))


def _refused(error: Refused) -> web.Response:
    answer = refusal(error.code, error.description, **error.parameters)
    return web.json_response(answer.body, status=answer.status)


class FakeTelegram(People):
    """The platform. It outlives the daemons that connect to it."""

    def __init__(self, token: str = "6100000001:AAFakeTokenOfTheFakeTelegram_0123456") -> None:
        super().__init__(
            Faults(
                rate_limited=lambda request, after: _refused(too_many(after)),
                is_send=lambda request: request.path.rpartition("/")[2].lower() in SENDS,
            ),
            Person(int(token.partition(":")[0]), "daemon_bot", is_bot=True),
        )
        self.token = token
        self.revoked = False
        self.port = 0
        self._methods = {
            name.lower(): getattr(self.methods, name)
            for kind in (Sending, Methods)
            for name, value in vars(kind).items()
            if isfunction(value) and not name.startswith("_")
        }
        self._runner: web.AppRunner | None = None

    @property
    def base_url(self) -> str:
        """What clients put the token behind."""
        return f"http://127.0.0.1:{self.port}/bot"

    @property
    def base_file_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/file/bot"

    @property
    def api_root(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[FakeTelegram]:
        app = web.Application(middlewares=[self.watch], client_max_size=0)
        app.router.add_get("/file/bot{token}/{path:.+}", self._download)
        app.router.add_route("*", "/bot{token}/{method}", self._call)
        app.router.add_route("*", "/{rest:.*}", self._elsewhere)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        try:
            yield self
        finally:
            self.updates.close()
            self.faults.clear()
            await self._runner.cleanup()
        if self.errors:
            raise ExceptionGroup("the fake Telegram itself failed", self.errors)

    # --- the server -------------------------------------------------------------------------------

    async def read(self, request: web.Request) -> Json:
        return await read(request)

    async def _call(self, request: web.Request) -> web.StreamResponse:
        payload: Any = request[PAYLOAD]
        try:
            self._check_token(request)
            result = await self._result(request, Params(payload))
            self._check_token(request)  # it may have been revoked during a long poll
        except Refused as error:
            return _refused(error)
        if self.faults.stalled(request):
            await self.faults.until_clear()
            return reset(request)
        return web.json_response({"ok": True, "result": result})

    async def _result(self, request: web.Request, params: Params) -> Any:
        if request.method not in ("GET", "POST"):
            raise Refused(405, "Method Not Allowed")
        if sum(len(upload.data) for upload in params.uploads()) > BIGGEST_UPLOAD:
            raise Refused(413, "Request Entity Too Large")
        method = self._methods.get(request.match_info["method"].lower())
        if method is None:
            raise Refused(404, "Not Found: method not found")
        result = method(params)
        return await result if isawaitable(result) else result

    async def _download(self, request: web.Request) -> web.StreamResponse:
        try:
            self._check_token(request)
        except Refused as error:
            return _refused(error)
        for file in self.world.files.values():
            if file.path == request.match_info["path"]:
                return web.Response(body=file.data, content_type="application/octet-stream")
        return await self._elsewhere(request)

    async def _elsewhere(self, request: web.Request) -> web.StreamResponse:
        return _refused(Refused(404, "Not Found"))

    def _check_token(self, request: web.Request) -> None:
        id, _, secret = request.match_info["token"].partition(":")
        if not id.isdigit() or not secret:
            raise Refused(401, "Unauthorized: invalid token specified")
        if self.revoked or request.match_info["token"] != self.token:
            raise Refused(401, "Unauthorized")

    # --- what goes wrong --------------------------------------------------------------------------

    async def redeliver(self, id: str) -> None:
        """The same message in another update."""
        self._tell(self.world.find(id, "general"))

    async def poison(self, payload: Any) -> None:
        """An update as it is given here, however malformed."""
        self.updates.put_raw(payload)

    async def drop(self) -> None:
        """Every connection ends."""
        assert self._runner is not None
        assert self._runner.server is not None
        for connection in self._runner.server.connections:
            if connection.transport is not None:
                connection.transport.abort()

    def silent(self) -> None:
        """Connections stay open and nothing is answered any more, until `faults.clear`."""
        self.faults.always("*", Hang())
