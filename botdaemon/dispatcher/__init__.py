"""The dispatcher: events in, turns out. Knows neither platforms nor models.

`deliver` records an event and returns; what it calls for happens in `turns`, the commands in
`orders`, and all speaking in `mouth`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from botdaemon import commands
from botdaemon.access import Access, Admission
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
    Identity,
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

#: the share of a platform's limit from which on the rest of a text is expected in another message
FULL = 0.9
EMPTY = "the message is empty"


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
    access: Access = field(default_factory=lambda: Access({}))
    #: channels of each adapter in which everything is for a bot, so that `!help` is, too
    ours: Mapping[str, Collection[str]] = field(default_factory=dict)
    #: characters
    longest_message: int = 16_000
    #: seconds; what was said longer ago while the daemon was away is not answered
    stale: float = 3600.0
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
        self._orders = Orders(
            store, self.turns, self._mouth, house.access, house.about, house.serving, house.status
        )

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
                recorded = await self._store.record_edited(event, self._relay)
                self._post.post(recorded.relayed)
                return recorded.message
            case Deleted():
                recorded = await self._store.record_deleted(event)
                self._post.post(recorded.relayed)
                return recorded.message
            case Reacted():
                return await self._reacted(event)
            case Command():
                return await self._command(event)
            case Pressed():
                return await self._pressed(event)

    async def _posted(self, event: Posted) -> int:
        said = event.message
        if event.missed and time.time() - said.sent_at > self._house.stale:
            event = replace(event, past=True)
        if said.author is not None and not event.past:
            match await self._admission(said.author, event, said.address):
                case Admission.IGNORED:
                    return 0
                case Admission.STRANGER:
                    return await self._turn_away(event.key, said.address, said.author)
        if problem := self._problem(said):
            if said.author is None or said.address.adapter not in self._house.couriers:
                raise Refused(problem)
            if problem is EMPTY or event.past:  # on chat platforms nobody needs to be told
                return 0
            return await self._refuse(event.key, said.address, said.author, problem)
        typed, unknown = self._typed(event)
        if typed or unknown:
            event = replace(event, message=replace(said, kind=Kind.COMMAND))
        recorded = await self._recorded(event)
        if recorded.duplicate or event.past:
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
            await self.turns.accept(
                obligation,
                server=event.server,
                of_a_bot=said.author is not None and said.author.is_bot,
                goes_on=self._is_full(said),
            )
        return recorded.message

    def _problem(self, said: Message) -> str:
        """Why a message cannot be recorded, if it cannot."""
        if not said.text.strip() and not said.files:
            return EMPTY
        if len(said.text) > (longest := self._house.longest_message):
            return (
                f"the message has {len(said.text)} characters, more than the {longest} that "
                "limits.message_characters allows; nothing was recorded"
            )
        return ""

    def _is_full(self, said: Message) -> bool:
        """Whether a message is as long as its platform allows."""
        traits = self._house.couriers.get(said.address.adapter)
        return traits is not None and len(said.text) >= FULL * traits.text_limit

    def _typed(self, event: Posted) -> tuple[tuple[str, str] | None, str]:
        """The command in a message, or what to say of one that does not exist."""
        said = event.message
        if said.author is None or said.author.is_bot:  # bots do not give us orders
            return None, ""
        address = said.address
        ours = (
            event.direct
            or address.adapter not in self._house.couriers
            or address.channel in self._house.ours.get(address.adapter, ())
        )
        try:
            typed = commands.parse(said.text)
        except Refused as error:
            # In a channel with other bots it may be one of theirs.
            return None, str(error) if ours or event.mentioned else ""
        if typed and said.text.lstrip().startswith("!"):
            # A message that begins a thread of its own has its own id for a topic.
            aside = address.topic not in ("", said.platform_id)
            return (typed if ours or event.mentioned or aside else None), ""
        return typed, ""

    async def _admission(
        self, who: Identity, event: Posted | Command | Pressed | Reacted, address: Address
    ) -> Admission:
        direct = not isinstance(event, Reacted) and event.direct
        admission = self._house.access.judge(
            who, channel=address.channel, server=event.server, roles=event.roles, direct=direct
        )
        if admission is Admission.STRANGER and await self._store.paired(who):
            return Admission.WELCOME
        return admission

    async def _turn_away(self, key: str, address: Address, who: Identity) -> int:
        """A stranger is told how to be let in, once. What they wrote is not kept."""
        recorded = await self._store.record_asked(address, key, who)
        if recorded.duplicate:
            return 0
        code = await self._store.pairing_code(who, recorded.thread, address)
        if not code:
            return 0
        log.info(
            "%s (account %s on %s) asks to be let in",
            who.name,
            who.account,
            who.adapter,
            extra={"event": "pairing_asked", "adapter": who.adapter},
        )
        words = (
            f"I do not know you yet. Your code is **{code}**: give it to an admin of mine, who "
            f"lets you in with `/pair {code}`. It is good for an hour."
        )
        return await self._mouth.tell(recorded.thread, address, words, only_for=who.account)

    async def _refuse(self, key: str, address: Address, who: Identity, problem: str) -> int:
        """Say why something was not recorded, once."""
        recorded = await self._store.record_asked(address, key, who)
        if not recorded.duplicate:
            await self._mouth.tell(recorded.thread, address, problem, only_for=who.account)
        return 0

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

    async def _reacted(self, event: Reacted) -> int:
        if await self._admission(event.who, event, event.address) is not Admission.WELCOME:
            return 0
        return (await self._store.record_rating(event)).message

    async def _command(self, event: Command) -> int:
        admission = await self._admission(event.who, event, event.address)
        if admission is Admission.STRANGER:
            return await self._turn_away(event.key, event.address, event.who)
        recorded = await self._store.record_asked(event.address, event.key, event.who)
        if recorded.duplicate:
            return 0
        if admission is Admission.IGNORED:
            return await self._mouth.tell(
                recorded.thread,
                event.address,
                "That is not for you here.",
                only_for=event.who.account,
            )
        return await self._obey(
            Order(
                name=event.name,
                argument=event.argument,
                thread=recorded.thread,
                address=event.address,
                who=event.who,
            )
        )

    async def _pressed(self, event: Pressed) -> int:
        if await self._admission(event.who, event, event.address) is not Admission.WELCOME:
            return 0
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

    async def _obey(self, order: Order) -> int:
        """The id of what the daemon says to it, 0 for nothing."""
        try:
            answer = await self._orders.carry_out(order)
        except Refused as error:
            answer = str(error)
        if not answer:
            return 0
        return await self._mouth.tell(
            order.thread, order.address, answer, only_for=order.who.account
        )
