"""Who may not ask, and what went wrong, each in OpenAI's shape. Knows no route."""

from __future__ import annotations

import hashlib
import hmac
import logging
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from botdaemon.errors import BotdaemonError, EngineDied, EngineFailed
from models.api import answers
from models.api.asked import BadRequest
from models.api.bodies import LIMIT

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

log = logging.getLogger(__name__)


class Guard:
    """Lets those in who know the key. How things stand is told to everybody."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self._key = _digest(key)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] != "/health":
            headers = dict(scope["headers"])
            kind, _, given = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
            if kind.lower() != "bearer" or not hmac.compare_digest(_digest(given), self._key):
                text = "the key is missing or wrong; send it as Authorization: Bearer KEY"
                answer = _sentence(401, text, code="invalid_api_key")
                answer.headers["WWW-Authenticate"] = "Bearer"
                return await answer(scope, receive, send)
        return await self._app(scope, receive, send)


def _digest(key: str) -> bytes:
    """Of one length, so that comparing tells nothing of the key's."""
    return hashlib.sha256(key.strip().encode()).digest()


def _sentence(status: int, text: str, *, where: str = "", code: str | None = None) -> Response:
    return JSONResponse(
        answers.error(text, status=status, where=where, code=code), status_code=status
    )


def status_of(error: Exception) -> int:
    """503: it may be tried again; 500: somebody has to mend something first."""
    match error:
        case EngineFailed():
            return 400
        case EngineDied():
            return 503
        case _:
            return 500


async def _bad_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, BadRequest)
    return _sentence(400, str(error), where=error.where)


async def _engine_error(request: Request, error: Exception) -> Response:
    log.warning("%s: %s", request.url.path, error, extra={"event": "request.failed"})
    return _sentence(status_of(error), str(error))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    text = {
        405: f"{request.method} is not possible at {path}",
        413: f"the request is larger than the {LIMIT // 2**20} MiB that are taken",
    }.get(error.status_code, error.detail)
    if error.status_code == 404 and text == "Not Found":
        text = f"there is nothing at {path}"
    code = "model_not_found" if error.status_code == 404 else None
    return _sentence(error.status_code, text, code=code)


async def _nobody_there(request: Request, error: Exception) -> Response:
    return Response(status_code=499)  # as nginx notes it; nobody reads it


async def _bug(request: Request, error: Exception) -> Response:
    log.error("%s failed", request.url.path, exc_info=error, extra={"event": "request.failed"})
    return _sentence(500, "something went wrong here; the server's log has the details")


HANDLERS = {
    BadRequest: _bad_request,
    BotdaemonError: _engine_error,
    HTTPException: _http_error,
    ClientDisconnect: _nobody_there,
    Exception: _bug,
}
"""What Starlette calls for each kind of error."""
