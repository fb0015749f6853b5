"""What every chat platform promises, over each fake with its real client library between it and
the house: one test each, for all of them. What differs is said in platforms.py."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from fake_faults import Hang, RateLimit, Reset
from house import DrawingBot, SayingBot, surroundings
from platform_verbs import DM, GENERAL, Place, Platform
from platforms import PLATFORMS, daemon, rows, serving, stored

from botdaemon.config import AccessConfig
from botdaemon.ports import Connectable
from botdaemon.types import Control, Draft, File, Room, Turn

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from fake_faults import Shown

    from botdaemon.types import Address

PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x10\x00\x00\x00\x10\x08\x06\x00\x00\x00"
    + bytes(64)
)
JPEG = b"\xff\xd8\xff\xe0" + bytes(64)
BUTTONS = ["Regenerate", "\U0001f44d", "\U0001f44e"]
UNDER_PICTURES = (
    Control.REROLL,
    Control.VARY,
    Control.UPSCALE,
    Control.EDIT,
    Control.SETTINGS,
    Control.DELETE,
)
PICTURE_BUTTONS = ["Re-roll", "Vary", "Upscale", "Edit prompt", "Settings", "Delete"]


@pytest.fixture(params=PLATFORMS)
async def platform(request: pytest.FixtureRequest) -> AsyncGenerator[Platform]:
    async with serving(request.param) as [one]:
        yield one


def held() -> SayingBot:
    """A bot that shows half of its answer and waits to be let go."""
    bot = SayingBot()
    bot.gate.clear()
    return bot


def heard(bot: SayingBot) -> list[str]:
    """What a bot was asked to answer, in order."""
    return [said.text for turn in bot.turns for said in turn.history[-turn.fresh :]]


def history(bot: SayingBot) -> list[str]:
    """What the last turn knew."""
    return [said.text for said in bot.turns[-1].history]


# --- who is answered ------------------------------------------------------------------------------


async def test_a_direct_message_is_answered(platform: Platform, tmp_path: Path) -> None:
    async with daemon(tmp_path, {"bot": SayingBot()}, platform):
        answer = await platform.answer(await platform.say("hello"))
    assert answer.text == "you said: hello"
    assert answer.buttons == BUTTONS


async def test_in_a_channel_whoever_calls_the_bot_is_answered_and_nobody_else(
    platform: Platform, tmp_path: Path
) -> None:
    bot = SayingBot()
    async with daemon(tmp_path, {"bot": bot}, platform):
        silent = await platform.say("just talking", GENERAL)
        other = await platform.say(f"{platform.calls_upon('bob')} not you", GENERAL)
        mentioned = await platform.answer(await platform.say("one", GENERAL, to_us=True))
        named = await platform.answer(await platform.say("bot, two", GENERAL, who="bob"))
        reply = await platform.say("three", GENERAL, who="cy", reply_to=mentioned.id)
        await platform.saying("said: three", GENERAL)
        assert [mentioned.text, named.text] == ["you said: one", "you said: bot, two"]
        assert not [
            one
            for asked in (silent, other)
            for one in platform.answers(asked)
            if "talking" in one.text or "not you" in one.text
        ]
    assert heard(bot) == ["one", "bot, two", "three"]
    assert reply


async def test_in_a_free_channel_everything_is_answered_but_what_is_said_to_others(
    platform: Platform, tmp_path: Path
) -> None:
    bot = SayingBot()
    free = platform.channel_id("general")
    async with daemon(
        tmp_path,
        {"bot": bot},
        platform,
        settings={"free_channels": (free,)},
        free={platform.name: frozenset({free})},
    ):
        await platform.say(f"{platform.calls_upon('bob')} how are you?", GENERAL)
        await platform.answer(await platform.say("anybody?", GENERAL))
        await platform.answer(await platform.say("again?", GENERAL))
    assert heard(bot) == ["anybody?", "again?"]  # nor was any answer of ours answered


async def test_in_a_thread_the_bot_has_joined_it_needs_no_mention(
    platform: Platform, tmp_path: Path
) -> None:
    bot = SayingBot()
    async with daemon(tmp_path, {"bot": bot}, platform):
        place = await platform.thread("plants")
        await platform.say("not yet", place)
        await platform.answer(await platform.say("water?", place, to_us=True))
        await platform.answer(await platform.say("and light?", place))
        await platform.say(f"{platform.calls_upon('bob')} do you know?", place)
        await platform.answer(await platform.say("and soil?", place))
    assert heard(bot) == ["water?", "and light?", "and soil?"]


async def test_other_bots_are_ignored(platform: Platform, tmp_path: Path) -> None:
    bot = SayingBot()
    free = frozenset({platform.channel_id("general")})
    async with daemon(tmp_path, {"bot": bot}, platform, free={platform.name: free}):
        await platform.say("beep", GENERAL, who="robot", bot=True)
        await platform.say("bot, beep", GENERAL, who="robot", bot=True)
        await platform.answer(await platform.say("anybody?", GENERAL))
    assert heard(bot) == ["anybody?"]


async def test_other_bots_that_are_allowed_are_metered(platform: Platform, tmp_path: Path) -> None:
    bot = SayingBot()
    free = frozenset({platform.channel_id("general")})
    access = {platform.name: AccessConfig(bots=(platform.account("robot", bot=True),))}
    async with daemon(
        tmp_path, {"bot": bot}, platform, free={platform.name: free}, access=access, to_bots=1
    ):
        await platform.answer(await platform.say("beep 0.", GENERAL, who="robot", bot=True))
        await platform.say("beep 1.", GENERAL, who="robot", bot=True)
        await stored(tmp_path, "SELECT 1 FROM turns WHERE state = 'refused'")
        await platform.answer(await platform.say("anybody?", GENERAL))
    assert [turn.history[-1].text for turn in bot.turns if _by_a_bot(turn)] == ["beep 0."]


def _by_a_bot(turn: Turn) -> bool:
    return turn.asked_by is not None and turn.asked_by.is_bot


async def test_two_bots_that_talk_to_each_other_come_to_an_end(
    platform: Platform, tmp_path: Path
) -> None:
    bot = SayingBot()
    place = await platform.thread("bots")
    access = {platform.name: AccessConfig(bots=(platform.account("robot", bot=True),))}
    async with daemon(tmp_path, {"bot": bot}, platform, access=access) as house:
        await platform.answer(await platform.say("hello", place, to_us=True))
        for number in range(12):
            await platform.say(f"beep {number}.", place, who="robot", to_us=True, bot=True)
            await stored(tmp_path, f"SELECT 1 FROM messages WHERE text LIKE '%beep {number}.'")
            await house.outboxes.drained()
        await platform.answer(await platform.say("are you done?", place))
    assert 1 <= sum(map(_by_a_bot, bot.turns)) <= 3


async def test_a_stranger_is_let_in_by_an_admin_with_a_code(
    platform: Platform, tmp_path: Path
) -> None:
    bot = SayingBot()
    access = {platform.name: AccessConfig(admins=(platform.account("boss"),))}
    office = Place("@boss")
    async with daemon(tmp_path, {"bot": bot}, platform, access=access):
        await platform.say("let me in")
        words = await platform.saying("I do not know you yet")
        [(code,)] = await stored(tmp_path, "SELECT code FROM pairings")
        assert code in words.text
        await platform.say(f"!pair {code}", office)
        await platform.saying("may write to me now", office)
        await platform.saying("You have been let in")
        await platform.answer(await platform.say("hello"))
    assert heard(bot) == ["hello"]
    assert not rows(tmp_path, "SELECT 1 FROM messages WHERE text = 'let me in'")


# --- where it is answered, and what is known there ------------------------------------------------


async def test_answers_land_in_the_thread_they_belong_to(
    platform: Platform, tmp_path: Path
) -> None:
    bot = SayingBot()
    async with daemon(tmp_path, {"bot": bot}, platform):
        plants, stones = await platform.thread("plants"), await platform.thread("stones")
        asked = [
            (place, await platform.say(text, place, who=who, to_us=True))
            for text, place, who in (
                ("roses?", plants, "ann"),
                ("granite?", stones, "bob"),
                ("above?", Place(plants.channel), "ann"),
                ("tulips?", plants, "bob"),
            )
        ]
        for place, id in asked:
            answer = await platform.answer(id)
            assert answer.topic == platform.topic_for(id, place)
    known = {tuple(said.text for said in turn.history if not said.bot) for turn in bot.turns}
    assert not [texts for texts in known if {"roses?", "granite?"} <= set(texts)]


async def test_a_long_answer_arrives_whole_and_only_its_beginning_points_at_the_question(
    platform: Platform, tmp_path: Path
) -> None:
    words = [f"word{number:04}" for number in range(900)]
    bot = SayingBot(lambda text: "\n".join(words))
    async with daemon(tmp_path, {"bot": bot}, platform):
        asked = await platform.say("a story", GENERAL, to_us=True)
        last = await platform.saying(words[-1], GENERAL)
        parts = [one for one in platform.shown(GENERAL) if "word0" in one.text]
    assert " ".join(part.text for part in parts).split() == words
    assert len(parts) > 1
    assert [bool(part.buttons) for part in parts] == [False] * (len(parts) - 1) + [True]
    assert parts[-1] == last
    assert {part.topic for part in parts} == {platform.topic_for(asked, GENERAL)}
    if platform.gives_references:
        assert [part.reply_to for part in parts] == [asked] + [""] * (len(parts) - 1)


async def test_what_was_said_in_a_thread_before_is_known_where_it_can_be_read(
    platform: Platform, tmp_path: Path
) -> None:
    bot = SayingBot()
    place = await platform.thread("pets")
    if platform.loads_earlier:
        for text in ("my cat is called Tom", "nice"):
            await platform.say(text, place)
    async with daemon(tmp_path, {"bot": bot}, platform):
        await platform.answer(await platform.say("what is its name?", place, to_us=True))
    earlier = ["my cat is called Tom", "nice"] if platform.loads_earlier else []
    assert [text for text in history(bot) if text != "pets"] == [*earlier, "what is its name?"]


async def test_edits_and_deletions_reach_what_the_bot_knows(
    platform: Platform, tmp_path: Path
) -> None:
    bot = SayingBot()
    async with daemon(tmp_path, {"bot": bot}, platform):
        one = await platform.say("one")
        await platform.answer(one)
        two = await platform.say("two")
        await platform.answer(two)
        await platform.fake.edit(one, "uno", channel="@ann")
        await platform.fake.delete(two, channel="@ann")
        await stored(tmp_path, "SELECT 1 FROM messages WHERE text = 'uno'")
        if platform.tells_of_deletions:
            await stored(tmp_path, "SELECT 1 FROM messages WHERE deleted_at IS NOT NULL")
        await platform.answer(await platform.say("well?"))
    left = [] if platform.tells_of_deletions else ["two"]
    said = [said.text for said in bot.turns[-1].history if not said.bot]
    assert said == ["uno", *left, "well?"]


# --- what was missed ------------------------------------------------------------------------------


async def test_what_was_said_while_the_daemon_was_away_is_answered_once(
    platform: Platform, tmp_path: Path
) -> None:
    bot = SayingBot()
    place = await platform.thread("plants")
    async with daemon(tmp_path, {"bot": bot}, platform) as house:
        await platform.answer(await platform.say("before"))
        await platform.answer(await platform.say("before there", place, to_us=True))
        await house.outboxes.drained()
    missed = [
        await platform.say("missed direct"),
        await platform.say("missed mention", GENERAL, to_us=True),
        await platform.say("missed follow-up", place),
    ]
    for _ in range(2):
        async with daemon(tmp_path, {"bot": bot}, platform) as house:
            for asked in missed:
                await platform.answer(asked)
            await platform.answer(await platform.say(f"after {len(bot.turns)}."))
            await house.outboxes.drained()
    assert sorted(text for text in heard(bot) if text.startswith("missed")) == [
        "missed direct",
        "missed follow-up",
        "missed mention",
    ]


async def test_what_was_said_too_long_ago_is_read_and_not_answered(
    platform: Platform, tmp_path: Path
) -> None:
    bot = SayingBot()
    async with daemon(tmp_path, {"bot": bot}, platform) as house:
        await platform.answer(await platform.say("before"))
        await house.outboxes.drained()
    await platform.say("long ago")
    async with daemon(tmp_path, {"bot": bot}, platform, stale=0.0):
        await stored(tmp_path, "SELECT 1 FROM messages WHERE text = 'long ago'")
        await platform.answer(await platform.say("now"))
    assert heard(bot) == ["before", "now"]
    assert "long ago" in history(bot)


async def test_what_was_said_while_the_connection_was_lost_is_answered(
    platform: Platform, tmp_path: Path
) -> None:
    async with daemon(tmp_path, {"bot": SayingBot()}, platform):
        await platform.answer(await platform.say("before"))
        platform.fake.refuse_connections = True
        await platform.fake.drop()
        asked = await platform.say("meanwhile")
        platform.fake.refuse_connections = False
        assert (await platform.answer(asked)).text == "you said: meanwhile"


async def test_an_adapter_says_whether_it_is_connected(platform: Platform, tmp_path: Path) -> None:
    async with daemon(tmp_path, {"bot": SayingBot()}, platform) as house:
        await platform.answer(await platform.say("hello"))
        [adapter] = (outbox.courier for outbox in house.outboxes.by_adapter.values())
        assert isinstance(adapter, Connectable)
        assert adapter.connected
    assert not adapter.connected


async def test_a_message_delivered_twice_is_answered_once(
    platform: Platform, tmp_path: Path
) -> None:
    bot = SayingBot()
    async with daemon(tmp_path, {"bot": bot}, platform):
        asked = await platform.say("hello")
        await platform.redeliver(asked)
        await platform.answer(asked)
        await platform.redeliver(asked)
        await platform.answer(await platform.say("next"))
        await platform.answer(asked)
    assert heard(bot) == ["hello", "next"]


# --- how it is answered ---------------------------------------------------------------------------


async def test_the_bot_is_at_work_from_acceptance_to_the_last_part(
    platform: Platform, tmp_path: Path
) -> None:
    bot = held()
    async with daemon(tmp_path, {"bot": bot}, platform, turns_at_once=1):
        busy = await platform.say("first")
        await platform.until(lambda: platform.at_work(busy, DM))
        # It waits in line, and its bot does not think yet.
        waiting = await platform.say("second", GENERAL, to_us=True)
        await platform.until(lambda: platform.at_work(waiting, GENERAL))
        assert heard(bot) == ["first"]
        bot.gate.set()
        await platform.answer(busy)
        await platform.answer(waiting)
        await platform.until(lambda: platform.at_rest(busy, DM))
        await platform.until(lambda: platform.at_rest(waiting, GENERAL))


async def test_a_live_draft_is_one_message_that_becomes_the_answer(
    platform: Platform, tmp_path: Path
) -> None:
    bot = held()
    async with daemon(tmp_path, {"bot": bot}, platform):
        asked = [await platform.say("hello there", place, to_us=True) for place in (DM, GENERAL)]
        drafts = [await _draft(platform, one) for one in asked]
        bot.gate.set()
        for draft, one in zip(drafts, asked, strict=True):
            answer = await platform.answer(one)
            assert "you said: hello there".startswith(draft.text)
            assert (answer.id, answer.text) == (draft.id, "you said: hello there")
            assert len(answer.versions) > 1


async def _draft(platform: Platform, asked: str) -> Shown:
    """The live draft of an answer, once there is something in it."""

    def there() -> list[Shown]:
        return [one for one in platform.answers(asked) if one.text not in ("", "\u2026")]

    await platform.until(there)
    [draft] = there()
    assert not platform.is_final(draft)
    return draft


async def test_an_answer_whose_draft_a_moderator_deleted_is_sent_anew(
    platform: Platform, tmp_path: Path
) -> None:
    bot = held()
    async with daemon(tmp_path, {"bot": bot}, platform):
        asked = await platform.say("hello")
        draft = await _draft(platform, asked)
        await platform.fake.delete(draft.id, channel="@ann")
        # Whatever the platform tells of that has been told before this.
        await platform.say("hello", Place("@bob"))
        await platform.until(lambda: len(bot.turns) == 2)
        bot.gate.set()
        answer = await platform.answer(asked)
    assert answer.text == "you said: hello"
    assert answer.id != draft.id


async def test_two_bots_of_one_account_speak_under_their_own_names(
    platform: Platform, tmp_path: Path
) -> None:
    joe, comic = SayingBot(), SayingBot()
    async with daemon(tmp_path, {"joe": joe, "Comic": comic}, platform):
        await platform.say("one", GENERAL, to_us=True)
        first = platform.speaks(await platform.saying("said: one", GENERAL))
        await platform.say("Comic, two", GENERAL, who="bob")
        second = platform.speaks(await platform.saying("said: Comic, two", GENERAL))
    assert first[1] == "you said: one"
    assert second == ("Comic", "you said: Comic, two")
    assert first[0] != "Comic"
    assert (heard(joe), heard(comic)) == (["one"], ["Comic, two"])


async def test_nobody_is_pinged_by_what_a_bot_says(platform: Platform, tmp_path: Path) -> None:
    bob = platform.account("bob")
    text = (
        f"@everyone @here @channel <@{bob}> <!channel> <!here> <@&{bob}> <!subteam^S1> all of you"
    )
    async with daemon(tmp_path, {"bot": SayingBot(lambda _: text)}, platform):
        asked = await platform.say("hello", GENERAL, to_us=True)
        answer = await platform.answer(asked)
    assert platform.pings(answer) == []
    for word in ("everyone", "here", "channel", "all of you"):
        assert word in answer.text


# --- files ----------------------------------------------------------------------------------------


async def test_files_are_taken_in_as_what_they_are(platform: Platform, tmp_path: Path) -> None:
    bot = SayingBot()
    files = [
        ("cat.png", PNG),
        ("notes.txt", b"milk, bread"),
        ("liar.pdf", b"MZ\x90\0" + bytes(60)),
        ("bomb.zip", b"PK\x03\x04" + bytes(200)),
        ("long.bin", bytes(2000)),
    ]
    async with daemon(tmp_path, {"bot": bot}, platform, told={"file_limit": 1000}):
        for number, file in enumerate(files):
            place = Place(f"@p{number}")
            await platform.answer(await platform.say(f"look {number}.", place, files=(file,)))
    taken = [turn.history[-1] for turn in bot.turns]
    assert [[(one.media_type, one.size) for one in said.files] for said in taken] == [
        [("image/png", len(PNG))],
        [("text/plain", 11)],
        [("application/octet-stream", 64)],
        [("application/zip", 204)],
        [],
    ]
    assert taken[-1].text == "look 4.\n[long.bin: 2 kB, too large to take in]"


class HandingBot:
    """Answers with a file."""

    def __init__(self) -> None:
        self.file: File | None = None

    async def reply(self, turn: Turn) -> AsyncGenerator[Draft]:
        assert self.file is not None
        yield Draft(text="here it is", files=(self.file,), final=True)


async def test_files_are_handed_out_where_the_question_was_asked(
    platform: Platform, tmp_path: Path
) -> None:
    bot = HandingBot()
    async with daemon(tmp_path, {"bot": bot}, platform) as house:
        bot.file = await house.store.keep(b"one,two\n", "numbers.csv", "text/csv")
        asked = await platform.say("numbers?", GENERAL, to_us=True)
        await platform.until(lambda: any(one.files for one in platform.shown(GENERAL)))
        [handed] = [one for one in platform.shown(GENERAL) if one.files]
    assert handed.files == [("numbers.csv", b"one,two\n")]
    assert handed.topic == platform.topic_for(asked, GENERAL)


# --- pictures -------------------------------------------------------------------------------------


class PaintingBot(DrawingBot):
    """Draws what a platform takes for pictures: each says its number, and its prompt beside it."""

    async def reply(self, turn: Turn) -> AsyncGenerator[Draft]:
        self.turns.append(turn)
        number = len(self.turns)
        yield Draft(text="drawing, step 1 of 2", preview=JPEG)
        self.begun.set()
        await self.gate.wait()
        assert self.keep is not None
        file = await self.keep(picture(number), f"{number}.png", "image/png")
        yield Draft(
            text=self._prompt(turn),
            files=(replace(file, spoiler=self.spoiler),),
            final=True,
            controls=UNDER_PICTURES,
        )


def picture(number: int) -> bytes:
    return PNG + bytes([number])


def contents(shown: Shown) -> list[bytes]:
    return [content for _, content in shown.files]


async def test_words_picture_and_buttons_are_one_message(
    platform: Platform, tmp_path: Path
) -> None:
    async with daemon(tmp_path, {"bot": PaintingBot()}, platform):
        for number, place in enumerate((DM, GENERAL), 1):
            asked = await platform.say(f"{number} red circles", place, to_us=True)
            answer = await platform.answer(asked)
            assert contents(answer) == [picture(number)]
            assert (answer.text, answer.buttons) == (f"{number} red circles", PICTURE_BUTTONS)
            assert answer.topic == platform.topic_for(asked, place)
            assert not platform.is_covered(answer)


async def test_while_it_is_drawn_a_picture_is_a_draft_that_becomes_it(
    platform: Platform, tmp_path: Path
) -> None:
    bot = PaintingBot()
    bot.gate.clear()
    async with daemon(tmp_path, {"bot": bot}, platform) as house:
        traits = house.outboxes.by_adapter[platform.name].courier.traits
        asked = await platform.say("a red circle")
        draft = await _draft(platform, asked)
        assert draft.text == "drawing, step 1 of 2"
        if traits.previews:
            await platform.until(lambda: contents(platform.answers(asked)[0]) == [JPEG])
        bot.gate.set()
        answer = await platform.answer(asked)
    assert (answer.id, answer.text) == (draft.id, "a red circle")
    assert contents(answer) == [picture(1)]


async def test_a_picture_of_which_the_confirmation_was_lost_stands_there_once(
    platform: Platform, tmp_path: Path
) -> None:
    settings = {"live_drafts": False}
    people = [Place(f"@p{number}") for number in range(3)]
    async with daemon(tmp_path, {"bot": PaintingBot()}, platform, settings=settings):
        platform.faults.next(platform.sends, *[Reset(applied=True)] * len(people))
        for place in people:
            await platform.say("a red circle", place)
        await stored(tmp_path, "SELECT 1 FROM letters WHERE state = 'sent'", len(people))
        assert not platform.faults.pending()
        for place in people:
            ours = [one for one in platform.shown(place) if platform.is_ours(one)]
            stray = [] if platform.verifies else ["\u2026"]
            assert sorted(one.text for one in ours) == sorted(["a red circle", *stray])
            assert sum(bool(one.files) for one in ours) == 1


async def test_a_picture_that_may_not_be_seen_at_once_is_covered(
    platform: Platform, tmp_path: Path
) -> None:
    bot = PaintingBot()
    bot.spoiler = True
    async with daemon(tmp_path, {"bot": bot}, platform):
        answer = await platform.answer(await platform.say("a red circle"))
    assert platform.is_covered(answer)


async def test_the_buttons_under_a_picture_ask_for_others(
    platform: Platform, tmp_path: Path
) -> None:
    bot = PaintingBot()
    async with daemon(tmp_path, {"bot": bot}, platform):
        first = await platform.answer(await platform.say("a red circle", GENERAL, to_us=True))
        for button, what in (("Re-roll", "reroll"), ("Vary", "vary"), ("Upscale", "upscale")):
            await platform.press(first.id, button, GENERAL)
            other = await platform.saying(f"{what} of a red circle", GENERAL)
            assert contents(other) == [picture(len(bot.turns))]
            assert other.buttons == PICTURE_BUTTONS
    wishes = [turn.wish.what for turn in bot.turns if turn.wish]
    assert wishes == ["reroll", "vary", "upscale"]


async def test_a_prompt_is_edited_in_a_form_or_by_a_command(
    platform: Platform, tmp_path: Path
) -> None:
    async def prompt_of(address: Address, platform_id: str) -> str:
        return "a red circle --seed 4"

    bot = PaintingBot()
    async with daemon(tmp_path, {"bot": bot}, platform, told={"prompt_of": prompt_of}):
        first = await platform.answer(await platform.say("a red circle"))
        if platform.forms:
            before = await platform.fill_in(first.id, "Edit prompt", "a blue circle")
            assert before == "a red circle --seed 4"
        else:
            await platform.press(first.id, "Edit prompt", DM)
            await platform.saying("/edit")
            await platform.say("/edit a blue circle", reply_to=first.id)
        other = await platform.saying("a blue circle")
    assert contents(other) == [picture(2)]
    wish = bot.turns[-1].wish
    assert wish is not None
    assert (wish.what, wish.text) == ("edit", "a blue circle")


async def test_the_settings_of_a_picture_are_told_to_whoever_asks(
    platform: Platform, tmp_path: Path
) -> None:
    async with daemon(tmp_path, {"bot": PaintingBot()}, platform):
        first = await platform.answer(await platform.say("a red circle", GENERAL, to_us=True))
        await platform.press(first.id, "Settings", GENERAL)
        if platform.whispers:
            await platform.until(
                lambda: any("the settings of 1" in one for one in platform.whispered(GENERAL))
            )
        else:
            await platform.saying("the settings of 1", GENERAL)


async def test_a_picture_is_taken_away_by_whoever_asked_for_it(
    platform: Platform, tmp_path: Path
) -> None:
    async with daemon(tmp_path, {"bot": PaintingBot()}, platform):
        first = await platform.answer(await platform.say("a red circle"))
        await platform.press(first.id, "Delete")
        await platform.until(lambda: first.id not in [one.id for one in platform.shown(DM)])
        await platform.answer(await platform.say("a blue circle"))
        assert [contents(one) for one in platform.shown(DM) if platform.is_ours(one)] == [
            [picture(2)]
        ]


async def test_what_is_said_to_a_picture_is_said_about_it(
    platform: Platform, tmp_path: Path
) -> None:
    bot = PaintingBot()
    async with daemon(tmp_path, {"bot": bot}, platform):
        first = await platform.answer(await platform.say("a red circle", GENERAL, to_us=True))
        await platform.say("more of it", GENERAL, to_us=True, reply_to=first.id)
        await platform.saying("more of it", GENERAL)
        sketch = (("sketch.png", picture(9)),)
        await platform.say("like this", GENERAL, to_us=True, files=sketch)
        await platform.saying("like this", GENERAL)
    said, drawn = bot.turns[1], bot.turns[2]
    if platform.gives_references:
        assert said.about is not None
        assert [file.name for file in said.about.files] == ["1.png"]
    assert [file.size for file in drawn.history[-1].files] == [len(picture(9))]


# --- controls -------------------------------------------------------------------------------------


async def test_a_native_command_is_answered_to_whoever_used_it(
    platform: Platform, tmp_path: Path
) -> None:
    bot = SayingBot()
    async with daemon(tmp_path, {"bot": bot}, platform):
        await platform.command("bots")
        if platform.whispers:
            await platform.until(
                lambda: any(": a bot" in one for one in platform.whispered(GENERAL))
            )
        else:
            await platform.saying(": a bot", GENERAL)
    assert not bot.turns


async def test_a_bot_is_asked_by_a_native_command_and_everybody_sees_the_question(
    platform: Platform, tmp_path: Path
) -> None:
    first, second = SayingBot(), SayingBot()
    async with daemon(tmp_path, {"bot": first, "cook": second}, platform):
        await platform.command("ask", argument="cook what is soup?")
        await platform.saying("you said: cook, what is soup?", GENERAL)
        [turn] = second.turns
        assert turn.history[-1].text == "cook, what is soup?"
        assert turn.asked_by is not None
        assert turn.asked_by.name == turn.history[-1].speaker
        texts = [one.text for one in platform.shown(GENERAL)]
        assert sum("you said" not in text and "what is soup?" in text for text in texts) == 1
    assert not first.turns


async def test_a_typed_command_is_obeyed_and_one_of_another_bot_left_alone(
    platform: Platform, tmp_path: Path
) -> None:
    bot = SayingBot()
    async with daemon(tmp_path, {"bot": bot}, platform):
        await platform.say("!bots")
        await platform.saying(": a bot")
        await platform.say("/weather")
        await platform.saying("There is no command /weather")
        foreign = await platform.say("/weather", GENERAL)
        await platform.say("!help", GENERAL)
        await platform.answer(await platform.say("hello", GENERAL, to_us=True))
        assert not platform.answers(foreign)
        assert not any("Write to talk" in one.text for one in platform.shown(GENERAL))
        assert not platform.whispered(GENERAL)
    assert heard(bot) == ["hello"]


async def test_the_stop_button_stops_an_answer_and_what_was_said_stays(
    platform: Platform, tmp_path: Path
) -> None:
    bot = held()
    async with daemon(tmp_path, {"bot": bot}, platform) as house:
        asked = await platform.say("count to a million")
        draft = await _draft(platform, asked)
        await platform.press(draft.id, "Stop")
        answer = await platform.answer(asked)
        assert (answer.id, answer.text) == (draft.id, draft.text)
        assert house.dispatcher.turns.running == 0


async def test_regenerate_asks_for_another_answer(platform: Platform, tmp_path: Path) -> None:
    answers = iter(["first try", "second try"])
    bot = SayingBot(lambda text: next(answers))
    async with daemon(tmp_path, {"bot": bot}, platform):
        first = await platform.answer(await platform.say("hello"))
        await platform.press(first.id, "Regenerate")
        await platform.saying("second try")
    assert heard(bot) == ["hello", "hello"]
    assert "first try" not in history(bot)


async def test_thumbs_and_reactions_are_kept_as_feedback_on_the_answer(
    platform: Platform, tmp_path: Path
) -> None:
    async with daemon(tmp_path, {"bot": SayingBot()}, platform):
        answer = await platform.answer(await platform.say("hello"))
        await platform.press(answer.id, "\U0001f44d")
        await stored(tmp_path, "SELECT 1 FROM feedback WHERE value = 'good'")
        await platform.press(answer.id, "\U0001f44e")
        await stored(tmp_path, "SELECT 1 FROM feedback WHERE value = 'bad'")
        await platform.react(answer.id, "\U0001f389")
        await stored(tmp_path, "SELECT 1 FROM feedback", 2)
    kept = rows(
        tmp_path,
        "SELECT m.text, f.value FROM feedback f JOIN messages m ON m.id = f.message ORDER BY 2",
    )
    assert kept == [("you said: hello", "bad"), ("you said: hello", "\U0001f389")]


# --- rooms over several platforms -----------------------------------------------------------------


@pytest.mark.parametrize(
    "names", [("discord", "slack"), ("slack", "telegram"), ("telegram", "discord")], ids="-".join
)
async def test_a_room_on_two_platforms_is_one_conversation(
    names: tuple[str, str], tmp_path: Path
) -> None:
    bot = SayingBot()
    async with serving(*names) as (here, there):
        channels = {one.address(GENERAL): "den" for one in (here, there)}
        async with daemon(
            tmp_path,
            {"bot": bot},
            here,
            there,
            rooms={"den": Room(id=0, name="den", bots=("bot",))},
            channels=channels,
            told={"shared": frozenset(one.channel for one in channels)},
        ):
            first = await here.say("good morning", GENERAL, who="ann")
            relayed = await there.saying("good morning", GENERAL)
            assert "ann" in relayed.text.lower()
            await there.say("good evening", GENERAL, who="bob")
            assert "bob" in (await here.saying("good evening", GENERAL)).text.lower()
            await here.fake.edit(first, "good afternoon", channel="general")
            edited = await there.saying("good afternoon", GENERAL)
            assert edited.id == relayed.id
            # The bot answers on both, and nothing that was relayed comes back.
            await here.say("bot, what time is it?", GENERAL)
            await here.saying("you said: bot, what time", GENERAL)
            await there.saying("you said: bot, what time", GENERAL)
            await there.say("bot, and now?", GENERAL, who="bob")
            for one in (here, there):
                await one.saying("you said: bot, and now?", GENERAL)
                texts = [shown.text for shown in one.shown(GENERAL)]
                for said in ("good afternoon", "good evening"):
                    assert sum(said in text for text in texts) == 1
                assert sum("you said: bot, what time" in text for text in texts) == 1
    assert heard(bot) == ["bot, what time is it?", "bot, and now?"]


# --- when sending goes wrong ----------------------------------------------------------------------


async def test_when_the_platform_asks_to_wait_answers_wait_and_keep_their_order(
    platform: Platform, tmp_path: Path
) -> None:
    settings = {"live_drafts": False}
    async with daemon(tmp_path, {"bot": SayingBot()}, platform, settings=settings):
        platform.faults.next(platform.sends, RateLimit(1))
        first = await platform.say("first")
        await platform.until(lambda: any(call.status == 429 for call in platform.fake.calls))
        second = await platform.say("second")
        await platform.answer(second)
        await platform.answer(first)
        ours = [one.text for one in platform.shown(DM) if one.text.startswith("you said")]
    assert ours == ["you said: first", "you said: second"]
    [limited] = [call.at for call in platform.fake.calls if call.status == 429]
    after = [call.at for call in platform.fake.calls if call.at > limited]
    sent = [
        call.at
        for call in platform.fake.calls
        if call.at > limited
        and call.path.endswith(platform.sends.rpartition("/")[2])
        and call.method == "POST"
    ]
    assert after
    assert min(sent) - limited >= 1


async def test_an_answer_whose_response_was_lost_stands_there_once(
    platform: Platform, tmp_path: Path
) -> None:
    settings = {"live_drafts": False}
    people = [Place(f"@p{number}") for number in range(4)]
    async with daemon(tmp_path, {"bot": SayingBot()}, platform, settings=settings):
        platform.faults.next(platform.sends, *[Reset(applied=True)] * len(people))
        for place in people:
            await platform.say("hello", place)
        await stored(tmp_path, "SELECT 1 FROM letters WHERE state = 'sent'", len(people))
        assert not platform.faults.pending()
        for place in people:
            texts = [one.text for one in platform.shown(place)]
            stray = [] if platform.verifies else ["\u2026"]
            assert sorted(texts) == sorted(["hello", "you said: hello", *stray])


async def test_a_letter_that_can_never_arrive_is_given_up_with_one_line(
    platform: Platform, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bot = held()
    settings = {"live_drafts": False}
    async with daemon(tmp_path, {"bot": bot}, platform, settings=settings):
        await platform.say("hello", Place("club"), to_us=True)
        await bot.begun.wait()
        await platform.lose("club")
        bot.gate.set()
        await stored(tmp_path, "SELECT 1 FROM letters WHERE state = 'dead'")
        await platform.answer(await platform.say("still there?"))
    dead = [one for one in caplog.records if getattr(one, "event", "") == "letter_dead"]
    assert len(dead) == 1
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    "names", [("discord", "slack"), ("slack", "telegram"), ("telegram", "discord")], ids="-".join
)
async def test_a_slow_platform_delays_no_other(names: tuple[str, str], tmp_path: Path) -> None:
    async with (
        serving(*names) as (slow, quick),
        daemon(tmp_path, {"bot": SayingBot()}, slow, quick),
    ):
        slow.faults.always(slow.sends, Hang())
        waiting = [await slow.say(f"hello {number}.", Place(f"@p{number}")) for number in range(40)]
        for number in range(3):
            await quick.answer(await quick.say(f"hello {number}."))
        assert not any(slow.answers(asked) for asked in waiting)


# --- secrets --------------------------------------------------------------------------------------


async def test_the_tokens_are_in_no_log_line_and_in_no_row(
    platform: Platform, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    bot = held()
    async with daemon(tmp_path, {"bot": bot}, platform):
        asked = await platform.say("hello", files=(("a.txt", b"text"),))
        await _draft(platform, asked)
        platform.faults.next("POST *", Reset(), Reset(applied=True))
        await platform.fake.drop()
        bot.gate.set()
        await platform.answer(asked)
        platform.faults.next("POST *", Reset(), RateLimit(1))
        await platform.answer(await platform.say("more", GENERAL, to_us=True))
    for token in platform.tokens:
        for secret in {token, token.rpartition(":")[2]}:
            assert secret not in caplog.text
            assert not _found(secret, tmp_path)


def _found(secret: str, directory: Path) -> list[Path]:
    """The files in which it stands, the database among them."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return [path for path in files if secret.encode() in path.read_bytes()]


async def test_the_tokens_are_in_no_error(platform: Platform, tmp_path: Path) -> None:
    async with daemon(tmp_path, {"bot": SayingBot()}) as house:
        adapter = platform.adapter(surroundings(house.store), {})
        platform.fake.refuse_connections = True
        with pytest.raises(Exception) as down:  # noqa: PT011  whatever it is, it is looked at
            await asyncio.wait_for(adapter.run(house.dispatcher.deliver), 20)
        texts = [repr(adapter)]
        error: BaseException | None = down.value
        while error is not None:
            texts += [str(error), repr(error)]
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    for token in platform.tokens:
        assert not [text for text in texts if token.rpartition(":")[2] in text]
