"""The HTTP server's life, how errors are answered, and its health. Knows no page and no API."""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING, Self

from aiohttp import hdrs, web

from botdaemon.errors import AdapterRefused, ConfigError, Refused, StoreError, StoreFull
from botdaemon.web.guards import Guards, add_headers, is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from types import TracebackType

    from botdaemon.web.guards import Handler

    Mount = Callable[[web.Application], None]
    Ready = Callable[[], Mapping[str, bool | str]]

log = logging.getLogger(__name__)

#: how long requests under way may take when the server stops
SHUTDOWN_SECONDS = 3.0


class Server:
    """Serves what is mounted, from `async with` to its end."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        mounts: Iterable[Mount],
        ready: Ready,
        token: str | None = None,
        hosts: Collection[str] = (),
    ) -> None:
        """`port` 0 is any free one. `ready` says of each part of the daemon True, or what it
        lacks. `hosts` are further names this machine is called by."""
        if token is None and not is_loopback(host):
            raise ConfigError(
                f"adapters.web.host: a server on {host} can be reached from other machines and "
                'needs a token; set adapters.web.token_file, or host = "127.0.0.1"'
            )
        self.host = host
        #: the one asked for, and once the server runs, the one it got
        self.port = port
        self._ready = ready
        app = web.Application(middlewares=[_errors, Guards(host, hosts, token).middleware])
        app.on_response_prepare.append(add_headers)
        app.add_routes([web.get("/healthz", self._healthz), web.get("/readyz", self._readyz)])
        for mount in mounts:
            mount(app)
        self._runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_SECONDS
        )

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host and host[0] != '[' else host}:{self.port}/"

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self.host, self.port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise AdapterRefused(self._why(error)) from error
        self.port = self._runner.addresses[0][1]
        log.info("web server started", extra={"event": "web started", "url": self.url})
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()

    def _why(self, error: OSError) -> str:
        where = f"{self.host}:{self.port}"
        match error.errno:
            case errno.EADDRINUSE:
                return (
                    f"{where} is already in use (is another botdaemon running?); stop it or set "
                    "adapters.web.port"
                )
            case errno.EACCES:
                return f"{where} may not be used by this user; set adapters.web.port above 1023"
            case _:
                return (
                    f"cannot listen on {where} ({error.strerror}); set adapters.web.host to an "
                    "address of this machine"
                )

    async def _healthz(self, request: web.Request) -> web.Response:
        """That the loop answers is all there is to say."""
        return web.json_response({"alive": True})

    async def _readyz(self, request: web.Request) -> web.Response:
        parts = self._ready()
        lacking = [
            name if state is False else f"{name} ({state})"
            for name, state in parts.items()
            if state is not True
        ]
        answer: dict[str, object] = {"ready": not lacking, "parts": dict(parts)}
        if lacking:
            answer["error"] = f"not ready: {', '.join(lacking)}"
        return web.json_response(answer, status=503 if lacking else 200)


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error with one sentence in JSON."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        headers = {
            name: value
            for name, value in error.headers.items()
            if name in (hdrs.ALLOW, hdrs.WWW_AUTHENTICATE)
        }
        return _sentence(error.status, _explain(error, request), headers)
    except Refused as refusal:
        return _sentence(409, str(refusal))
    except StoreFull as full:
        log.warning("not recorded", extra={"event": "store full", "why": str(full)})
        return _sentence(503, "not recorded; try again when there is space", {"Retry-After": "30"})
    except StoreError as error:
        log.error("request failed", extra={"event": "store error", "why": str(error)})
        return _sentence(503, str(error))
    except Exception:
        log.exception("request failed", extra={"event": "request failed", "path": request.path})
        return _sentence(500, "something went wrong here; the daemon's log has the details")


def _explain(error: web.HTTPException, request: web.Request) -> str:
    # What aiohttp raises by itself says "404: Not Found" and no more.
    if error.text != f"{error.status}: {error.reason}":
        return error.text or error.reason
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return f"{error.method} is not possible here; {request.path} takes {allowed}"
    if isinstance(error, web.HTTPNotFound):
        return f"there is nothing at {request.path}"
    return error.reason


def _sentence(status: int, text: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response({"error": text}, status=status, headers=headers)
