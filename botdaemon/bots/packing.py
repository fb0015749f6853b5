"""Packs a prompt to the token: every part has a budget, and what matters least goes first.

Knows a model only as a way of counting, and not where the parts come from. What always stays: the
persona, and the newest message or at least its end. What goes, in this order: notes over their
budgets, smallest weight first; messages, oldest first, down to a few; the examples; further
messages down to the newest; the notes that are left; the beginning of the newest message.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING

from botdaemon.bots import window
from botdaemon.bots.endings import whole_sentences
from botdaemon.types import ChatLine, Message, Note, Spent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    Count = Callable[[Sequence[ChatLine]], Awaitable[int]]
    """Tokens of a prompt with these lines, as its model counts them."""
    Read = Callable[[Sequence[Message]], Sequence[ChatLine]]
    """Messages as the bot reads them."""

#: No part gets less than this many tokens, however small the model, nor more, however large.
_FLOOR, _CEILING = 24, 2048
#: The examples go before fewer messages than this are left.
_FEW = 4
#: More than any conversation has per token: what lies further back is not even counted.
_CHARACTERS_PER_TOKEN = 8
#: What a message costs besides its text (name, markup), as characters. Only guesses depend on it.
_AROUND = 12
#: The end of a message that is too long alone may be so many tokens shorter than it had to be.
_SLACK = 4
#: What texts cost is kept for so many of them.
_KEPT = 256
_NOTHING = ChatLine(role="user", text="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """What parts of a prompt may take of the model's context, 0 to 1. The persona takes what it
    takes, and what was said gets all that is left."""

    examples: float = 0.2
    #: notes that stay the same for many turns
    lasting: float = 0.15
    #: notes for one turn
    passing: float = 0.25


def budget(share: float, context: int) -> int:
    """Tokens of a part that may take this share of a context."""
    return min(max(int(share * context), _FLOOR), _CEILING) if share else 0


def system(text: str) -> tuple[ChatLine, ...]:
    """What a bot is told before everything else; nothing where there is nothing to tell."""
    return (ChatLine(role="system", text=text),) if text else ()


def opening(persona: str) -> tuple[ChatLine, ...]:
    """The prompt before anything was said: what every turn costs."""
    return (*system(persona), _NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A prompt that fits."""

    lines: tuple[ChatLine, ...]
    spent: Spent


@dataclass(frozen=True, slots=True)
class _Cut:
    """A note within its budget."""

    text: str
    #: tokens
    cost: int
    note: Note


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """All of a prompt but what was said, and what that costs in tokens."""

    persona: str
    opening: int
    examples: tuple[ChatLine, ...]
    examples_cost: int
    notes: tuple[_Cut, ...]
    cue: tuple[ChatLine, ...]

    def around(self, said: Sequence[ChatLine]) -> tuple[ChatLine, ...]:
        """The whole prompt."""
        lasting = [cut.text for cut in self.notes if cut.note.lasting]
        passing = [_passing(cut.text) for cut in self.notes if not cut.note.lasting]
        # Neighbours of one role are joined, and the last example is no beginning of an answer.
        gap = [_NOTHING] if self.examples and said and said[0].role == "assistant" else []
        newest = len(said) if self.cue else max(len(said) - 1, 0)
        return (
            *system("\n\n".join(filter(None, (self.persona, *lasting)))),
            *self.examples,
            *gap,
            *said[:newest],
            *passing,
            *said[newest:],
            *self.cue,
        )

    @property
    def cost(self) -> int:
        """Tokens without what was said and without the cue."""
        return self.opening + self.examples_cost + sum(cut.cost for cut in self.notes)

    def packed(self, said: Sequence[ChatLine], tokens: int) -> Packed:
        """The prompt, which has this many tokens."""
        return Packed(
            lines=self.around(said),
            spent=Spent(
                persona=self.opening,
                examples=self.examples_cost,
                notes=sum(cut.cost for cut in self.notes),
                history=max(tokens - self.cost, 0),
            ),
        )

    def without_examples(self) -> _Parts:
        return replace(self, examples=(), examples_cost=0)

    def lighter(self, tokens: int) -> _Parts:
        """Without so many notes of the smallest weight that this many tokens are free, if there
        are as many; without one of them at least."""
        notes = list(self.notes)
        while notes:
            lightest = min(reversed(notes), key=lambda cut: cut.note.weight)
            notes.remove(lightest)
            tokens -= lightest.cost
            if tokens <= 0:
                break
        return replace(self, notes=tuple(notes))


