"""A chat platform as the contract's tests see it: the same verbs over a fake and its adapter, and
what differs between platforms as data. Knows none of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from botdaemon.types import Address

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fake_faults import Faults, Shown

    from botdaemon.ports import Courier

Files = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where people talk: a channel by its name, "@ann" for the direct messages with ann, perhaps a
    topic in it, named as the platform names it."""

    channel: str
    topic: str = ""


DM, GENERAL = Place("@ann"), Place("general")


class Platform(ABC):
    """One platform, with the daemon's account on it."""

    name: ClassVar[str]
    fake: Any
    """Each its own: what they have in common is in fake_faults.py, and in the verbs below."""
    mention: str
    """How the account is mentioned."""
    sends: ClassVar[str]
    """The requests by which messages come to be, as `Faults` names them."""

    # --- what differs, and why --------------------------------------------------------------------

    loads_earlier: ClassVar[bool] = True
    """Telegram shows no bot what was said before."""
    tells_of_deletions: ClassVar[bool] = True
    """Telegram tells no bot of them."""
    whispers: ClassVar[bool] = True
    """Whether one person alone can be told something in a channel. Telegram has no such thing."""
    gives_references: ClassVar[bool] = True
    """Whether an answer points at its question. On Slack it stands in the thread under it."""
    lists_direct: ClassVar[bool] = True
    """Discord lists no direct messages: whoever writes for the first time while nobody is there is
    heard of when they write again."""
    verifies: ClassVar[bool] = True
    """Whether can be asked what arrived. On Telegram a placeholder may be left behind instead."""

    forms: ClassVar[bool] = True
    """Whether a button can open a form. On Telegram a command does what it would do."""

    # --- the daemon -------------------------------------------------------------------------------

    @abstractmethod
    def adapter(self, around: Any, settings: Mapping[str, Any]) -> Courier:
        """A new adapter for the account."""

    @abstractmethod
    def is_connected(self) -> bool: ...

    @property
    def tokens(self) -> list[str]:
        return [self.fake.token]

    @property
    def faults(self) -> Faults:
        faults: Faults = self.fake.faults
        return faults

    async def until(self, predicate: Callable[[], object], timeout: float = 20) -> None:
        await self.fake.until(predicate, timeout)

    # --- people -----------------------------------------------------------------------------------

    @abstractmethod
    def account(self, who: str, *, bot: bool = False) -> str:
        """The id of a person, or of somebody else's bot; made where there is none."""

    @abstractmethod
    def channel_id(self, channel: str) -> str: ...

    @abstractmethod
    def calls_upon(self, who: str) -> str:
        """How somebody else is mentioned."""

    @abstractmethod
    async def thread(self, name: str) -> Place:
        """A side conversation in a channel, opened by a person."""

    def address(self, place: Place) -> Address:
        return Address(self.name, self.channel_id(place.channel), place.topic)

    async def say(
        self,
        text: str,
        place: Place = DM,
        *,
        who: str = "ann",
        to_us: bool = False,
        reply_to: str = "",
        files: Files = (),
        bot: bool = False,
    ) -> str:
        """Somebody says something, with `to_us` to the account by a mention."""
        if place.channel.startswith("@"):
            who = place.channel[1:]
        elif to_us:
            text = f"{self.mention} {text}"
        more = self.as_bot(who) if bot else {}
        said: str = await self.fake.say(
            text,
            channel=place.channel,
            topic=place.topic,
            who=who,
            reply_to=reply_to,
            files=files,
            **more,
        )
        return said

    @abstractmethod
    def as_bot(self, who: str) -> dict[str, Any]:
        """What makes a message one of somebody else's bot."""

    async def react(self, id: str, emoji: str, place: Place = DM) -> None:
        await self.fake.react(id, emoji, who="ann", channel=place.channel)

    async def press(self, id: str, button: str, place: Place = DM) -> None:
        await self.fake.press(id, button, who="ann", channel=place.channel)

    async def fill_in(self, id: str, button: str, text: str, place: Place = DM) -> str:
        """A button that opens a form with one input; this is written there and sent. Returns what
        stood in it before."""
        raise AssertionError("no form opens here: ask `forms` first")

    async def command(self, name: str, place: Place = GENERAL, argument: str = "") -> None:
        """A command from the platform's own menu."""
        await self.fake.command(name, argument, who="ann", channel=place.channel)

    async def redeliver(self, id: str, place: Place = DM) -> None:
        await self.fake.redeliver(id)

    @abstractmethod
    async def lose(self, channel: str) -> None:
        """The account is thrown out of a channel, or the channel is deleted."""

    # --- what people see --------------------------------------------------------------------------

    def shown(self, place: Place) -> list[Shown]:
        """What stands there, oldest first; in a channel with all that is below it."""
        shown: list[Shown] = self.fake.shown(place.channel, place.topic or None)
        return shown

    def answers(self, asked: str) -> list[Shown]:
        answers: list[Shown] = self.fake.answers_to(asked)
        return answers

    def is_final(self, shown: Shown) -> bool:
        """Whether a message of ours is no draft any more."""
        return "Stop" not in shown.buttons and shown.text not in ("", "\u2026")

    @abstractmethod
    def is_ours(self, shown: Shown) -> bool: ...

    async def answer(self, asked: str) -> Shown:
        """The one answer to a message, once it is final."""
        await self.until(lambda: any(map(self.is_final, self.answers(asked))))
        [answer] = self.answers(asked)
        return answer

    async def saying(self, text: str, place: Place = DM) -> Shown:
        """The newest message of ours there that contains this, once it is final."""

        def found() -> list[Shown]:
            ours = filter(self.is_ours, self.shown(place))
            return [one for one in ours if text in one.text and self.is_final(one)]

        await self.until(found)
        return found()[-1]

    def topic_for(self, asked: str, place: Place) -> str:
        """The topic in which the answer to a question has to stand."""
        return place.topic

    def speaks(self, shown: Shown) -> tuple[str, str]:
        """Under which name a bot says what."""
        return shown.author, shown.text

    @abstractmethod
    def whispered(self, place: Place) -> list[str]:
        """What ann alone was told there."""

    @abstractmethod
    def is_covered(self, shown: Shown) -> bool:
        """Whether a message's picture is not seen before somebody wants to see it."""

    @abstractmethod
    def pings(self, shown: Shown) -> list[str]:
        """Whom a message notifies, besides the person it answers."""

    @abstractmethod
    def at_work(self, asked: str, place: Place) -> bool:
        """Whether it was shown there that a bot is at work on a question."""

    def at_rest(self, asked: str, place: Place) -> bool:
        """Whether nothing is left of it. Typing notices expire by themselves."""
        return True
