"""Letters and live drafts on their way to a platform with faults, over real sockets."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from house import PICTURE_CONTROLS, DrawingBot, Home, SayingBot, home
from platform_server import Platform, PlatformAdapter

from botdaemon.errors import TryLater
from botdaemon.outbox import lanes
from botdaemon.types import Address, Draft, Kind, Letter, Message, Part, Room

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

    from botdaemon.types import Turn


class Post:
    """A platform with nobody on it who answers, and letters to send there."""

    def __init__(self, platform: Platform, house: Home) -> None:
        self.platform = platform
        self.house = house

    async def write(self, channel: str, *texts: str) -> None:
        """The daemon says something of its own in a channel."""
        address = Address("chat", channel)
        said = self.platform.say("hello", channel=channel)
        await self.platform.until(lambda: said in self.platform.confirmed)
        [opening, *_] = await self.house.store.recent_at(address, 50)
        for text in texts:
            notice = Message(
                address=address, text=text, kind=Kind.NOTICE, thread=opening.thread, sent_at=1.0
            )
            part = Part(text=text, plain=text)
            letter = Letter(id=0, key="", address=address, speaker="", part=part)
            await self.house.store.say(notice, [letter])
            self.house.outboxes.post([address])

    def at(self, channel: str) -> list[str]:
        return [one.text for one in self.platform.shown.values() if one.channel == channel]

    async def shown(self, channel: str, *texts: str) -> None:
        await self.platform.until(lambda: self.at(channel) == list(texts))


@asynccontextmanager
async def posting(
    directory: Path, kind: type[PlatformAdapter] = PlatformAdapter, **traits: Any
) -> AsyncIterator[Post]:
    async with Platform().serving() as platform:
        adapter = kind("chat", platform.port, **traits)
        async with home(directory, {}, [adapter]) as house:
            yield Post(platform, house)


def letters(directory: Path) -> list[tuple[str, str, int]]:
    with closing(sqlite3.connect(f"file:{directory}/botdaemon.db?mode=ro", uri=True)) as db:
        return db.execute("SELECT text, state, attempts FROM letters ORDER BY id").fetchall()


# --- letters ---------------------------------------------------------------------------------


async def test_letters_arrive_in_order_at_every_address(tmp_path: Path) -> None:
    async with posting(tmp_path) as post:
        texts = [f"letter {number}" for number in range(10)]
        await asyncio.gather(*(post.write(channel, *texts) for channel in "abc"))
        for channel in "abc":
            await post.shown(channel, *texts)
        await post.house.outboxes.drained()

    assert {"sent"} == {state for _, state, _ in letters(tmp_path)}


async def test_an_address_that_must_wait_keeps_its_order_and_holds_up_no_other(
    tmp_path: Path,
) -> None:
    async with posting(tmp_path) as post:
        post.platform.faults.append(0.5)
        await post.write("busy", "first", "second")
        await post.write("free", "one", "two")
        await post.shown("free", "one", "two")
        assert post.at("busy") == []
        await post.house.outboxes.drained()  # what must wait is nothing to wait for
        await post.shown("busy", "first", "second")

    assert [text for text, _, attempts in letters(tmp_path)[:2] if attempts] == ["first", "second"]


async def test_a_platform_that_says_later_again_and_again_gets_it_once(tmp_path: Path) -> None:
    async with posting(tmp_path) as post:
        post.platform.faults.extend([0.02] * 6)
        await post.write("general", "patience")
        await post.shown("general", "patience")

        assert post.platform.calls == ["send"] * 7


async def test_an_undeliverable_letter_is_kept_as_dead_and_the_next_one_goes(
    tmp_path: Path,
) -> None:
    async with posting(tmp_path) as post:
        post.platform.faults.append("refuse")
        await post.write("general", "unwelcome", "welcome")
        await post.shown("general", "welcome")
        await post.house.outboxes.drained()

    assert letters(tmp_path) == [("unwelcome", "dead", 1), ("welcome", "sent", 1)]


async def test_a_letter_whose_answer_was_lost_is_found_and_not_sent_twice(tmp_path: Path) -> None:
    async with posting(tmp_path) as post:
        post.platform.faults.append("drop")
        await post.write("general", "only once", "next")
        await post.shown("general", "only once", "next")

        assert post.platform.calls == ["send", "find", "send"]


async def test_a_connection_that_keeps_breaking_loses_and_repeats_nothing(tmp_path: Path) -> None:
    async with posting(tmp_path) as post:
        post.platform.faults.extend(["drop", None, "drop", None, None, "drop", 0.01])
        texts = [f"letter {number}" for number in range(4)]
        await asyncio.gather(*(post.write(channel, *texts) for channel in "ab"))
        for channel in "ab":
            await post.shown(channel, *texts)


class Evasive(PlatformAdapter):
    """Has no time for the first questions whether something arrived."""

    evasions = 2

    async def find(self, letter: Letter) -> str | None:
        if self.evasions:
            self.evasions -= 1
            raise TryLater(after=0.02)
        return await super().find(letter)


async def test_a_platform_too_busy_to_tell_what_arrived_gets_nothing_twice(tmp_path: Path) -> None:
    async with posting(tmp_path, Evasive) as post:
        post.platform.faults.append("drop")
        await post.write("general", "only once", "next")
        await post.shown("general", "only once", "next")

        assert post.platform.calls == ["send", "find", "send"]


async def test_letters_that_were_left_are_delivered_after_the_next_start(tmp_path: Path) -> None:
    async with Platform().serving() as platform:
        platform.gate.clear()  # it takes calls and does nothing
        async with home(tmp_path, {}, [PlatformAdapter("chat", platform.port)]) as house:
            await Post(platform, house).write("general", "a", "b")
        assert "sent" not in {state for _, state, _ in letters(tmp_path)}
        platform.gate.set()
        async with home(tmp_path, {}, [PlatformAdapter("chat", platform.port)]) as house:
            await Post(platform, house).shown("general", "a", "b")


async def test_an_adapter_is_sent_no_more_letters_a_second_than_it_asks_for(
    tmp_path: Path,
) -> None:
    async with posting(tmp_path, letters_per_second=50.0) as post:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.gather(*(post.write(channel, "one", "two") for channel in "abcde"))
        for channel in "abcde":
            await post.shown(channel, "one", "two")

        assert loop.time() - began >= 9 / 50


async def test_two_letters_in_one_channel_are_as_far_apart_as_the_platform_asks(
    tmp_path: Path,
) -> None:
    async with posting(tmp_path, channel_pause=0.2) as post:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.gather(*(post.write(channel, "one", "two", "three") for channel in "ab"))
        for channel in "ab":
            await post.shown(channel, "one", "two", "three")

        assert loop.time() - began >= 2 * 0.2


async def test_what_may_still_be_under_way_is_not_looked_for_too_early(tmp_path: Path) -> None:
    async with posting(tmp_path, settles_after=2.0) as post:
        loop = asyncio.get_running_loop()
        post.platform.faults.append("drop")
        began = loop.time()
        await post.write("general", "once")
        await post.platform.until(lambda: "find" in post.platform.calls)
        assert loop.time() - began >= 2.0
        await post.house.outboxes.drained()

        assert post.at("general") == ["once"]


async def test_where_nothing_can_be_looked_up_only_a_placeholder_can_stand_twice(
    tmp_path: Path,
) -> None:
    class Blind(PlatformAdapter):
        async def find(self, letter: Letter) -> str | None:
            return None

    async with posting(tmp_path, Blind, placeholders=True) as post:
        post.platform.faults.extend(["drop", None, "drop"])  # the first send, then the first edit
        await post.write("general", "the text", "the next")
        await post.shown("general", "\u2026", "the text", "the next")

        assert all(shown.versions[0] == "\u2026" for shown in post.platform.shown.values())


async def test_a_letter_on_which_the_adapter_itself_fails_holds_up_no_other_for_ever(
    tmp_path: Path,
) -> None:
    class Faulty(PlatformAdapter):
        async def send(self, letter: Letter) -> str:
            if letter.part.text == "cursed":
                raise TypeError("a fault of the adapter")
            return await super().send(letter)

    async with posting(tmp_path, Faulty) as post:
        await post.write("general", "cursed", "blessed")
        await post.shown("general", "blessed")
        await post.house.outboxes.drained()

    assert [row[:2] for row in letters(tmp_path)] == [("cursed", "dead"), ("blessed", "sent")]


def test_pauses_grow_up_to_a_limit_and_are_never_the_same_for_everybody() -> None:
    most = [max(lanes.pause(attempts) for _ in range(200)) for attempts in range(1, 15)]

    assert most[0] <= lanes.FIRST_PAUSE
    assert all(later > earlier for earlier, later in itertools.pairwise(most[:7]))
    assert max(most) <= lanes.LONGEST_PAUSE
    assert lanes.pause(10_000) <= lanes.LONGEST_PAUSE
    assert len({lanes.pause(5) for _ in range(20)}) > 1
    assert all(lanes.pause(n) >= lanes.FIRST_PAUSE / 2 for n in range(1, 15))


# --- answers and live drafts -----------------------------------------------------------------


class GrowingBot:
    """Says what the test tells it to, bit by bit; `end` is its last word."""

    def __init__(self) -> None:
        self.drafts: asyncio.Queue[Draft] = asyncio.Queue()

    def grow(self, text: str) -> None:
        self.drafts.put_nowait(Draft(text=text))

    def end(self, text: str) -> None:
        self.drafts.put_nowait(Draft(text=text, final=True))

    async def reply(self, turn: Turn) -> AsyncGenerator[Draft]:
        while True:
            yield await self.drafts.get()


@asynccontextmanager
async def drafting(
    directory: Path, bot: GrowingBot, edits_per_second: float
) -> AsyncIterator[Platform]:
    async with Platform().serving() as platform:
        adapter = PlatformAdapter("chat", platform.port, edits_per_second=edits_per_second)
        async with home(directory, {"bot": bot}, [adapter]):
            yield platform


async def test_a_live_draft_is_one_message_that_grows_into_the_answer(tmp_path: Path) -> None:
    bot = GrowingBot()
    async with drafting(tmp_path, bot, 100) as platform:
        asked = platform.say("tell me", direct=True)
        bot.grow("once")
        await platform.until(lambda: bool(platform.answers_to(asked)))
        [shown] = platform.answers_to(asked)
        assert shown.text.startswith("once")
        assert platform.typing == ["bot starts"]
        bot.grow("once upon")
        await platform.until(lambda: shown.text.startswith("once upon"))
        bot.end("once upon a time")
        await platform.until(lambda: shown.text == "once upon a time")

        assert [shown] == list(platform.shown.values())
        assert shown.speaker == "bot"
        assert platform.calls.count("send") == 1
        await platform.until(lambda: platform.typing == ["bot starts", "bot ends"])


async def test_drafts_are_shown_no_faster_than_the_platform_allows(tmp_path: Path) -> None:
    bot = GrowingBot()
    async with drafting(tmp_path, bot, 10) as platform:
        asked = platform.say("tell me", direct=True)
        for number in range(500):
            bot.grow("word " * number)
            await asyncio.sleep(0)
        await platform.until(lambda: bool(platform.answers_to(asked)))
        [shown] = platform.answers_to(asked)
        bot.end("the end")
        await platform.until(lambda: shown.text == "the end")

        assert 2 <= len(shown.versions) <= 10


async def test_an_answer_that_is_there_at_once_has_no_draft(tmp_path: Path) -> None:
    bot = GrowingBot()
    async with drafting(tmp_path, bot, 1) as platform:
        asked = platform.say("tell me", direct=True)
        bot.grow("yes, of")
        bot.end("yes, of course")
        await platform.until(lambda: bool(platform.answers_to(asked)))

        [shown] = platform.answers_to(asked)
        assert shown.versions == ["yes, of course"]


@pytest.mark.parametrize("fault", ["drop", "refuse", 0.01])
async def test_a_draft_that_fails_costs_neither_the_answer_nor_a_second_message(
    tmp_path: Path, fault: str | float
) -> None:
    bot = GrowingBot()
    async with drafting(tmp_path, bot, 50) as platform:
        platform.faults.append(fault)
        asked = platform.say("tell me", direct=True)
        bot.grow("once")
        await platform.until(lambda: bool(platform.calls))
        bot.end("once upon a time")
        await platform.until(
            lambda: [one.text for one in platform.answers_to(asked)] == ["once upon a time"]
        )

        assert len(platform.shown) == 1


async def test_a_draft_that_breaks_off_while_it_grows_ends_as_the_answer(tmp_path: Path) -> None:
    bot = GrowingBot()
    async with drafting(tmp_path, bot, 100) as platform:
        asked = platform.say("tell me", direct=True)
        bot.grow("once")
        await platform.until(lambda: bool(platform.answers_to(asked)))
        [shown] = platform.answers_to(asked)
        platform.faults.append("drop")
        bot.grow("once upon")
        await platform.until(lambda: not platform.faults)
        bot.end("once upon a time")
        await platform.until(lambda: shown.text == "once upon a time")

        assert [shown] == list(platform.shown.values())


async def test_an_answer_whose_draft_somebody_deleted_is_sent_anew(tmp_path: Path) -> None:
    bot = GrowingBot()
    async with drafting(tmp_path, bot, 100) as platform:
        asked = platform.say("tell me", direct=True)
        bot.grow("once")
        await platform.until(lambda: bool(platform.answers_to(asked)))
        [draft] = platform.answers_to(asked)
        platform.delete(draft.id)
        bot.end("once upon a time")
        await platform.until(
            lambda: [one.text for one in platform.answers_to(asked)] == ["once upon a time"]
        )


async def test_a_long_answer_comes_in_parts_with_the_rest_as_a_file(tmp_path: Path) -> None:
    lines = "\n".join(f"This is line number {number} of the answer." for number in range(40))
    async with Platform().serving() as platform:
        adapter = PlatformAdapter("chat", platform.port, text_limit=400, parts_limit=3)
        async with home(tmp_path, {"bot": SayingBot(lambda text: lines)}, [adapter]) as house:
            asked = platform.say("tell me all", direct=True)
            await platform.until(lambda: len(platform.shown) == 4)
            await house.outboxes.drained()
            shown = list(platform.shown.values())
            [file] = (tmp_path / "files").rglob("?" * 64)

    assert shown[-1].text == "[reply.md]"
    assert [asked, "", "", ""] == [one.reply_to for one in shown]
    assert {"bot"} == {one.speaker for one in shown}
    assert all(len(one.text) <= 400 for one in shown)
    whole = "\n".join([one.text for one in shown[:-1]] + [file.read_text()])
    positions = [whole.find(line) for line in lines.splitlines()]
    assert -1 not in positions
    assert positions == sorted(positions)


# --- bridged rooms ---------------------------------------------------------------------------


async def test_a_bridged_room_tells_the_other_channel_who_spoke_and_echoes_nothing(
    tmp_path: Path,
) -> None:
    room = Room(id=0, name="lounge", bots=("bot",), host="bot")
    channels = {Address("one", "c1"): "lounge", Address("two", "c2"): "lounge"}
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(Platform().serving())
        two = await stack.enter_async_context(Platform().serving())
        adapters = [PlatformAdapter("one", one.port), PlatformAdapter("two", two.port)]
        house = await stack.enter_async_context(
            home(
                tmp_path, {"bot": SayingBot()}, adapters, rooms={"lounge": room}, channels=channels
            )
        )
        asked = one.say("hello *all*", channel="c1", who="a_b*")
        await two.until(lambda: len(two.shown) == 2)
        await one.until(lambda: len(one.shown) == 1)
        replied = two.say("hi", channel="c2", who="bob")
        await two.until(lambda: len(two.shown) == 3)
        await one.until(lambda: len(one.shown) == 3)
        await house.outboxes.drained()

    assert [s.text for s in one.shown.values()] == [
        "you said: hello all",
        "bob: hi",
        "you said: hi",
    ]
    texts = ["a_b*: hello all", "you said: hello all", "you said: hi"]
    assert texts == [s.text for s in two.shown.values()]
    # A reply reference only where the question was asked.
    assert [asked, "", ""] == [s.reply_to for s in one.shown.values()]
    assert ["", "", replied] == [s.reply_to for s in two.shown.values()]


async def test_what_is_changed_or_taken_back_is_so_in_the_other_channel_too(
    tmp_path: Path,
) -> None:
    room = Room(id=0, name="lounge", bots=("bot",))
    channels = {Address("one", "c1"): "lounge", Address("two", "c2"): "lounge"}
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(Platform().serving())
        two = await stack.enter_async_context(Platform().serving())
        adapters = [PlatformAdapter("one", one.port), PlatformAdapter("two", two.port)]
        await stack.enter_async_context(
            home(tmp_path, {}, adapters, rooms={"lounge": room}, channels=channels)
        )
        said = one.say("hello", channel="c1", who="ann")
        await two.until(lambda: len(two.shown) == 1)
        [relayed] = two.shown.values()
        one.edit(said, "hello all", "c1")
        await two.until(lambda: relayed.text == "ann: hello all")
        one.delete(said, "c1")
        await two.until(lambda: relayed.text == "(taken back)")

    assert relayed.versions == ["ann: hello", "ann: hello all", "(taken back)"]


async def test_a_command_is_nobody_elses_business(tmp_path: Path) -> None:
    room = Room(id=0, name="lounge", bots=("bot",))
    channels = {Address("one", "c1"): "lounge", Address("two", "c2"): "lounge"}
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(Platform().serving())
        two = await stack.enter_async_context(Platform().serving())
        adapters = [PlatformAdapter("one", one.port), PlatformAdapter("two", two.port)]
        await stack.enter_async_context(
            home(
                tmp_path, {"bot": SayingBot()}, adapters, rooms={"lounge": room}, channels=channels
            )
        )
        one.say("/whoami", channel="c1")
        await one.until(lambda: len(one.shown) == 1)
        one.say("hello", channel="c1")
        await two.until(lambda: len(two.shown) == 1)

    assert [shown.text for shown in two.shown.values()] == ["ada: hello"]


# --- pictures --------------------------------------------------------------------------------


@asynccontextmanager
async def picturing(directory: Path, painter: DrawingBot, **traits: Any) -> AsyncIterator[Platform]:
    async with Platform().serving() as platform:
        adapter = PlatformAdapter("chat", platform.port, **{"buttons": True, **traits})
        async with home(directory, {"painter": painter}, [adapter]) as house:
            yield platform
            await house.outboxes.drained()


async def test_a_live_draft_becomes_picture_words_and_buttons_in_one_message(
    tmp_path: Path,
) -> None:
    painter = DrawingBot()
    painter.gate.clear()
    traits = {"edits_per_second": 100, "captions": 100, "previews": True}
    async with picturing(tmp_path, painter, **traits) as platform:
        asked = platform.say("a cat", direct=True)
        await platform.until(lambda: bool(platform.shown))
        [shown] = platform.shown.values()
        assert (shown.text, shown.preview, shown.controls) == ("drawing 1", "a preview", ["stop"])
        painter.gate.set()
        await platform.until(lambda: shown.text == "a cat")

    assert (shown.file, shown.reply_to, shown.preview) == ("1 a cat.png", asked, "")
    assert shown.controls == [control.value for control in PICTURE_CONTROLS]
    assert platform.ever_shown == [shown]


async def test_a_preview_is_shown_only_where_the_platform_can(tmp_path: Path) -> None:
    painter = DrawingBot()
    painter.gate.clear()
    async with picturing(tmp_path, painter, edits_per_second=100, captions=100) as platform:
        platform.say("a cat", direct=True)
        await platform.until(lambda: bool(platform.shown))
        painter.gate.set()
        await platform.until(lambda: platform.ever_shown[0].text == "a cat")

    [shown] = platform.ever_shown
    assert shown.versions[0] == "drawing 1"
    assert set(shown.previews) == {""}


@pytest.mark.parametrize(
    "traits",
    [
        {},  # no captions
        {"captions": 4},  # too short ones
        {"captions": 100, "file_limit": 3},  # the file itself does not fit
    ],
)
async def test_where_they_do_not_fit_together_the_words_come_first_and_then_the_picture(
    tmp_path: Path, traits: dict[str, Any]
) -> None:
    async with picturing(tmp_path, DrawingBot(), **traits) as platform:
        asked = platform.say("a cat", direct=True)
        await platform.until(lambda: len(platform.shown) == 2)
        first, second = platform.ever_shown

    assert (first.text, first.file, first.reply_to) == ("a cat", "", asked)
    assert (bool(first.controls), bool(second.controls)) == (True, False)
    too_large = "1 a cat.png has 0.0 MB, and this platform takes files of at most 0 MB"
    assert second.text == (too_large if "file_limit" in traits else "[1 a cat.png]")


async def test_a_covered_picture_is_covered_and_every_further_one_is_a_message(
    tmp_path: Path,
) -> None:
    class Twice(DrawingBot):
        """Draws two at once."""

        async def reply(self, turn: Turn) -> AsyncGenerator[Draft]:
            async for draft in super().reply(turn):
                yield replace(draft, files=(*draft.files, *draft.files))

    painter = Twice()
    painter.spoiler = True
    async with picturing(tmp_path, painter, captions=100) as platform:
        platform.say("a cat", direct=True)
        await platform.until(lambda: len(platform.shown) == 2)
        first, second = platform.ever_shown

    assert (first.text, first.file, first.spoiler) == ("a cat", "1 a cat.png", True)
    assert (second.text, second.file, second.spoiler) == ("[1 a cat.png]", "1 a cat.png", True)


async def test_a_placeholder_that_can_never_become_its_letter_does_not_stay(
    tmp_path: Path,
) -> None:
    async with posting(tmp_path, placeholders=True) as post:
        post.platform.faults.extend([None, "refuse"])
        await post.write("general", "unwelcome", "welcome")
        await post.shown("general", "welcome")

        assert post.platform.ever_shown[0].versions == ["\u2026"]
