"""Turns: bursts, the line, limits, and what happens when a bot fails or has nothing to say."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from house import Home, SayingBot, home
from platform_server import Platform, PlatformAdapter

from botdaemon.dispatcher import mouth
from botdaemon.dispatcher.line import GATHER, Line
from botdaemon.errors import EngineDied, EngineFailed, Refused
from botdaemon.types import Address, Draft, Identity, Kind, Message, Posted, Room

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

    from botdaemon.ports import Bot
    from botdaemon.types import Turn


@asynccontextmanager
async def talking(
    directory: Path,
    bots: Bot | Mapping[str, Bot],
    *,
    traits: Mapping[str, Any] | None = None,
    **more: Any,
) -> AsyncIterator[tuple[Platform, Home]]:
    """`bots`: or the only one, called "bot"."""
    named = bots if isinstance(bots, Mapping) else {"bot": bots}
    async with Platform().serving() as platform:
        adapter = PlatformAdapter("chat", platform.port, **(traits or {}))
        async with home(directory, named, [adapter], **more) as house:
            yield platform, house


async def recorded(platform: Platform, text: str, **more: Any) -> str:
    said = platform.say(text, **{"direct": True, **more})
    await platform.until(lambda: said in platform.confirmed)
    return said


async def answered(platform: Platform, said: str) -> str:
    await platform.until(lambda: bool(platform.answers_to(said)))
    [shown] = platform.answers_to(said)
    return shown.text


def outcomes(directory: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(f"file:{directory}/botdaemon.db?mode=ro", uri=True)) as db:
        return db.execute("SELECT state, error FROM turns ORDER BY id").fetchall()


# --- bursts ----------------------------------------------------------------------------------


async def test_a_burst_of_one_person_becomes_one_turn_with_all_of_it(tmp_path: Path) -> None:
    bot = SayingBot()
    async with talking(tmp_path, bot, merge=0.3) as (platform, _):
        said = [await recorded(platform, text) for text in ("wait", "no", "what time is it?")]
        await platform.until(lambda: bool(platform.shown))
        await recorded(platform, "thanks")
        await platform.until(lambda: len(platform.shown) == 2)

    first, second = list(platform.shown.values())
    assert first.text == "you said: wait / no / what time is it?"
    assert first.reply_to in said
    assert second.text == "you said: thanks"
    assert [turn.fresh for turn in bot.turns] == [3, 1]


async def test_what_different_people_say_is_not_merged(tmp_path: Path) -> None:
    bot = SayingBot()
    async with talking(tmp_path, bot, merge=0.2) as (platform, _):
        one = await recorded(platform, "from ada", who="ada")
        two = await recorded(platform, "from bob", who="bob")

        assert await answered(platform, one) == "you said: from ada"
        assert await answered(platform, two) == "you said: from bob"
    assert [turn.asked_by.name for turn in bot.turns if turn.asked_by] == ["ada", "bob"]


async def test_what_waits_in_line_takes_up_what_its_author_adds(tmp_path: Path) -> None:
    bot = SayingBot()
    bot.gate.clear()
    async with talking(tmp_path, bot) as (platform, _):
        await recorded(platform, "first", who="bob")
        await bot.begun.wait()
        await recorded(platform, "second")
        await recorded(platform, "and a half")
        bot.gate.set()
        await platform.until(lambda: len(platform.shown) == 2)

    assert [
        " / ".join(said.text for said in turn.history[-turn.fresh :]) for turn in bot.turns
    ] == ["first", "second / and a half"]


async def test_several_bots_that_are_named_answer_one_after_the_other(tmp_path: Path) -> None:
    bots = {"ada": SayingBot(lambda text: "I am ada"), "cat": SayingBot(lambda text: "I am cat")}
    room = Room(id=0, name="lounge", bots=("cat", "ada"))
    channels = {Address("chat", "general"): "lounge"}
    async with talking(tmp_path, bots, rooms={"lounge": room}, channels=channels) as (platform, _):
        await recorded(platform, "@ada and @cat, who are you?", direct=False)
        await platform.until(lambda: len(platform.shown) == 2)

    assert [shown.speaker for shown in platform.shown.values()] == ["cat", "ada"]
    # The second one has heard the first.
    assert "I am cat" in [said.text for said in bots["ada"].turns[0].history]


# --- the line --------------------------------------------------------------------------------


async def test_who_waits_is_told_the_place_in_line(tmp_path: Path) -> None:
    bot = SayingBot()
    bot.gate.clear()
    async with talking(tmp_path, bot, traits={"edits_per_second": 100}, turns_at_once=1) as (
        platform,
        _,
    ):
        await recorded(platform, "zero", channel="c0")
        await bot.begun.wait()
        one = await recorded(platform, "one", channel="c1")
        await platform.until(lambda: bool(platform.answers_to(one)))
        two = await recorded(platform, "two", channel="c2")
        await platform.until(lambda: bool(platform.answers_to(two)))
        [first], [second] = platform.answers_to(one), platform.answers_to(two)
        assert first.text == "waiting for 1 other answer…"
        assert second.text == "waiting for 2 other answers…"

        await recorded(platform, "/stop", channel="c1")
        await platform.until(lambda: second.text == "waiting for 1 other answer…")
        bot.gate.set()
        await platform.until(lambda: second.text == "you said: two")


def test_a_slot_that_is_freed_while_its_heir_gives_up_goes_to_the_next() -> None:
    async def run() -> list[str]:
        line, came = Line(1), []

        async def wait(name: str) -> None:
            async with line.slot(0, 1, lambda place: None):
                came.append(name)

        async with asyncio.TaskGroup() as tasks, line.slot(0, 1, lambda place: None):
            heir = tasks.create_task(wait("heir"))
            tasks.create_task(wait("next"))
            await asyncio.sleep(0)
            heir.cancel()  # at the very moment in which the slot is freed
        async with asyncio.timeout(5):
            await wait("last")
        return came

    assert asyncio.run(run()) == ["next", "last"]


def test_a_slot_that_was_given_to_somebody_who_left_goes_to_the_next() -> None:
    async def run() -> list[str]:
        line, came = Line(1), []

        async def wait(name: str) -> None:
            async with line.slot(0, 1, lambda place: None):
                came.append(name)

        async with asyncio.TaskGroup() as tasks:
            async with line.slot(0, 1, lambda place: None):
                heir = tasks.create_task(wait("heir"))
                tasks.create_task(wait("next"))
                await asyncio.sleep(0)
            heir.cancel()  # it has been called and does not know yet
        async with asyncio.timeout(5):
            await wait("last")
        return came

    assert asyncio.run(run()) == ["next", "last"]


async def test_a_line_serves_people_in_rotation_and_tells_everybody_the_true_place() -> None:
    line, came = Line(1), []
    told: dict[int, list[int]] = {}

    async def come(turn: int, who: int) -> None:
        async with line.slot(turn, who, told.setdefault(turn, []).append):
            came.append(turn)
            await asyncio.sleep(2 * GATHER)  # places are told while it is served

    ada, bob, eve = 1, 2, 3
    async with asyncio.TaskGroup() as tasks:
        for turn, who in [(1, ada), (2, ada), (3, ada), (4, bob), (5, bob), (6, eve)]:
            tasks.create_task(come(turn, who))
            await asyncio.sleep(0)
        assert line.waiting() == [4, 6, 2, 5, 3]

    assert came == [1, 4, 6, 2, 5, 3]
    assert told[3] == [5, 4, 3, 2, 1]
    assert told[6] == [2, 1]


def test_a_wait_is_estimated_from_what_turns_took_and_how_many_go_side_by_side() -> None:
    line = Line(4)
    assert line.seconds(3) == 0
    line.took(10.0)
    assert line.seconds(2) == 5.0
    line.took(20.0)
    assert line.seconds(4) == pytest.approx(12.0)


async def test_one_person_may_wait_for_so_many_answers_and_is_told_once(tmp_path: Path) -> None:
    bot = SayingBot()
    bot.gate.clear()
    async with talking(tmp_path, bot, queue_per_person=2) as (platform, house):
        for channel in ("c0", "c1"):
            await recorded(platform, "hello", channel=channel)
        refused = await recorded(platform, "hello?", channel="c2")
        told = await answered(platform, refused)
        again = await recorded(platform, "hello??", channel="c2")
        other = await recorded(platform, "hello from me", channel="c2", who="bob")
        bot.gate.set()
        assert await answered(platform, other) == "you said: hello from me"

        assert told == "You already wait for 2 answers. Please let me finish those first."
        assert not platform.answers_to(again)
        thread = (await house.store.recent_at(Address("chat", "c2"), 9))[0].thread
        kinds = [said.kind for said in await house.store.recent(thread)]
        assert kinds.count(Kind.NOTICE) == 1
    assert [state for state, _ in outcomes(tmp_path)].count("refused") == 2


# --- bots that fail --------------------------------------------------------------------------


class FailingBot:
    """Fails so many times, after a first draft, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    async def reply(self, turn: Turn) -> AsyncGenerator[Draft]:
        yield Draft(text="Well, ")
        if self.errors:
            raise self.errors.pop(0)
        yield Draft(text="Well, here I am", final=True)


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), EngineFailed("too long")])
async def test_a_bot_that_fails_costs_an_apology_and_not_the_daemon(
    tmp_path: Path, error: Exception
) -> None:
    async with talking(tmp_path, FailingBot(error)) as (platform, _):
        asked = await recorded(platform, "hello")
        apology = await answered(platform, asked)
        again = await recorded(platform, "and now?")

        assert apology == "I could not answer that; the operator's log says why. /retry asks again."
        assert platform.answers_to(asked)[0].speaker == ""
        assert await answered(platform, again) == "Well, here I am"
    [(state, kept), (now, _)] = outcomes(tmp_path)
    assert (state, now) == ("failed", "answered")
    assert str(error) in kept


