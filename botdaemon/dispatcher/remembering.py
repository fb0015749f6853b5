"""What people may do about what bots remember of them: see it, add to it, have it forgotten. Knows
no model, and shows nobody what is about somebody else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botdaemon.dispatcher.letters import plain
from botdaemon.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from botdaemon.dispatcher.orders import Order
    from botdaemon.store import Fact, Store
    from botdaemon.types import Scope

_NUMBER = re.compile(r"#?(\d{1,12})")
_CALLED = re.compile(r"@([\w.-]+)[,:]?\s+(\S.*)", re.DOTALL)
_USED: dict[Scope, str] = {
    "room": "used where it was learned, with everybody",
    "person": "used wherever you talk to it",
    "person-in-room": "used where it was learned, with you",
    "private": "used when you talk to it alone",
}
_ALONE = "told it alone, used when you talk to it alone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembers:
    """A bot that has a memory."""

    scope: Scope
    #: facts about one person in one place
    most: int


class Remembering:
    """`bots` are those with a memory; `serving` the bots that each adapter speaks for."""

    def __init__(
        self,
        store: Store,
        bots: Mapping[str, Remembers],
        serving: Mapping[str, Sequence[str]],
    ) -> None:
        self._store = store
        self._bots = bots
        self._serving = serving

    async def memory(self, order: Order) -> str:
        """What is remembered about the person: in a direct channel all of it, elsewhere what the
        bots there may use."""
        if order.argument:
            raise Refused("Say `/memory`; `/forget NUMBER` has something forgotten.")
        if order.direct and await self._store.room_of(order.thread) is None:
            found = await self._store.memories.about_oneself(order.who)
            lines = [
                self._line(fact, "" if fact.direct else f", in {plain(fact.place)}")
                for fact in found
            ]
        else:
            lines = [self._line(fact, "") for fact in await self._usable(order)]
        if not lines:
            return "Nothing is remembered about you here."
        return "\n".join(
            ["Remembered about you:", "", *lines, "", "`/forget NUMBER` has one of it forgotten."]
        )

    async def remember(self, order: Order) -> str:
        """Tell the bot something about oneself: the first one here that has a memory, or one that
        is named."""
        text = order.argument
        here = [bot for bot in await self._here(order) if bot in self._bots]
        if called := _CALLED.fullmatch(text):
            here = [bot for bot in here if bot.casefold() == called[1].casefold()]
            text = called[2]
        if not here and called:
            raise Refused(f'There is no bot "{called[1]}" here that has a memory.')
        if not here:
            raise Refused("No bot here has a memory.")
        bot = here[0]
        await self._store.memories.remember(
            bot,
            self._bots[bot].scope,
            text,
            order.thread,
            order.address,
            order.who,
            direct=order.direct,
            most=self._bots[bot].most,
            message=order.message,
        )
        return f"**{plain(bot)}** remembers that. `/memory` shows what it knows about you."

    async def forget(self, order: Order) -> str:
        """Have one thing about oneself forgotten, or all of it, wherever it was learned."""
        if order.argument.casefold() == "all":
            gone = await self._store.memories.forget_all(order.who)
            return f"Forgotten, everywhere: {gone} of what was remembered about you."
        match = _NUMBER.fullmatch(order.argument)
        if match is None:
            raise Refused(
                "Say `/forget NUMBER`, with a number that `/memory` shows, or `/forget all`."
            )
        if not await self._store.memories.forget(order.who, int(match[1])):
            raise Refused(
                f"Nothing about you has the number {match[1]}. /memory shows what there is."
            )
        return f"Forgotten: {match[1]}."

    # --- parts -------------------------------------------------------------------------------

    async def _here(self, order: Order) -> list[str]:
        """The bots of this place, its host first."""
        room = await self._store.room_of(order.thread)
        if room is None:
            return list(self._serving.get(order.address.adapter, ()))
        return sorted(room.bots, key=lambda bot: bot != room.host)

    async def _usable(self, order: Order) -> list[Fact]:
        found: list[Fact] = []
        for bot in await self._here(order):
            if bot in self._bots:
                found += await self._store.memories.usable(
                    bot,
                    self._bots[bot].scope,
                    order.thread,
                    order.address,
                    order.who,
                    direct=order.direct,
                    of_oneself=True,
                )
        return sorted(found, key=lambda fact: fact.id)

    def _line(self, fact: Fact, place: str) -> str:
        bot = self._bots.get(fact.bot)
        used = "not used any more" if bot is None else _USED[bot.scope]
        if fact.direct and bot is not None:
            used = _ALONE
        at = f"{datetime.fromtimestamp(fact.told_at, UTC):%Y-%m-%d}"
        return f"- `{fact.id}` **{plain(fact.bot)}**: {plain(fact.text)} ({at}{place}; {used})"
