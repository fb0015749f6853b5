"""What a bot hears, and how what it says is put: its filters and the length of its posts. Knows no
store and no platform."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from botdaemon import posts
from botdaemon.filters import NOTHING, Filter, Screened
from botdaemon.posts import ALONE, BETWEEN, Several

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
    #: the draft's text, message by message, and when each is sent, in seconds after the first
    messages: tuple[str, ...]
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

    def unheard(self, turn: Turn) -> Unheard | None:
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
            if screened.blocked:
                return Unheard(screened.text, screened, text, message)
        return None

    def hear(self, turn: Turn) -> Turn:
        """The turn as it is heard: without what is held back or too long, and with what is
        masked."""
        history = tuple(
            heard for message in turn.history if (heard := self.hear_one(message)) is not None
        )
        wish = turn.wish and replace(turn.wish, text=self.heard(turn.wish.text).text)
        about = turn.about and self.hear_one(turn.about)
        return replace(turn, history=history, wish=wish, about=about)

    def hear_one(self, message: Message) -> Message | None:
        """A message as it is heard; None for one that is not."""
        if message.bot:
            return message
        if self.most_heard and len(message.text) > self.most_heard:
            return None
        screened = self.heard(message.text)
        if screened.blocked:
            return None
        return replace(message, text=screened.text) if screened.found else message

    def begun(self, draft: Draft) -> Draft:
        """What may be shown of an answer that grows: a beginning of what will be said."""
        text = posts.first(self.said.begun(draft.text), self.several)
        return replace(draft, text=posts.begun(text, self.most_said))

    def told(self, draft: Draft) -> Draft:
        """What may be shown of words that are whole, such as those about a picture's progress."""
        screened = self.said(draft.text)
        return replace(draft, text="" if screened.blocked else screened.text)

    def spoken(self, draft: Draft) -> Spoken:
        """An answer as it is said: for one that is held back the stand-in, without its files."""
        screened = self.said(draft.text)
        if screened.blocked:
            draft = replace(draft, files=())
        messages = posts.several(screened.text, self.most_said, self.several)
        draft = replace(draft, text=BETWEEN.join(messages))
        return Spoken(draft, messages, posts.pauses(messages, self.several), screened)
