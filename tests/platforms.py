"""The three chat platforms behind the verbs of platform_verbs.py, and the daemon on any of them.
Knows no test."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fake_discord import FakeDiscord
from fake_slack import FakeSlack
from fake_telegram import FakeTelegram
from house import Home, home, surroundings
from platform_verbs import DM, GENERAL, Place, Platform

from adapters.discord import DiscordAdapter
from adapters.slack import SlackAdapter
from adapters.telegram import TelegramAdapter
from botdaemon.config import DiscordConfig, SlackConfig, TelegramConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    from fake_faults import Shown

    from botdaemon.ports import Bot, Courier


class OnDiscord(Platform):
    name = "discord"
    sends = "POST */messages"
    lists_direct = False

    def __init__(self, fake: FakeDiscord) -> None:
        self.fake: FakeDiscord = fake
        self.mention = fake.mention

    def adapter(self, around: Any, settings: Mapping[str, Any]) -> DiscordAdapter:
        table = DiscordConfig(kind="discord", token_env="TOKEN", **settings)
        connector = self.fake.connector
        return DiscordAdapter(self.name, table, self.fake.token, around, connector=connector)

    def is_connected(self) -> bool:
        return any(session.connection for session in self.fake.gateway.sessions.values())

    def account(self, who: str, *, bot: bool = False) -> str:
        return self.fake.world.person(who, bot=bot).id

    def channel_id(self, channel: str) -> str:
        return self.fake.channel_id(channel)

    def calls_upon(self, who: str) -> str:
        return f"<@{self.account(who)}>"

    async def thread(self, name: str) -> Place:
        return Place("general", await self.fake.open_thread(name, who="cy"))

    def as_bot(self, who: str) -> dict[str, Any]:
        return {"bot": True}

    async def command(self, name: str, place: Place = GENERAL, argument: str = "") -> None:
        await self.until(lambda: name in self.fake.commands.names())
        await super().command(name, place, argument)

    async def fill_in(self, id: str, button: str, text: str, place: Place = DM) -> str:
        press = await self.fake.press(id, button, who="ann", channel=place.channel)
        await self.until(lambda: self.fake.interaction(press).extra)
        [(name, before)] = self.fake.form(press).items()
        await self.fake.submit(press, **{name: text})
        return before

    async def redeliver(self, id: str, place: Place = DM) -> None:
        await self.fake.redeliver(id, channel=place.channel)

    async def lose(self, channel: str) -> None:
        await self.fake.delete_channel(channel)

    def is_ours(self, shown: Shown) -> bool:
        return bool(shown.raw["author"].get("bot"))

    def whispered(self, place: Place) -> list[str]:
        return [one.text for one in self.shown(place) if one.raw["ephemeral"]]

    def is_covered(self, shown: Shown) -> bool:
        return all(name.startswith("SPOILER_") for name, _ in shown.files)

    def pings(self, shown: Shown) -> list[str]:
        return [whom for whom in shown.raw["pings"] if not shown.reply_to or whom != "ann"]

    def at_work(self, asked: str, place: Place) -> bool:
        return (place.topic or self.channel_id(place.channel)) in self.fake.typing


class OnSlack(Platform):
    name = "slack"
    mention = "@botdaemon"
    sends = "/api/chat.postMessage"
    gives_references = False

    def __init__(self, fake: FakeSlack) -> None:
        self.fake: FakeSlack = fake

    def adapter(self, around: Any, settings: Mapping[str, Any]) -> SlackAdapter:
        fake = self.fake
        named = {"token_env": "BOT", "app_token_env": "APP", "base_url": fake.base_url}
        table = SlackConfig(**{"kind": "slack", **named, **settings})
        return SlackAdapter(self.name, table, fake.bot_token, fake.app_token, around)

    def is_connected(self) -> bool:
        return len(self.fake.socket.live) == 2

    @property
    def tokens(self) -> list[str]:
        return [self.fake.bot_token, self.fake.app_token]

    def account(self, who: str, *, bot: bool = False) -> str:
        return self.fake.team.user(who)

    def channel_id(self, channel: str) -> str:
        return self.fake.team.channel(channel).id

    def calls_upon(self, who: str) -> str:
        return f"<@{self.account(who)}>"

    async def thread(self, name: str) -> Place:
        return Place("general", await self.say(name, GENERAL, who="cy"))

    def as_bot(self, who: str) -> dict[str, Any]:
        return {"bot_id": f"B0{who.upper()}", "subtype": "bot_message", "username": who}

    async def lose(self, channel: str) -> None:
        self.fake.team.channel(channel).members.remove(self.fake.team.bot_user)

    def answers(self, asked: str) -> list[Shown]:
        question = self.fake.team.posts[asked]
        words = self.fake.team.read(question).removeprefix(self.mention).strip()
        thread = str(question.raw.get("thread_ts", asked))
        # The fake knows them by the question's words, and no bot repeats that it was mentioned.
        return self.fake.answers_to(asked) or [
            one
            for one in self.fake.shown(question.channel.id, thread)
            if self.is_ours(one) and one.id > asked and words in one.text
        ]

    def is_final(self, shown: Shown) -> bool:
        # A stream that has ended shows all of its text, and still is to be made the letter.
        return super().is_final(shown) and ("metadata" in shown.raw or bool(shown.files))

    def is_ours(self, shown: Shown) -> bool:
        return shown.raw.get("bot_id") == self.fake.team.bot_id

    def topic_for(self, asked: str, place: Place) -> str:
        return place.topic or ("" if place.channel.startswith("@") else asked)

    def whispered(self, place: Place) -> list[str]:
        here = self.channel_id(place.channel)
        return [one.text for one in self.fake.ephemerals if one.raw["channel"] == here]

    async def fill_in(self, id: str, button: str, text: str, place: Place = DM) -> str:
        await self.fake.press(id, button, who="ann", channel=place.channel)
        await self.until(self.fake.window)
        window = self.fake.window()
        assert window is not None
        await self.fake.submit(text)
        return window.value

    def is_covered(self, shown: Shown) -> bool:
        # Slack covers nothing: the picture is not shown there, only its file.
        return not any(block["type"] == "image" for block in shown.raw.get("blocks", ()))

    def pings(self, shown: Shown) -> list[str]:
        pings: list[str] = shown.raw["pings"]
        return pings

    def at_work(self, asked: str, place: Place) -> bool:
        topic = self.topic_for(asked, place)
        return bool(self._eyes(asked)) or any(
            thread == topic and words for _, thread, words in self.fake.typing
        )

    def at_rest(self, asked: str, place: Place) -> bool:
        topic = self.topic_for(asked, place)
        said = [words for _, thread, words in self.fake.typing if thread == topic]
        return not self._eyes(asked) and not (said and said[-1])

    def _eyes(self, asked: str) -> list[Any]:
        reactions: list[Any] = self.fake.team.posts[asked].raw.get("reactions", [])
        return reactions


class OnTelegram(Platform):
    name = "telegram"
    mention = "@daemon_bot"
    sends = "/sendMessage"
    loads_earlier = False
    tells_of_deletions = False
    whispers = False
    verifies = False
    forms = False

    def __init__(self, fake: FakeTelegram) -> None:
        self.fake: FakeTelegram = fake

    def adapter(self, around: Any, settings: Mapping[str, Any]) -> TelegramAdapter:
        fake = self.fake
        urls = {"base_url": fake.base_url, "base_file_url": fake.base_file_url}
        table = TelegramConfig(**{"kind": "telegram", "token_env": "TOKEN", **urls, **settings})
        return TelegramAdapter(self.name, table, fake.token, around)

    def is_connected(self) -> bool:
        return self.fake.updates.polled

    def account(self, who: str, *, bot: bool = False) -> str:
        return str(self.fake.world.person(who, is_bot=bot).id)

    def channel_id(self, channel: str) -> str:
        return str(self.fake.chat(channel).id)

    def calls_upon(self, who: str) -> str:
        return f"@{self.fake.world.person(who).json()['username']}"

    async def thread(self, name: str) -> Place:
        return Place("forum", name)

    def as_bot(self, who: str) -> dict[str, Any]:
        return {"by_bot": True}

    async def lose(self, channel: str) -> None:
        await self.fake.kick(channel)

    def speaks(self, shown: Shown) -> tuple[str, str]:
        name, colon, text = shown.text.partition(": ")
        named = colon and any(
            entity["type"] == "bold" and entity["offset"] == 0
            for entity in shown.raw.get("entities", ())
        )
        return (name, text) if named else (shown.author, shown.text)

    def is_ours(self, shown: Shown) -> bool:
        return shown.author == self.fake.bot.name

    def whispered(self, place: Place) -> list[str]:
        return []

    def is_covered(self, shown: Shown) -> bool:
        return bool(shown.raw.get("has_media_spoiler"))

    def pings(self, shown: Shown) -> list[str]:
        # There is no name for everybody: @everyone is somebody's, or nobody's.
        return [
            one["type"] for one in shown.raw.get("entities", ()) if one["type"] == "text_mention"
        ]

    def at_work(self, asked: str, place: Place) -> bool:
        return any(
            (one.channel, one.topic) == (place.channel, place.topic) for one in self.fake.typing
        )


_KINDS: dict[str, Callable[[], tuple[Any, Callable[[Any], Platform]]]] = {
    "discord": lambda: (FakeDiscord(), OnDiscord),
    "slack": lambda: (FakeSlack(), OnSlack),
    "telegram": lambda: (FakeTelegram(), OnTelegram),
}
PLATFORMS = tuple(_KINDS)


@asynccontextmanager
async def serving(*names: str) -> AsyncIterator[list[Platform]]:
    """These platforms, up and with nobody connected."""
    async with AsyncExitStack() as stack:
        platforms = []
        for name in names:
            fake, kind = _KINDS[name]()
            platforms.append(kind(await stack.enter_async_context(fake.serving())))
        yield platforms


class _Hurried:
    """An adapter whose letters need not wait for courtesy's sake: the fakes are patient, and here
    nobody tests the pauses."""

    def __init__(self, adapter: Courier) -> None:
        self._adapter = adapter
        traits = adapter.traits
        self.traits = replace(
            traits,
            channel_pause=0.0,
            edits_per_second=10.0 if traits.edits_per_second else 0.0,
            settles_after=min(traits.settles_after, 1.0),
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)


@asynccontextmanager
async def daemon(
    directory: Path,
    bots: Mapping[str, Bot],
    *platforms: Platform,
    settings: Mapping[str, Any] | None = None,
    told: Mapping[str, Any] | None = None,
    awaited: bool = True,
    **house: Any,
) -> AsyncIterator[Home]:
    """The road with an account on each platform: `settings` are those of the adapters' tables,
    `told` is told to them of the house, and the rest is the house's."""

    def connect(store: Any) -> Sequence[Any]:
        around = surroundings(store, *bots, **(told or {}))
        return [_Hurried(platform.adapter(around, settings or {})) for platform in platforms]

    async with home(directory, bots, connect=connect, keep=True, **house) as made:
        if awaited:
            for platform in platforms:
                await platform.until(platform.is_connected)
        yield made


def rows(directory: Path, query: str) -> list[tuple[Any, ...]]:
    """What is on disk."""
    with closing(sqlite3.connect(f"file:{directory}/botdaemon.db?mode=ro", uri=True)) as db:
        return db.execute(query).fetchall()


async def stored(directory: Path, query: str, enough: int = 1) -> list[tuple[Any, ...]]:
    """What is on disk, once it is that much: nobody says when it gets there."""
    async with asyncio.timeout(20):
        found = rows(directory, query)
        while len(found) < enough:
            await asyncio.sleep(0.02)
            found = rows(directory, query)
    return found
