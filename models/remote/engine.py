"""What engines on other people's servers have in common. Knows neither texts nor pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.lasting import Lasting
from models.remote.servers import Servers

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from botdaemon.config import OpenAIConfig


class RemoteEngine(Lasting):
    """A model on the servers of its table."""

    def __init__(self, name: str, table: OpenAIConfig, key: str | None) -> None:
        """`key`: what the servers ask for, if anything."""
        self._table = table
        self._servers = Servers(name, table, key)

    async def _begin(self, stack: AsyncExitStack) -> None:
        await stack.enter_async_context(self._servers)

    @property
    def available(self) -> bool:
        """Whether some server would be asked now."""
        return self._servers.available
