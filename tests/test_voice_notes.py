"""Voice notes on every chat platform, over the fakes with the real client libraries in between:
heard as if they had been typed, and spoken as each platform wants it."""

from __future__ import annotations

import base64
import logging
import signal
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from fake_discord_nouns import PERMISSIONS
from house import SayingBot
from platform_server import Platform as Server
from platform_server import daemon as killed
from platform_verbs import DM, GENERAL, Platform
from platforms import PLATFORMS, daemon, serving
from sound_engines import Hears, Speaks, aloud, listening, voice_note
from test_classifier import STAND_IN, Scripted, judge

from botdaemon.dispatcher import Manners
from botdaemon.errors import EngineDied, EngineFailed, ModelUnusable
from botdaemon.filters import Filter, Rule
from botdaemon.types import Bubble, Draft

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from fake_faults import Shown

    from botdaemon.types import Turn

OGG = voice_note().content
NOTE = (("voice-message.ogg", voice_note(0.7).content),)


@pytest.fixture(params=PLATFORMS)
async def platform(request: pytest.FixtureRequest) -> AsyncGenerator[Platform]:
    async with serving(request.param) as [one]:
        yield one


@pytest.fixture
async def telegram() -> AsyncGenerator[Platform]:
    async with serving("telegram") as [one]:
        yield one


class Crowd:
    """Two answer to everything."""

    async def reply(self, turn: Turn) -> AsyncGenerator[Draft]:
        bubbles = (Bubble("a", "Ox"), Bubble("b", "Newt"))
        yield Draft(text="a\n\nb", bubbles=bubbles, final=True)


def asked(bot: SayingBot) -> list[str]:
    return [said.text for turn in bot.turns for said in turn.history[-turn.fresh :]]


async def spoken(platform: Platform, place: Any = DM) -> Shown:
    """The voice note that is shown there."""

    def found() -> list[Shown]:
        return [one for one in platform.shown(place) if platform.is_ours(one) and one.files]

    await platform.until(found)
    return found()[-1]


# --- heard ------------------------------------------------------------------------------------


async def test_a_voice_note_is_answered_as_if_it_had_been_typed(
    platform: Platform, tmp_path: Path
) -> None:
    bot, ears = SayingBot(), Hears("what time is it?")
    async with daemon(tmp_path, {"bot": bot}, platform, listening=listening(ears)):
        answer = await platform.answer(await platform.say("", files=NOTE))
        assert answer.text == "you said: (said aloud) what time is it?"
    [request] = ears.asked
    assert (request.sound, request.model) == (NOTE[0][1], "ears")
    assert asked(bot) == ["(said aloud) what time is it?"]
    assert bot.turns[0].history[-1].files == ()


async def test_a_voice_note_is_heard_once_however_often_it_is_sent(
    telegram: Platform, tmp_path: Path
) -> None:
    bot, ears = SayingBot(), Hears("hello")
    for _ in range(2):  # over a restart, too
        async with daemon(tmp_path, {"bot": bot}, telegram, listening=listening(ears)):
            await telegram.answer(await telegram.say("", files=NOTE))
            await telegram.answer(await telegram.say("and this?", files=NOTE))
    assert len(ears.asked) == 1
    assert asked(bot) == ["(said aloud) hello", "and this?\n(said aloud) hello"] * 2


async def test_one_that_was_replied_to_is_heard(telegram: Platform, tmp_path: Path) -> None:
    bot, ears = SayingBot(), Hears("the train is late")
    async with daemon(tmp_path, {"bot": bot}, telegram, listening=listening(ears)):
        note = await telegram.say("", GENERAL, who="bob", files=NOTE)
        await telegram.answer(await telegram.say("bot, what does he say?", GENERAL, reply_to=note))
    [turn] = bot.turns
    assert turn.about is not None
    assert turn.about.text == "(said aloud) the train is late"


async def test_without_a_hearing_model_a_voice_note_is_a_file_as_ever(
    telegram: Platform, tmp_path: Path
) -> None:
    bot = SayingBot()
    async with daemon(tmp_path, {"bot": bot}, telegram):
        await telegram.answer(await telegram.say("listen", files=NOTE))
    [file] = bot.turns[0].history[-1].files
    assert (asked(bot), file.media_type) == (["listen"], "audio/ogg")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (EngineFailed("That recording is damaged."), "That recording is damaged."),
        (ModelUnusable("no such directory"), "I cannot listen to recordings at the moment."),
    ],
)
async def test_a_recording_that_cannot_be_heard_costs_its_words_only(
    error: Exception, words: str, telegram: Platform, tmp_path: Path
) -> None:
    bot, ears = SayingBot(), Hears("fine", error, error)
    async with daemon(tmp_path, {"bot": bot}, telegram, listening=listening(ears)):
        await telegram.say("", files=NOTE)
        await telegram.saying(words)
        answer = await telegram.answer(await telegram.say("and this?", files=NOTE))
        assert answer.text.startswith("you said: and this?\n(said something aloud")
        assert await telegram.answer(await telegram.say("still there?"))
    # What is damaged stays so, and a model may be mended.
    assert len(ears.asked) == (1 if isinstance(error, EngineFailed) else 2)


