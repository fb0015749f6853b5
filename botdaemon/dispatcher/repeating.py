"""`/speak`: what a bot has written, as a voice note. Knows no engine."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from botdaemon.errors import Refused, StoreError
from botdaemon.types import Kind

if TYPE_CHECKING:
    import asyncio

    from botdaemon.dispatcher.mouth import Mouth
    from botdaemon.dispatcher.orders import Order
    from botdaemon.dispatcher.speaking import Speaking
    from botdaemon.store import Store
    from botdaemon.types import Message

log = logging.getLogger(__name__)

#: messages of the thread among which the newest answer is looked for
_LOOK = 50


class Repeating:
    """Speaks answers that are there; `tasks` owns what is being spoken. Like any typed command it
    is lost with the process: the person says it again."""

    def __init__(
        self, store: Store, mouth: Mouth, speaking: Speaking, tasks: asyncio.TaskGroup
    ) -> None:
        self._store = store
        self._mouth = mouth
        self._speaking = speaking
        self._tasks = tasks

    @property
    def offered(self) -> bool:
        """Whether any bot could do it."""
        return self._speaking.anybody

    async def speak(self, order: Order) -> str:
        """The command. Raises `Refused`; nobody waits here for the model."""
        answer = await self._meant(order)
        if answer is None:
            raise Refused("There is no answer to speak yet.")
        if not self._speaking.speaks(answer.bot):
            raise Refused(f"{answer.bot} cannot speak.")
        self._tasks.create_task(self._say(order, answer), name=f"speaking {answer.id}")
        return ""

    async def _meant(self, order: Order) -> Message | None:
        """The answer that is replied to, or the newest of a bot that speaks, or of any bot."""
        if order.of:
            replied = await self._store.message_at(order.address, order.of)
            if replied is not None and replied.bot and replied.text:
                return replied
        recent = await self._store.recent(order.thread, limit=_LOOK)
        answers = [m for m in reversed(recent) if m.bot and m.text and m.kind is Kind.SAID]
        speaking = (answer for answer in answers if self._speaking.speaks(answer.bot))
        return next(speaking, answers[0] if answers else None)

    async def _say(self, order: Order, answer: Message) -> None:
        try:
            note = await self._speaking.note(answer.bot, answer.text)
            if note is not None:
                await self._mouth.repeat(order.thread, order.address, answer.bot, note.file)
                return
            words = "That could not be spoken; the operator's log says why."
            await self._mouth.tell(order.thread, order.address, words, only_for=order.who.account)
        except StoreError as error:  # it was a courtesy
            log.warning("not spoken: %s", error, extra={"event": "not_spoken"})
