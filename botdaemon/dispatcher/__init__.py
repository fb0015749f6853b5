"""The dispatcher: events in, turns out. Knows neither platforms nor models.

`deliver` records an event and returns; what it calls for happens in `turns`, the commands in
`orders`, and all speaking in `mouth`.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from botdaemon import commands
from botdaemon.dispatcher.letters import relay
from botdaemon.dispatcher.mouth import Mouth, Post
from botdaemon.dispatcher.orders import Order, Orders
from botdaemon.dispatcher.turns import Limits, Turns
from botdaemon.errors import Refused
from botdaemon.types import (
    Address,
    Call,
    Command,
    Control,
    Deleted,
    Edited,
    Event,
    Here,
    Kind,
    Letter,
    Message,
    Posted,
    Pressed,
    Reacted,
    Recorded,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from botdaemon.ports import Bot, Traits
    from botdaemon.store import Store

__all__ = ["Dispatcher", "House", "Limits"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """Who is there: what the dispatcher is told once, when it starts."""

    bots: Mapping[str, Bot]
    #: one line about each bot, for people
    about: Mapping[str, str]
    #: bots that think with a model, and wait in line for it
    thinkers: Collection[str]
    #: messages of a thread that each bot reads
    history: Mapping[str, int]
    #: adapters that need letters
    couriers: Mapping[str, Traits]
    #: bots that each adapter speaks for outside rooms, the default first
    serving: Mapping[str, tuple[str, ...]]
    route: Callable[[Posted, Here], Sequence[Call]]
    limits: Limits = field(default_factory=Limits)
    #: characters
    longest_message: int = 16_000
    #: lines for /status
    status: Callable[[], list[str]] = list


class Dispatcher:
    """`tasks` owns the turns: those it cancels are taken up at the next start."""

    def __init__(self, store: Store, house: House, post: Post, tasks: asyncio.TaskGroup) -> None:
        self._store = store
        self._house = house
        self._post = post
        self._mouth = Mouth(store, house.couriers, post)
        self.turns = Turns(
            store, house.bots, house.thinkers, house.history, self._mouth, house.limits, tasks
        )
        self._orders = Orders(store, self.turns, house.about, house.serving, house.status)

    async def recover(self) -> None:
        """Take up the turns that were open when the daemon last stopped."""
        for obligation in await self._store.recover():
            self.turns.take(obligation)

    async def deliver(self, event: Event) -> int:
        """`ports.Deliver`: returns when the event is on disk."""
        match event:
            case Posted():
                return await self._posted(event)
            case Edited():
                return (await self._store.record_edited(event)).message
            case Deleted():
                return (await self._store.record_deleted(event)).message
            case Reacted():
                return (await self._store.record_rating(event)).message
            case Command():
                return await self._command(event)
            case Pressed():
                return await self._pressed(event)

    async def _posted(self, event: Posted) -> int:
        said = event.message
        if not said.text.strip() and not said.files:
            raise Refused("the message is empty")
        if len(said.text) > (longest := self._house.longest_message):
            raise Refused(
                f"the message has {len(said.text)} characters, more than the {longest} that "
                "limits.message_characters allows; nothing was recorded"
            )
        typed: tuple[str, str] | None = None
        unknown = ""
        try:
            if said.author is None or not said.author.is_bot:  # bots do not give us orders
                typed = commands.parse(said.text)
        except Refused as error:
            unknown = str(error)
        if typed or unknown:
            event = replace(event, message=replace(said, kind=Kind.COMMAND))
        recorded = await self._recorded(event)
        if recorded.duplicate:
            return recorded.message
        self._post.post(recorded.relayed)
        if unknown:
            await self._mouth.tell(recorded.thread, said.address, unknown)
        if typed and said.author is not None:
            await self._obey(
                Order(
                    name=typed[0],
                    argument=typed[1],
                    thread=recorded.thread,
                    address=said.address,
                    who=said.author,
                )
            )
        for obligation in recorded.obligations:
            await self.turns.accept(obligation)
        return recorded.message

    async def _recorded(self, event: Posted) -> Recorded:
        recording = asyncio.ensure_future(
            self._store.record_posted(event, self._house.route, self._relay)
        )
        try:
            return await asyncio.shield(recording)
        except asyncio.CancelledError:
            # The adapter lost its connection meanwhile. The transaction happens all the same, and
            # when the platform delivers the message again, it is a duplicate that obliges nobody:
            # so its turns are taken on now.
            recording.add_done_callback(self._take_on)
            raise

    def _take_on(self, recording: asyncio.Future[Recorded]) -> None:
        if recording.cancelled() or recording.exception() is not None:
            return
        recorded = recording.result()
        self._post.post(recorded.relayed)
        for obligation in recorded.obligations:
            if not obligation.joined:
                self.turns.take(obligation)

    def _relay(self, said: Message, others: Sequence[Address]) -> Sequence[Letter]:
        return relay(said, others, self._house.couriers)

    async def _command(self, event: Command) -> int:
        recorded = await self._store.record_asked(event.address, event.key, event.who)
        if not recorded.duplicate:
            await self._obey(
                Order(
                    name=event.name,
                    argument=event.argument,
                    thread=recorded.thread,
                    address=event.address,
                    who=event.who,
                )
            )
        return 0

    async def _pressed(self, event: Pressed) -> int:
        if event.control in (Control.GOOD, Control.BAD):
            return (await self._store.record_rating(event)).message
        recorded = await self._store.record_asked(
            event.address, event.key, event.who, event.platform_id
        )
        if recorded.duplicate:
            return recorded.message
        if event.control is Control.STOP:
            await self.turns.stop(recorded.thread)
        else:
            await self._orders.retry(recorded.thread, recorded.message or None)
        return recorded.message

    async def _obey(self, order: Order) -> None:
        answer = await self._orders.carry_out(order)
        if answer:
            await self._mouth.tell(order.thread, order.address, answer, only_for=order.who.account)
