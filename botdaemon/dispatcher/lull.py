"""Whether anybody waits for an answer. Knows no turn."""

from __future__ import annotations

import asyncio


class Lull:
    """A time in which nobody does; it begins with one."""

    def __init__(self) -> None:
        self._there = asyncio.Event()
        self._over = asyncio.Event()
        self._there.set()

    def begin(self) -> None:
        """Nobody waits any more."""
        self._over.clear()
        self._there.set()

    def end(self) -> None:
        """Somebody waits."""
        self._there.clear()
        self._over.set()

    async def comes(self) -> None:
        """Wait until nobody does."""
        await self._there.wait()

    async def ends(self) -> None:
        """Wait until somebody does."""
        await self._over.wait()
