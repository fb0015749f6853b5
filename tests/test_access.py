"""Who may talk to the bots: lists, admins, strangers with a code, other bots, and how often."""

from __future__ import annotations

import asyncio
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from house import SayingBot, home
from platform_server import Platform, PlatformAdapter

from botdaemon.access import Access, Admission
from botdaemon.config import AccessConfig
from botdaemon.dispatcher.meters import Meter, Rates
from botdaemon.types import Identity

if TYPE_CHECKING:
    from pathlib import Path

WELCOME, STRANGER, IGNORED = Admission.WELCOME, Admission.STRANGER, Admission.IGNORED


def judged(
    *,
    account: str = "ann",
    is_bot: bool = False,
    channel: str = "general",
    server: str = "home",
    held: tuple[str, ...] = (),
    privately: bool = False,
    **rules: Any,
) -> Admission:
    who = Identity(adapter="chat", account=account, name="Ann", is_bot=is_bot)
    return Access({"chat": AccessConfig(**rules)}).judge(
        who, channel=channel, server=server, roles=held, direct=privately
    )


def test_without_lists_everybody_may_talk_in_channels() -> None:
    assert judged() is WELCOME


@pytest.mark.parametrize(
    ("rules", "admission"),
    [
        ({"servers": ("home",)}, WELCOME),
        ({"servers": ("other",)}, IGNORED),
        ({"deny_servers": ("home",)}, IGNORED),
        ({"channels": ("general",)}, WELCOME),
        ({"channels": ("other",)}, IGNORED),
        ({"deny_channels": ("general",)}, IGNORED),
        ({"people": ("ann",)}, WELCOME),
        ({"people": ("bob",)}, IGNORED),
        ({"people": ("bob",), "roles": ("friends",)}, WELCOME),
        ({"roles": ("friends",)}, WELCOME),
        ({"roles": ("others",)}, IGNORED),
        ({"people": ("ann",), "deny_people": ("ann",)}, IGNORED),
        ({"deny_roles": ("friends",)}, IGNORED),
        ({"servers": ("home",), "channels": ("other",)}, IGNORED),
        ({"admins": ("ann",), "deny_people": ("ann",), "channels": ("other",)}, WELCOME),
    ],
)
def test_the_lists_decide_and_a_denial_outweighs(
    rules: dict[str, Any], admission: Admission
) -> None:
    assert judged(held=("friends",), **rules) is admission


@pytest.mark.parametrize(
    ("rules", "admission"),
    [
        ({}, STRANGER),
        ({"direct": "open"}, WELCOME),
        ({"direct": "closed"}, IGNORED),
        ({"direct": "closed", "people": ("ann",)}, WELCOME),
        ({"direct": "open", "people": ("bob",)}, IGNORED),
        ({"people": ("ann",)}, WELCOME),
        ({"people": ("bob",)}, STRANGER),
        ({"admins": ("ann",)}, WELCOME),
        ({"deny_people": ("ann",)}, IGNORED),
        # A direct message is said in no server and in no listed channel.
        ({"servers": ("home",), "channels": ("general",)}, STRANGER),
    ],
)
def test_a_direct_message_is_from_a_stranger_until_somebody_knows_them(
    rules: dict[str, Any], admission: Admission
) -> None:
    assert judged(privately=True, channel="dm", server="", **rules) is admission


def test_other_bots_are_ignored_unless_they_are_allowed() -> None:
    assert judged(is_bot=True) is IGNORED
    assert judged(is_bot=True, bots=("ann",)) is WELCOME
    assert judged(is_bot=True, bots=("ann",), people=("bob",)) is WELCOME
    assert judged(is_bot=True, bots=("ann",), deny_channels=("general",)) is IGNORED
    assert judged(is_bot=True, privately=True) is IGNORED


def test_whoever_is_at_the_operators_own_page_or_terminal_is_an_admin() -> None:
    access = Access({"chat": AccessConfig(admins=("ann",))})

    assert access.is_admin(Identity(adapter="web", account="you", name="You"))
    assert access.is_admin(Identity(adapter="chat", account="ann", name="Bob"))
    assert not access.is_admin(Identity(adapter="chat", account="bob", name="ann"))


# --- on the road -----------------------------------------------------------------------------


async def test_a_stranger_is_let_in_by_an_admin_with_the_code(tmp_path: Path) -> None:
    access = {"chat": AccessConfig(admins=("root",))}
    bot = SayingBot()
    async with Platform().serving() as platform:
        adapter = PlatformAdapter("chat", platform.port)
        async with home(tmp_path, {"bot": bot}, [adapter], access=access):
            platform.say("let me in", who="ann", direct=True, channel="ann's")
            await platform.until(lambda: bool(platform.shown))
            [told] = platform.shown.values()
            [code] = set(re.findall(r"\b[A-Z2-9]{8}\b", told.text))
            platform.say("hello?", who="ann", direct=True, channel="ann's")
            # A person who is no admin cannot, and is not told that there is such a command.
            platform.say(f"/pair {code}", who="bob", channel="general", mentioned=True)
            await platform.until(lambda: len(platform.shown) == 2)
            assert "no command /pair" in list(platform.shown.values())[1].text

            platform.say(f"/pair {code.lower()}", who="root", direct=True, channel="root's")
            await platform.until(lambda: len(platform.shown) == 4)
            platform.say("now?", who="ann", direct=True, channel="ann's")
            await platform.until(lambda: len(platform.shown) == 5)

    texts = [shown.text for shown in platform.shown.values()]
    assert {"You have been let in. Write to talk.", "ann may write to me now."} == set(texts[2:4])
    assert texts[4] == "you said: now?"
    # What the stranger wrote before was not kept.
    assert [turn.history[0].text for turn in bot.turns] == ["now?"]


