"""What a bot hears, and how what it says is put: its filters and the length of its posts. Knows no
store and no platform."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from botdaemon import posts
from botdaemon.dispatcher.judges import Judge, judged
from botdaemon.dispatcher.letters import plain
from botdaemon.filters import NOTHING, Filter, Screened
from botdaemon.posts import ALONE, BETWEEN, Several
from botdaemon.types import Bubble

if TYPE_CHECKING:
    from botdaemon.types import Draft, Message, Turn


class Unheard(NamedTuple):
    """Why a turn is not thought about."""

    #: what its person is told
    words: str
    #: what a filter found; None when a message is only too long
    screened: Screened | None = None
    #: as it was said, and in which message; None for what was typed into a form
    text: str = ""
    message: Message | None = None


class Spoken(NamedTuple):
    """An answer as it is said."""

    draft: Draft
    #: the draft, message by message, and when each is sent, in seconds after the first
    bubbles: tuple[Bubble, ...]
    pauses: list[float]
    screened: Screened


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """Those of one bot."""

    #: what it alone does not hear; what nobody hears is not recorded in the first place
    heard: Filter = NOTHING
    #: what it does not say
    said: Filter = NOTHING
    #: characters of a message to it, and of an answer of it; 0: any number
    most_heard: int = 0
    most_said: int = 0
    several: Several = ALONE
    #: classifiers that look through what it hears, and through what it says
    heard_judges: tuple[Judge, ...] = ()
    said_judges: tuple[Judge, ...] = ()
    #: it speaks under other names than its own, which no live draft can
    crowd: bool = False

    async def unheard(self, turn: Turn) -> Unheard | None:
        """Why it does not answer what a turn asks, if so."""
        asked: list[tuple[str, Message | None]] = [
            (message.text, message) for message in turn.history[len(turn.history) - turn.fresh :]
        ]
        if turn.wish is not None:
            asked.append((turn.wish.text, None))
        for text, message in asked:
            if self.most_heard and len(text) > self.most_heard:
                return Unheard(
                    f"That is too long for me: I read {self.most_heard} characters at most, and"
                    f" it has {len(text)}."
                )
            screened = self.heard(text)
            if not screened.blocked:
                screened = await judged(self.heard_judges, screened.text)
            if screened.blocked:
                return Unheard(screened.text, screened, text, message)
        return None

    async def hear(self, turn: Turn) -> Turn:
        """The turn as it is heard: without what is held back or too long, and with what is
        masked."""
        history = [
            heard for message in turn.history if (heard := await self.hear_one(message)) is not None
        ]
        wish = turn.wish and replace(turn.wish, text=self.heard(turn.wish.text).text)
        about = turn.about and await self.hear_one(turn.about)
        return replace(turn, history=tuple(history), wish=wish, about=about)

    async def hear_one(self, message: Message) -> Message | None:
        """A message as it is heard; None for one that is not."""
        if message.bot:
            return message
        if self.most_heard and len(message.text) > self.most_heard:
            return None
        screened = self.heard(message.text)
        if screened.blocked or (await judged(self.heard_judges, screened.text)).blocked:
            return None
        return replace(message, text=screened.text) if screened.found else message

    def begun(self, draft: Draft) -> Draft:
        """What may be shown of an answer that grows: a beginning of what will be said."""
        if self.said_judges:
            return replace(draft, text="")
        text = posts.first(self.said.begun(draft.text), self.several)
        return replace(draft, text=posts.begun(text, self.most_said))

    def told(self, draft: Draft) -> Draft:
        """What may be shown of words that are whole, such as those about a picture's progress."""
        screened = self.said(draft.text)
        return replace(draft, text="" if screened.blocked else screened.text)

    async def spoken(self, draft: Draft) -> Spoken:
        """An answer as it is said: for one that is held back the stand-in, without its files. What
        is held back of a crowd's is left out of it."""
        pieces = draft.bubbles or (Bubble(draft.text),)
        screened = [await self._screened(piece.text) for piece in pieces]
        kept = [
            replace(piece, text=one.text)
            for piece, one in zip(pieces, screened, strict=True)
            if not one.blocked
        ]
        if not kept:
            kept = [Bubble(screened[0].text)]
            draft = replace(draft, files=())
        if draft.bubbles:
            bubbles = tuple(
                replace(one, text=text)
                for one in kept
                if (text := posts.cut(one.text, self.most_said))
            )
        else:
            bubbles = tuple(map(Bubble, posts.several(kept[0].text, self.most_said, self.several)))
        found = tuple(dict.fromkeys(word for one in screened for word in one.found))
        draft = replace(draft, text=BETWEEN.join(map(_signed, bubbles)))
        return Spoken(
            draft,
            bubbles,
            posts.pauses([bubble.text for bubble in bubbles], self.several),
            Screened(draft.text, found, any(one.blocked for one in screened)),
        )

    async def _screened(self, text: str) -> Screened:
        """What goes on of what it wants to say."""
        screened = self.said(text)
        if screened.blocked:
            return screened
        looked = await judged(self.said_judges, screened.text)
        return Screened(looked.text, (*screened.found, *looked.found), looked.blocked)


def _signed(bubble: Bubble) -> str:
    """What one of a crowd says, in Markdown, with its name."""
    return f"**{plain(bubble.name)}:** {bubble.text}" if bubble.name else bubble.text
