"""Commands: how they are recognised, and what each does, seen from a platform over real sockets."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from house import DrawingBot, Home, SayingBot, home
from platform_server import Platform, PlatformAdapter, Shown

from botdaemon import commands
from botdaemon.errors import Refused
from botdaemon.types import Address, Command, Control, Identity, Kind, Pressed, Room

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping
    from pathlib import Path

    from botdaemon.ports import Bot
    from botdaemon.types import Draft, Message, Turn

GENERAL = Address("chat", "general")
ADA = Identity(adapter="chat", account="ada", name="ada")


# --- how they are written --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/retry", ("retry", "")),
        ("  /Retry  ", ("retry", "")),
        ("/retry@some_bot", ("retry", "")),
        ("!stop", ("stop", "")),
        ("@bot /new", ("new", "")),
        ("@bot, /new", ("new", "")),
        ("@bot: !undo", ("undo", "")),
        ("/help me please", ("help", "me please")),
        ("/new\nabout cats", ("new", "about cats")),
        ("/start", ("help", "")),
        ("/reset", ("new", "")),
    ],
)
def test_a_typed_command_is_recognised(text: str, expected: tuple[str, str]) -> None:
    assert expected == commands.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "",
        "/",
        "!",
        "/usr/bin",
        "/usr/bin/env python",
        "/me waves",
        "/shrug whatever",
        "!important",
        "!!!",
        "// a comment",
        "/2",
        "what does /help do?",
        "either/or",
        "@bot how do I /stop you?",
    ],
)
def test_somebodys_own_words_are_no_command(text: str) -> None:
    assert commands.parse(text) is None


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("/rety", r"There is no command /rety; did you mean /retry\?"),
        ("/halp@some_bot", r"did you mean /help\?"),
        ("/xyzzy", r"There is no command /xyzzy; /help lists what there is"),
    ],
)
def test_a_slash_command_that_does_not_exist_is_refused_with_a_hint(text: str, hint: str) -> None:
    with pytest.raises(Refused, match=hint):
        commands.parse(text)


# --- what they do ----------------------------------------------------------------------------


class Talk:
    """A person on a platform, and the daemon's answers."""

    def __init__(self, platform: Platform, house: Home, bot: SayingBot) -> None:
        self.platform = platform
        self.house = house
        self.bot = bot

    async def ask(self, text: str) -> Shown:
        """Say something and wait for the one thing that is said next."""
        before = len(self.platform.shown)
        self.platform.say(text, direct=True)
        await self.platform.until(lambda: len(self.platform.shown) > before)
        return list(self.platform.shown.values())[-1]

    async def say(self, text: str) -> str:
        """Say something and wait until it is recorded."""
        said = self.platform.say(text, direct=True)
        await self.confirmed(said)
        return said

    async def confirmed(self, said: str) -> None:
        await self.platform.until(lambda: said in self.platform.confirmed)

    async def history(self) -> list[Message]:
        return await self.house.store.recent_at(GENERAL, 50)

    async def texts(self) -> list[str]:
        return [said.text for said in await self.history() if said.kind is Kind.SAID]


@pytest.fixture
async def talk(tmp_path: Path) -> AsyncIterator[Talk]:
    async with talking(tmp_path) as it:
        yield it


@asynccontextmanager
async def talking(
    directory: Path, others: Mapping[str, Bot] | None = None, **more: Any
) -> AsyncIterator[Talk]:
    bot = SayingBot()
    async with Platform().serving() as platform:
        adapter = PlatformAdapter("chat", platform.port)
        bots: dict[str, Bot] = {"bot": bot, "cat": SayingBot(), **(others or {})}
        async with home(directory, bots, [adapter], **more) as house:
            yield Talk(platform, house, bot)


@pytest.mark.parametrize("draws", [False, True])
async def test_help_lists_every_command_and_those_about_pictures_where_somebody_draws(
    tmp_path: Path, draws: bool
) -> None:
    more: dict[str, Bot] = {"painter": DrawingBot()} if draws else {}
    async with talking(tmp_path, more) as talk:
        told = await talk.ask("/help")

    assert told.speaker == ""
    lines = [line.strip("• ") for line in told.text.splitlines()[2:]]
    assert lines == [
        f"/{' '.join(filter(None, (spec.name, spec.argument)))} {spec.help}"
        for spec in commands.offered(draws=draws, speaks=False)
    ]


