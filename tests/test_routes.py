"""Which bots a message calls: by every trigger, in order, and none when people talk to people."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from botdaemon.routes import Router, Triggers
from botdaemon.types import Address, Here, Identity, Message, Posted, Why

BOTS = ("ada", "comic", "Mr.Fix-it")
NOWHERE = Here()
ROOM = Here(bots=BOTS)
HOSTED = Here(bots=BOTS, host="comic")


def router(**changes: Any) -> Router:
    """`changes` are ada's."""
    triggers = [
        Triggers(bot="ada", names=("ada", "lovelace")),
        Triggers(bot="comic", names=("comic",), wake=(re.compile(r"\bjoke\b", re.IGNORECASE),)),
        Triggers(bot="Mr.Fix-it", names=("Mr.Fix-it", "J.")),
    ]
    triggers[0] = replace(triggers[0], **changes)
    return Router(triggers, {"chat": BOTS, "solo": ("comic",)})


def said(text: str, *, adapter: str = "chat", is_bot: bool = False, **how: Any) -> Posted:
    author = Identity(adapter=adapter, account="1", name="Someone", is_bot=is_bot)
    message = Message(address=Address(adapter, "c"), text=text, author=author, sent_at=0.0)
    return Posted(key="k", message=message, **how)


def called(event: Posted, here: Here, route: Router | None = None) -> list[tuple[str, Why]]:
    return [(call.bot, call.why) for call in (route or router())(event, here)]


@pytest.mark.parametrize(
    "text",
    [
        "ada, what is this?",
        "Ada what is this?",
        "hey ada!",
        "Hi, Ada: hello",
        "  *ada* look",
        "what do you think, ada?",
        "What do you think, Ada",
        "Lovelace, what is this?",
        "ada",
    ],
)
def test_a_bot_that_is_called_by_its_name_answers(text: str) -> None:
    assert called(said(text), ROOM) == [("ada", Why.NAME)]


@pytest.mark.parametrize(
    "text", ["@ada hello", "hello @Ada", "so (@ada) what now", "@lovelace?", "ask @ada, please"]
)
def test_a_bot_that_is_mentioned_answers(text: str) -> None:
    assert called(said(text), ROOM) == [("ada", Why.MENTION)]


@pytest.mark.parametrize(
    "text",
    [
        "I told ada yesterday",
        "what ada says is right",
        "adapters are hard",
        "@adam hello",
        "mail me at x@ada.org",
        "a canada trip",
        "the comics are funny",
        "no jokes please",
        "",
        "   ",
        "🎉",
    ],
)
def test_a_bot_that_is_merely_talked_about_stays_silent(text: str) -> None:
    assert called(said(text), ROOM) == []


@pytest.mark.parametrize("text", ["Mr.Fix-it, help", "@Mr.Fix-it help", "J., help", "@J. help"])
def test_names_with_punctuation_call_like_any_other(text: str) -> None:
    assert [bot for bot, _ in called(said(text), ROOM)] == ["Mr.Fix-it"]


def test_a_wake_pattern_calls_from_anywhere_in_the_text() -> None:
    assert called(said("I would like a Joke now"), ROOM) == [("comic", Why.NAME)]


def test_several_bots_that_are_named_answer_in_the_order_of_the_room() -> None:
    asked = said("@comic and @ada, who is right?")

    assert [bot for bot, _ in called(asked, ROOM)] == ["ada", "comic"]
    assert [bot for bot, _ in called(asked, Here(bots=("comic", "ada")))] == ["comic", "ada"]


def test_a_direct_message_reaches_the_accounts_default_bot_or_the_one_it_names() -> None:
    assert called(said("hello", direct=True), NOWHERE) == [("ada", Why.DIRECT)]
    assert called(said("hello", adapter="solo", direct=True), NOWHERE) == [("comic", Why.DIRECT)]
    assert called(said("comic, hello", direct=True), NOWHERE) == [("comic", Why.NAME)]


