"""What lasts as long as an `async with` does: engines, processes, the tasks beside them. Knows none
of them."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine
    from types import TracebackType


class Lasting(ABC):
    """An async context manager made of others."""

    _stack: AsyncExitStack

    @abstractmethod
    async def _begin(self, stack: AsyncExitStack) -> None:
        """Enter what it is made of; left in reverse. What it raises, entering raises."""

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await self._begin(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self._stack.aclose()


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None], *, name: str) -> AsyncIterator[None]:
    """Work that never ends by itself, in a task that is cancelled in the end. If it fails, so does
    whoever is within."""
    async with AsyncExitStack() as stack:
        group = asyncio.TaskGroup()
        await group.__aenter__()
        # Left without telling it of the body's exception, which it would wrap in a group.
        stack.push_async_callback(group.__aexit__, None, None, None)
        stack.callback(group.create_task(work, name=name).cancel)
        yield