async def test_a_command_that_does_not_exist_is_answered_and_no_bot_hears_of_it(talk: Talk) -> None:
    told = await talk.ask("/halp")

    assert told.text == "There is no command /halp; did you mean /help?"
    assert talk.bot.turns == []
    assert [said.kind for said in await talk.history()] == [Kind.COMMAND, Kind.NOTICE]


async def test_new_begins_a_conversation_that_knows_nothing_of_the_old_one(talk: Talk) -> None:
    await talk.ask("remember the number 7")
    old = (await talk.history())[0].thread
    assert "A new conversation begins here" in (await talk.ask("/new")).text
    await talk.ask("which number?")

    assert [said.text for said in talk.bot.turns[-1].history] == ["which number?"]
    kept = [said.text for said in await talk.house.store.recent(old)]
    assert kept[:2] == ["remember the number 7", "you said: remember the number 7"]


async def test_stop_in_mid_answer_keeps_what_had_been_said(talk: Talk) -> None:
    talk.bot.gate.clear()
    asked = await talk.say("tell me a long story")
    await talk.bot.begun.wait()
    await talk.say("/stop")
    await talk.platform.until(lambda: len(talk.platform.shown) == 2)

    [answer] = talk.platform.answers_to(asked)
    assert answer.text == "you said: tell"
    assert {"you said: tell", "Stopped."} == {one.text for one in talk.platform.shown.values()}
    assert await talk.texts() == ["tell me a long story", "you said: tell "]
    assert (await talk.ask("/stop")).text == "There was nothing to stop."


