"""Learns from what was said, after it was answered and while nobody waits for an answer. Follows
the store by its tail, and knows no turn that is under way.

How far each bot has read is on disk, and moves in the transaction that keeps what was learned: a
crash has an exchange read again at most, and nothing is kept twice.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from botdaemon import logs
from botdaemon.errors import EngineDied, EngineFailed, ModelUnusable, StoreError
from botdaemon.memory import facts, summaries
from botdaemon.store import Summary

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from botdaemon.memory.habits import Habits
    from botdaemon.memory.scribe import Scribe
    from botdaemon.store import Exchange, Memories, Store
    from botdaemon.types import Message

log = logging.getLogger(__name__)

T = TypeVar("T")

#: seconds until it is tried again when the disk is full, or a model cannot be used
PAUSE = 60.0
#: model processes that may die under one note
_MOST_DEATHS = 2
#: characters that are asked about, even when the model may have no space for them
_SHORTEST = 100


class Lull(Protocol):
    """Whether anybody waits for an answer."""

    async def comes(self) -> None:
        """Wait until nobody does."""

    async def ends(self) -> None:
        """Wait until somebody does."""


async def remember_along(store: Store, lull: Lull, bots: Sequence[Habits]) -> None:
    """Learn, until cancelled. Nobody waits for it."""
    learners = [_Learner(habits, store.memories, lull) for habits in bots]
    in_trouble = False
    while True:
        latest = await store.latest()
        try:
            for learner in learners:
                await learner.catch_up()
            in_trouble = False
        except (StoreError, ModelUnusable) as error:  # nothing is lost: it is read again
            if not in_trouble:  # said once
                log.error("memory waits: %s", error, extra={"event": "memory_waits"})
            in_trouble = True
            await asyncio.sleep(PAUSE)
            continue
        await store.changed(latest)


class _Learner:
    """One bot's."""

    def __init__(self, habits: Habits, memories: Memories, lull: Lull) -> None:
        self._bot = habits.bot
        self._habits = habits
        self._memories = memories
        self._lull = lull
        self._after: int | None = None

    async def catch_up(self) -> None:
        """Everything that was answered so far."""
        if self._after is None:
            self._after = await self._memories.begin(self._bot)
        while True:
            exchange, after = await self._memories.next_exchange(self._bot, self._after)
            if exchange is not None:
                with logs.context(thread=exchange.thread, bot=self._bot):
                    await self._look_back(exchange)
            self._after = after
            if exchange is None:
                return

    async def _look_back(self, exchange: Exchange) -> None:
        found, dropped = await self._facts(exchange)
        sources = [*exchange.said, *exchange.before]
        new = await self._memories.learn(exchange, sources, found, self._habits.most_facts)
        log.info(
            "read what was said",
            extra={"event": "memory", "facts": len(found), "new": new, "dropped": dropped},
        )
        if self._habits.summaries is not None:
            try:
                await self._summarise(self._habits.summaries, exchange.thread)
            except (EngineFailed, EngineDied) as error:  # the next exchange comes back to it
                log.warning("no summary: %s", error, extra={"event": "no_note"})

    async def _facts(self, exchange: Exchange) -> tuple[list[str], int]:
        """What somebody said of themself, and how much of what the model wrote is no such thing."""
        scribe, said = self._habits.facts, await self._heard(exchange.said)
        if not scribe or not said or (self._habits.scope == "private" and not exchange.direct):
            return [], 0
        written = await self._note(
            scribe,
            facts.task(exchange.name),
            facts.material(said, exchange.before, exchange.name),
            facts.TOKENS,
        )
        return facts.taken(*written, [*said, *exchange.before]) if written else ([], 0)

    async def _heard(self, messages: Sequence[Message]) -> list[Message]:
        """What the bot hears of them, and what has words."""
        heard = [await self._habits.hear(message) for message in messages]
        return [message for message in heard if message is not None and message.text.strip()]

    # --- summaries ---------------------------------------------------------------------------

    async def _summarise(self, scribe: Scribe, thread: int) -> None:
        """What of a thread its bot does not read any more."""
        window = self._habits.window
        while said := await self._heard(await self._memories.said(thread, window.messages)):
            stretch = await self._memories.stretch(
                self._bot, thread, await window.begins(said), summaries.LEAST, summaries.MOST
            )
            if not stretch or not await self._summarise_stretch(scribe, stretch):
                break
        while len(parts := await self._memories.summaries(self._bot, thread)) > summaries.FEW:
            if not await self._join(scribe, parts[: summaries.FEW]):
                break

    async def _summarise_stretch(self, scribe: Scribe, stretch: Sequence[Message]) -> bool:
        most = self._habits.summary_tokens // summaries.FEW
        while len(stretch) > 1:
            text = summaries.conversation(await self._heard(stretch))
            if await scribe.takes(summaries.STRETCH, text, most):
                break
            stretch = stretch[: len(stretch) // 2]
        text = summaries.conversation(await self._heard(stretch))
        made = await self._summary(
            scribe, summaries.STRETCH, text, stretch[0].thread, stretch[0].id, stretch[-1].id
        )
        return made is not None and await self._memories.keep_summary(made, stretch)

    async def _join(self, scribe: Scribe, parts: Sequence[Summary]) -> bool:
        made = await self._summary(
            scribe,
            summaries.TOGETHER,
            summaries.minutes(parts),
            parts[0].thread,
            parts[0].first,
            parts[-1].last,
        )
        return made is not None and await self._memories.join_summaries(made, parts)

    async def _summary(
        self, scribe: Scribe, task: str, material: str, thread: int, first: int, last: int
    ) -> Summary | None:
        """None when it should be tried again another time."""
        most = self._habits.summary_tokens // summaries.FEW
        text = ""
        if material:
            written = await self._note(scribe, task, material, most)
            if written is None:
                return None
            text = summaries.taken(*written)
        log.info("summarised", extra={"event": "summary", "first": first, "last": last})
        return Summary(
            bot=self._bot, thread=thread, first=first, last=last, text=text, model=scribe.model
        )

    # --- the model ---------------------------------------------------------------------------

    async def _note(
        self, scribe: Scribe, task: str, material: str, most: int
    ) -> tuple[str, bool] | None:
        """What the model says, in its own time: nothing when it cannot say anything about this,
        None when its process died again and again. Raises `ModelUnusable`."""
        for _ in range(_MOST_DEATHS):
            try:
                while not await scribe.takes(task, material, most) and len(material) > _SHORTEST:
                    material = material[len(material) // 2 :]
                return await _in_a_lull(self._lull, partial(scribe.write, task, material, most))
            except EngineFailed as error:
                log.warning("no note: %s", error, extra={"event": "no_note"})
                return "", True
            except EngineDied as error:
                log.warning("no note: %s", error, extra={"event": "no_note"})
        return None


async def _in_a_lull(lull: Lull, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Work while nobody waits for an answer: given up when somebody does, and begun again later."""
    while True:
        await lull.comes()
        working = asyncio.create_task(work())
        ending = asyncio.create_task(lull.ends())
        try:
            await asyncio.wait((working, ending), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
        finally:  # whoever waits gets the device when this has let go of it
            working.cancel()
            ending.cancel()
            await asyncio.gather(working, ending, return_exceptions=True)