async def test_whoever_is_ignored_leaves_no_trace(tmp_path: Path) -> None:
    access = {"chat": AccessConfig(deny_people=("eve",))}
    bot = SayingBot()
    async with Platform().serving() as platform:
        adapter = PlatformAdapter("chat", platform.port)
        async with home(tmp_path, {"bot": bot}, [adapter], access=access):
            platform.say("bot, hello", who="eve")
            platform.say("bot, hi", who="ann")
            await platform.until(lambda: len(platform.shown) == 1)

    assert [message.text for message in bot.turns[0].history] == ["bot, hi"]


async def test_two_bots_that_answer_each_other_never_loop(tmp_path: Path) -> None:
    access = {"chat": AccessConfig(bots=("robot",))}
    async with Platform().serving() as platform:
        adapter = PlatformAdapter("chat", platform.port)
        async with home(tmp_path, {"bot": SayingBot()}, [adapter], access=access) as house:
            platform.say("bot, begin", who="ann")
            for answered in range(1, 50):
                try:
                    async with asyncio.timeout(5):
                        await platform.until(partial(_shows, platform, answered))
                except TimeoutError:
                    break
                said = platform.say("bot, and then?", who="robot", is_bot=True)
                await platform.until(partial(platform.confirmed.__contains__, said))
                if not house.dispatcher.turns.waiting and not house.dispatcher.turns.running:
                    await house.outboxes.drained()
                    if len(platform.shown) == answered:
                        break

    assert 2 <= len(platform.shown) <= 6


async def test_too_many_questions_are_answered_once_with_words(tmp_path: Path) -> None:
    async with Platform().serving() as platform:
        adapter = PlatformAdapter("chat", platform.port)
        async with home(tmp_path, {"bot": SayingBot()}, [adapter], per_person=3) as house:
            for number in range(8):
                id = platform.say(f"question {number}", who="ann", direct=True, channel="ann's")
                await platform.until(partial(platform.confirmed.__contains__, id))
                await platform.until(partial(_shows, platform, min(number + 1, 4)))
            platform.say("and me?", who="bob", direct=True, channel="bob's")
            await platform.until(lambda: len(platform.shown) == 5)
            await house.outboxes.drained()

    texts = [shown.text for shown in platform.shown.values()]
    assert [text for text in texts if text.startswith("you said: question")] == [
        f"you said: question {number}" for number in range(3)
    ]
    assert [text for text in texts if "more than you may ask" in text] == [texts[3]]
    assert texts[4] == "you said: and me?"


async def test_another_bot_is_never_told_that_it_asks_too_much(tmp_path: Path) -> None:
    access = {"chat": AccessConfig(bots=("robot",))}
    async with Platform().serving() as platform:
        adapter = PlatformAdapter("chat", platform.port)
        async with home(
            tmp_path, {"bot": SayingBot()}, [adapter], access=access, per_person=1
        ) as house:
            for number in range(3):
                said = platform.say(f"bot, {number}", who="robot", is_bot=True)
                await platform.until(partial(platform.confirmed.__contains__, said))
                platform.say("so?", who="ann")  # a person in between
            last = platform.say("bot, and I?", who="bob")
            await platform.until(lambda: bool(platform.answers_to(last)))
            await house.outboxes.drained()

    assert [one.text for one in platform.shown.values()] == [
        "you said: bot, 0",
        "you said: bot, and I?",
    ]


def _shows(platform: Platform, count: int) -> bool:
    return len(platform.shown) >= count


def test_a_meter_has_room_again_when_its_window_has_passed() -> None:
    now = 0.0
    meter = Meter(2, 60.0, lambda: now)

    meter.count("ann")
    now = 30.0
    meter.count("ann")
    assert not meter.has_room("ann")
    assert meter.has_room("bob")
    now = 60.0
    assert meter.has_room("ann")


def test_what_a_channel_may_ask_is_said_once_to_all() -> None:
    rates = Rates(person=10, channel=2, server=10)

    assert [rates.refusal(person, "general", "home") for person in (1, 2)] == [("", "")] * 2
    words, about = rates.refusal(3, "general", "home")
    assert "more than this channel may ask" in words
    assert rates.refusal(4, "general", "home")[1] == about != ""
    assert rates.refusal(4, "elsewhere", "home") == ("", "")
