"""Lets the models of one device compute one after the other, each its share of the time. Knows no
model.

Two models that compute at once on one device take turns in its scheduler anyway, only in no order
and with twice the memory in use. Here whoever has used the device least is next (stride scheduling
with equal tickets: Waldspurger and Weihl, 1995). So a picture's long steps and a text's short ones
share the time evenly, and a text waits for at most one step of a picture.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

GiveWay = Callable[[], None]
"""Called between two steps: lets others pass first if they have had less."""


class Turnstile:
    """One passes at a time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._inside = ""
        self._since = 0.0
        #: who waits, the longest first
        self._waiting: list[str] = []
        #: seconds each has had, from a common start
        self._used: dict[str, float] = {}

    @property
    def waiting(self) -> tuple[str, ...]:
        """Who waits, the longest first."""
        with self._changed:
            return tuple(self._waiting)

    @contextmanager
    def turn(self, who: str) -> Iterator[GiveWay]:
        """Compute alone on the device. `who` is not empty, and one thread at a time."""
        with self._changed:
            self._enter(who, newcomer=True)
        try:
            yield lambda: self._give_way(who)
        finally:
            with self._changed:
                self._leave(who)

    def _give_way(self, who: str) -> None:
        with self._changed:
            self._count(who)
            if any(self._used[other] < self._used[who] for other in self._waiting):
                self._leave(who)
                self._enter(who, newcomer=False)

    def _enter(self, who: str, *, newcomer: bool) -> None:
        if newcomer:
            # Who was away has no claim to the time that the others have had meanwhile.
            there = (*self._waiting, self._inside) if self._inside else self._waiting
            least = min(
                (self._used[other] for other in there),
                default=max(self._used.values(), default=0.0),
            )
            self._used[who] = max(self._used.get(who, 0.0), least)
        self._waiting.append(who)
        self._changed.wait_for(
            lambda: not self._inside and who == min(self._waiting, key=self._used.__getitem__)
        )
        self._waiting.remove(who)
        self._inside, self._since = who, self._clock()

    def _count(self, who: str) -> None:
        now = self._clock()
        self._used[who] += now - self._since
        self._since = now

    def _leave(self, who: str) -> None:
        self._count(who)
        self._inside = ""
        self._changed.notify_all()
