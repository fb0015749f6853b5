"""Rate limits of the fake Discord: buckets, the global limit, and their headers."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from typing import TYPE_CHECKING

from fake_discord_rest import API, reply

if TYPE_CHECKING:
    from aiohttp import web

GENEROUS = (1000, 1.0)


class Limits:
    """How many requests in how many seconds; a bucket for each route and channel."""

    def __init__(self) -> None:
        self.routes: dict[str, tuple[int, float]] = {}
        """By "METHOD /template", as in {"POST /channels/{c}/messages": (5, 5.0)}."""
        self.whole: tuple[int, float] = GENEROUS
        self._asked: dict[str, deque[float]] = {}

    def refuse(self, request: web.Request) -> web.Response | None:
        """The 429 that is due, or None."""
        whole = self._wait("everything", self.whole)
        if whole:
            return rate_limited(request, whole, scope="global")
        wait = self._wait(self._bucket(request), self._limit(request))
        return rate_limited(request, wait) if wait else None

    def headers(self, request: web.Request) -> dict[str, str]:
        bucket, (limit, per) = self._bucket(request), self._limit(request)
        asked = self._asked.get(bucket) or deque([time.monotonic()])
        after = max(0.0, asked[0] + per - time.monotonic())
        return {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(max(0, limit - len(asked))),
            "X-RateLimit-Reset": f"{time.time() + after:.3f}",
            "X-RateLimit-Reset-After": f"{after:.3f}",
            "X-RateLimit-Bucket": hashlib.md5(template(request).encode()).hexdigest(),
            "Via": "1.1 google",
        }

    def _limit(self, request: web.Request) -> tuple[int, float]:
        return self.routes.get(template(request), GENEROUS)

    def _bucket(self, request: web.Request) -> str:
        major = [request.match_info.get(name, "") for name in "cgwt"]
        return " ".join([template(request), *major])

    def _wait(self, bucket: str, limit: tuple[int, float]) -> float:
        """How long the next request must wait; 0 when it may come, and it is counted then."""
        count, per = limit
        now = time.monotonic()
        asked = self._asked.setdefault(bucket, deque())
        while asked and asked[0] + per <= now:
            asked.popleft()
        if len(asked) >= count:
            return asked[0] + per - now
        asked.append(now)
        return 0.0


def template(request: web.Request) -> str:
    resource = request.match_info.route.resource
    path = resource.canonical if resource else request.path
    return f"{request.method} {path.removeprefix(API)}"


def rate_limited(request: web.Request, after: float, *, scope: str = "user") -> web.Response:
    """Too many requests."""
    body = {
        "message": "You are being rate limited.",
        "retry_after": round(after, 3),
        "global": scope == "global",
    }
    response = reply(body, 429)
    response.headers["Retry-After"] = str(int(after) + 1)
    response.headers["X-RateLimit-Scope"] = scope
    response.headers["Via"] = "1.1 google"
    if scope == "global":
        response.headers["X-RateLimit-Global"] = "true"
    else:
        response.headers["X-RateLimit-Limit"] = "5"
        response.headers["X-RateLimit-Remaining"] = "0"
        response.headers["X-RateLimit-Reset"] = f"{time.time() + after:.3f}"
        response.headers["X-RateLimit-Reset-After"] = f"{after:.3f}"
        response.headers["X-RateLimit-Bucket"] = hashlib.md5(template(request).encode()).hexdigest()
    return response
