"""Commands and buttons that may still be answered privately. Knows no requests.

Slack gives each an address that takes five answers within half an hour.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar
from urllib.parse import urlsplit

from botdaemon.types import Address

if TYPE_CHECKING:
    from collections.abc import Callable

    from botdaemon.types import Posted

#: seconds, and answers, that Slack allows; a little less than that
LASTS, ANSWERS = 28 * 60.0, 5
#: people and places that are remembered
REMEMBERED = 2000

K = TypeVar("K")
V = TypeVar("V")


class Recent(OrderedDict[K, V], Generic[K, V]):
    """A dictionary that forgets what was set longest ago."""

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        if len(self) > REMEMBERED:
            self.popitem(last=False)


class Latest(Recent[Address, tuple[str, str]]):
    """Which person wrote last at an address, and the id of what they wrote."""

    def note(self, event: Posted) -> None:
        """Somebody wrote."""
        said = event.message
        if said.author is not None and not said.author.is_bot:
            self[said.address] = (said.author.account, said.platform_id)


@dataclass(slots=True)
class _Address:
    url: str
    until: float
    left: int = ANSWERS


class Pending:
    """Where to answer whom, by channel and person."""

    def __init__(self, base_url: str, clock: Callable[[], float] = time.time) -> None:
        self._base = urlsplit(base_url)
        self._clock = clock
        self._found: Recent[tuple[str, str], _Address] = Recent()

    def remember(self, channel: str, person: str, url: object) -> None:
        """They are waiting there; only what is Slack's is written to."""
        if isinstance(url, str) and self._is_slack(url):
            self._found[channel, person] = _Address(url, self._clock() + LASTS)

    def take(self, channel: str, person: str) -> str:
        """Where they can be answered, "" when they cannot."""
        found = self._found.get((channel, person))
        if found is None or found.left < 1 or found.until < self._clock():
            return ""
        found.left -= 1
        return found.url

    def forget(self, channel: str, person: str) -> None:
        """They have been answered all they can be."""
        self._found.pop((channel, person), None)

    def _is_slack(self, url: str) -> bool:
        try:
            parts = urlsplit(url)
        except ValueError:
            return False
        if parts.scheme == "https" and (parts.hostname or "").endswith(".slack.com"):
            return "@" not in parts.netloc
        return (parts.scheme, parts.netloc) == (self._base.scheme, self._base.netloc)
