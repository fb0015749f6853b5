"""How bots and the daemon speak: into the store, and from there to every address. Knows no bot."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from botdaemon import render
from botdaemon.dispatcher.ears import note
from botdaemon.dispatcher.letters import CONTROLS, answer, captioned, home_of, write
from botdaemon.dispatcher.manners import Manners
from botdaemon.types import (
    Address,
    Bubble,
    Draft,
    File,
    Held,
    Kind,
    Letter,
    Message,
    Obligation,
    Part,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from botdaemon.dispatcher.speaking import Speaking
    from botdaemon.metrics import Metrics
    from botdaemon.ports import Traits
    from botdaemon.store import Store

#: seconds in which a thread is not told the same thing again because of the same person
APOLOGY_PAUSE = 30.0


class Post(Protocol):
    """What the dispatcher needs of the outboxes."""

    def post(self, addresses: Iterable[Address]) -> None:
        """There are letters for these addresses."""

    def live(self, obligation: Obligation) -> AbstractAsyncContextManager[Callable[[Draft], None]]:
        """Typing at a turn's addresses; yields what shows the answer so far."""


class Mouth:
    """Says things in threads; `couriers` are the adapters that need letters, `manners` those of
    each bot."""

    def __init__(
        self,
        store: Store,
        couriers: Mapping[str, Traits],
        post: Post,
        manners: Mapping[str, Manners],
        speaking: Speaking,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._couriers = couriers
        self._post = post
        self._manners = manners
        self._speaking = speaking
        self._metrics = metrics
        self._clock = clock
        self._apologies: dict[tuple[int, int, str], float] = {}

    @asynccontextmanager
    async def live(self, obligation: Obligation) -> AsyncIterator[Callable[[Draft], None]]:
        """Typing, and the growing answer, at all addresses of a turn. Of a crowd's nothing is shown
        before its names are known: no platform changes whose message it is."""
        crowd = self._manners.get(obligation.bot, Manners()).crowd
        async with self._post.live(obligation) as show:
            yield (lambda draft: None) if crowd else show

    def begun(self, bot: str, draft: Draft, *, grows: bool) -> Draft:
        """What may be shown of a draft: of an answer that `grows`, what is certain to be said."""
        manners = self._manners.get(bot, Manners())
        return manners.begun(draft) if grows else manners.told(draft)

    async def answer(
        self, obligation: Obligation, draft: Draft, *, close: str, aloud: bool = False
    ) -> str:
        """A bot's words end its turn, as far as its manners allow; returns how it ended ("silent"
        when there are none). With `aloud` they are spoken, if they can be."""
        spoken = await self._manners.get(obligation.bot, Manners()).spoken(draft)
        if spoken.screened.found:
            held = Held(
                way="said",
                blocked=spoken.screened.blocked,
                found=spoken.screened.found,
                text="\n".join(one.text for one in draft.bubbles) or draft.text,
                address=home_of(obligation),
                bot=obligation.bot,
            )
            await note(self._store, f"turn {obligation.turn} said", held)
        draft = spoken.draft
        if not draft.text.strip() and not draft.files:
            state = "stopped" if close == "stopped" else "silent"
            await self.end(obligation, state)
            return state
        voice = None
        if aloud and not spoken.screened.blocked:
            voice = await self._speaking.note(obligation.bot, draft.text)
        if voice is not None:
            draft = replace(draft, files=(*draft.files, voice.file))
        letters: list[Letter] = []
        for address in obligation.addresses:
            bubbles, pauses = spoken.bubbles, spoken.pauses
            if voice is not None and voice.enough and self._takes(address, voice.file):
                bubbles, pauses = (), []
            letters += await self._letters(obligation, address, draft, bubbles, pauses)
        several = len(spoken.bubbles) > 1 or any(one.name for one in spoken.bubbles)
        said = Message(
            address=home_of(obligation),
            text=draft.text,
            files=draft.files,
            bubbles=spoken.bubbles if several else (),
            bot=obligation.bot,
            thread=obligation.thread,
            turn=obligation.turn,
            sent_at=self._clock(),
        )
        origin = draft.origin and replace(draft.origin, usage=draft.usage)
        await self._store.say(said, letters, close=close, origin=origin)
        self._said(obligation.addresses)
        return close

    async def apologise(
        self, obligation: Obligation, text: str, *, close: str, error: str = "", about: str = ""
    ) -> None:
        """The daemon's words end a turn. The same words are not repeated to the same person for
        a while, nor to anybody when they are `about` something that concerns all: then the turn
        ends silently."""
        key = (0, 0, about) if about else (obligation.thread, obligation.asked_by, close)
        now = time.monotonic()
        self._apologies = {k: at for k, at in self._apologies.items() if at > now - APOLOGY_PAUSE}
        if key in self._apologies:
            await self.end(obligation, close, error)
            return
        self._apologies[key] = now
        await self._notice(obligation, obligation.addresses, text, close, error)

    async def end(self, obligation: Obligation, close: str, error: str = "") -> None:
        """End a turn without words; only a live draft that people see is not left as it stands."""
        drafted = await self._store.drafted(obligation.turn)
        if drafted:
            text = "*stopped*" if close == "stopped" else "*no answer*"
            await self._notice(obligation, drafted, text, close, error)
        else:
            await self._store.end_turn(obligation.turn, close, error)

    async def _notice(
        self,
        obligation: Obligation,
        addresses: Sequence[Address],
        text: str,
        close: str,
        error: str,
    ) -> None:
        letters: list[Letter] = []
        for address in addresses:
            letters += await self._letters(
                obligation, address, Draft(text=text), [Bubble(text)], notice=True
            )
        await self._store.say(
            Message(
                address=home_of(obligation),
                text=text,
                kind=Kind.NOTICE,
                thread=obligation.thread,
                turn=obligation.turn,
                sent_at=self._clock(),
            ),
            letters,
            close=close,
            error=error,
        )
        self._said(addresses)

    async def tell(self, thread: int, address: Address, text: str, *, only_for: str = "") -> int:
        """The daemon's words at one address, outside any turn; returns the message's id."""
        message = await self._store.say(*self.notice(thread, address, text, only_for=only_for))
        self.posted(address)
        return message

    def notice(
        self, thread: int, address: Address, text: str, *, only_for: str = ""
    ) -> tuple[Message, list[Letter]]:
        """The daemon's words at one address, to be kept by whoever has them, and then `posted`."""
        said = Message(
            address=address, text=text, kind=Kind.NOTICE, thread=thread, sent_at=self._clock()
        )
        letters: list[Letter] = []
        if (traits := self._couriers.get(address.adapter)) is not None:
            letters = write(address, render.split(text, traits).parts, only_for=only_for)
        return said, letters

    def posted(self, address: Address) -> None:
        """There are letters for this address."""
        self._said([address])

    async def repeat(self, thread: int, address: Address, bot: str, file: File) -> None:
        """What a bot has said already, as a voice note at one address. No bot reads it again."""
        said = Message(
            address=address,
            text="",
            kind=Kind.NOTICE,
            bot=bot,
            files=(file,),
            thread=thread,
            sent_at=self._clock(),
        )
        letters: list[Letter] = []
        if (traits := self._couriers.get(address.adapter)) is not None:
            letters = answer(address, [], [file], traits, speaker=bot, reply_to="", controls=())
        await self._store.say(said, letters)
        self.posted(address)

    def _takes(self, address: Address, file: File) -> bool:
        """Whether a file can be sent there."""
        traits = self._couriers.get(address.adapter)
        return traits is not None and file.size <= traits.file_limit

    def _said(self, addresses: Sequence[Address]) -> None:
        """There is something for these addresses; a mirror shows it by itself."""
        self._post.post(addresses)
        for address in addresses:
            if address.adapter not in self._couriers:
                self._metrics.sent.labels(address.adapter).inc()

    async def _letters(
        self,
        obligation: Obligation,
        address: Address,
        draft: Draft,
        bubbles: Sequence[Bubble],
        pauses: Sequence[float] = (0.0,),
        *,
        notice: bool = False,
    ) -> list[Letter]:
        """A draft's letters; `bubbles` are its words, message by message, and `pauses` when each is
        sent, in seconds from now."""
        traits = self._couriers.get(address.adapter)
        if traits is None:
            return []
        texts = [bubble.text for bubble in bubbles]
        parts, files, begins = await self._parts(texts, draft.files, traits)
        controls = CONTROLS if draft.controls is None else draft.controls
        where, platform_id = obligation.reply_to or (None, "")
        letters = answer(
            address,
            parts,
            files,
            traits,
            speaker="" if notice else obligation.bot,
            reply_to=platform_id if where == address else "",
            controls=() if notice or not traits.buttons else controls,
        )
        now = self._clock()
        ends = [*begins[1:], len(parts)][: len(begins)]
        for number, end, pause, bubble in zip(begins, ends, pauses, bubbles, strict=True):
            if pause:
                letters[number] = replace(letters[number], not_before=now + pause)
            if bubble.name:
                letters[number:end] = [
                    replace(letter, speaker=bubble.name) for letter in letters[number:end]
                ]
        return letters

    async def _parts(
        self, texts: Sequence[str], files: tuple[File, ...], traits: Traits
    ) -> tuple[list[Part], tuple[File, ...], list[int]]:
        """An answer as the parts that a platform takes, the files that follow them, and with which
        of the parts each of its messages begins."""
        if len(texts) == 1 and (whole := captioned(texts[0], files, traits)) is not None:
            return [whole], files[1:], [0]
        parts: list[Part] = []
        rests: list[File] = []
        begins: list[int] = []
        for text in texts:
            split = render.split(text, traits)
            begins.append(len(parts))
            parts += split.parts
            if split.rest:
                rest = split.rest.encode("utf-8", "replace")
                rests.append(await self._store.keep(rest, "reply.md", "text/markdown"))
        return parts, (*files, *rests), begins
