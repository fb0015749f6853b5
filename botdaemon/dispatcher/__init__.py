"""The dispatcher: events in, turns out. Knows neither platforms nor models.

`deliver` records an event and returns; what it calls for happens in `turns`, the commands in
`orders`, what is wanted of pictures in `pictures`, and all speaking in `mouth`.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from botdaemon import commands
from botdaemon.access import Admission
from botdaemon.dispatcher.agenda import Agenda, Arranging
from botdaemon.dispatcher.desk import Desk, Question
from botdaemon.dispatcher.ears import Ears
from botdaemon.dispatcher.gate import Gate
from botdaemon.dispatcher.hearing import Hearing, Listening
from botdaemon.dispatcher.house import House
from botdaemon.dispatcher.judges import Judge
from botdaemon.dispatcher.letters import relay
from botdaemon.dispatcher.linking import Linking
from botdaemon.dispatcher.manners import Manners
from botdaemon.dispatcher.mouth import Mouth, Post
from botdaemon.dispatcher.orders import Order, Orders
from botdaemon.dispatcher.pictures import Pictures
from botdaemon.dispatcher.relations import Relations
from botdaemon.dispatcher.remembering import Remembering, Remembers
from botdaemon.dispatcher.repeating import Repeating
from botdaemon.dispatcher.speaking import Aloud, Speaking
from botdaemon.dispatcher.turns import TEXT, Limits, Turns
from botdaemon.errors import Refused
from botdaemon.types import (
    Address,
    Command,
    Control,
    Deleted,
    Edited,
    Event,
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
    from collections.abc import Awaitable, Sequence

    from botdaemon.store import Store, Want

__all__ = [
    "TEXT",
    "Aloud",
    "Arranging",
    "Dispatcher",
    "House",
    "Judge",
    "Limits",
    "Listening",
    "Manners",
    "Remembers",
]

#: the share of a platform's limit from which on the rest of a text is expected in another message
FULL = 0.9
EMPTY = "the message is empty"


class Dispatcher:
    """`tasks` owns the turns: those it cancels are taken up at the next start."""

    def __init__(self, store: Store, house: House, post: Post, tasks: asyncio.TaskGroup) -> None:
        self._store = store
        self._post = post
        self._since = time.monotonic()
        self.turns = Turns(store, house.limits, tasks, house.metrics)
        self._tasks = tasks
        self.move_into(house)

    def move_into(self, house: House) -> None:
        """Live by this house from now on, wholly: nothing is awaited in between. A turn that thinks
        already is finished by the bot that began it."""
        store, post, tasks = self._store, self._post, self._tasks
        self._house = house
        speaking = Speaking(store, house.aloud)
        self._mouth = Mouth(
            store, house.couriers, post, house.manners, speaking, house.metrics, house.clock
        )
        self._ears = Ears(store, house.heard, house.heard_judges, house.manners)
        self._gate = Gate(store, self._mouth, house.access)
        self.turns.live_by(
            house.bots,
            house.lines,
            house.history,
            self._mouth,
            self._ears,
            Hearing(store, self._mouth, self._ears, house.listening),
            speaking,
            house.limits,
        )
        self._pictures = Pictures(store, post, house.access, house.painters, house.serving)
        self._desk = Desk(store, house.access, house.about, house.serving, house.ours)
        self._orders = Orders(
            store,
            self.turns,
            self._mouth,
            self._pictures,
            Agenda(store, house.access, house.serving, house.arranging),
            self._desk,
            Remembering(store, house.remembers, house.serving),
            Repeating(store, self._mouth, speaking, tasks),
            Relations(store, house.characters, house.arranging.timezone),
            Linking(store, self._mouth),
            house.access,
            house.status,
            self._since,
        )

    async def recover(self) -> None:
        """Take up the turns that were open when the daemon last stopped."""
        for obligation in await self._store.recover():
            self.turns.take(obligation)

    async def prompt_of(self, address: Address, platform_id: str) -> str:
        """`ports.Surroundings.prompt_of`: the prompt of the picture in a message of ours."""
        return await self._pictures.prompt_of(address, platform_id)

    async def deliver(self, event: Event) -> int:
        """`ports.Deliver`: returns when the event is on disk."""
        match event:
            case Posted():
                return await self._posted(event)
            case Edited():
                return await self._edited(event)
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
        if event.missed and self._house.clock() - said.sent_at > self._house.stale:
            event = replace(event, past=True)
        if said.author is not None and not event.past:
            match await self._gate.admission(said.author, event, said.address):
                case Admission.IGNORED:
                    return 0
                case Admission.STRANGER:
                    return await self._gate.turn_away(event.key, said.address, said.author)
        if problem := self._problem(said):
            return await self._turn_down(event, problem)
        heard = await self._ears.listen(
            said.text, event.key, said.address, said.author, said.platform_id
        )
        if heard.blocked:
            return await self._turn_down(event, heard.text)
        said = replace(said, text=heard.text)
        event = replace(event, message=said)
        typed, unknown = self._typed(event)
        want, route = None, self._house.route
        if typed and not event.past:
            want = self._pictures.want(*typed, said.address, said.reply_to)
            if question := await self._desk.question(*typed, said.address):
                typed, route = None, question.route
                event = replace(event, message=replace(said, text=question.text))
        if typed or unknown:
            event = replace(event, message=replace(said, kind=Kind.COMMAND))
        recorded = await self._recorded(self._store.record_posted(event, route, self._relay, want))
        if not recorded.duplicate:
            self._house.metrics.received.labels(said.address.adapter).inc()
        if recorded.duplicate or event.past:
            return recorded.message
        self._post.post(recorded.relayed)
        if unknown:
            await self._mouth.tell(recorded.thread, said.address, unknown)
        if want is not None and said.author is not None:
            await self._grant(recorded, want, said.address, said.author, event.server)
            return recorded.message
        if typed and said.author is not None:
            await self._obey(
                Order(
                    name=typed[0],
                    argument=typed[1],
                    thread=recorded.thread,
                    address=said.address,
                    who=said.author,
                    direct=event.direct,
                    message=recorded.message,
                    of=said.reply_to,
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

    async def _turn_down(self, event: Posted, problem: str) -> int:
        """Say why a message is not recorded, where somebody is to be told."""
        said = event.message
        if said.author is None or said.address.adapter not in self._house.couriers:
            raise Refused(problem)
        if problem is EMPTY or event.past or said.author.is_bot:
            return 0
        return await self._gate.refuse(event.key, said.address, said.author, problem)

    async def _edited(self, event: Edited) -> int:
        heard = await self._ears.listen(
            event.text, event.key, event.address, None, event.platform_id
        )
        if heard.blocked:  # what was said before stands
            return 0
        text = await self._desk.reworded(heard.text, event.address)
        recorded = await self._store.record_edited(replace(event, text=text), self._relay)
        self._post.post(recorded.relayed)
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

    async def _recorded(self, recording: Awaitable[Recorded]) -> Recorded:
        """What became of an event that may oblige somebody."""
        under_way = asyncio.ensure_future(recording)
        try:
            return await asyncio.shield(under_way)
        except asyncio.CancelledError:
            # The adapter lost its connection meanwhile. The transaction happens all the same, and
            # when the platform delivers the event again, it is a duplicate that obliges nobody:
            # so its turns are taken on now.
            under_way.add_done_callback(self._take_on)
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
        if await self._gate.admission(event.who, event, event.address) is not Admission.WELCOME:
            return 0
        return (await self._store.record_rating(event)).message

    async def _command(self, event: Command) -> int:
        admission = await self._gate.admission(event.who, event, event.address)
        if admission is Admission.STRANGER:
            return await self._gate.turn_away(event.key, event.address, event.who)
        refusal = "" if admission is Admission.WELCOME else "That is not for you here."
        if not refusal:
            heard = await self._ears.listen(event.argument, event.key, event.address, event.who)
            refusal = heard.text if heard.blocked else ""
            event = replace(event, argument=heard.text)
        want = self._pictures.want(event.name, event.argument, event.address, "")
        if want is not None and not refusal:
            return await self._wished(event, want)
        question = await self._desk.question(event.name, event.argument, event.address)
        if question is not None and not refusal:
            return await self._asked(event, question)
        recorded = await self._store.record_asked(event.address, event.key, event.who)
        if recorded.duplicate:
            return 0
        if refusal:
            return await self._mouth.tell(
                recorded.thread, event.address, refusal, only_for=event.who.account
            )
        return await self._obey(
            Order(
                name=event.name,
                argument=event.argument,
                thread=recorded.thread,
                address=event.address,
                who=event.who,
                direct=event.direct,
            )
        )

    async def _asked(self, event: Command, question: Question) -> int:
        """A question by a platform's own command is a message of the person, which the platform
        does not show: it is shown there as in the thread's other places."""
        said = Message(
            address=event.address, text=question.text, sent_at=event.at, author=event.who
        )
        posted = Posted(key=event.key, message=said, direct=event.direct)
        recorded = await self._recorded(
            self._store.record_posted(
                posted,
                question.route,
                lambda said, others: self._relay(said, (said.address, *others)),
            )
        )
        if not recorded.duplicate:
            self._house.metrics.received.labels(event.address.adapter).inc()
            self._post.post(recorded.relayed)
            for obligation in recorded.obligations:
                await self.turns.accept(obligation, server=event.server)
        return 0

    async def _pressed(self, event: Pressed) -> int:
        if await self._gate.admission(event.who, event, event.address) is not Admission.WELCOME:
            return 0
        if event.control in (Control.GOOD, Control.BAD):
            return (await self._store.record_rating(event)).message
        heard = await self._ears.listen(event.text, event.key, event.address, event.who)
        if heard.blocked:
            return await self._gate.refuse(event.key, event.address, event.who, heard.text)
        event = replace(event, text=heard.text)
        want = self._pictures.want(
            event.control, event.text, event.address, event.platform_id, exactly=True
        )
        if want is not None:
            return await self._wished(event, want)
        if event.control is Control.DELETE:
            return await self._deleting(event)
        recorded = await self._store.record_asked(
            event.address, event.key, event.who, event.platform_id
        )
        if recorded.duplicate:
            return recorded.message
        match event.control:
            case Control.STOP:
                # Under a live draft it stops this one: others may wait for theirs in the thread.
                turn = await self._store.turn_shown_at(event.address, event.platform_id)
                await self.turns.stop(recorded.thread, turn)
            case Control.RETRY:
                await self._orders.retry(recorded.thread, recorded.message or None)
            case Control.SETTINGS | Control.EDIT:
                await self._obey(
                    Order(
                        name=event.control.value,
                        argument="",
                        thread=recorded.thread,
                        address=event.address,
                        who=event.who,
                        of=event.platform_id,
                        pressed=True,
                    )
                )
        return recorded.message

    async def _deleting(self, event: Pressed) -> int:
        order = Order(
            name=event.control.value,
            argument="",
            thread=0,  # it is the picture that matters, wherever it is
            address=event.address,
            who=event.who,
            of=event.platform_id,
            pressed=True,
        )
        try:
            await self._pictures.delete(order, event)
        except Refused as error:
            await self._gate.refuse(event.key, event.address, event.who, str(error))
        return 0

    async def _wished(self, event: Pressed | Command, want: Want) -> int:
        """A button or a platform's own command that calls for a turn; returns the id of what the
        daemon says to it, 0 for nothing."""
        recorded = await self._recorded(self._store.record_wish(event, want))
        return await self._grant(recorded, want, event.address, event.who, event.server)

    async def _grant(
        self, recorded: Recorded, want: Want, address: Address, who: Identity, server: str
    ) -> int:
        """Take on the turn of a wish, or say why there is none."""
        if recorded.duplicate:
            return 0
        if not recorded.obligations:
            words = self._pictures.vain(want)
            return await self._mouth.tell(recorded.thread, address, words, only_for=who.account)
        for obligation in recorded.obligations:
            await self.turns.accept(obligation, server=server)
        return 0

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
