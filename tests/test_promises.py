"""The promises of the house, each by its name: over a real store on disk and a chat platform behind
real sockets. The one about ``kill -9`` has a file of its own, test_kill.py."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from house import Home, SayingBot, home
from platform_server import Platform, PlatformAdapter

from botdaemon.bots.text import TextBot
from botdaemon.types import Address, Identity, Kind, Message, Posted, Sampling
from models.process import ModelProcess, TextSpec

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

    from botdaemon.types import ModelCard, Piece, TextRequest


@asynccontextmanager
async def talking(
    directory: Path, bot: SayingBot, **limits: Any
) -> AsyncIterator[tuple[Platform, PlatformAdapter, Home]]:
    async with Platform().serving() as platform:
        adapter = PlatformAdapter("chat", platform.port)
        async with home(directory, {"bot": bot}, [adapter], **limits) as house:
            yield platform, adapter, house


async def test_a_message_delivered_twice_is_answered_once(tmp_path: Path) -> None:
    async with talking(tmp_path, SayingBot()) as (platform, adapter, _):
        first = platform.say("hello", direct=True)
        await platform.until(lambda: bool(platform.answers_to(first)))
        platform.say("hello", direct=True, key=first, id=first)  # again, under the same id
        last = platform.say("and now?", direct=True)
        await platform.until(lambda: bool(platform.answers_to(last)))

        assert [shown.text for shown in platform.answers_to(first)] == ["you said: hello"]
        assert [first, first, last] == platform.confirmed
        assert adapter.delivered[0] == adapter.delivered[1]


async def test_a_message_is_answered_though_its_delivery_is_cancelled_while_it_is_recorded(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path, SayingBot()) as (platform, _, house):
        event = Posted(
            key="x1",
            direct=True,
            message=Message(
                address=Address("chat", "general"),
                author=Identity(adapter="chat", account="ada", name="ada"),
                text="hello",
                platform_id="x1",
                sent_at=1.0,
            ),
        )
        delivery = asyncio.create_task(house.dispatcher.deliver(event))
        await asyncio.sleep(0)  # it has begun
        delivery.cancel()
        with pytest.raises(asyncio.CancelledError):
            await delivery
        await house.dispatcher.deliver(event)  # the platform delivers it again
        await platform.until(lambda: bool(platform.answers_to("x1")))

        assert 1 == len(platform.answers_to("x1"))


async def test_turns_of_a_thread_never_overlap(tmp_path: Path) -> None:
    bot = SayingBot()
    bot.gate.clear()
    async with talking(tmp_path, bot) as (platform, _, house):
        first = platform.say("one", direct=True, who="ada")
        await bot.begun.wait()
        second = platform.say("two", direct=True, who="bob")
        await platform.until(lambda: second in platform.confirmed)

        assert house.dispatcher.turns.running == 1
        assert len(bot.turns) == 1
        bot.gate.set()
        await platform.until(lambda: bool(platform.answers_to(second)))

    assert platform.answers_to(first)
    # The second turn saw the first one's answer, so it began after it had ended.
    assert [said.text for said in bot.turns[1].history] == ["one", "you said: one", "two"]


async def test_threads_do_not_wait_for_each_other(tmp_path: Path) -> None:
    slow, quick = SayingBot(), SayingBot()
    slow.gate.clear()
    async with Platform().serving() as platform:
        adapter = PlatformAdapter("chat", platform.port)
        async with home(tmp_path, {"slow": slow, "quick": quick}, [adapter]):
            waiting = platform.say("@slow take your time", channel="one")
            await slow.begun.wait()
            served = platform.say("@quick hello", channel="two")
            await platform.until(lambda: bool(platform.answers_to(served)))

            assert not platform.answers_to(waiting)
            slow.gate.set()
            await platform.until(lambda: bool(platform.answers_to(waiting)))


async def test_a_bot_without_a_model_waits_for_nobody(tmp_path: Path) -> None:
    thinking, canned = SayingBot(), SayingBot()
    thinking.gate.clear()
    async with Platform().serving() as platform:
        adapter = PlatformAdapter("chat", platform.port)
        bots = {"ada": thinking, "joe": canned}
        async with home(tmp_path, bots, [adapter], lines={"ada": "text"}, turns_at_once=1):
            slow = platform.say("@ada think", channel="one")
            await thinking.begun.wait()
            quick = platform.say("@joe hello", channel="two")
            await platform.until(lambda: bool(platform.answers_to(quick)))

            assert not platform.answers_to(slow)
            thinking.gate.set()
            await platform.until(lambda: bool(platform.answers_to(slow)))


async def test_a_slow_platform_delays_only_itself(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        slow = await stack.enter_async_context(Platform().serving())
        quick = await stack.enter_async_context(Platform().serving())
        slow.gate.clear()  # it accepts calls and answers none of them
        adapters = [PlatformAdapter("slow", slow.port), PlatformAdapter("quick", quick.port)]
        await stack.enter_async_context(home(tmp_path, {"bot": SayingBot()}, adapters))
        stuck = slow.say("hello?", direct=True)
        await slow.until(lambda: stuck in slow.confirmed)
        for number in range(5):
            asked = quick.say(f"hello {number}", direct=True)
            await quick.until(partial(quick.answers_to, asked))

        assert not slow.answers_to(stuck)
        slow.gate.set()
        await slow.until(lambda: bool(slow.answers_to(stuck)))


class Tongueless(PlatformAdapter):
    """A platform that cannot show that somebody types: it fails or never returns."""

    fails = True

    @asynccontextmanager
    async def typing(self, address: Address, bot: str) -> AsyncIterator[None]:
        if self.fails:
            raise ConnectionError("typing is not possible here")
        await asyncio.Event().wait()
        yield


@pytest.mark.parametrize("fails", [True, False])
async def test_a_platform_that_cannot_show_typing_still_gets_its_answers(
    fails: bool, tmp_path: Path
) -> None:
    async with Platform().serving() as platform:
        adapter = Tongueless("chat", platform.port)
        adapter.fails = fails
        async with home(tmp_path, {"bot": SayingBot()}, [adapter]):
            asked = platform.say("hello", direct=True)
            await platform.until(lambda: bool(platform.answers_to(asked)))


async def test_stopping_finishes_the_turn_under_way(tmp_path: Path) -> None:
    bot = SayingBot()
    bot.gate.clear()
    async with Platform().serving() as platform:
        adapter = PlatformAdapter("chat", platform.port)
        async with home(tmp_path, {"bot": bot}, [adapter], turns_at_once=1) as house:
            begun = platform.say("finish this", direct=True, channel="one")
            await bot.begun.wait()
            late = platform.say("too late", direct=True, channel="two")
            await platform.until(lambda: late in platform.confirmed)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(house.dispatcher.turns.drain())
                bot.gate.set()
            await house.outboxes.drained()

            assert [one.text for one in platform.answers_to(begun)] == ["you said: finish this"]
            assert not platform.answers_to(late)

        # What was only recorded is answered after the next start, and nothing is answered again.
        adapter = PlatformAdapter("chat", platform.port)
        async with home(tmp_path, {"bot": bot}, [adapter]):
            await platform.until(lambda: bool(platform.answers_to(late)))
        assert len(platform.answers_to(begun)) == 1


async def test_a_full_queue_is_answered_with_words(tmp_path: Path) -> None:
    bot = SayingBot()
    bot.gate.clear()
    async with talking(tmp_path, bot, queue=1, turns_at_once=1) as (platform, _, house):
        asked = []
        for number in range(3):
            asked.append(platform.say(f"hello {number}", direct=True, channel=f"c{number}"))
            await platform.until(lambda: asked[-1] in platform.confirmed)
            if not number:
                await bot.begun.wait()
        await platform.until(lambda: bool(platform.answers_to(asked[2])))

        [words] = platform.answers_to(asked[2])
        assert "I cannot take that on now: 1 others wait" in words.text
        assert words.speaker == ""  # the daemon says so, not the bot
        bot.gate.set()
        await platform.until(lambda: bool(platform.answers_to(asked[1])))
        [thread] = [m.thread for m in await house.store.recent(3) if m.kind is Kind.NOTICE]
        assert (await house.store.recent(thread))[0].text == "hello 2"  # and it was recorded


class Deadly:
    """A real engine whose process is killed under so many requests, after their first piece."""

    def __init__(self, process: ModelProcess, model: str, times: int) -> None:
        self._process = process
        self._engine = process.text(model)
        self.left = times

    @property
    def card(self) -> ModelCard:
        return self._engine.card

    async def count(self, request: TextRequest) -> int:
        return await self._engine.count(request)

    async def generate(self, request: TextRequest) -> AsyncGenerator[Piece]:
        async with aclosing(self._engine.generate(request)) as pieces:
            async for piece in pieces:
                if self.left:
                    self.left -= 1
                    os.kill(self._process.pid, signal.SIGKILL)
                    # What had already been written still arrives; then comes the end.
                    async for _ in pieces:
                        pass
                    raise AssertionError("the process outlived its death")
                yield piece


@asynccontextmanager
async def dying(
    directory: Path, model: Path, times: int
) -> AsyncIterator[tuple[Platform, Home, Deadly]]:
    async with AsyncExitStack() as stack:
        platform = await stack.enter_async_context(Platform().serving())
        spec = TextSpec(path=str(model), device="cpu", dtype="float32")
        process = await stack.enter_async_context(ModelProcess(name="cpu", models={"tiny": spec}))
        engine = Deadly(process, "tiny", times)
        sampling = Sampling(temperature=0.0, max_tokens=100)
        bot = TextBot("bot", "", "tiny", engine, sampling, 10)
        adapter = PlatformAdapter("chat", platform.port)
        house = await stack.enter_async_context(home(directory, {"bot": bot}, [adapter]))
        yield platform, house, engine


async def test_a_dead_model_process_costs_the_turns_in_it_one_retry_never_the_daemon(
    tmp_path: Path, tiny_gpt2: Path
) -> None:
    async with dying(tmp_path, tiny_gpt2, 1) as (platform, _, engine):
        asked = platform.say("hello", direct=True)
        await platform.until(lambda: bool(platform.answers_to(asked)))

        assert engine.left == 0
        assert [shown.speaker for shown in platform.answers_to(asked)] == ["bot"]


@pytest.mark.slow
async def test_a_message_that_kills_its_model_three_times_is_left_with_an_apology(
    tmp_path: Path, tiny_gpt2: Path
) -> None:
    async with dying(tmp_path, tiny_gpt2, 3) as (platform, _, engine):
        deadly = platform.say("hello", direct=True, channel="one")
        await platform.until(lambda: bool(platform.answers_to(deadly)))
        harmless = platform.say("hello", direct=True, channel="two")
        await platform.until(lambda: bool(platform.answers_to(harmless)))

        assert engine.left == 0
        [apology] = platform.answers_to(deadly)
        assert "my model failed at this message several times" in apology.text
        assert [shown.speaker for shown in platform.answers_to(harmless)] == ["bot"]
