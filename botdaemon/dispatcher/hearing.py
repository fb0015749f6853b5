"""Voice notes on their way to a bot: each recording is listened to once, and what is said in it
becomes part of what its message says. Knows engines by `hear` alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from botdaemon.dispatcher.letters import plain
from botdaemon.errors import EngineDied, EngineFailed, ModelUnusable
from botdaemon.types import HearingRequest, Transcript

if TYPE_CHECKING:
    from botdaemon.dispatcher.ears import Ears
    from botdaemon.dispatcher.mouth import Mouth
    from botdaemon.ports import HearingEngine
    from botdaemon.store import Store
    from botdaemon.types import File, Message, Turn

log = logging.getLogger(__name__)

#: what stands before words that were spoken, and instead of those that could not be heard
SAID, UNHEARD = "(said aloud)", "(said something aloud that could not be heard)"
SILENT = "Nobody speaks in that recording."
AWAY = "I cannot listen to recordings at the moment. Please write it."
GAVE_UP = "I am sorry, that recording is too much for me. Please write it."

Died = Callable[["Turn", EngineDied], Awaitable[bool]]
"""Told that the model died under a turn; whether it may be asked again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """How recordings are listened to."""

    engine: HearingEngine
    #: the model's name, which is kept with what it heard
    model: str
    most_seconds: float
    most_bytes: int
    #: whether the conversation is told what was heard
    show: bool = False


class Hearing:
    """Listens; with None for `listening`, it leaves every recording as it is."""

    def __init__(self, store: Store, mouth: Mouth, ears: Ears, listening: Listening | None) -> None:
        self._store = store
        self._mouth = mouth
        self._ears = ears
        self._listening = listening
        # A recording that two bots are to hear is listened to once. One after the other is no loss:
        # the model hears one at a time anyway.
        self._one = asyncio.Lock()

    async def hear(self, turn: Turn, died: Died) -> Turn | str:
        """The turn with what is said in its recordings: those of the messages it answers, and of
        the one that they reply to. Instead, what to tell a person whose recordings are all there
        is, and cannot be heard."""
        if self._listening is None:
            return turn
        fresh = turn.history[len(turn.history) - turn.fresh :]
        now: dict[str, Transcript] = {}
        for message in (*fresh, *filter(None, [turn.about])):
            for file in message.files:
                if file.is_sound and message.author and not file.transcript:
                    now[file.sha256] = await self._listen(turn, message, file, died)
        history = tuple(_in_words(message, now) for message in turn.history)
        answered = history[len(history) - turn.fresh :]
        problems = [
            heard.problem
            for message in fresh
            for file in message.files
            if (heard := now.get(file.sha256) or file.transcript) and heard.problem
        ]
        if problems and all(message.text == UNHEARD for message in answered):
            return problems[-1]
        return replace(turn, history=history, about=turn.about and _in_words(turn.about, now))

    async def _listen(self, turn: Turn, message: Message, file: File, died: Died) -> Transcript:
        """What is said in a recording, kept once it is known for good."""
        assert self._listening is not None
        if file.size > self._listening.most_bytes:
            most = self._listening.most_bytes / 1e6
            return Transcript(
                problem=f"That recording has {file.size / 1e6:.1f} MB, and I listen to {most:g} MB"
                " at most."
            )
        async with self._one:
            if known := await self._store.transcript_of(file.sha256):
                return known
            heard = await self._ask(turn, file, died)
            if heard is None:
                return Transcript(problem=AWAY)
            if heard.text:
                heard = await self._screened(heard, message, file)
            elif not heard.problem:
                heard = Transcript(problem=SILENT)
            notice = None
            if self._listening.show and heard.text:
                words = f"*Heard:* {plain(heard.text)}"
                said, letters = self._mouth.notice(turn.thread, message.address, words)
                # Whoever forgets the recording forgets this, too.
                notice = replace(said, reply_to=message.platform_id), letters
            kept = await self._store.keep_transcript(
                file.sha256, heard, self._listening.model, notice
            )
        if kept and notice is not None:
            self._mouth.posted(message.address)
        return heard

    async def _ask(self, turn: Turn, file: File, died: Died) -> Transcript | None:
        """What the model makes of it; None when it cannot be asked now."""
        assert self._listening is not None
        path = self._store.file(file.sha256)
        try:
            request = HearingRequest(
                model=self._listening.model,
                sound=await asyncio.to_thread(path.read_bytes),
                name=file.name,
                most_seconds=self._listening.most_seconds,
            )
        except OSError as error:
            log.warning("a recording cannot be read: %s", error.strerror)
            return None
        while True:
            try:
                return await self._listening.engine.hear(request)
            except EngineFailed as error:
                log.info("a recording was not heard: %s", error, extra={"event": "not_heard"})
                return Transcript(problem=str(error))
            except ModelUnusable as error:
                log.warning("a recording was not heard: %s", error, extra={"event": "not_heard"})
                return None
            except EngineDied as error:
                if not await died(turn, error):
                    return Transcript(problem=GAVE_UP)

    async def _screened(self, heard: Transcript, message: Message, file: File) -> Transcript:
        """As far as anybody may hear it."""
        screened = await self._ears.listen(
            heard.text,
            f"recording {file.sha256}",
            message.address,
            message.author,
            message.platform_id,
        )
        if screened.blocked:
            return Transcript(problem=screened.text)
        return replace(heard, text=screened.text)


def _in_words(message: Message, now: dict[str, Transcript]) -> Message:
    """The message with what is said in its recordings, instead of those."""
    heard = {
        file: transcript
        for file in message.files
        if message.author and (transcript := now.get(file.sha256) or file.transcript)
    }
    if not heard:
        return message
    lines = [
        f"{SAID} {transcript.text}" if transcript.text else UNHEARD for transcript in heard.values()
    ]
    files = tuple(file for file in message.files if file not in heard)
    return replace(message, text="\n".join(filter(None, (message.text, *lines))), files=files)
