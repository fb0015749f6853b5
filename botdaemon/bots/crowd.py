"""A bot that speaks as a crowd: one post is answered by several, each under a name of its own.
Knows of the bot within only its `reply`, and not where names come from."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from botdaemon.types import Bubble, Draft, Spent, Usage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from botdaemon.ports import Bot
    from botdaemon.types import Message, Turn


class CrowdBot:
    """Asks `bot` as many times as there are answers, at once. `namer` gives names for a turn, the
    same ones whenever it is asked."""

    def __init__(
        self,
        bot: Bot,
        namer: Callable[[Turn, int], Awaitable[Sequence[str]]],
        *,
        fewest: int,
        most: int,
    ) -> None:
        self._bot = bot
        self._namer = namer
        self._fewest = fewest
        self._most = most

    async def reply(self, turn: Turn) -> AsyncGenerator[Draft]:
        """One draft, the last. What two of them say alike is said once; none at all is silence."""
        count = random.Random(f"{turn.id}").randint(self._fewest, self._most)
        answers = await self._answers(turn, count)
        said = {first_line: draft for draft in answers if (first_line := _first_line(draft.text))}
        if not said:
            return
        names = await self._namer(turn, len(said))
        yield Draft(
            text="",
            bubbles=tuple(map(Bubble, said, names)),
            final=True,
            usage=_sum([draft.usage for draft in answers]),
        )

    async def _answers(self, turn: Turn, count: int) -> list[Draft]:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._answer(_as_seen_by(number, turn)))
                    for number in range(count)
                ]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _answer(self, turn: Turn) -> Draft:
        last = Draft(text="")
        async with aclosing(self._bot.reply(turn)) as drafts:
            async for draft in drafts:
                last = draft
        return last


def _as_seen_by(number: int, turn: Turn) -> Turn:
    """The turn for one of the crowd: of what the crowd said before it sees one voice, as its own,
    without the name. It would learn to speak for all of them else."""

    def seen(message: Message) -> Message:
        if message.bot != turn.bot or not message.bubbles:
            return message
        return replace(message, text=message.bubbles[number % len(message.bubbles)].text)

    return replace(turn, history=tuple(map(seen, turn.history)))


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0].strip()


def _sum(usages: Sequence[Usage]) -> Usage:
    return Usage(
        prompt_tokens=sum(usage.prompt_tokens for usage in usages),
        spent=Spent(
            **{
                part.name: sum(getattr(usage.spent, part.name) for usage in usages)
                for part in fields(Spent)
            }
        ),
        tokens=sum(usage.tokens for usage in usages),
        first_token=min((usage.first_token for usage in usages), default=0.0),
    )
