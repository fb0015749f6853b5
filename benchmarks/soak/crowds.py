"""The people of each platform: where they talk to bots, how, and what they see there. Knows the
fakes; what is said is chosen in `talk`, what goes wrong in `troubles`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fake_discord import FakeDiscord
from fake_slack import FakeSlack
from fake_telegram import FakeTelegram

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fake_faults import Call, Shown

    from benchmarks.soak.ledger import Question

PEOPLE = 40
"""On each platform; every fourth talks to the slow bot only."""
SLOW = "sloth"


def people() -> list[str]:
    return [f"ann{number}" for number in range(PEOPLE)]


def is_slow(who: str) -> bool:
    """Whoever talks to one bot talks to no other: the echo repeats what somebody said in a row."""
    return int(who.removeprefix("ann")) % 4 == 3


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody can begin to talk to a bot."""

    channel: str
    call: str
    """What has to be said so that the first bot listens there."""
    direct: str = ""
    """Whose direct messages it is."""
    topic: str = ""


class Crowd(Protocol):
    """The people of a platform."""

    name: str
    letter: str
    """What marks on this platform begin with."""
    send: str
    """Requests by which a bot says something, as a pattern for faults."""
    fake: Any

    def table(self) -> str:
        """How the daemon is configured for it; once it serves."""

    def secrets(self) -> dict[str, str]:
        """The tokens, by the variables that hold them."""

    def connected(self) -> bool:
        """Whether the daemon hears what is said now."""

    def connections(self) -> int:
        """How often a client has begun to listen."""

    def places(self) -> list[Place]: ...

    async def ask(self, place: Place, question: Question, text: str) -> None:
        """Say it; notes the message's id and the topic its answer will be in."""

    async def go_on(self, before: Question, answer: str, question: Question, text: str) -> None:
        """Say it where an earlier question was answered, to whoever answered it."""

    def answer(self, question: Question) -> Shown | None:
        """The answer to an answered question, if it can still be found."""

    def said(self) -> Iterator[Shown]:
        """All that bots are seen to have said."""

    def placeholders(self) -> int:
        """Messages of bots that say nothing, and never will."""


class Reader(Crowd, Protocol):
    """The people of a platform that keeps a history which bots can read."""

    ordered: bool
    """Whether what is said in a channel, and no thread, is one conversation."""

    def id_of(self, channel: str) -> str: ...

    def deaf(self, deaf: bool) -> None:
        """Whether the platform tries in vain to tell what is said while the daemon is away."""

    def reads(self, call: Call) -> bool:
        """Whether a request asks for a page of a history."""


class DiscordCrowd:
    """In a hundred text channels, where each mention becomes a thread, a channel in which every
    message is for the bot, and direct messages."""

    name, letter, send = "discord", "d", "POST */messages"

    def __init__(self, channels: int) -> None:
        self.fake = FakeDiscord()
        # What Discord is known to allow.
        self.fake.limits.whole = (50, 1.0)
        self.fake.limits.routes = {
            "POST /channels/{c}/messages": (5, 5.0),
            "PATCH /channels/{c}/messages/{m}": (5, 5.0),
            "GET /channels/{c}/messages": (5, 5.0),
            "POST /channels/{c}/typing": (5, 5.0),
        }
        self._channels = channels

    def table(self) -> str:
        return f"""
[adapters.discord]
kind = "discord"
token_env = "SOAK_DISCORD"
auto_threads = true
free_channels = ["{self.fake.channel_id("lobby")}"]
access.direct = "open"
"""

    def secrets(self) -> dict[str, str]:
        return {"SOAK_DISCORD": self.fake.token}

    def connected(self) -> bool:
        return any(connection.session for connection in self.fake.gateway.connections)

    def connections(self) -> int:
        return len(self.fake.gateway.logins)

    def places(self) -> list[Place]:
        names = [f"room-{number}" for number in range(self._channels)]
        for name in names:
            self.fake.create_channel(name)
        return [
            *(Place(name, f"{self.fake.mention} ") for name in names),
            *(Place("lobby", "") for _ in range(5)),
            *(Place(f"@{who}", "", direct=who) for who in people()),
        ]

    async def ask(self, place: Place, question: Question, text: str) -> None:
        question.id = await self.fake.say(text, channel=place.channel, who=question.who)
        if place.call:
            question.topic = question.id

    async def go_on(self, before: Question, answer: str, question: Question, text: str) -> None:
        question.topic = before.topic
        question.id = await self.fake.say(
            text,
            channel=question.channel,
            who=question.who,
            topic=before.topic,
            reply_to="" if before.topic else answer,
        )

    def answer(self, question: Question) -> Shown | None:
        return next(
            (one for one in self.fake.answers_to(question.id) if question.mark in one.text), None
        )

    def said(self) -> Iterator[Shown]:
        names = [channel.id for channel in self.fake.world.channels.values() if not channel.parent]
        for name in names:
            for shown in self.fake.shown(name, "*"):
                if shown.raw.get("application_id") or shown.raw["author"]["id"] == self.fake.bot_id:
                    yield shown

    def placeholders(self) -> int:
        return 0

    ordered = True

    def id_of(self, channel: str) -> str:
        return self.fake.channel_id(channel)

    def deaf(self, deaf: bool) -> None:
        self.fake.forget_sessions()

    def reads(self, call: Call) -> bool:
        return call.method == "GET" and call.path.endswith("/messages")


