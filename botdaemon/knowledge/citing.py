"""A bot that says under its answers what it was told. Wraps another one; knows no model.

The line is part of the answer's text, so it is filtered, kept and shown like the rest of it. It is
taken out of what the bot reads again, or else a small model would learn to make sources up.
"""

from __future__ import annotations

import re
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from botdaemon import posts
from botdaemon.knowledge.briefing import Librarian, source

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from botdaemon.ports import Bot
    from botdaemon.types import Draft, Message, Passage, Turn

When = Literal["always", "named", "never"]

_NAMED = re.compile(r"\[(\d{1,2}(?:\s*,\s*\d{1,2})*)\]")
_LINE = re.compile(r"(?:\A|\n\n)(?:Sources|Looked up): [^\n]*\Z")
#: what Markdown would take for markup in a file's name
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~])")


class Citing:
    """A `ports.Bot` around a bot that `librarian` tells things."""

    def __init__(
        self, bot: Bot, librarian: Librarian, name: str, when: When, most: int = 0
    ) -> None:
        """`most`: characters of an answer, of which the line takes some; 0: any number."""
        self._bot = bot
        self._librarian = librarian
        self._name = name
        self._when = when
        self._most = most

    async def reply(self, turn: Turn) -> AsyncGenerator[Draft]:
        """The bot's drafts, the final one with its sources."""
        heard = replace(turn, history=tuple(map(self._without_line, turn.history)))
        try:
            async with aclosing(self._bot.reply(heard)) as drafts:
                async for draft in drafts:
                    yield self._cited(draft, self._librarian.told(turn.id))
        finally:
            self._librarian.forget(turn.id)

    def _without_line(self, message: Message) -> Message:
        if message.bot != self._name or not _LINE.search(message.text):
            return message
        return replace(message, text=_LINE.sub("", message.text))

    def _cited(self, draft: Draft, told: Sequence[Passage]) -> Draft:
        # The short answers of a crowd have no place for it.
        if not told or self._when == "never" or draft.bubbles:
            return draft
        text, space = draft.text, 0
        if self._most:
            # The longest line that there may be: what is shown of an answer is never taken back.
            longest = max(len(_looked_up(told)), len(_sources(told, range(len(told)))))
            space = self._most - longest - len(posts.BETWEEN)
            if space < self._most // 2:  # rather the answer
                return draft
        if not draft.final:
            return replace(draft, text=posts.begun(text, space))
        # What a model writes of the kind itself names nothing.
        text = _LINE.sub("", posts.cut(text, space)).rstrip()
        line = self._line(text, told)
        return replace(draft, text=posts.BETWEEN.join(filter(None, (text, line))))

    def _line(self, text: str, told: Sequence[Passage]) -> str:
        named = sorted(
            {
                int(number) - 1
                for numbers in _NAMED.findall(text)
                for number in numbers.split(",")
                if 0 < int(number) <= len(told)
            }
        )
        if named:
            return _sources(told, named)
        return _looked_up(told) if self._when == "always" else ""


def _sources(told: Sequence[Passage], numbers: Sequence[int]) -> str:
    listed = (f"[{number + 1}] {_escaped(source(told[number]))}" for number in numbers)
    return f"Sources: {'; '.join(listed)}"


def _looked_up(told: Sequence[Passage]) -> str:
    return f"Looked up: {'; '.join(dict.fromkeys(_escaped(source(one)) for one in told))}"


def _escaped(text: str) -> str:
    return _MARKUP.sub(r"\\\1", text)
