"""Serves an application with uvicorn. Knows nothing of what it answers."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import uvicorn

from botdaemon.errors import AdapterRefused, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.applications import Starlette

#: how long requests under way may take when it stops
GRACE = 20


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs the loop: uvicorn would raise them again once it has stopped,
    and end the process before anything else of it could be closed."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    app: Starlette,
    host: str = "127.0.0.1",
    port: int = 8643,
    *,
    ready: Callable[[str], None] = lambda url: None,
    grace: int = GRACE,
) -> None:
    """Serve until SIGTERM, SIGINT or cancelled; then requests under way may take `grace` more
    seconds, or until a second signal. `port` 0 is any free one; `ready` is told the address for the
    daemon's `servers`. Raises `ConfigError` for an application without a key that others could
    reach, and `AdapterRefused` when the address cannot be had."""
    if not app.state.has_key and not _is_loopback(host):
        raise ConfigError(
            f"a server on {host} can be reached from other machines and needs a key: name it"
            " (--key-env), or listen on 127.0.0.1"
        )
    listening = _listen(host, port)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=grace,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]), name="model server")
    name = f"[{host}]" if ":" in host else host
    with _signals(server):
        ready(f"http://{name}:{listening.getsockname()[1]}/v1")
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            server.should_exit = True
            await task
            raise


@contextmanager
def _signals(server: uvicorn.Server) -> Iterator[None]:
    """The first signal stops the server, the second one drops what is under way."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        server.force_exit = server.should_exit
        server.should_exit = True

    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, stop)
                stack.callback(loop.remove_signal_handler, number)
        yield


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise AdapterRefused(
            f"cannot listen on {host}:{port}: {error.strerror or error}; choose another port or"
            " address"
        ) from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