def test_a_mention_of_the_account_reaches_the_rooms_host_or_the_default_bot() -> None:
    assert called(said("hello", mentioned=True), NOWHERE) == [("ada", Why.MENTION)]
    assert called(said("hello", mentioned=True), ROOM) == [("ada", Why.MENTION)]
    assert called(said("hello", mentioned=True), HOSTED) == [("comic", Why.MENTION)]


def test_a_reply_to_a_bot_is_for_that_bot() -> None:
    here = replace(HOSTED, replied_to="ada")

    assert called(said("really?"), here) == [("ada", Why.REPLY)]
    assert called(said("really?"), replace(here, replied_to="stranger")) == [("comic", Why.ROOM)]


def test_a_rooms_host_answers_what_is_said_to_nobody_else() -> None:
    assert called(said("nice weather"), HOSTED) == [("comic", Why.ROOM)]
    assert called(said("ada, nice weather"), HOSTED) == [("ada", Why.NAME)]
    assert called(said("nice weather"), ROOM) == []


def test_what_people_say_to_each_other_is_left_alone() -> None:
    assert called(said("@bob how are you?", to_others=True), HOSTED) == []
    assert called(said("@bob ask @ada", to_others=True), HOSTED) == [("ada", Why.MENTION)]


def test_in_a_side_thread_the_bot_that_spoke_last_goes_on() -> None:
    here = replace(ROOM, joined=("comic", "ada"))

    assert called(said("and then?"), here) == [("comic", Why.FOLLOW_UP)]
    assert called(said("and then?"), replace(here, joined=("ada",))) == [("ada", Why.FOLLOW_UP)]
    assert called(said("and then?"), replace(here, joined=("ada",)), router(follow_up=False)) == []


def test_chance_is_asked_only_when_nobody_was_called() -> None:
    triggers = [Triggers(bot="ada", names=("ada",), chance=0.1)]
    lucky = Router(triggers, {"chat": ("ada",)}, lambda: 0.09)
    unlucky = Router(triggers, {"chat": ("ada",)}, lambda: 0.11)

    assert called(said("nice weather"), NOWHERE, lucky) == [("ada", Why.CHANCE)]
    assert called(said("nice weather"), NOWHERE, unlucky) == []
    assert called(said("hello", direct=True), NOWHERE, lucky) == [("ada", Why.DIRECT)]


def test_another_bot_is_answered_until_bots_have_talked_too_long_among_themselves() -> None:
    ways: list[dict[str, Any]] = [{}, {"direct": True}, {"mentioned": True}]
    for way in ways:
        event = said("@ada hello", is_bot=True, **way)
        assert called(event, replace(HOSTED, bots_in_a_row=3)) == [("ada", Why.MENTION)]
        assert called(event, replace(HOSTED, bots_in_a_row=4)) == []
    # A person is answered whatever bots did before.
    assert called(said("@ada hello"), replace(HOSTED, bots_in_a_row=40)) == [("ada", Why.MENTION)]


def test_in_a_free_channel_the_first_bot_answers_everything() -> None:
    route = Router(
        [Triggers(bot=bot, names=(bot,)) for bot in BOTS], {"chat": BOTS}, free={"chat": {"c"}}
    )

    assert called(said("nice weather"), NOWHERE, route) == [("ada", Why.ROOM)]
    assert called(said("@comic hello"), NOWHERE, route) == [("comic", Why.MENTION)]
    assert called(said("hello", to_others=True), NOWHERE, route) == []
    # A room has a host of its own.
    assert called(said("nice weather"), HOSTED, route) == [("comic", Why.ROOM)]


def test_bots_that_do_not_live_here_are_not_called() -> None:
    here = Here(bots=("comic", "gone"), host="gone", replied_to="ada", joined=("ada",))

    assert called(said("@ada hello"), here) == []
    assert called(said("hello"), here) == []
    assert called(said("@comic hello", adapter="unknown"), NOWHERE) == []
    # A host that left the configuration does not take the mention with it.
    assert called(said("hello", mentioned=True), here) == [("comic", Why.MENTION)]
