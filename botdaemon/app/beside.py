"""What goes on beside the conversations: bots that learn, and folders that are read again. Begun
anew when the configuration changes; how far it came is on disk. Knows no bot's inside."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from botdaemon.app import knowledge
from botdaemon.app.memory import all_habits
from botdaemon.memory import remember_along
from botdaemon.tasks import Tasks

if TYPE_CHECKING:
    from botdaemon.app.engines import Engines
    from botdaemon.config import Config
    from botdaemon.dispatcher import Dispatcher
    from botdaemon.store import Store


class Beside:
    """`tasks` owns what is under way."""

    def __init__(
        self, store: Store, dispatcher: Dispatcher, engines: Engines, tasks: asyncio.TaskGroup
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._engines = engines
        self._tasks = tasks
        self._current: asyncio.Task[None] | None = None

    def live_by(self, config: Config) -> None:
        """End what there is, then go on as this configuration says."""
        work = self._work(self._current, config)
        self._current = self._tasks.create_task(work, name="memory and knowledge")

    async def _work(self, before: asyncio.Task[None] | None, config: Config) -> None:
        if before is not None:
            before.cancel()
            await asyncio.wait([before])
        engines, lull = self._engines, self._dispatcher.turns.lull
        habits = all_habits(config, engines)
        async with Tasks() as tasks:
            for name in knowledge.tables(config):
                reading = knowledge.keep_fresh(config, name, engines)
                tasks.create_task(reading, name=f"knowledge of {name}")
            if habits:
                tasks.create_task(remember_along(self._store, lull, habits), name="memory")
