"""What the commands do. Knows how they are written from `commands`, and no platform."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdaemon.commands import COMMANDS, offered, unknown
from botdaemon.dispatcher.accounts import Accounts
from botdaemon.dispatcher.letters import plain
from botdaemon.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from botdaemon.access import Access
    from botdaemon.dispatcher.agenda import Agenda
    from botdaemon.dispatcher.desk import Desk
    from botdaemon.dispatcher.linking import Linking
    from botdaemon.dispatcher.mouth import Mouth
    from botdaemon.dispatcher.pictures import Pictures
    from botdaemon.dispatcher.relations import Relations
    from botdaemon.dispatcher.remembering import Remembering
    from botdaemon.dispatcher.repeating import Repeating
    from botdaemon.dispatcher.turns import Turns, Waiting
    from botdaemon.store import Store
    from botdaemon.types import Address, Identity

log = logging.getLogger(__name__)

_ADMIN = {spec.name for spec in COMMANDS if spec.admin}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A command, or a button that does what a command does, wherever it came from."""

    name: str
    argument: str
    thread: int
    address: Address
    who: Identity
    #: it was given in a direct channel
    direct: bool = False
    #: the message it was typed in; 0: it was not typed
    message: int = 0
    #: the platform's id of the message that was replied to, or that carries the button
    of: str = ""
    #: it was a button: it belongs to that very message
    pressed: bool = False


class Orders:
    """Carries commands out; each returns what to tell the person, in Markdown."""

    def __init__(
        self,
        store: Store,
        turns: Turns,
        mouth: Mouth,
        pictures: Pictures,
        agenda: Agenda,
        desk: Desk,
        remembering: Remembering,
        repeating: Repeating,
        relations: Relations,
        linking: Linking,
        access: Access,
        status: Callable[[], list[str]],
        since: float,
    ) -> None:
        """`since`: when the daemon started, by the monotonic clock."""
        self._store = store
        self._turns = turns
        self._mouth = mouth
        self._pictures = pictures
        self._agenda = agenda
        self._desk = desk
        self._remembering = remembering
        self._repeating = repeating
        self._relations = relations
        self._linking = linking
        self._access = access
        self._status = status
        self._accounts = Accounts(store, access)
        self._since = since

    async def carry_out(self, order: Order) -> str:
        """Raises `KeyError` for a name that is no command's, and `Refused` for what the person
        may not do."""
        actions: dict[str, Callable[[Order], Awaitable[str]]] = {
            "help": self._help,
            "new": self._new,
            "stop": self._stop,
            "retry": self._retry,
            "undo": self._undo,
            "status": self._say_status,
            "bots": self._desk.bots,
            "ask": self._desk.ask,
            "talk": self._desk.talk,
            "host": self._desk.host,
            "whoami": self._whoami,
            "pair": self._pair,
            "queue": self._queue,
            "why": self._accounts.why,
            "remind": self._agenda.remind,
            "every": self._agenda.every,
            "schedules": self._agenda.schedules,
            "quiet": self._agenda.quiet,
            "timezone": self._agenda.timezone,
            "memory": self._remembering.memory,
            "remember": self._remembering.remember,
            "forget": self._remembering.forget,
            "speak": self._repeating.speak,
            "relationship": self._relations.relationship,
            "link": self._linking.link,
            "unlink": self._linking.unlink,
            # Those that lack what they need: see `Pictures.want`.
            "draw": self._pictures.how_to_draw,
            "edit": self._pictures.how_to_edit,
            "settings": self._pictures.settings,
            "delete": self._pictures.delete,
            "defaults": self._pictures.defaults,
        }
        if order.name in _ADMIN and not self._access.is_admin(order.who):
            raise unknown(order.name)  # the same words as for a command that does not exist
        return await actions[order.name](order)

    async def retry(self, thread: int, answer: int | None = None) -> bool:
        """Take an answer back and ask its bot for another; False when there is none."""
        obligation = await self._store.answer_again(thread, answer)
        if obligation is None:
            return False
        await self._turns.accept(obligation)
        return True

    async def _help(self, order: Order) -> str:
        admin = self._access.is_admin(order.who)
        lines = [
            f"- `/{' '.join(filter(None, (spec.name, spec.argument)))}` {spec.help}"
            for spec in offered(draws=bool(self._pictures.drawn), speaks=self._repeating.offered)
            if admin or not spec.admin
        ]
        return "\n".join(["Write to talk. Besides that there is:", "", *lines])

    async def _new(self, order: Order) -> str:
        await self._turns.stop(order.thread)
        await self._store.begin_anew(order.thread)
        return "A new conversation begins here. I no longer think of what was said before."

    async def _stop(self, order: Order) -> str:
        stopped = await self._turns.stop(order.thread)
        return "Stopped." if stopped else "There was nothing to stop."

    async def _retry(self, order: Order) -> str:
        found = await self.retry(order.thread)
        return "" if found else "There is no answer to take back yet."

    async def _undo(self, order: Order) -> str:
        gone = await self._store.undo(order.thread)
        if not gone:
            return "There is nothing to take back yet."
        return f"Taken back: the last exchange ({gone} messages). I no longer think of it."

    async def _say_status(self, order: Order) -> str:
        minutes = int((time.monotonic() - self._since) / 60)
        hours, minutes = divmod(minutes, 60)
        lines = [
            f"up for {hours} h {minutes} min",
            f"answers under way: {self._turns.running}, waiting: {self._turns.waiting}",
            *self._status(),
        ]
        return "\n".join(f"- {line}" for line in lines)

    async def _queue(self, order: Order) -> str:
        queue = self._turns.queue()
        names = await self._store.names({one.obligation.asked_by for one in queue})

        def line(one: Waiting) -> str:
            turn = one.obligation
            where = turn.reply_to[0] if turn.reply_to else order.address
            here = (where.adapter, where.channel) == (order.address.adapter, order.address.channel)
            # Who talks elsewhere is nobody's business here.
            who = names.get(turn.asked_by, "somebody") if here else "somebody elsewhere"
            estimate = f", in about {one.seconds:.0f} s" if one.seconds >= 1 else ""
            return f"{plain(who)}: **{plain(turn.bot)}**{estimate}"

        working = [f"- {line(one)}" for one in queue if one.thinks]
        waiting = [
            f"{place}. {line(one)}"
            for place, one in enumerate((one for one in queue if not one.thinks), 1)
        ]
        if not queue:
            return "Nobody waits for anything."
        under_way = ["Under way:", "", *working] if working else []
        return "\n".join([*under_way, *(["", "Waiting:", "", *waiting] if waiting else [])])

    async def _whoami(self, order: Order) -> str:
        return (
            f"You are **{order.who.name}**, account `{order.who.account}` on "
            f"`{order.who.adapter}`, in thread {order.thread} "
            f"(channel `{order.address.channel}`)."
        )

    async def _pair(self, order: Order) -> str:
        if not order.argument:
            raise Refused("Say which code: /pair CODE")
        found = await self._store.pair(order.argument, order.who)
        if found is None:
            raise Refused("Nobody waits with that code. Codes are good for an hour.")
        name, thread, address = found
        log.info(
            "%s let %s in",
            order.who.name,
            name,
            extra={"event": "paired", "adapter": address.adapter},
        )
        await self._mouth.tell(thread, address, "You have been let in. Write to talk.")
        return f"**{name}** may write to me now."
