"""Counts who asks for how much. Knows nothing of turns, and forgets all when the daemon stops."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

#: keys after which those with nothing left to count are dropped
SWEEP_AT = 10_000


class Meter:
    """At most `most` in any `window` seconds, for each key."""

    def __init__(
        self, most: int, window: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.most = most
        self._window = window
        self._clock = clock
        self._times: dict[Hashable, deque[float]] = {}

    def has_room(self, key: Hashable) -> bool:
        """Whether one more may be counted."""
        times = self._times.get(key)
        if times is None:
            return self.most > 0
        horizon = self._clock() - self._window
        while times and times[0] <= horizon:
            times.popleft()
        return len(times) < self.most

    def count(self, key: Hashable) -> None:
        """One more."""
        if len(self._times) >= SWEEP_AT and key not in self._times:
            horizon = self._clock() - self._window
            self._times = {k: times for k, times in self._times.items() if times[-1] > horizon}
        self._times.setdefault(key, deque(maxlen=max(1, self.most))).append(self._clock())


class Rates:
    """How many answers may be asked for within a minute: by a person, in a channel, in a server."""

    def __init__(self, person: int, channel: int, server: int) -> None:
        self._meters = (
            ("you", Meter(person, 60.0)),
            ("this channel", Meter(channel, 60.0)),
            ("this server", Meter(server, 60.0)),
        )

    def refusal(self, person: Hashable, channel: Hashable, server: Hashable) -> tuple[str, str]:
        """What to say when a limit is reached, and whom it concerns besides the person; both empty
        when there is room, and then it is counted. An empty key has no limit."""
        asked = [
            (whom, meter, key)
            for (whom, meter), key in zip(self._meters, (person, channel, server), strict=True)
            if key
        ]
        for whom, meter, key in asked:
            if not meter.has_room(key):
                words = (
                    f"That is more than {whom} may ask in a minute ({meter.most} answers). "
                    "Please wait a moment."
                )
                return words, "" if whom == "you" else f"{whom} {key}"
        for _, meter, key in asked:
            meter.count(key)
        return "", ""