class SlackCrowd:
    """In channels, where each mention is answered in a thread, and in direct messages."""

    name, letter, send = "slack", "s", "POST /api/chat.*"

    def __init__(self, channels: int) -> None:
        self.fake = FakeSlack()
        self._channels = channels

    def table(self) -> str:
        return f"""
[adapters.slack]
kind = "slack"
token_env = "SOAK_SLACK"
app_token_env = "SOAK_SLACK_APP"
base_url = "{self.fake.base_url}"
access.direct = "open"
"""

    def secrets(self) -> dict[str, str]:
        return {"SOAK_SLACK": self.fake.bot_token, "SOAK_SLACK_APP": self.fake.app_token}

    def connected(self) -> bool:
        return len(self.fake.socket.live) > 1

    def connections(self) -> int:
        return sum(call.path == "/link/" for call in self.fake.calls)

    def places(self) -> list[Place]:
        rooms = [f"room-{number}" for number in range(self._channels)]
        for name in [*rooms, *(f"@{who}" for who in people())]:
            self.fake.team.channel(name)
        return [
            *(Place(name, "@botdaemon ") for name in rooms),
            *(Place(f"@{who}", "", direct=who) for who in people()),
        ]

    async def ask(self, place: Place, question: Question, text: str) -> None:
        question.id = await self.fake.say(text, channel=place.channel, who=question.who)
        if place.call:
            question.topic = question.id

    async def go_on(self, before: Question, answer: str, question: Question, text: str) -> None:
        question.topic = before.topic
        question.id = await self.fake.say(
            text, channel=question.channel, who=question.who, topic=before.topic
        )

    def answer(self, question: Question) -> Shown | None:
        found = self.fake.shown(question.channel, question.topic)
        return next((one for one in found if self._ours(one) and question.mark in one.text), None)

    def said(self) -> Iterator[Shown]:
        for channel in list(self.fake.team.channels):
            yield from (one for one in self.fake.shown(channel) if self._ours(one))

    def _ours(self, shown: Shown) -> bool:
        return shown.raw.get("bot_id") == self.fake.team.bot_id

    def placeholders(self) -> int:
        return 0

    ordered = False

    def id_of(self, channel: str) -> str:
        return self.fake.team.channel(channel).id

    def deaf(self, deaf: bool) -> None:
        # As if it was away for longer than Slack repeats.
        if deaf:
            self._events, self.fake.events = self.fake.events, set()
        else:
            self.fake.events = self._events

    def reads(self, call: Call) -> bool:
        return call.path in ("/api/conversations.history", "/api/conversations.replies")


class TelegramCrowd:
    """In groups, in topics of groups, and in private chats."""

    name, letter, send = "telegram", "t", "/sendMessage"

    def __init__(self, channels: int) -> None:
        self.fake = FakeTelegram()
        self.fake.limit(20, 60.0)  # what Telegram is known to allow in a group
        self._channels = channels

    def table(self) -> str:
        return f"""
[adapters.telegram]
kind = "telegram"
token_env = "SOAK_TELEGRAM"
base_url = "{self.fake.base_url}"
base_file_url = "{self.fake.base_file_url}"
access.direct = "open"
"""

    def secrets(self) -> dict[str, str]:
        return {"SOAK_TELEGRAM": self.fake.token}

    def connected(self) -> bool:
        return self.fake.updates.polled

    def connections(self) -> int:
        return sum(call.path.endswith("/getMe") for call in self.fake.calls)

    def places(self) -> list[Place]:
        call = f"@{self.fake.bot.name} "
        groups = [f"room {number}" for number in range(self._channels)]
        for number, name in enumerate(groups):
            self.fake.chat(name, forum=number % 4 == 0)
        return [
            *(Place(name, call) for name in groups),
            *(Place(name, call, topic=f"topic {name}") for name in groups[::4]),
            *(Place(f"@{who}", "", direct=who) for who in people()),
        ]

    async def ask(self, place: Place, question: Question, text: str) -> None:
        question.topic = place.topic
        question.id = await self.fake.say(
            text, channel=place.channel, who=question.who, topic=place.topic
        )

    async def go_on(self, before: Question, answer: str, question: Question, text: str) -> None:
        question.topic = before.topic
        question.id = await self.fake.say(
            text,
            channel=question.channel,
            who=question.who,
            topic=before.topic,
            reply_to=answer,
        )

    def answer(self, question: Question) -> Shown | None:
        return next(
            (one for one in self.fake.answers_to(question.id) if question.mark in one.text), None
        )

    def said(self) -> Iterator[Shown]:
        for chat in list(self.fake.world.chats):
            for shown in self.fake.shown(str(chat)):
                if shown.author == self.fake.bot.name:
                    yield shown

    def placeholders(self) -> int:
        return sum(shown.text == "\u2026" for shown in self.said())