class Packer:
    """Packs the prompts of one bot. It keeps what texts cost, so that what is lasting is counted
    once; the prompt itself is always counted as a whole."""

    def __init__(
        self, persona: str, examples: Sequence[ChatLine] = (), shares: Shares | None = None
    ) -> None:
        """`examples`: lines of a person and of the bot in turn."""
        self._persona = persona
        self._examples = tuple(examples)
        self._shares = shares or Shares()
        self._costs: dict[tuple[int, tuple[ChatLine, ...]], int] = {}

    async def pack(
        self,
        *,
        space: int,
        context: int,
        count: Count,
        read: Read,
        history: Sequence[Message],
        most_messages: int,
        notes: Sequence[Note] = (),
        cue: tuple[ChatLine, ...] = (),
    ) -> Packed | None:
        """The prompt of at most `space` tokens, for a model that takes `context` of them. None when
        not even the persona and a word of the newest message fit."""
        examples, examples_cost = await self.fitting_examples(count, context)
        parts = _Parts(
            persona=self._persona,
            opening=await self.opening(count, context),
            examples=examples,
            examples_cost=examples_cost,
            notes=await self._fitting_notes(notes, count, context),
            cue=cue,
        )
        return await _Packing(parts, space, count, read).pack(history, most_messages)

    async def opening(self, count: Count, context: int) -> int:
        """Tokens of the persona and of the format around it."""
        return await self._tokens(opening(self._persona), count, context)

    async def fitting_examples(
        self, count: Count, context: int
    ) -> tuple[tuple[ChatLine, ...], int]:
        """As many of the examples as their budget has space for, the first ones, and their
        tokens."""
        most = budget(self._shares.examples, context)
        for number in range(len(self._examples), 0, -2):
            examples = self._examples[:number]
            cost = await self._cost((*system(self._persona), *examples, _NOTHING), count, context)
            if cost <= most:
                return examples, cost
        return (), 0

    async def _fitting_notes(
        self, notes: Sequence[Note], count: Count, context: int
    ) -> tuple[_Cut, ...]:
        """Each note cut to what it may have, in the order in which they came."""
        left = {
            True: budget(self._shares.lasting, context),
            False: budget(self._shares.passing, context),
        }
        found: dict[int, _Cut] = {}
        for place, note in sorted(enumerate(notes), key=lambda numbered: -numbered[1].weight):
            cut = await self._cut(note, min(note.most, left[note.lasting]), count, context)
            if cut is not None:
                found[place] = cut
                left[note.lasting] -= cut.cost
        return tuple(found[place] for place in sorted(found))

    async def _cut(self, note: Note, most: int, count: Count, context: int) -> _Cut | None:
        """A note within so many tokens, cut at the end of a sentence if it has to be; None when
        nothing of it fits."""
        characters = max(most, 0) * _CHARACTERS_PER_TOKEN
        text = whole_sentences(note.text.strip(), characters)
        while text:
            if note.lasting:
                lines = opening("\n\n".join(filter(None, (self._persona, text))))
            else:
                lines = (*system(self._persona), _passing(text), _NOTHING)
            cost = await self._cost(lines, count, context)
            if cost <= most:
                return _Cut(text, cost, note)
            text = whole_sentences(text, int(0.9 * len(text) * most / cost))
        return None

    async def _cost(self, lines: tuple[ChatLine, ...], count: Count, context: int) -> int:
        """Tokens of these lines over those of the persona alone."""
        tokens = await self._tokens(lines, count, context)
        return max(tokens - await self.opening(count, context), 0)

    async def _tokens(self, lines: tuple[ChatLine, ...], count: Count, context: int) -> int:
        # Behind a name there may be another model tomorrow; by its context it is told apart well
        # enough for budgets.
        key = (context, lines)
        if key not in self._costs:
            while len(self._costs) >= _KEPT:
                self._costs.pop(next(iter(self._costs)))
            self._costs[key] = await count(lines)
        return self._costs[key]


class _Packing:
    """One prompt in the making."""

    def __init__(self, parts: _Parts, space: int, count: Count, read: Read) -> None:
        self._parts = parts
        self._space = space
        self._count = count
        self._read = read

    async def pack(self, history: Sequence[Message], most: int) -> Packed | None:
        # 1. Everything, as far as it can matter.
        messages = window.newest(history[-most:], self._space * _CHARACTERS_PER_TOKEN)
        if len(messages) < len(history) or len(messages) == most:
            messages = messages[-window.steady(messages, len(messages)) :]
        # A bot that writes first needs no message.
        least = 0 if self._parts.cue else min(1, len(messages))
        number, tokens = await self._most(messages, least)
        # 2. Without the examples, before fewer than a few messages are left.
        if number < min(_FEW, len(messages)) and self._parts.examples:
            self._parts = self._parts.without_examples()
            number, tokens = await self._most(messages, least)
        # 3. Without notes, before the newest message goes.
        newest = messages[len(messages) - least :]
        while number < least and self._parts.notes:
            excess = await self._size(newest) - self._space
            self._parts = self._parts.lighter(excess)
            if (tokens := await self._size(newest)) <= self._space:
                number = least
        if number < least:  # 4. The end of the newest message.
            return await self._end(messages[-1]) if messages else None
        if 0 < (steady := window.steady(messages, number)) < number < len(messages):
            number, tokens = steady, await self._size(messages[-steady:])
        return self._parts.packed(self._read(messages[len(messages) - number :]), tokens)

    async def _size(self, messages: Sequence[Message]) -> int:
        return await self._count(self._parts.around(self._read(messages)))

    async def _most(self, messages: Sequence[Message], least: int) -> tuple[int, int]:
        """How many of the newest messages fit, and the tokens of the prompt with them; less than
        `least` when not even so many do."""
        tokens = await self._size(messages)
        if tokens <= self._space:
            return len(messages), tokens
        lengths = (len(message.text) + _AROUND for message in reversed(messages))
        return await window.largest(
            list(accumulate(lengths, initial=0)),
            (least - 1, self._parts.cost),
            tokens,
            self._space,
            lambda number: self._size(messages[len(messages) - number :]),
        )

    async def _end(self, message: Message) -> Packed | None:
        longest = min(len(message.text), self._space * _CHARACTERS_PER_TOKEN) + 1
        best, tokens = await window.largest(
            range(longest + 1),
            (0, self._parts.cost),
            await self._size([window.end_of(message, longest)]),
            self._space,
            lambda characters: self._size([window.end_of(message, characters)]),
            slack=_SLACK,
        )
        if not best:
            return None
        return self._parts.packed(self._read([window.end_of(message, best)]), tokens)


def _passing(text: str) -> ChatLine:
    """Nobody's line: not every format has a place for a system line within a conversation."""
    return ChatLine(role="user", text=f"({text})")
