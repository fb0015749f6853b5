"""Who may talk to the server, and what a browser may do with its answers. Knows no route."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import hdrs, web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: open to everybody, for it says nothing: what watches a service often cannot show a token
UNGUARDED = "/healthz"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
READING = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})
COOKIE = "botdaemon"
#: the cookie outlives the browser, so that a phone need not be given the token every day
COOKIE_SECONDS = 180 * 24 * 3600

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; media-src 'self'; connect-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Asked again each time, answered "not modified": a page of yesterday's parts breaks.
    "Cache-Control": "no-cache",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Say what browsers may do with an answer, where its handler has not said so itself."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers[hdrs.SERVER] = "botdaemon"  # the versions below it are nobody's business


class Guards:
    """Refuses requests in the order: wrong host, wrong origin, no token."""

    def __init__(self, bound_to: str, hosts: Collection[str], token: str | None) -> None:
        self._hosts = LOOPBACK | {host.casefold() for host in hosts}
        # A page that rebinds its name to us still says that name. An address cannot be
        # rebound, so beyond loopback (where there is a token, too) any address may be named.
        self._addresses = not is_loopback(bound_to)
        self._token = None if token is None else _digest(token)
        # Not the token itself, so that the cookie store of a browser does not hold it.
        self._cookie = "" if token is None else _digest(f"cookie of {token}").hex()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == UNGUARDED:
            return await handler(request)
        self._check_host(request)
        self._check_origin(request)
        if self._token is not None and (welcome := self._check_token(request)):
            return welcome
        return await handler(request)

    def _check_host(self, request: web.Request) -> None:
        """Against DNS rebinding: a page elsewhere whose name was pointed at this machine."""
        name = _host_of(request.headers.get(hdrs.HOST, ""))
        if name not in self._hosts and not (self._addresses and _is_address(name)):
            raise web.HTTPMisdirectedRequest(
                text=f'this server is not "{name[:80]}"; if it should be, add the name to '
                "adapters.web.host_names"
            )

    def _check_origin(self, request: web.Request) -> None:
        """Against pages of other sites that post here or open sockets; a browser names them."""
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None or (request.method in READING and hdrs.UPGRADE not in request.headers):
            return
        if origin.partition("://")[2] != request.headers[hdrs.HOST]:
            raise web.HTTPForbidden(text=f'a page of "{origin[:80]}" may not do this')

    def _check_token(self, request: web.Request) -> web.Response | None:
        """None for those who have shown the token; a welcome for those who show it in the URL."""
        if request.path == "/" and self._is_token(request.query.get("token", "")):
            return self._welcome(request)
        if hmac.compare_digest(_bytes(request.cookies.get(COOKIE, "")), _bytes(self._cookie)):
            return None
        scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        if scheme.casefold() == "bearer" and self._is_token(given.strip()):
            return None
        raise web.HTTPUnauthorized(
            text="a token is needed here: open /?token=... once in the browser, or send the "
            'header "Authorization: Bearer ..."',
            headers={hdrs.WWW_AUTHENTICATE: "Bearer"},
        )

    def _welcome(self, request: web.Request) -> web.Response:
        """Sends on to an address without the token, for a browser's history keeps addresses."""
        welcome = web.Response(status=303, headers={hdrs.LOCATION: "/"})
        welcome.set_cookie(
            COOKIE,
            self._cookie,
            max_age=COOKIE_SECONDS,
            httponly=True,
            samesite="Strict",
            secure=request.secure,
        )
        return welcome

    def _is_token(self, given: str) -> bool:
        return self._token is not None and hmac.compare_digest(_digest(given), self._token)


def _digest(text: str) -> bytes:
    return hashlib.sha256(_bytes(text)).digest()


def _bytes(text: str) -> bytes:
    # Surrogates stand for bytes that were not UTF-8; such a token is wrong, but no accident.
    return text.encode(errors="surrogateescape")


def _host_of(netloc: str) -> str:
    """The host without port or brackets, in lower case; empty for what is none."""
    try:
        return urlsplit(f"//{netloc}").hostname or ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