async def test_a_recording_that_is_too_large_is_not_even_opened(
    telegram: Platform, tmp_path: Path
) -> None:
    ears = Hears()
    small = listening(ears, most_bytes=100)
    async with daemon(tmp_path, {"bot": SayingBot()}, telegram, listening=small):
        await telegram.say("", files=NOTE)
        await telegram.saying("I listen to 0.0001 MB at most.")
    assert not ears.asked


async def test_a_recording_that_keeps_killing_its_model_is_given_up(
    telegram: Platform, tmp_path: Path
) -> None:
    died = EngineDied("the model process was ended by SIGSEGV")
    ears = Hears("never", *[died] * 9)
    async with daemon(tmp_path, {"bot": SayingBot()}, telegram, listening=listening(ears)):
        await telegram.say("", files=NOTE)
        await telegram.saying("that recording is too much for me")
        await telegram.answer(await telegram.say("still there?", files=NOTE))
    assert len(ears.asked) == 3


async def test_filters_hear_what_is_said_aloud(telegram: Platform, tmp_path: Path) -> None:
    bot, ears = SayingBot(), Hears("a lot of zilch")
    no_zilch = Filter([Rule(words=("zilch",), stand_in="Let us talk about tea.")])
    async with daemon(tmp_path, {"bot": bot}, telegram, listening=listening(ears), heard=no_zilch):
        await telegram.say("", files=NOTE)
        await telegram.saying("Let us talk about tea.")
    assert not bot.turns
    with closing(sqlite3.connect(tmp_path / "botdaemon.db")) as db:
        assert db.execute("SELECT text FROM transcripts").fetchall() == [("",)]
        assert db.execute("SELECT text FROM held").fetchall() == [("a lot of zilch",)]


async def test_classifiers_hear_what_is_said_aloud(telegram: Platform, tmp_path: Path) -> None:
    bot, classifier = SayingBot(), Scripted()
    looks = (judge(classifier, certain=False),)
    ears = listening(Hears("how grey it is"))
    async with daemon(tmp_path, {"bot": bot}, telegram, listening=ears, heard_judges=looks):
        await telegram.say("", files=NOTE)
        await telegram.saying(STAND_IN)
    assert classifier.asked == ["how grey it is"]
    assert not bot.turns


async def test_what_was_heard_is_shown_once_where_that_is_wanted(
    telegram: Platform, tmp_path: Path
) -> None:
    ears = listening(Hears("2 * 3?"), show=True)
    async with daemon(tmp_path, {"bot": SayingBot()}, telegram, listening=ears):
        await telegram.answer(await telegram.say("", files=NOTE))
        await telegram.saying("Heard: 2 * 3?")
        await telegram.answer(await telegram.say("again", files=NOTE))
        assert [one.text for one in telegram.shown(DM)].count("Heard: 2 * 3?") == 1


@pytest.mark.parametrize(
    "step",
    [
        "after:keep_transcript",
        *(
            pytest.param(step, marks=pytest.mark.slow)
            for step in ("after:claim_turn", "before:say", "after:send")
        ),
    ],
)
async def test_after_kill_9_a_recording_is_not_heard_again(step: str, tmp_path: Path) -> None:
    async with Server().serving() as server:
        async with killed("hearing_daemon.py", server.port, tmp_path, step) as process:
            assert await process.wait() == -signal.SIGKILL
        async with killed("hearing_daemon.py", server.port, tmp_path, "none"):
            await server.until(lambda: len(server.shown) == 2)
        said = sorted(one.text for one in server.shown.values())
    assert said == ["Heard: what time is it?", "you said: (said aloud) what time is it?"]
    assert (tmp_path / "heard").read_text() == "p1\n"


# --- spoken -----------------------------------------------------------------------------------


async def test_a_voice_note_is_answered_by_one_as_each_platform_wants_it(
    platform: Platform, tmp_path: Path
) -> None:
    bot, mouth = SayingBot(lambda _: "It is **noon**. See <https://time.is/now>."), Speaks()
    async with daemon(
        tmp_path, {"bot": bot}, platform, listening=listening(Hears()), aloud=aloud(mouth)
    ):
        typed = await platform.answer(await platform.say("what time is it?"))
        assert not typed.files
        answer = await platform.answer(await platform.say("", files=NOTE))
        note = await spoken(platform)
    assert mouth.asked == ["It is noon. See time.is."]
    assert (answer.text, note.text) == (typed.text, "")
    [(name, content)] = note.files
    assert content == OGG
    match platform.name:
        case "discord":
            [attachment] = note.raw["attachments"]
            assert note.raw["flags"] == 1 << 13
            assert attachment["duration_secs"] == 0.5
            assert base64.b64decode(attachment["waveform"]) == voice_note().waveform
        case "telegram":
            assert note.raw["voice"]["mime_type"] == "audio/ogg"
            assert note.raw["voice"]["duration"] == 1
        case _:
            assert name == "voice-note.ogg"


