"""A bot that thinks with a text model: has the thread packed for it and guards what comes back.

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
from botdaemon.bots.packing import Packer
from botdaemon.errors import BotdaemonError, EngineFailed
from botdaemon.types import (
    ChatLine,
    Draft,
    Message,
    Note,
    Sampling,
    Spent,
    TextRequest,
    Turn,
    Usage,
    Why,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from botdaemon.bots.packing import Shares
    from botdaemon.ports import Briefing, TextEngine

log = logging.getLogger(__name__)

#: Said when the model says nothing, twice, to a person who asked it directly.
SPEECHLESS = "Sorry, I don't know what to say to that."
#: Where saying nothing is allowed: nobody asked this bot in person.
_MAY_BE_SILENT = frozenset({Why.ROOM, Why.FOLLOW_UP, Why.CHANCE, Why.SCHEDULE})
_SENT = {"image": "a picture", "audio": "a recording", "video": "a video"}


def _cue(turn: Turn) -> tuple[ChatLine, ...]:
    """The instruction to a bot that writes first. It is the last line and nobody's: not every
    format has a place for a system line there, and no person is made to say it."""
    if turn.cue is None:
        return ()
    return (ChatLine(role="user", text=f"({turn.cue.prompt})"),)


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
        examples: Sequence[ChatLine] = (),
        stop: Sequence[str] = (),
        shares: Shares | None = None,
    ) -> None:
        """`adapter`: the model's LoRA adapter that it speaks with. `examples`: what a person and
        the bot say in turn. `stop`: strings that end its answers, besides people's names."""
        self.name = name
        self._model = model
        self._engine = engine
        self._sampling = sampling
        self._history_messages = history_messages
        self._max_tokens = sampling.max_tokens
        self._adapter = adapter
        self._briefings = briefings
        self._stop = tuple(stop)
        self._packer = Packer(persona, examples, shares)

    async def reply(self, turn: Turn) -> AsyncGenerator[Draft]:
        """Growing drafts, the last one final; none at all is silence.

        A model that says nothing is asked once more. If it still says nothing, the bot is silent,
        unless it was asked directly (in person, by name, by a reply): then it says so."""
        others = self._others(turn)
        request, spent = await self._pack(turn, others)
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
        usage = Usage(
            prompt_tokens=prompt_tokens, spent=spent, tokens=tokens, first_token=first_token
        )
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

    async def _pack(self, turn: Turn, others: Sequence[str]) -> tuple[TextRequest, Spent]:
        """What the model is asked, and where the tokens of its prompt go."""
        card = self._engine.card
        reply = min(self._max_tokens or card.max_tokens, card.context // 2)
        sampling = replace(self._sampling, max_tokens=reply)
        if turn.why is Why.RETRY and sampling.seed is not None:
            # the same seed would only say the same again
            sampling = _reseeded(sampling, turn.id)

        def request(lines: Sequence[ChatLine]) -> TextRequest:
            return TextRequest(
                model=self._model,
                speaker=self.name,
                lines=tuple(lines),
                sampling=sampling,
                stop=(*self._stop, *stop_strings(others)),
                room=turn.room,
                title=turn.title,
                adapter=self._adapter,
            )

        async def count(lines: Sequence[ChatLine]) -> int:
            return await self._engine.count(request(lines))

        space = card.context - reply
        packed = await self._packer.pack(
            space=space,
            context=card.context,
            count=count,
            read=self._lines,
            history=turn.history,
            most_messages=self._history_messages,
            notes=await self._notes(turn),
            cue=_cue(turn),
        )
        if packed is None:
            raise EngineFailed(
                f"The persona of the bot {self.name} takes"
                f" {await self._packer.opening(count, card.context)} tokens, which leaves no space"
                f" for a message in the {space} that the model {self._model} has for its prompt."
                " Shorten the persona or lower max_tokens."
            )
        return request(packed.lines), packed.spent

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