async def test_retry_after_an_apology_asks_again_as_it_says(tmp_path: Path) -> None:
    async with talking(tmp_path, FailingBot(ZeroDivisionError())) as (platform, house):
        await answered(platform, await recorded(platform, "hello"))
        platform.say("/retry", direct=True)
        await platform.until(lambda: len(platform.shown) == 2)

        assert list(platform.shown.values())[-1].text == "Well, here I am"
        said = await house.store.recent(1)
        assert [one.text for one in said] == ["hello", "/retry", "Well, here I am"]


async def test_the_same_apology_is_not_repeated_to_the_same_person_at_once(tmp_path: Path) -> None:
    errors = [ZeroDivisionError() for _ in range(3)]
    async with talking(tmp_path, FailingBot(*errors)) as (platform, _):
        first = await recorded(platform, "one")
        await answered(platform, first)
        second = await recorded(platform, "two")
        third = await recorded(platform, "three", who="bob")
        await answered(platform, third)  # somebody else is told
        last = await recorded(platform, "four")
        assert await answered(platform, last) == "Well, here I am"

        assert not platform.answers_to(second)
    assert [state for state, _ in outcomes(tmp_path)] == ["failed", "failed", "failed", "answered"]
    assert mouth.APOLOGY_PAUSE > 1


