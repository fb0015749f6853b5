"""A bot that thinks with a text model: packs the thread for it and guards what comes back.

Knows neither where the thread is kept nor where the answer goes.
"""

from __future__ import annotations

import logging
import time
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from botdaemon.bots.calls import without_call
from botdaemon.bots.endings import Guard, name_in_line, stop_strings
from botdaemon.errors import BotdaemonError, EngineFailed
from botdaemon.types import ChatLine, Draft, Message, Note, Sampling, TextRequest, Turn, Usage, Why

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from botdaemon.ports import Briefing, TextEngine

log = logging.getLogger(__name__)

#: Said when the model says nothing, twice, to a person who asked it directly.
SPEECHLESS = "Sorry, I don't know what to say to that."
#: Where saying nothing is allowed: nobody asked this bot in person.
_MAY_BE_SILENT = frozenset({Why.ROOM, Why.FOLLOW_UP, Why.CHANCE, Why.SCHEDULE})
#: More than any conversation has per token: what lies further back is not even counted.
_CHARACTERS_PER_TOKEN = 8
#: A prompt that is cut begins with a message whose id this divides. Ids of a thread grow by any
#: step, so it is a prime.
_LEAP = 7
#: Where the cut-off beginning of a long message is moved to the start of a word.
_WORD = 40
_SENT = {"image": "a picture", "audio": "a recording", "video": "a video"}


def opening(name: str, persona: str, model: str) -> TextRequest:
    """The prompt before anything was said: what every turn of such a bot costs."""
    lines = (*_system(persona), ChatLine(role="user", text=""))
    return TextRequest(model=model, speaker=name, lines=lines)


def _cue(turn: Turn) -> tuple[ChatLine, ...]:
    """The instruction to a bot that writes first. It is the last line and nobody's: not every
    format has a place for a system line there, and no person is made to say it."""
    if turn.cue is None:
        return ()
    return (ChatLine(role="user", text=f"({turn.cue.prompt})"),)


def _system(persona: str) -> tuple[ChatLine, ...]:
    return (ChatLine(role="system", text=persona),) if persona else ()


