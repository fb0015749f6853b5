"""`/metrics`, for Prometheus. Knows nothing of what is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import hdrs, web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def metrics_page(
    page: Callable[[], Awaitable[bytes]], content_type: str
) -> Callable[[web.Application], None]:
    """What mounts the page; it is asked anew each time. It is guarded like every other."""

    async def show(request: web.Request) -> web.Response:
        return web.Response(body=await page(), headers={hdrs.CONTENT_TYPE: content_type})

    def mount(app: web.Application) -> None:
        app.add_routes([web.get("/metrics", show)])

    return mount
