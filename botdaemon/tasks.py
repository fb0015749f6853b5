"""A task group whose tasks have no end of their own. Knows nothing of what they do."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class _Left(Exception):
    """The context was left; the tasks are to go."""


@asynccontextmanager
async def background() -> AsyncIterator[asyncio.TaskGroup]:
    """A task group that cancels its tasks when the context is left.

    A task that fails ends the context: its error comes out in an exception group.
    """
    try:
        async with asyncio.TaskGroup() as tasks:
            yield tasks
            raise _Left
    except* _Left:
        pass
