"""Who answers where: one bot for one question, for a thread, for a room. Knows how who answers is
decided from `routes`, and no model."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdaemon import commands
from botdaemon.dispatcher.letters import plain
from botdaemon.errors import Refused
from botdaemon.routes import answering
from botdaemon.types import Call, Here, Why

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from botdaemon.access import Access
    from botdaemon.dispatcher.orders import Order
    from botdaemon.store import Store
    from botdaemon.types import Address, Posted, Room

#: "science why is the sky blue?", "@science: why ..."
_ASKED = re.compile(r"@?([\w.-]+?)[,:]?(?:\s+(\S.*))?", re.DOTALL)
_OFF = frozenset({"off", "nobody", "none"})


@dataclass(frozen=True, slots=True)
class Question:
    """What a person asks one bot with `/ask`."""

    bot: str
    #: as a message of the person
    text: str

    def route(self, event: Posted, here: Here) -> Sequence[Call]:
        """It calls this bot, whoever else the words may call."""
        return (Call(self.bot, Why.NAME),)


class Desk:
    """`serving` are the bots that each adapter speaks for, the default first; `ours` its channels
    in which everything is for a bot; `about` a line about each bot."""

    def __init__(
        self,
        store: Store,
        access: Access,
        about: Mapping[str, str],
        serving: Mapping[str, Sequence[str]],
        ours: Mapping[str, Collection[str]],
    ) -> None:
        self._store = store
        self._access = access
        self._about = about
        self._serving = serving
        self._ours = ours

    async def question(self, command: str, argument: str, address: Address) -> Question | None:
        """What is asked of whom; None for another command, and when there is no such bot there or
        no question: `ask` says which."""
        asked = _ASKED.fullmatch(argument.strip()) if command == "ask" else None
        if asked is None or not asked[2]:
            return None
        bot = _named(asked[1], self._at(address, await self._store.room_at(address)))
        return Question(bot, f"{bot}, {asked[2]}") if bot else None

    async def reworded(self, text: str, address: Address) -> str:
        """A changed message, as it would have been recorded if it is an `/ask`."""
        try:
            typed = commands.parse(text)
        except Refused:
            return text
        question = await self.question(*typed, address) if typed else None
        return question.text if question else text

    async def ask(self, order: Order) -> str:
        """Why an `/ask` asks nobody. Raises `Refused`."""
        bots = await self._bots(order)
        asked = _ASKED.fullmatch(order.argument.strip())
        if asked is None:
            raise Refused(f"Say whom, and what: `/ask {bots[0]} QUESTION`")
        bot = _found(asked[1], bots)
        raise Refused(f"Say what you want to ask: `/ask {bot} QUESTION`")

    async def talk(self, order: Order) -> str:
        """Have a bot answer in a thread, or say who does."""
        bots = await self._bots(order)
        if not order.argument:
            return f"{await self._who(order)} `/talk NAME` changes that."
        if not (order.direct or order.address.topic or self._access.is_admin(order.who)):
            raise Refused(
                "Here everybody talks, so an admin chooses who answers. In a thread, and when you "
                "write to me directly, you can."
            )
        if _is_off(order.argument, bots):
            await self._store.choose(order.thread, "")
            return await self._who(order)
        bot = _found(order.argument, bots)
        await self._store.choose(order.thread, bot)
        return (
            f"**{plain(bot)}** answers here from now on, without being called. `/talk off` ends "
            "that."
        )

    async def host(self, order: Order) -> str:
        """Have a bot answer in a whole room."""
        room = await self._store.room_of(order.thread)
        if room is None:
            raise Refused("This is no room. `/talk NAME` chooses who answers in this thread.")
        if not order.argument:
            raise Refused("Say who: `/host NAME`, or `/host off` for nobody.")
        bot = "" if _is_off(order.argument, room.bots) else _found(order.argument, room.bots)
        await self._store.set_host(room, bot)
        return (
            f"**{plain(bot) or 'Nobody'}** answers in {plain(room.name)} when nobody else is asked."
        )

    async def bots(self, order: Order) -> str:
        """Who is here, and who answers without being called."""
        bots = await self._bots(order)
        lines = [
            f"- **{plain(bot)}**{f': {self._about[bot]}' if self._about.get(bot) else ''}"
            for bot in bots
        ]
        return "\n".join([*lines, "", await self._who(order)])

    # --- parts -------------------------------------------------------------------------------

    def _at(self, address: Address, room: Room | None) -> Sequence[str]:
        return self._serving.get(address.adapter, ()) if room is None else room.bots

    async def _bots(self, order: Order) -> Sequence[str]:
        bots = self._at(order.address, await self._store.room_of(order.thread))
        if not bots:
            raise Refused("Nobody answers here.")
        return bots

    async def _who(self, order: Order) -> str:
        """Who answers in the place of an order, and why, in a sentence."""
        room = await self._store.room_of(order.thread)
        bots = self._at(order.address, room)
        chosen = await self._store.chosen(order.thread)
        free = order.address.channel in self._ours.get(order.address.adapter, ())
        here = Here(chosen=chosen, host=room.host if room else "")
        bot = answering(bots, here, everything=order.direct or (room is None and free))
        if not bot:
            return "Nobody answers here without being called by name, as in `@NAME`."
        if bot == chosen:
            why = "was chosen for this conversation and answers"
        elif room and bot == room.host:
            why = f"is the host of {plain(room.name)} and answers"
        else:
            why = "answers"
        return f"**{plain(bot)}** {why} when nobody else is asked."


def _named(word: str, bots: Sequence[str]) -> str:
    """The bot of this name, "" for none."""
    name = word.strip().removeprefix("@").casefold()
    return next((bot for bot in bots if bot.casefold() == name), "")


def _is_off(word: str, bots: Sequence[str]) -> bool:
    return word.strip().casefold() in _OFF and not _named(word, bots)


def _found(word: str, bots: Sequence[str]) -> str:
    """The bot of this name. Raises `Refused`."""
    if bot := _named(word, bots):
        return bot
    known = {bot.casefold(): bot for bot in bots}
    close = difflib.get_close_matches(word.strip().removeprefix("@").casefold(), known, 1)
    hint = f"did you mean **{plain(known[close[0]])}**?" if close else f"here: {', '.join(bots)}"
    raise Refused(f'There is no bot "{plain(word.strip())}" here; {hint}')