class TextBot:
    """A persona, a model and a way of sampling."""

    def __init__(
        self,
        name: str,
        persona: str,
        model: str,
        engine: TextEngine,
        sampling: Sampling,
        history_messages: int,
        adapter: str = "",
        briefings: Sequence[Briefing] = (),
    ) -> None:
        """`adapter`: the model's LoRA adapter that it speaks with."""
        self.name = name
        self._persona = persona
        self._model = model
        self._engine = engine
        self._sampling = sampling
        self._history_messages = history_messages
        self._max_tokens = sampling.max_tokens
        self._adapter = adapter
        self._briefings = briefings

    async def overhead(self) -> int:
        """Tokens of the persona and the format: what is spent before anything was said."""
        return await self._engine.count(opening(self.name, self._persona, self._model))

    async def reply(self, turn: Turn) -> AsyncGenerator[Draft]:
        """Growing drafts, the last one final; none at all is silence.

        A model that says nothing is asked once more. If it still says nothing, the bot is silent,
        unless it was asked directly (in person, by name, by a reply): then it says so."""
        others = self._others(turn)
        request = await self._pack(turn, stop_strings(others), await self._notes(turn))
        text, tokens, prompt_tokens, first_token = "", 0, 0, 0.0
        started = time.perf_counter()
        for attempt in (request, _again(request)):
            guard = Guard(self.name, others)
            shown, piece = "", None
            async with aclosing(self._engine.generate(attempt)) as pieces:
                async for piece in pieces:
                    first_token = first_token or time.perf_counter() - started
                    if not guard.feed(piece.text) or piece.finish:
                        break
                    if (growing := guard.text) != shown:
                        shown = growing
                        yield Draft(text=shown)
            if piece is not None:
                tokens += piece.tokens
                prompt_tokens = piece.prompt_tokens
                text = guard.close(piece.finish)
            if text:
                break
        if not text:
            if turn.why in _MAY_BE_SILENT:
                return
            text = SPEECHLESS
        usage = Usage(prompt_tokens=prompt_tokens, tokens=tokens, first_token=first_token)
        yield Draft(text=text, final=True, usage=usage)

    # --- the prompt -------------------------------------------------------------------------

    async def _notes(self, turn: Turn) -> list[Note]:
        """What it is told besides what was said. A note that fails costs the note, not the turn."""
        notes: list[Note] = []
        for briefing in self._briefings:
            try:
                notes += await briefing(turn)
            except BotdaemonError as error:
                log.warning("a note is left out: %s", error, extra={"event": "note_left_out"})
        return notes

    async def _pack(
        self, turn: Turn, stop: tuple[str, ...], notes: Sequence[Note] = ()
    ) -> TextRequest:
        """The persona and as many of the newest messages as fit the model's context beside the
        reply, counted by the model itself; of a newest message that is too long alone, its end."""
        card = self._engine.card
        reply = min(self._max_tokens or card.max_tokens, card.context // 2)
        budget = card.context - reply
        sampling = replace(self._sampling, max_tokens=reply)
        if turn.why is Why.RETRY and sampling.seed is not None:
            # the same seed would only say the same again
            sampling = _reseeded(sampling, turn.id)

        cue = _cue(turn)
        system = _system(
            "\n\n".join([self._persona, *(n.text for n in notes if n.lasting)]).strip()
        )
        passing = tuple(
            ChatLine(role="user", text=f"({note.text})") for note in notes if not note.lasting
        )

        async def fitting(messages: Sequence[Message]) -> TextRequest | None:
            request = TextRequest(
                model=self._model,
                speaker=self.name,
                lines=(*system, *_before_the_last(self._lines(messages), passing), *cue),
                sampling=sampling,
                stop=stop,
                room=turn.room,
                title=turn.title,
                adapter=self._adapter,
            )
            return request if await self._engine.count(request) <= budget else None

        # 1. Everything, as far as it can matter.
        messages = _newest(turn.history[-self._history_messages :], budget * _CHARACTERS_PER_TOKEN)
        if len(messages) < len(turn.history) or len(messages) == self._history_messages:
            messages = messages[-_steady(messages, len(messages)) :]
        if packed := await fitting(messages):
            return packed
        # 2. The largest number of newest messages that fits.
        few, many = 0, len(messages) - 1
        best: TextRequest | None = None
        while few < many:
            middle = (few + many + 1) // 2
            if packed := await fitting(messages[-middle:]):
                few, best = middle, packed
            else:
                many = middle - 1
        if best is not None:
            steady = _steady(messages, few)
            return (await fitting(messages[-steady:]) if steady < few else best) or best
        # 3. The longest end of the newest message that fits.
        few, many = (
            0,
            min(len(messages[-1].text) if messages else 0, budget * _CHARACTERS_PER_TOKEN),
        )
        while few < many:
            middle = (few + many + 1) // 2
            if packed := await fitting([_end_of(messages[-1], middle)]):
                few, best = middle, packed
            else:
                many = middle - 1
        if best is None and cue:  # to write first, nothing need have been said
            best = await fitting([])
        if best is not None:
            return best
        raise EngineFailed(
            f"The persona of the bot {self.name} takes {await self.overhead()} tokens, which leaves"
            f" no space for a message in the {budget} that the model {self._model} has for its"
            " prompt. Shorten the persona or lower max_tokens."
        )

    def _others(self, turn: Turn) -> tuple[str, ...]:
        """Who else speaks in the thread, whoever spoke last first."""
        names = dict.fromkeys(message.speaker for message in reversed(turn.history))
        if turn.asked_by is not None:
            names[turn.asked_by.name] = None
        own = self.name.casefold()
        lines = map(name_in_line, names)
        return tuple(name for name in lines if name and name.casefold() != own)

    def _lines(self, messages: Sequence[Message]) -> list[ChatLine]:
        """Who says what: one line for what somebody said in a row."""
        lines: list[ChatLine] = []
        last: object = None
        for message in messages:
            own = message.bot == self.name
            text = message.text.strip() if own else self._said(message)
            if not text:
                continue
            author = message.author
            speaker = (message.bot, author.adapter, author.account) if author else message.bot
            if lines and speaker == last:
                lines[-1] = replace(lines[-1], text=f"{lines[-1].text}\n{text}")
                continue
            last = speaker
            lines.append(
                ChatLine(
                    role="assistant" if own else "user",
                    text=text,
                    name=name_in_line(message.speaker),
                )
            )
        return lines

    def _said(self, message: Message) -> str:
        """The message in words, files included. A bot's own files are left out: it would learn to
        write about pictures instead of sending them.

        Whom a message calls is for routing. A model as small as GPT-2 takes the name for the
        subject.
        """
        lines = [without_call(message.text, self.name) or message.text]
        for file in message.files:
            what = _SENT.get(file.media_type.partition("/")[0], "a file")
            lines.append(f"(sent {what}: {name_in_line(file.name)})")
        return "\n".join(lines).strip()


def _before_the_last(
    lines: Sequence[ChatLine], passing: Sequence[ChatLine]
) -> tuple[ChatLine, ...]:
    return (*lines[:-1], *passing, *lines[-1:])


def _steady(messages: Sequence[Message], newest: int) -> int:
    """So many of the newest, or a few less: where they begin moves in leaps rather than with every
    message, so that a model can go on from what it has read for the last turn."""
    for at in range(len(messages) - newest, len(messages) - newest // 2):
        if messages[at].id % _LEAP == 0:
            return len(messages) - at
    return newest


def _newest(messages: Sequence[Message], characters: int) -> Sequence[Message]:
    """The newest messages up to so many characters, and always the end of the newest one."""
    if messages and len(messages[-1].text) > characters:
        return [replace(messages[-1], text=messages[-1].text[-characters:])]
    for start in range(len(messages) - 1, -1, -1):
        characters -= len(messages[start].text)
        if characters < 0:
            return messages[start + 1 :]
    return messages


def _end_of(message: Message, characters: int) -> Message:
    text = message.text[-characters:]
    word = text.find(" ", 0, _WORD) + 1
    return replace(message, text=f"… {text[word:]}")


def _again(request: TextRequest) -> TextRequest:
    """The same request, so that it may go differently."""
    sampling = request.sampling
    if sampling.temperature == 0:
        return replace(request, sampling=replace(sampling, temperature=0.7))
    if sampling.seed is not None:
        return replace(request, sampling=_reseeded(sampling, 1))
    return request


def _reseeded(sampling: Sampling, by: int) -> Sampling:
    return replace(sampling, seed=(sampling.seed or 0) + by)
