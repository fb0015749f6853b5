"""discord.py's client as this adapter uses it: it keeps the connection and hands over what comes.
Knows nothing of what it hands over.

Events are taken as the JSON they are (`on_socket_raw_receive`). The library's own objects refuse a
whole event over one field that is missing, and the refusal ends its connection for good; here
it only leaves the library's cache behind, on which nothing depends.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import discord
from discord.gateway import KeepAliveHandler

from botdaemon.errors import AdapterDown

if TYPE_CHECKING:
    from collections.abc import Callable

    import aiohttp

log = logging.getLogger(__name__)

#: seconds between two IDENTIFYs, doubling while sessions do not last. Discord takes the token away
#: after 1000 in a day.
FIRST_GAP, LONGEST_GAP = 5.0, 300.0
#: seconds that a connection waits for its IDENTIFY before it is given up; the library allows 60
LONGEST_WAIT = 30.0
#: seconds for the other side to agree that a websocket ends
GOODBYE = 2.0

#: The library's debug lines hold the tokens of webhooks and interactions, and its client tells of
#: every reconnection with a traceback, where this adapter has a line of its own.
_LEVELS = {"discord": logging.WARNING, "discord.client": logging.CRITICAL}


class Identifies:
    """When the account may identify itself next. Outlives its clients."""

    def __init__(self) -> None:
        self._last = -LONGEST_GAP
        self._gap = FIRST_GAP

    async def turn(self) -> None:
        """Wait for it. Raises `AdapterDown` when that takes too long."""
        now = time.monotonic()
        pause = max(0.0, self._last + self._gap - now)
        if pause > LONGEST_WAIT:
            raise AdapterDown(
                f"Discord ended several sessions at once; the next may begin in {pause:.0f} s"
            )
        await asyncio.sleep(pause)
        now = time.monotonic()
        lasted = now - self._last >= LONGEST_GAP
        self._gap = FIRST_GAP if lasted else min(2 * self._gap, LONGEST_GAP)
        self._last = now


class Ears(Protocol):
    """Who listens to a client."""

    async def hear(self, raw: str) -> None:
        """Whatever came through the gateway, in order."""

    def cut_off(self) -> None:
        """The connection was lost; the client tries again by itself."""


class Client(discord.Client):
    """One connection to the gateway, resumed by the library for as long as that goes."""

    def __init__(
        self,
        ears: Ears,
        identifies: Identifies,
        intents: discord.Intents,
        connector: aiohttp.BaseConnector | None,
    ) -> None:
        for name, level in _LEVELS.items():
            logging.getLogger(name).setLevel(level)
        self._ears = ears
        self._identifies = identifies
        #: a websocket is open, and waits until it may say who it is
        self.identifying = False
        super().__init__(
            intents=intents,
            connector=connector,
            enable_debug_events=True,
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            max_ratelimit_timeout=30.0,
        )

    def _get_state(self, **options: Any) -> Any:
        # The hook by which the library's own sharded client brings its state. What it makes of
        # events is only its cache, so one that it cannot read need not end the connection.
        state = super()._get_state(**options)
        for event, parse in state.parsers.items():
            state.parsers[event] = _tolerant(event, parse)
        return state

    def dispatch(self, event: str, /, *args: Any, **kwargs: Any) -> None:
        """Called by the library for everything that happens."""
        if not self.is_closed():  # it announces a session two seconds late, and then trips
            super().dispatch(event, *args, **kwargs)

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Called by the library before each IDENTIFY."""
        self.identifying = True
        try:
            await self._identifies.turn()
        except BaseException:
            await self._abandon()
            raise
        finally:
            self.identifying = False

    async def _abandon(self) -> None:
        """Close a websocket that the library has opened and does not know yet: its own `close`
        would leave it behind, and the thread of its heartbeats."""
        for thread in threading.enumerate():
            if isinstance(thread, KeepAliveHandler) and thread.ws._connection is self._connection:
                thread.stop()
                with suppress(Exception):
                    async with asyncio.timeout(GOODBYE):
                        await thread.ws.close()

    async def on_socket_raw_receive(self, raw: str) -> None:
        """Called for each payload, before the library reads it."""
        await self._ears.hear(raw)

    async def on_disconnect(self) -> None:
        """Called whenever the connection is lost."""
        self._ears.cut_off()

    async def on_error(self, event_method: str, /, *args: Any, **kwargs: Any) -> None:
        """Called when one of the above raises, which is a fault of ours."""
        log.exception("a fault in %s", event_method, extra={"event": "adapter_fault"})


def _tolerant(event: str, parse: Callable[[Any], None]) -> Callable[[Any], None]:
    def tolerant(data: Any) -> None:
        try:
            parse(data)
        except Exception as error:
            log.info(
                "discord.py could not read a %s: %r", event, error, extra={"event": "unparsed"}
            )

    return tolerant
