"""Asks Telegram for updates, and confirms one only when it is recorded. Knows nothing of what is in
them.

Telegram keeps updates in a queue. `offset` confirms all before it, so it moves past an update only
when that is on disk. What is confirmed is gone; what is not comes again, after a crash too.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from telegram.error import Conflict, InvalidToken, RetryAfter, TelegramError

from adapters.telegram.login import refused
from adapters.telegram.reader import update_id
from adapters.telegram.trouble import REVOKED, in_short, not_telegram, seconds
from botdaemon.errors import AdapterDown, AdapterRefused

if TYPE_CHECKING:
    from telegram import Bot
    from telegram.request import BaseRequest

log = logging.getLogger(__name__)

#: updates that are asked for by name, since Telegram leaves some out otherwise
KINDS = (
    "message", "edited_message", "channel_post", "edited_channel_post", "callback_query",
    "message_reaction", "my_chat_member",
)  # fmt: skip
#: seconds Telegram may keep a question waiting for news
LONG_POLL = 30
#: seconds without a whole answer after which all of it is made anew
PATIENCE = 90.0
#: updates in one answer
BATCH = 100
#: seconds; the pauses after a failure, and longest pause, so that it is soon back
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 4.0
#: seconds between two looks whether another program still polls, and how long each look takes:
#: Telegram ends the question that was there first, so the other one has to have time to ask
RIVAL_PAUSE, LOOK = 1.0, 3.0
#: seconds between two complaints about it
COMPLAINT_PAUSE = 300.0
#: seconds before the same is asked for again, when the disk is full or the rest of an album has yet
#: to come; asked within half a second, Telegram sends only one update
AGAIN = 0.7

# The name under which the library takes it for a method that it does not know, and hands back what
# Telegram said as it was: its own get_updates fails for ever when one update cannot be parsed.
_GET_UPDATES = "get_updates_"

Take = Callable[[Sequence[Any], bool], Awaitable[int]]
"""Record a batch, of which the second argument says whether it queued up while nobody asked.
Returns how many from the beginning are recorded."""


class Poller:
    """One life of the connection that updates come by."""

    def __init__(
        self,
        name: str,
        bot: Bot,
        request: BaseRequest,
        take: Take,
        *,
        patience: float = PATIENCE,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        """`beat` is called before each question."""
        self._name = name
        self._bot = bot
        self._request = request
        self._take = take
        self._patience = patience
        self._beat = beat
        self._offset: int | None = None
        #: the queue may hold what was said while nobody asked
        self._behind = True
        #: another program asks with the same token
        self.rival = False
        self._complained_at = -COMPLAINT_PAUSE
        self._failures = 0
        self._stuck = 0
        self._album = ""
        self._answered_at = time.monotonic()

    @property
    def heard(self) -> bool:
        """Whether Telegram answered when it was last asked."""
        return not self._behind and not self._failures and not self.rival

    async def run(self) -> None:
        """Until cancelled. Raises `AdapterDown` when Telegram has been silent for too long, and
        `AdapterRefused` when it does not know the token any more."""
        while True:
            self._beat()
            try:
                updates = await self._ask()
            except RetryAfter as error:
                self._answered_at = time.monotonic()
                log.warning("Telegram asks to poll less", extra=self._event("poll_limited"))
                await asyncio.sleep(seconds(error))
            except Conflict as error:
                await self._yield(error)
            except REVOKED as error:
                await self._check_token(error)
            except Exception as error:  # a proxy's page, half an answer, or something else yet
                await self._failed(error)
            else:
                await self._answered(updates)

    async def _ask(self) -> list[Any]:
        wait = LOOK if self.rival else 0.0 if self._behind else LONG_POLL
        # The library's own limits are per read: an answer that trickles in would never end.
        async with asyncio.timeout(min(wait + 15, self._patience / 2)):
            answer = await self._bot.do_api_request(
                _GET_UPDATES,
                api_kwargs={
                    "offset": self._offset,
                    "limit": BATCH,
                    "timeout": int(wait),
                    "allowed_updates": list(KINDS),
                },
                read_timeout=wait + 10,
            )
        if not isinstance(answer, list):
            raise TelegramError("no list of updates")
        return answer

    # --- what came ----------------------------------------------------------------------------

    async def _answered(self, updates: list[Any]) -> None:
        self._answered_at = time.monotonic()
        if self._failures:
            log.info("Telegram answers again", extra=self._event("poll_resumed"))
        if self.rival:
            log.info("nobody else seems to poll any more", extra=self._event("rival_gone"))
        self._failures, self.rival = 0, False
        ready = self._without_open_album(updates)
        taken = await self._take(ready, self._behind) if ready else 0
        self._answered_at = time.monotonic()  # recording may have taken its time
        self._behind = self._behind and (len(updates) == BATCH or len(ready) < len(updates))
        # Not the highest number: after a week of silence Telegram begins at a random one.
        numbers = [number for one in ready[:taken] if (number := update_id(one)) is not None]
        if numbers:
            self._offset = numbers[-1] + 1
        if taken < len(ready) or (ready and not numbers):
            self._stuck += 1
            await asyncio.sleep(max(_pause(self._stuck), AGAIN))
        else:
            self._stuck = 0
            if len(ready) < len(updates):
                await asyncio.sleep(AGAIN)

    def _without_open_album(self, updates: list[Any]) -> list[Any]:
        """Updates without the pictures at their end that may be the beginning of an album: they
        stay in Telegram's queue until the others have had time to come. Once for each album."""
        album = _album(updates[-1]) if updates else ""
        if not album or album == self._album:
            return updates
        self._album = album
        ready = list(updates)
        while ready and _album(ready[-1]) == album:
            ready.pop()
        return ready

    # --- what went wrong ----------------------------------------------------------------------

    async def _failed(self, error: Exception) -> None:
        self._behind = True
        self._failures += 1
        silent = time.monotonic() - self._answered_at
        if silent > self._patience:
            raise AdapterDown(f"Telegram has not answered for {silent:.0f} s ({in_short(error)})")
        if self._failures == 1:
            log.warning(
                "Telegram does not answer: %s", in_short(error), extra=self._event("poll_failed")
            )
        if isinstance(error, TimeoutError) or self._failures > 2:
            # A pool can be left with connections that nobody answers on: begin with a new one.
            await self._request.shutdown()
            await self._request.initialize()
        await asyncio.sleep(_pause(self._failures))

    async def _yield(self, error: Conflict) -> None:
        """Two programs with one token take each other's updates away. Say so, and look again."""
        self._answered_at = time.monotonic()
        self._behind = True
        if "webhook" in error.message.lower():
            raise AdapterDown(
                "somebody has set a webhook for this Telegram bot, so it cannot be polled; it is "
                "removed at the next start"
            )
        self.rival = True
        if time.monotonic() - self._complained_at >= COMPLAINT_PAUSE:
            self._complained_at = time.monotonic()
            log.error(
                "another program polls Telegram with the token of [adapters.%s]: nothing is sent "
                "until it stops; stop it, or give this adapter a token of its own",
                self._name,
                extra=self._event("rival"),
            )
        await asyncio.sleep(RIVAL_PAUSE)

    async def _check_token(self, error: TelegramError) -> None:
        """One refusal can be a proxy's mood. The token is dead when it opens nothing else either,
        and the adapter with it."""
        cause = error.__cause__ if isinstance(error.__cause__, InvalidToken) else error
        if not not_telegram(cause):
            try:
                await self._bot.get_me()
            except InvalidToken as again:
                if not not_telegram(again):
                    raise AdapterRefused(refused(self._name)) from None
            except TelegramError:
                pass
        await self._failed(error)

    def _event(self, event: str) -> dict[str, str]:
        return {"event": event, "adapter": self._name}


def _pause(failures: int) -> float:
    whole = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures - 1, 10))
    return whole * random.uniform(0.5, 1.0)


def _album(raw: Any) -> str:
    message = raw.get("message") if isinstance(raw, Mapping) else None
    album = message.get("media_group_id") if isinstance(message, Mapping) else None
    return album if isinstance(album, str) else ""