async def test_an_answer_can_be_spoken_without_being_written(
    platform: Platform, tmp_path: Path
) -> None:
    mouth = aloud(Speaks(), when="always", text=False)
    async with daemon(tmp_path, {"bot": SayingBot()}, platform, aloud=mouth):
        await platform.say("hello")
        await spoken(platform)
        assert not [one for one in platform.shown(DM) if "you said" in one.text]


@pytest.mark.parametrize("text", [True, False])
async def test_a_crowd_is_spoken_as_one(text: bool, telegram: Platform, tmp_path: Path) -> None:
    mouth = Speaks()
    async with daemon(
        tmp_path, {"bot": Crowd()}, telegram, aloud=aloud(mouth, when="always", text=text)
    ) as house:
        await telegram.say("hello")
        await spoken(telegram)
        shown = [one.text for one in telegram.shown(DM) if telegram.is_ours(one) and one.text]
        [*_, kept] = await house.store.recent(1)
    assert mouth.asked == ["Ox: a\nNewt: b"]
    assert kept.bubbles == (Bubble("a", "Ox"), Bubble("b", "Newt"))
    assert len(shown) == (2 if text else 0)


@pytest.mark.parametrize("mouth", [Speaks(EngineFailed("no")), Speaks(whole=False)])
async def test_what_is_not_spoken_in_full_is_written(
    mouth: Speaks, telegram: Platform, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    manner = aloud(mouth, when="always", text=False)
    async with daemon(tmp_path, {"bot": SayingBot()}, telegram, aloud=manner):
        answer = await telegram.answer(await telegram.say("hello"))
        assert answer.text == "you said: hello"
    failed = [one.message for one in caplog.records if "spoken" in one.message]
    assert failed == ([] if mouth.whole is False else ["not spoken: no"])


async def test_what_is_held_back_is_not_spoken_either(telegram: Platform, tmp_path: Path) -> None:
    mouth = Speaks()
    manners = {"bot": Manners(said=Filter([Rule(words=("zilch",), stand_in="No.")]))}
    async with daemon(
        tmp_path,
        {"bot": SayingBot()},
        telegram,
        aloud=aloud(mouth, when="always"),
        manners=manners,
    ):
        assert (await telegram.answer(await telegram.say("zilch"))).text == "No."
        assert (await telegram.answer(await telegram.say("tea"))).text == "you said: tea"
    assert mouth.asked == ["you said: tea"]


async def test_speak_repeats_the_last_answer_as_a_voice_note(
    platform: Platform, tmp_path: Path
) -> None:
    bot, mouth = SayingBot(), Speaks()
    manner = aloud(mouth, when="asked")
    async with daemon(tmp_path, {"bot": bot}, platform, aloud=manner):
        await platform.say("/speak")
        await platform.saying("There is no answer to speak yet.")
        await platform.answer(await platform.say("one"))
        await platform.say("/speak")
        await spoken(platform)
        await platform.answer(await platform.say("two"))
    assert mouth.asked == ["you said: one"]
    # It is no new part of the conversation.
    assert [said.text for said in bot.turns[-1].history] == ["one", "you said: one", "two"]


async def test_speak_says_that_a_bot_cannot(telegram: Platform, tmp_path: Path) -> None:
    async with daemon(tmp_path, {"bot": SayingBot()}, telegram):
        await telegram.answer(await telegram.say("one"))
        await telegram.say("/speak")
        await telegram.saying("bot cannot speak.")


@pytest.mark.parametrize("name", ["discord", "telegram"])
async def test_where_voice_notes_are_not_allowed_they_are_files(name: str, tmp_path: Path) -> None:
    mouth = aloud(Speaks(), when="always")
    async with (
        serving(name) as [platform],
        daemon(tmp_path, {"bot": SayingBot()}, platform, aloud=mouth),
    ):
        await platform.answer(await platform.say("first", GENERAL, to_us=True))
        await platform.until(lambda: len(notes(platform)) == 1)
        forbid_voice_notes(platform)
        await platform.answer(await platform.say("second", GENERAL, to_us=True))
        await platform.until(lambda: len(notes(platform)) == 2)
        native, file = notes(platform)
    if name == "discord":
        assert (native.raw["flags"], file.raw["flags"]) == (1 << 13, 1 << 2)
    else:
        assert ("voice" in native.raw, "document" in file.raw) == (True, True)
    assert file.files[0][1] == OGG


def forbid_voice_notes(platform: Any) -> None:
    fake = platform.fake
    if platform.name == "telegram":
        fake.chat("general").forbidden.add("voice notes")
    else:
        channel = fake.world.channels[fake.channel_id("general")]
        channel.overwrites[fake.guild_id] = (0, PERMISSIONS["SEND_VOICE_MESSAGES"])


def notes(platform: Any) -> list[Shown]:
    """What of ours in all places has a file."""
    telegram = platform.name == "telegram"
    everything: list[Shown] = platform.shown(GENERAL) if telegram else platform.fake.shown()
    return [one for one in everything if platform.is_ours(one) and one.files]