async def test_a_model_process_that_dies_three_times_under_a_turn_leaves_it_with_an_apology(
    tmp_path: Path,
) -> None:
    bot = FailingBot(*(EngineDied("killed") for _ in range(3)))
    async with talking(tmp_path, bot) as (platform, _):
        told = await answered(platform, await recorded(platform, "hello"))
        assert "my model failed at this message several times" in told
    assert outcomes(tmp_path) == [("dead", "killed")]


async def test_an_answer_that_takes_too_long_is_given_up_with_words(tmp_path: Path) -> None:
    bot = SayingBot()
    bot.gate.clear()
    async with talking(tmp_path, bot, turn=0.2) as (platform, _):
        told = await answered(platform, await recorded(platform, "hello"))
        assert told.startswith("I found no answer within")
        bot.gate.set()
        assert await answered(platform, await recorded(platform, "again")) == "you said: again"
    assert [state for state, _ in outcomes(tmp_path)] == ["failed", "answered"]


async def test_a_bot_that_left_the_configuration_is_apologised_for(tmp_path: Path) -> None:
    async with Platform().serving() as platform:
        bot = SayingBot()
        bot.gate.clear()
        adapter = PlatformAdapter("chat", platform.port)
        async with home(tmp_path, {"bot": bot}, [adapter]):
            asked = await recorded(platform, "hello")
            await bot.begun.wait()
        adapter = PlatformAdapter("chat", platform.port)
        async with home(tmp_path, {"other": SayingBot()}, [adapter]):
            told = await answered(platform, asked)
            assert "I could not answer that" in told
    assert outcomes(tmp_path) == [("failed", 'there is no bot "bot" any more')]


# --- nothing to say --------------------------------------------------------------------------


async def test_what_was_said_before_anybody_listened_is_read_and_never_answered(
    tmp_path: Path,
) -> None:
    bot = SayingBot()
    async with Platform().serving() as platform:
        adapter = PlatformAdapter("chat", platform.port)
        async with home(tmp_path, {"bot": bot}, [adapter]):
            for text in ("bot, are you there?", "/new", "well"):
                early = platform.say(text, past=True)
                await platform.until(partial(platform.confirmed.__contains__, early))
            asked = platform.say("bot, now?")
            await platform.until(lambda: bool(platform.answers_to(asked)))

    assert ["bot, are you there?", "well", "bot, now?"] == [m.text for m in bot.turns[0].history]
    assert len(platform.shown) == 1


