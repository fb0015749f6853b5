"""The daemon under test: the ordinary one, but that its Discord is on loopback and it says how it
is every second. Knows no fake platform; started by `victim`, never imported.

    python -m benchmarks.soak.daemon CONFIG PORT CA
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from botdaemon import logs
from botdaemon.app import imports, serve
from botdaemon.config import load

if TYPE_CHECKING:
    from botdaemon.ports import Adapter

#: seconds between two looks at the loop
LOOK = 0.02


class _Loopback(AbstractResolver):
    """Every name is this machine. The fake's own would bring the fake into this process."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host="127.0.0.1",
                port=self._port,
                family=socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        pass


def discord(*told: Any) -> Adapter:
    """The Discord adapter, by whose own hook for tests it is pointed here."""
    from adapters.discord import DiscordAdapter

    port, authority = int(sys.argv[2]), sys.argv[3]

    def connector() -> aiohttp.TCPConnector:
        context = ssl.create_default_context(cafile=authority)
        return aiohttp.TCPConnector(resolver=_Loopback(port), ssl=context, limit=0)

    return DiscordAdapter(*told, connector=connector)


async def main() -> None:
    config = load(Path(sys.argv[1]))
    logs.configure(config.daemon.log_level, config.daemon.log_format)
    imports.ADAPTERS["discord"] = f"{__name__}:{discord.__name__}"
    vitals = asyncio.create_task(_report())
    try:
        await serve(config, on_ready=lambda _: _say(ready=True))
    finally:
        vitals.cancel()


async def _report() -> None:
    """Every second: memory in bytes, open files, tasks, and how late the loop woke a sleeper."""
    while True:
        late = []
        second = time.monotonic() + 1
        while (began := time.monotonic()) < second:
            await asyncio.sleep(LOOK)
            late.append(round(1000 * (time.monotonic() - began - LOOK), 2))
        _say(memory=_memory(), files=_files(), tasks=len(asyncio.all_tasks()), late=late)


def _memory() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _say(**what: Any) -> None:
    print(json.dumps(what), flush=True)  # noqa: T201 -- the pipe to who started it


if __name__ == "__main__":
    asyncio.run(main())
