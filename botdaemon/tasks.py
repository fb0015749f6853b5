"""A task group whose tasks have no end of their own. Knows nothing of what they do."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Generator
    from contextvars import Context

log = logging.getLogger(__name__)

T = TypeVar("T")


class _Left(Exception):
    """The context was left; the tasks are to go."""


class Tasks(asyncio.TaskGroup):
    """A task group that says which of its tasks failed: half alive is the worst state, so one
    that fails ends them all, and with them the daemon. Once it has ended, whoever wants a task of
    it is cancelled."""

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        try:
            task = super().create_task(coro, name=name, context=context)
        except RuntimeError:
            # The daemon ends, and what is left is on disk: whoever still has something to do here
            # is too late, and ends with it.
            coro.close()
            raise asyncio.CancelledError("the daemon ends") from None
        task.add_done_callback(_tell)
        return task


def _tell(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        error.add_note(f"in the task {task.get_name()!r}")
        log.critical("%s failed: %r", task.get_name(), error, extra={"event": "task_failed"})


@asynccontextmanager
async def background() -> AsyncIterator[Tasks]:
    """A task group that cancels its tasks when the context is left.

    A task that fails ends the context: its error comes out in an exception group.
    """
    try:
        async with Tasks() as tasks:
            yield tasks
            raise _Left
    except* _Left:
        pass