class Lingering(SayingBot):
    """Takes its time to let go when it is stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.left = asyncio.Event()
        self.stopping = asyncio.Event()

    async def reply(self, turn: Turn) -> AsyncGenerator[Draft]:
        try:
            async for draft in super().reply(turn):
                yield draft
        finally:
            self.stopping.set()
            await self.left.wait()


async def test_what_is_said_after_stop_is_answered(tmp_path: Path) -> None:
    bot = Lingering()
    bot.gate.clear()
    async with Platform().serving() as platform:
        adapter = PlatformAdapter("chat", platform.port)
        async with home(tmp_path, {"bot": bot}, [adapter]) as house:
            talk = Talk(platform, house, bot)
            await talk.say("first")
            await bot.begun.wait()
            waiting = await talk.say("second")
            await talk.say("/stop")
            await bot.stopping.wait()
            late = await talk.say("third")  # while the first is still letting go
            bot.gate.set()
            bot.left.set()
            await platform.until(lambda: bool(platform.answers_to(late)))

            assert not platform.answers_to(waiting)
            [answer] = platform.answers_to(late)
            assert answer.text == "you said: third"


async def test_stop_also_stops_what_waits(talk: Talk) -> None:
    talk.bot.gate.clear()
    await talk.say("first")
    await talk.bot.begun.wait()
    other = talk.platform.say("second", direct=True, who="bob")
    await talk.platform.until(lambda: other in talk.platform.confirmed)
    await talk.say("/stop")
    talk.bot.gate.set()
    last = await talk.say("third")
    await talk.platform.until(lambda: bool(talk.platform.answers_to(last)))

    assert not talk.platform.answers_to(other)
    assert len(talk.bot.turns) == 2


async def test_retry_takes_the_answer_back_and_gives_another(talk: Talk) -> None:
    talk.bot.words = lambda text: f"answer {len(talk.bot.turns)}"
    await talk.ask("hello?")
    await talk.ask("/retry")

    assert await talk.texts() == ["hello?", "answer 2"]
    assert [said.text for said in talk.bot.turns[1].history] == ["hello?"]


async def test_retry_with_no_answer_yet_says_so(talk: Talk) -> None:
    assert (await talk.ask("/retry")).text == "There is no answer to take back yet."


async def test_undo_takes_the_last_exchange_out_of_the_conversation(talk: Talk) -> None:
    await talk.ask("one")
    await talk.ask("two")
    told = await talk.ask("/undo")
    await talk.ask("three")

    assert told.text == "Taken back: the last exchange (2 messages). I no longer think of it."
    heard = [said.text for said in talk.bot.turns[-1].history]
    assert heard == ["one", "you said: one", "three"]
    await talk.ask("/undo")
    await talk.ask("/undo")
    assert (await talk.ask("/undo")).text == "There is nothing to take back yet."


async def test_undo_after_an_apology_takes_back_what_was_apologised_for(talk: Talk) -> None:
    def words(text: str) -> str:
        if text == "two":
            raise ValueError("a fault of the bot")
        return f"you said: {text}"

    talk.bot.words = words
    await talk.ask("one")
    apology = await talk.ask("two")
    await talk.ask("/undo")

    assert apology.text.startswith("I could not answer that")
    assert await talk.texts() == ["one", "you said: one"]


async def test_status_says_what_runs_and_what_waits(talk: Talk) -> None:
    talk.bot.gate.clear()
    await talk.say("hello")
    await talk.bot.begun.wait()
    told = await talk.ask("/status")

    assert "up for 0 h 0 min" in told.text
    assert "answers under way: 1, waiting: 0" in told.text
    talk.bot.gate.set()


async def test_bots_lists_who_answers_here_and_the_host(tmp_path: Path) -> None:
    room = Room(id=0, name="lounge", bots=("cat",), host="cat")
    async with talking(tmp_path, rooms={"lounge": room}, channels={GENERAL: "lounge"}) as talk:
        told = await talk.ask("/bots")
        words = told.text.replace("*", "")
        assert "cat: a bot" in words
        assert "cat is the host of lounge and answers when nobody else is asked." in words
        assert "bot:" not in words.replace("a bot", "")


async def test_outside_rooms_bots_lists_everybody_the_account_speaks_for(talk: Talk) -> None:
    told = (await talk.ask("/bots")).text.replace("*", "")

    assert ("bot: a bot" in told, "cat: a bot" in told) == (True, True)
    assert told.endswith("bot answers when nobody else is asked.")  # it was asked directly


async def test_whoami_says_whom_the_daemon_takes_somebody_for(talk: Talk) -> None:
    told = (await talk.ask("/whoami")).text.replace("*", "").replace("`", "")

    assert told == "You are ada, account ada on chat, in thread 1 (channel general)."


async def test_a_command_that_is_delivered_twice_is_carried_out_once(talk: Talk) -> None:
    for text in ("one", "two"):
        await talk.ask(text)
    first = talk.platform.say("/undo", direct=True)
    await talk.platform.until(lambda: len(talk.platform.shown) == 3)
    talk.platform.say("/undo", direct=True, key=first, id=first)
    await talk.platform.until(lambda: talk.platform.confirmed.count(first) == 2)
    native = Command(key="n1", address=GENERAL, who=ADA, name="whoami", argument="", at=1.0)
    for _ in range(2):
        await talk.house.dispatcher.deliver(native)
    await talk.platform.until(lambda: len(talk.platform.shown) == 4)
    await talk.ask("three")

    assert await talk.texts() == ["one", "you said: one", "three", "you said: three"]
    assert sum("You are" in one.text for one in talk.platform.shown.values()) == 1


async def test_buttons_do_what_their_commands_do_once(talk: Talk) -> None:
    def press(key: str, control: Control, platform_id: str = "") -> Pressed:
        return Pressed(
            key=key, address=GENERAL, who=ADA, control=control, at=1.0, platform_id=platform_id
        )

    deliver = talk.house.dispatcher.deliver
    talk.bot.words = lambda text: f"answer {len(talk.bot.turns)}"
    first = await talk.ask("one")
    await talk.house.outboxes.drained()
    before = len(talk.platform.shown)
    for _ in range(2):
        await deliver(press("r1", Control.RETRY, first.id))
    await talk.platform.until(lambda: len(talk.platform.shown) > before)
    await deliver(press("r2", Control.GOOD, list(talk.platform.shown)[-1]))
    assert await talk.texts() == ["one", "answer 2"]

    talk.bot.gate.clear()
    talk.bot.begun.clear()
    stopped = await talk.say("two")
    await talk.bot.begun.wait()
    await deliver(press("s1", Control.STOP))
    await talk.platform.until(lambda: bool(talk.platform.answers_to(stopped)))
    assert await talk.texts() == ["one", "answer 2", "two", "answ"]


async def test_other_bots_give_no_commands(talk: Talk) -> None:
    await talk.ask("remember this")
    for text in ("/new", "/nonsense", "!undo"):
        said = talk.platform.say(text, direct=True, who="robot", is_bot=True)
        await talk.confirmed(said)
    told = await talk.ask("/whoami")

    assert "in thread 1" in told.text
    assert len(talk.platform.shown) == 2
    assert (await talk.texts())[:2] == ["remember this", "you said: remember this"]
