"""Showing that a bot is at work. Knows no letters.

In a thread Slack shows a status. Where there is none, or the app may not set it, the person's
message gets a reaction until the answer is there.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from slack_sdk.errors import SlackApiError

from adapters.slack.web import Once, Web, code, wait

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from botdaemon.types import Address

log = logging.getLogger(__name__)

STATUS = "is thinking…"
#: seconds; Slack takes a status away after two minutes
REPEAT = 90.0
REACTION = "eyes"

#: what is wrong with the app, and not with the message
_LASTING = frozenset({"missing_scope", "unknown_method", "not_allowed_token_type", "access_denied"})


class Presence:
    """What one connection shows of being at work."""

    def __init__(self, name: str, web: Web) -> None:
        self._web = web
        self._once = Once(log, name)
        self._statuses = self._reactions = True
        self._reacted: Counter[tuple[str, str]] = Counter()

    @asynccontextmanager
    async def at_work(self, address: Address, asked_in: str) -> AsyncGenerator[None]:
        """At work for as long as the context lasts, on the message `asked_in` ("" if unknown)."""
        if address.topic and await self._status(address, STATUS):
            kept = asyncio.create_task(self._keep(address))
            try:
                yield
            finally:
                kept.cancel()
                await self._status(address, "")
        elif asked_in:
            spot = (address.channel, asked_in)
            self._reacted[spot] += 1
            try:
                if self._reacted[spot] == 1:
                    await self._react(*spot, added=True)
                yield
            finally:
                self._reacted[spot] -= 1
                if not self._reacted[spot]:
                    del self._reacted[spot]
                    await self._react(*spot, added=False)
        else:
            yield

    async def _keep(self, address: Address) -> None:
        while True:
            await asyncio.sleep(REPEAT)
            await self._status(address, STATUS)

    async def _status(self, address: Address, status: str) -> bool:
        """Whether Slack shows it."""
        if not self._statuses:
            return False
        try:
            await self._web.api.assistant_threads_setStatus(
                channel_id=address.channel, thread_ts=address.topic, status=status
            )
        except SlackApiError as error:
            if wait(error) is not None:
                return True
            self._statuses = code(error) not in _LASTING
            self._once.lacks(error, "a bot at work shows no status")
            return False
        except Exception as error:  # a courtesy: it keeps nobody from answering
            self._once.say("typing_failed", f"no status is shown: {type(error).__name__}")
            return False
        return True

    async def _react(self, channel: str, ts: str, *, added: bool) -> None:
        if not self._reactions:
            return
        method = self._web.api.reactions_add if added else self._web.api.reactions_remove
        try:
            await method(channel=channel, timestamp=ts, name=REACTION)
        except SlackApiError as error:
            if wait(error) is None and code(error) not in ("already_reacted", "no_reaction"):
                self._reactions = code(error) not in _LASTING
                self._once.lacks(error, "a bot at work shows no reaction")
        except Exception as error:  # a courtesy, too
            self._once.say("typing_failed", f"no reaction is shown: {type(error).__name__}")