async def test_what_was_missed_is_answered_unless_it_is_too_old(tmp_path: Path) -> None:
    bot = SayingBot()
    now = time.time()
    async with Platform().serving() as platform:
        adapter = PlatformAdapter("chat", platform.port)
        async with home(tmp_path, {"bot": bot}, [adapter], stale=600.0):
            old = platform.say("bot, long ago", missed=True, sent_at=now - 700)
            await platform.until(lambda: old in platform.confirmed)
            # A clock that is wrong is no reason for silence when nothing was missed.
            skewed = platform.say("bot, this clock is slow", sent_at=now - 700)
            await platform.until(lambda: bool(platform.answers_to(skewed)))
            recent = platform.say("bot, just now", missed=True, sent_at=now - 500)
            await platform.until(lambda: bool(platform.answers_to(recent)))

    assert platform.answers_to(old) == []


async def test_silence_leaves_no_message(tmp_path: Path) -> None:
    bots = {"quiet": SayingBot(lambda text: ""), "loud": SayingBot()}
    async with talking(tmp_path, bots) as (platform, house):
        asked = await recorded(platform, "@quiet hello", direct=False)
        other = await recorded(platform, "@loud hello", direct=False)
        await answered(platform, other)

        assert not platform.answers_to(asked)
        assert len(await house.store.recent(1)) == 3
    assert [state for state, _ in outcomes(tmp_path)] == ["silent", "answered"]


async def test_a_draft_that_nothing_follows_is_not_left_as_it_stands(tmp_path: Path) -> None:
    class Hesitant(SayingBot):
        """Says the beginning of something, and then nothing."""

        async def reply(self, turn: Turn) -> AsyncGenerator[Draft]:
            yield Draft(text="Well, I")
            await self.gate.wait()
            yield Draft(text="", final=True)

    bot = Hesitant()
    bot.gate.clear()
    fast = {"edits_per_second": 100}
    async with talking(tmp_path, bot, traits=fast, turns_at_once=1) as (platform, _):
        asked = await recorded(platform, "hello", channel="c1")
        await platform.until(lambda: bool(platform.answers_to(asked)))
        waiting = await recorded(platform, "hello", channel="c2")
        await platform.until(lambda: bool(platform.answers_to(waiting)))
        [first], [second] = platform.answers_to(asked), platform.answers_to(waiting)
        await recorded(platform, "/stop", channel="c2")
        await platform.until(lambda: second.text == "stopped")
        bot.gate.set()
        await platform.until(lambda: first.text == "no answer")
    assert [state for state, _ in outcomes(tmp_path)] == ["silent", "stopped"]


async def test_a_message_that_cannot_be_taken_is_refused_with_a_sentence(tmp_path: Path) -> None:
    def said(text: str) -> Posted:
        who = Identity(adapter="test", account="a", name="Ada")
        here = Address("test", "c")
        message = Message(address=here, text=text, author=who, platform_id="p", sent_at=1.0)
        return Posted(key="k", message=message, direct=True)

    async with home(tmp_path, {"bot": SayingBot()}) as house:
        for text, why in [
            ("", "the message is empty"),
            (" \n\t ", "the message is empty"),
            ("x" * 1_000_000, "has 1000000 characters, more than the 16000"),
        ]:
            with pytest.raises(Refused, match=why):
                await house.dispatcher.deliver(said(text))
        assert await house.store.recent_at(Address("test", "c"), 9) == []
        # Its key was not used up: the platform may deliver something better under it.
        assert await house.dispatcher.deliver(said("hello"))


async def test_a_deleted_question_is_not_answered_and_an_edited_one_as_it_is_now(
    tmp_path: Path,
) -> None:
    bot = SayingBot()
    bot.gate.clear()
    async with talking(tmp_path, bot) as (platform, _):
        await recorded(platform, "hold on", who="zoe")
        await bot.begun.wait()
        taken_back = await recorded(platform, "forget this", who="ada")
        mended = await recorded(platform, "what is teh time?", who="bob")
        await recorded(platform, "", kind="deleted", of=taken_back)
        await recorded(platform, "what is the time?", kind="edited", of=mended)
        bot.gate.set()

        assert await answered(platform, mended) == "you said: what is the time?"
        assert not platform.answers_to(taken_back)
    assert [turn.history[-1].text for turn in bot.turns] == ["hold on", "what is the time?"]


async def test_what_arrives_while_the_daemon_stops_is_answered_after_the_next_start(
    tmp_path: Path,
) -> None:
    async with AsyncExitStack() as stack:
        platform = await stack.enter_async_context(Platform().serving())
        adapter = PlatformAdapter("chat", platform.port)
        async with home(tmp_path, {"bot": SayingBot()}, [adapter]) as house:
            await house.dispatcher.turns.drain()
            late = await recorded(platform, "too late?")
            assert not platform.answers_to(late)
        adapter = PlatformAdapter("chat", platform.port)
        await stack.enter_async_context(home(tmp_path, {"bot": SayingBot()}, [adapter]))
        assert await answered(platform, late) == "you said: too late?"
