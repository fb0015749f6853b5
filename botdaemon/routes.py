"""Which bots a message calls, if any. Pure: knows no store, no platform and no clock."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdaemon.types import Call, Here, Posted, Why

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

#: what may come before a name at the beginning of a message
_HAIL = r"(?:(?:hey|hi|hello|ok|okay|yo|dear|so|and)\W+)?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Triggers:
    """What calls a bot besides being asked directly."""

    bot: str
    #: names it answers to, its own first
    names: tuple[str, ...]
    #: regular expressions, searched for in the whole text
    wake: tuple[re.Pattern[str], ...] = ()
    #: 0 to 1: how often it joins in unasked
    chance: float = 0.0
    #: in a side thread it has spoken in, it needs no mention
    follow_up: bool = True


def answering(bots: Sequence[str], here: Here, *, everything: bool) -> str:
    """Who answers at a place of these bots what nobody in particular was asked, "" for nobody: the
    one that people chose for the thread, the room's host, and where `everything` is for a bot, the
    first one."""
    first = bots[:1] if everything else ()
    return next((bot for bot in (here.chosen, here.host, *first) if bot in bots), "")


class Router:
    """Decides by triggers; `serving` names the bots that each adapter's account speaks for, the
    default first, which answers everything in the adapter's `free` channels. Bots are no longer
    answered after `bots_in_a_row` messages of bots."""

    def __init__(
        self,
        triggers: Iterable[Triggers],
        serving: Mapping[str, Sequence[str]],
        chance: Callable[[], float] = random.random,
        *,
        free: Mapping[str, Collection[str]] | None = None,
        bots_in_a_row: int = 3,
    ) -> None:
        self._triggers = {trigger.bot: trigger for trigger in triggers}
        self._serving = serving
        self._free = free or {}
        self._bots_in_a_row = bots_in_a_row
        self._chance = chance
        self._mention: dict[str, re.Pattern[str]] = {}
        self._vocative: dict[str, re.Pattern[str]] = {}
        for trigger in self._triggers.values():
            name = "|".join(re.escape(name) for name in trigger.names)
            self._mention[trigger.bot] = re.compile(rf"(?<!\w)@(?:{name})(?!\w)", re.IGNORECASE)
            # Called by name, not talked about: at the beginning, or after a comma at the end.
            self._vocative[trigger.bot] = re.compile(
                rf"^\W*{_HAIL}(?:{name})(?!\w)|,\s*(?:{name})\W*$", re.IGNORECASE
            )

    def __call__(self, event: Posted, here: Here) -> list[Call]:
        """The calls for a message, in the order in which the bots should speak."""
        said = event.message
        if said.author is None:
            return []
        if said.author.is_bot and here.bots_in_a_row > self._bots_in_a_row:
            return []
        bots = self._bots_at(said.address.adapter, here)
        if not bots:
            return []
        free = said.address.channel in self._free.get(said.address.adapter, ())
        host = answering(bots, here, everything=event.direct or (here.bots is None and free))
        if here.replied_to in bots:
            return [Call(here.replied_to, Why.REPLY)]
        if named := self._named(said.text, bots):
            return named
        if event.direct:
            return [Call(host, Why.DIRECT)]
        if event.mentioned:
            return [Call(host or bots[0], Why.MENTION)]
        if event.to_others:
            return []
        if host:
            return [Call(host, Why.ROOM)]
        for bot in here.joined:
            if bot in bots and self._triggers[bot].follow_up:
                return [Call(bot, Why.FOLLOW_UP)]
        for bot in bots:
            if self._triggers[bot].chance and self._chance() < self._triggers[bot].chance:
                return [Call(bot, Why.CHANCE)]
        return []

    def _bots_at(self, adapter: str, here: Here) -> list[str]:
        bots = self._serving.get(adapter, ()) if here.bots is None else here.bots
        return [bot for bot in bots if bot in self._triggers]

    def _named(self, text: str, bots: Sequence[str]) -> list[Call]:
        calls = []
        for bot in bots:
            if self._mention[bot].search(text):
                calls.append(Call(bot, Why.MENTION))
            elif self._vocative[bot].search(text) or any(
                pattern.search(text) for pattern in self._triggers[bot].wake
            ):
                calls.append(Call(bot, Why.NAME))
        return calls
