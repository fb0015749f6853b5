"""A desk of experts: one bot asked for one answer, and who answers in a thread or a room."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from house import Home, SayingBot, home
from platform_server import Platform, PlatformAdapter, Shown

from botdaemon.config import AccessConfig
from botdaemon.routes import Router, Triggers
from botdaemon.types import Address, Command, Here, Identity, Kind, Message, Posted, Room, Why

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from botdaemon.types import Call

GENERAL = Address("chat", "general")
ADA = Identity(adapter="chat", account="ada", name="ada")


class Experts:
    """A person on a platform, and the bots they may ask."""

    def __init__(self, platform: Platform, house: Home, bots: dict[str, SayingBot]) -> None:
        self.platform = platform
        self.house = house
        self.bots = bots

    async def ask(self, text: str, **more: Any) -> Shown:
        """Say something and wait for the one thing that is said next."""
        before = len(self.platform.ever_shown)
        self.platform.say(text, **{"direct": True, **more})
        return await self.after(before)

    async def after(self, before: int) -> Shown:
        await self.platform.until(lambda: len(self.platform.ever_shown) > before)
        await self.house.outboxes.drained()
        return self.platform.ever_shown[-1]

    async def said(self) -> list[tuple[str, str]]:
        """Who said what, as bots read it."""
        history = await self.house.store.recent_at(GENERAL, 50)
        return [(one.speaker, one.text) for one in history if one.kind is Kind.SAID]

    def asked(self) -> list[str]:
        """The bots that had something to answer."""
        return [name for name, bot in self.bots.items() if bot.turns]


@asynccontextmanager
async def experts(
    directory: Path, platform: Platform | None = None, **more: Any
) -> AsyncIterator[Experts]:
    """The daemon, on a platform that may have been there before."""
    bots = {name: SayingBot() for name in ("starter", "science", "cook")}
    async with AsyncExitStack() as stack:
        if platform is None:
            platform = await stack.enter_async_context(Platform().serving())
        adapter = PlatformAdapter("chat", platform.port)
        async with home(directory, bots, [adapter], **more) as house:
            yield Experts(platform, house, bots)


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    async with Platform().serving() as it:
        yield it


# --- one answer ------------------------------------------------------------------------------


async def test_one_bot_is_asked_for_one_answer_by_a_message_of_the_person(tmp_path: Path) -> None:
    async with experts(tmp_path) as it:
        told = await it.ask("/ask Science why is the sky blue? cook, starter")
        assert told.speaker == "science"
        assert it.asked() == ["science"]
        assert it.bots["science"].turns[0].why is Why.NAME
        assert (await it.said())[0] == ("ada", "science, why is the sky blue? cook, starter")

        again = await it.ask("and the sea?")
        assert again.speaker == "starter"  # it was one answer


async def test_a_question_by_a_platforms_own_command_is_shown_and_answered_once(
    tmp_path: Path,
) -> None:
    native = Command(
        key="n1", address=GENERAL, who=ADA, name="ask", argument="cook soup?", at=1.0, direct=True
    )
    async with experts(tmp_path) as it:
        for _ in range(2):
            assert await it.house.dispatcher.deliver(native) == 0
        await it.platform.until(lambda: len(it.platform.ever_shown) >= 2)
        await it.house.outboxes.drained()
        shown = [(one.speaker, one.text) for one in it.platform.shown.values()]
        assert shown == [("", "ada: cook, soup?"), ("cook", "you said: cook, soup?")]
        assert await it.said() == [("ada", "cook, soup?"), ("cook", "you said: cook, soup?")]


async def test_a_question_survives_the_end_of_the_daemon_and_is_answered_once(
    tmp_path: Path,
    platform: Platform,
) -> None:
    async with experts(tmp_path, platform) as it:
        it.bots["cook"].gate.clear()
        it.platform.say("/ask cook soup?", direct=True)
        await it.bots["cook"].begun.wait()
    async with experts(tmp_path, platform) as it:
        words = "you said: cook, soup?"
        await platform.until(lambda: [one.text for one in platform.shown.values()] == [words])
        assert [speaker for speaker, _ in await it.said()] == ["ada", "cook"]


async def test_a_question_that_is_changed_stays_a_question(tmp_path: Path) -> None:
    async with experts(tmp_path) as it:
        id = it.platform.say("/ask cook soup?", direct=True)
        await it.after(0)
        edit = it.platform.edit(id, "/ask cook stew?")
        await it.platform.until(lambda: edit in it.platform.confirmed)
        assert (await it.said())[0] == ("ada", "cook, stew?")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("/ask sience why?", 'There is no bot "sience" here; did you mean science?'),
        ("/ask zzz why?", 'There is no bot "zzz" here; here: starter, science, cook'),
        ("/ask cook", "Say what you want to ask: /ask cook QUESTION"),
        ("/ask", "Say whom, and what: /ask starter QUESTION"),
        ("/talk sience", 'There is no bot "sience" here; did you mean science?'),
        ("/host cook", "This is no room. /talk NAME chooses who answers in this thread."),
    ],
)
async def test_what_cannot_be_asked_is_answered_with_one_sentence(
    text: str, words: str, tmp_path: Path
) -> None:
    async with experts(tmp_path) as it:
        told = await it.ask(text)
        assert told.text.replace("*", "").replace("`", "") == words
        assert it.asked() == []
        assert await it.said() == []


async def test_only_who_lives_in_a_room_can_be_asked_there(tmp_path: Path) -> None:
    room = Room(id=0, name="lab", bots=("science",), host="science")
    async with experts(tmp_path, rooms={"lab": room}, channels={GENERAL: "lab"}) as it:
        told = await it.ask("/ask cook soup?")
        assert 'no bot "cook" here' in told.text
        assert (await it.ask("/ask science soup?")).speaker == "science"


# --- who answers -----------------------------------------------------------------------------


async def test_who_is_chosen_answers_until_that_is_changed_whatever_happens(
    tmp_path: Path,
    platform: Platform,
) -> None:
    async with experts(tmp_path, platform) as it:
        assert (await it.ask("hello")).speaker == "starter"
        assert "science answers here from now on" in (await it.ask("/talk science")).text.replace(
            "*", ""
        )
        assert (await it.ask("hello")).speaker == "science"
        assert (await it.ask("cook, hello")).speaker == "cook"  # who is called is called
        who = (await it.ask("/bots")).text.replace("*", "")
        assert who.endswith(
            "science was chosen for this conversation and answers when nobody else is asked."
        )
        await it.ask("/new")
        assert (await it.ask("hello")).speaker == "science"
    async with experts(tmp_path, platform) as it:
        assert (await it.ask("hello again")).speaker == "science"
        told = (await it.ask("/talk off")).text.replace("*", "")
        assert told == "starter answers when nobody else is asked."
        assert (await it.ask("hello")).speaker == "starter"


async def test_in_a_side_thread_anybody_chooses_who_answers_and_only_there(tmp_path: Path) -> None:
    access = {"chat": AccessConfig(admins=("root",))}
    aside = {"direct": False, "topic": "t1", "who": "ann"}
    async with experts(tmp_path, access=access) as it:
        await it.ask("/talk cook", **aside)
        assert (await it.ask("hello", **aside)).speaker == "cook"
        told = await it.ask("/talk", direct=False, who="ann")
        assert told.text.startswith("Nobody answers here without being called by name")


async def test_where_everybody_talks_an_admin_chooses_who_answers(tmp_path: Path) -> None:
    access = {"chat": AccessConfig(admins=("root",))}
    async with experts(tmp_path, access=access) as it:
        told = await it.ask("/talk cook", direct=False, who="ann")
        assert told.text.startswith("Here everybody talks, so an admin chooses")
        await it.ask("/talk cook", direct=False, who="root")
        assert (await it.ask("hello", direct=False, who="ann")).speaker == "cook"


async def test_an_admin_makes_another_bot_the_host_of_a_room_that_people_made(
    tmp_path: Path,
    platform: Platform,
) -> None:
    access = {"chat": AccessConfig(direct="open", admins=("root",))}
    lab = Room(id=0, name="lab", bots=("science", "cook"), host="science")
    async with experts(tmp_path, platform, rooms={"lab": lab}, channels={GENERAL: "lab"}) as it:
        told = await it.ask("/host cook", direct=False)
        assert told.text == 'The host of "lab" stands in the configuration, as rooms.lab.host.'
        assert (await it.ask("hello", direct=False)).speaker == "science"
    # It left the configuration: now it is people's.
    async with experts(tmp_path, platform, channels={GENERAL: "lab"}, access=access) as it:
        told = await it.ask("/host cook", direct=False, who="ann")
        assert told.text.startswith("There is no command /host")
        told = await it.ask("/host cook", direct=False, who="root")
        assert told.text.replace("*", "") == "cook answers in lab when nobody else is asked."
        assert (await it.ask("hello", direct=False, who="ann")).speaker == "cook"
        told = await it.ask("/host off", direct=False, who="root")
        assert told.text.replace("*", "") == "Nobody answers in lab when nobody else is asked."


def test_a_chosen_bot_that_is_gone_leaves_the_answering_to_the_host() -> None:
    route = Router(
        [Triggers(bot=bot, names=(bot,)) for bot in ("cook", "science")],
        {"chat": ("cook", "science")},
    )

    def called(here: Here, **more: Any) -> list[Call]:
        said = Message(address=GENERAL, text="hello", sent_at=0.0, author=ADA)
        return list(route(Posted(key="1", message=said, **more), here))

    room = ("cook", "science")
    assert [c.bot for c in called(Here(bots=room, host="cook", chosen="science"))] == ["science"]
    assert [c.bot for c in called(Here(bots=room, host="cook", chosen="gone"))] == ["cook"]
    assert [c.bot for c in called(Here(chosen="science"), direct=True)] == ["science"]
    assert [c.bot for c in called(Here(chosen="gone"), direct=True)] == ["cook"]
    assert called(Here(chosen="gone")) == []
    assert called(Here(chosen="science"), to_others=True) == []
