"""The queue of updates of the fake Telegram: offsets, long polls and conflicts. Knows no chats."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from fake_telegram_world import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

UNASKED = {
    "message",
    "edited_message",
    "channel_post",
    "edited_channel_post",
    "callback_query",
    "my_chat_member",
    "inline_query",
    "poll",
}
"""What a bot gets that never named what it wants: reactions, for one, have to be asked for."""
ASKED_FOR = {"message_reaction", "message_reaction_count", "chat_member"}
LONGEST = 50.0
ANOTHER = (
    "Conflict: terminated by other getUpdates request; "
    "make sure that only one bot instance is running"
)
WEBHOOK = (
    "Conflict: can't use getUpdates method while webhook is active; "
    "use deleteWebhook to delete the webhook first"
)


class Updates:
    """Updates wait here until a later offset confirms them."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.webhook = ""
        self.next_id = 402_653_184
        self.allowed = set(UNASKED)
        self.waiting: list[tuple[int, Any]] = []
        """Not confirmed yet."""
        self._changed = changed
        self._poll: asyncio.Future[bool] | None = None
        """The long poll that waits now: True when something came, False when another ends it."""
        self._last_offset: int | None = None
        self._last_start = 0.0
        self._next_conflict = 0.0
        self._closed = False

    @property
    def polled(self) -> bool:
        """Whether a long poll waits now."""
        return self._poll is not None

    def put(self, kind: str, payload: Any) -> None:
        """Something happened. What the bot does not want to hear of is forgotten at once."""
        if kind in self.allowed:
            self.put_raw({kind: payload})

    def put_raw(self, payload: Any) -> None:
        if isinstance(payload, dict):
            payload = {"update_id": self.next_id, **payload}
        self.waiting.append((self.next_id, payload))
        self.next_id += 1
        self._end_poll(came=True)
        self._changed()

    def allow(self, kinds: list[str]) -> None:
        """Remembered until another list is given; an empty one means the default."""
        self.allowed = {kind for kind in kinds if kind in UNASKED | ASKED_FOR} or set(UNASKED)

    def forget(self) -> None:
        self.waiting.clear()
        self._changed()

    async def get(self, offset: int, limit: int, timeout: float) -> list[Any]:
        """Confirm everything before the offset, and give what is left or comes in time."""
        if self.webhook:
            await self._refuse_slowly(WEBHOOK)
        limit = limit if 1 <= limit <= 100 else 100
        timeout = min(max(timeout, 0.0), LONGEST)
        now = time.monotonic()
        if offset == self._last_offset and now < self._last_start + 3.0:
            # The server's own brake for clients that ask for the same again and again.
            timeout = max(timeout, 3.0)
            if now < self._last_start + 0.5:
                limit = 1
        self._last_offset, self._last_start = offset, now
        self._end_poll(came=False)
        self._confirm(offset)
        if not self.waiting and timeout and not self._closed:
            await self._wait(timeout)
        return [payload for _, payload in self.waiting[:limit]]

    def close(self) -> None:
        """Nobody waits here any longer."""
        self._closed = True
        self._end_poll(came=True)

    def _confirm(self, offset: int) -> None:
        if offset < 0:
            self.waiting = self.waiting[offset:]
        elif offset <= self.next_id:
            # A later one is of another life of the queue, and confirms nothing.
            self.waiting = [update for update in self.waiting if update[0] >= offset]
        self._changed()

    async def _wait(self, timeout: float) -> None:
        poll = self._poll = asyncio.get_running_loop().create_future()
        self._changed()
        await asyncio.wait([poll], timeout=timeout)
        if self._poll is poll:
            self._poll = None
        if poll.done() and not poll.result():
            await self._refuse_slowly(ANOTHER)

    def _end_poll(self, *, came: bool) -> None:
        if self._poll is not None and not self._poll.done():
            self._poll.set_result(came)
        self._poll = None

    async def _refuse_slowly(self, words: str) -> None:
        """At once, but only once in three seconds, so that two pollers do not spin."""
        now = time.monotonic()
        if now < self._next_conflict:
            await asyncio.sleep(3.0)
        else:
            self._next_conflict = now + 3.0
        raise Refused(409, words)
