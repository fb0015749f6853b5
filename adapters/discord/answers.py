"""By which interactions words can reach one account alone, for as long as Discord allows it. Knows
no connection, and not what is said."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botdaemon.types import Address

#: seconds for which an interaction can be answered; Discord allows 15 minutes
ANSWERABLE = 14 * 60.0
#: interactions that are remembered while they wait for an answer
REMEMBERED = 1000


@dataclass(slots=True)
class Waiting:
    """A command whose answer Discord announces as "thinking ..."."""

    token: str
    until: float
    #: whether the first answer has been given
    begun: bool = False


class Answers:
    """Commands that wait for the daemon's words, and buttons that there may be words about, by the
    place and the account they came from."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[Address, str], deque[Waiting]] = {}
        self._pressed: dict[tuple[Address, str], Waiting] = {}

    def expect(self, address: Address, account: str, token: str) -> None:
        """There will be words for this account."""
        if len(self._waiting) >= REMEMBERED:
            now = time.monotonic()
            self._waiting = {k: w for k, w in self._waiting.items() if w[-1].until > now}
        queue = self._waiting.setdefault((address, account), deque(maxlen=10))
        queue.append(Waiting(token, time.monotonic() + ANSWERABLE))

    def pressed(self, address: Address, account: str, token: str) -> None:
        """There may be words for this account, about the button it pressed."""
        now = time.monotonic()
        if len(self._pressed) >= REMEMBERED:
            self._pressed = {k: one for k, one in self._pressed.items() if one.until > now}
        self._pressed[address, account] = Waiting(token, now + ANSWERABLE)

    def last_pressed(self, address: Address, account: str) -> str:
        """By which press words can reach this account alone; "" if by none."""
        waiting = self._pressed.get((address, account))
        return waiting.token if waiting and waiting.until > time.monotonic() else ""

    def first(self, address: Address, account: str, *, more: bool) -> Waiting | None:
        """The command that is answered now; `more`: by another part of the same answer."""
        queue = self._waiting.get((address, account), ())
        for waiting in queue:
            if waiting.begun is more and waiting.until > time.monotonic():
                return waiting
        return None

    def begun(self, address: Address, account: str, waiting: Waiting) -> None:
        """Its first part has arrived: earlier commands of the same account are done with."""
        waiting.begun = True
        queue = self._waiting.get((address, account), deque())
        while queue and queue[0] is not waiting:
            queue.popleft()

    def drop(self, address: Address, account: str, token: str) -> None:
        """There will be none."""
        queue = self._waiting.get((address, account), deque())
        for waiting in [w for w in queue if w.token == token]:
            queue.remove(waiting)
        if not queue:
            self._waiting.pop((address, account), None)
        if self.last_pressed(address, account) == token:
            del self._pressed[address, account]
