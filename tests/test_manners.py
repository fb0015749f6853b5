"""What bots hear, and how what they say is put: filters, short posts and several messages, over a
real store and a chat platform behind real sockets."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any

import pytest
from house import DrawingBot, Home, SayingBot, home
from platform_server import Platform, PlatformAdapter, daemon

from botdaemon.app import running
from botdaemon.config import parse
from botdaemon.dispatcher import Manners
from botdaemon.errors import Refused
from botdaemon.filters import MASK, Filter, Rule
from botdaemon.posts import Several
from botdaemon.store import database, held
from botdaemon.types import Address, Draft, Identity, Message, Posted, Room

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

    from botdaemon.types import Held, Turn

NO_ZILCH = Filter([Rule(words=("zilch",), stand_in="Let us talk about tea.")])
MASK_ZILCH = Filter([Rule(words=("zilch",), action="mask")])


class LetterByLetter(SayingBot):
    """Says it letter by letter."""

    async def reply(self, turn: Turn) -> AsyncGenerator[Draft]:
        async for draft in super().reply(turn):
            if draft.final:
                for end in range(len(draft.text)):
                    yield Draft(text=draft.text[:end])
                    await asyncio.sleep(0)
            yield draft


@asynccontextmanager
async def talking(
    directory: Path, bot: Any, traits: dict[str, Any] | None = None, **more: Any
) -> AsyncIterator[tuple[Platform, Home]]:
    async with Platform().serving() as platform:
        adapter = PlatformAdapter("chat", platform.port, **(traits or {}))
        async with home(directory, {"bot": bot}, [adapter], **more) as house:
            yield platform, house


def noted(directory: Path) -> list[Held]:
    with database.looking(directory) as db:
        return list(held.held(db))


async def answer_to(platform: Platform, text: str, **more: Any) -> list[str]:
    asked = platform.say(text, direct=True, **more)
    await platform.until(lambda: platform.answers_to(asked))
    return [shown.text for shown in platform.answers_to(asked)]


# --- what is heard --------------------------------------------------------------------------


async def test_what_nobody_hears_is_not_recorded_and_its_person_gets_words(tmp_path: Path) -> None:
    bot = SayingBot()
    async with talking(tmp_path, bot, heard=NO_ZILCH) as (platform, house):
        platform.say("what about z1lch?", direct=True)
        await platform.until(lambda: platform.shown)
        assert await answer_to(platform, "and tea?") == ["you said: and tea?"]

        [words, _] = platform.shown.values()
        assert (words.text, words.speaker, words.only_for) == ("Let us talk about tea.", "", "ada")
        assert [said.text for turn in bot.turns for said in turn.history] == ["and tea?"]
        assert "z1lch" not in str(await house.store.recent(1))
    [one] = noted(tmp_path)
    assert (one.way, one.blocked, one.found) == ("heard", True, ("z1lch",))
    assert one.author is not None
    assert (one.text, one.author.name, one.bot) == ("what about z1lch?", "ada", "")


async def test_what_is_delivered_again_is_noted_once_and_its_person_told_once(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path, SayingBot(), heard=NO_ZILCH) as (platform, _):
        first = platform.say("zilch", direct=True)
        await platform.until(lambda: first in platform.confirmed)
        platform.say("zilch", direct=True, key=first, id=first)
        await answer_to(platform, "hello")
        assert platform.confirmed.count(first) == 2
        assert len(platform.shown) == 2
    assert len(noted(tmp_path)) == 1


async def test_what_is_masked_goes_on_masked(tmp_path: Path) -> None:
    async with talking(tmp_path, SayingBot(), heard=MASK_ZILCH) as (platform, _):
        assert await answer_to(platform, "some zilch!") == [f"you said: some {MASK * 5}!"]
    [one] = noted(tmp_path)
    assert (one.text, one.blocked) == ("some zilch!", False)


async def test_an_edit_cannot_bring_in_what_is_held_back(tmp_path: Path) -> None:
    async with talking(tmp_path, SayingBot(), heard=NO_ZILCH) as (platform, house):
        asked = platform.say("tea", direct=True)
        await platform.until(lambda: platform.answers_to(asked))
        changed = platform.edit(asked, "zilch")
        await platform.until(lambda: changed in platform.confirmed)

        assert [said.text for said in await house.store.recent(1)] == ["tea", "you said: tea"]
        # Deleted by its author, it is not kept for the operator either.
        assert len(noted(tmp_path)) == 1
        gone = platform.delete(asked)
        await platform.until(lambda: gone in platform.confirmed)
        assert noted(tmp_path) == []


async def test_what_is_held_back_is_forgotten_with_its_person(tmp_path: Path) -> None:
    async with talking(tmp_path, SayingBot(), heard=NO_ZILCH) as (platform, house):
        said = platform.say("zilch", direct=True)
        await platform.until(lambda: said in platform.confirmed)
        assert len(noted(tmp_path)) == 1
        await house.store.forget("ada")
    assert noted(tmp_path) == []


async def test_commands_and_forms_are_filtered_as_messages_are(tmp_path: Path) -> None:
    bot = DrawingBot()
    traits = {"buttons": True}
    async with talking(tmp_path, bot, traits, heard=NO_ZILCH) as (platform, _):
        platform.say("draw zilch", kind="command", direct=True)
        await platform.until(lambda: platform.shown)
        platform.say("/draw zilch at dusk", direct=True)
        await platform.until(lambda: len(platform.shown) == 2)
        assert {shown.text for shown in platform.shown.values()} == {"Let us talk about tea."}
        assert bot.turns == []
    assert [one.text for one in noted(tmp_path)] == ["zilch", "/draw zilch at dusk"]


async def test_a_page_is_told_why_a_message_is_not_taken(tmp_path: Path) -> None:
    room = {"lounge": Room(id=0, name="lounge", bots=("bot",), host="bot", configured=True)}
    async with home(
        tmp_path, {"bot": SayingBot()}, rooms=room, mirrors=("web",), heard=NO_ZILCH
    ) as house:
        event = Posted(
            key="1",
            message=Message(
                address=Address("web", "lounge"),
                author=Identity(adapter="web", account="a", name="Ada"),
                text="zilch",
                sent_at=1.0,
            ),
        )
        with pytest.raises(Refused, match="Let us talk about tea"):
            await house.dispatcher.deliver(event)


async def test_what_one_bot_does_not_hear_others_answer(tmp_path: Path) -> None:
    deaf, open_ = SayingBot(), SayingBot()
    async with Platform().serving() as platform:
        adapter = PlatformAdapter("chat", platform.port)
        manners = {"deaf": Manners(heard=NO_ZILCH)}
        async with home(tmp_path, {"deaf": deaf, "open": open_}, [adapter], manners=manners):
            assert await answer_to(platform, "@deaf zilch") == ["Let us talk about tea."]
            assert await answer_to(platform, "@open zilch") == ["you said: @open zilch"]
            assert await answer_to(platform, "@deaf tea?") == ["you said: @deaf tea?"]

        # What it did not hear it does not read later either.
        assert [said.text for said in deaf.turns[0].history] == [
            "you said: @open zilch",
            "@deaf tea?",
        ]
        assert [said.text for said in open_.turns[0].history] == ["@deaf zilch", "@open zilch"]
    [one] = noted(tmp_path)
    assert (one.bot, one.text, one.platform_id) == ("deaf", "@deaf zilch", "p1")


async def test_what_is_too_long_for_a_bot_is_answered_with_words(tmp_path: Path) -> None:
    bot = SayingBot()
    async with talking(tmp_path, bot, manners={"bot": Manners(most_heard=10)}) as (platform, _):
        assert await answer_to(platform, "x" * 11) == [
            "That is too long for me: I read 10 characters at most, and it has 11."
        ]
        assert bot.turns == []
        assert await answer_to(platform, "x" * 10) == ["you said: " + "x" * 10]


# --- what is said ---------------------------------------------------------------------------


async def test_an_answer_that_is_held_back_is_never_seen_not_even_in_part(tmp_path: Path) -> None:
    bot = LetterByLetter(lambda text: "I think that z i l c h is best, of all there is")
    traits = {"edits_per_second": 1000}
    manners = {"bot": Manners(said=NO_ZILCH)}
    async with talking(tmp_path, bot, traits, manners=manners) as (platform, house):
        assert await answer_to(platform, "what is best?") == ["Let us talk about tea."]
        [shown] = platform.ever_shown
        assert set(shown.versions) == {"Let us talk about tea."}
        assert (await house.store.recent(1))[-1].text == "Let us talk about tea."
    [one] = noted(tmp_path)
    assert (one.way, one.bot, one.found) == ("said", "bot", ("z i l c h",))


async def test_an_answer_that_is_masked_is_shown_while_it_grows_and_never_unmasked(
    tmp_path: Path,
) -> None:
    bot = LetterByLetter(
        lambda text: "well, " * 20 + "z i l c h is it. " + "and so on " * 20 + "end"
    )
    bot.gate.clear()
    traits = {"edits_per_second": 1000}
    manners = {"bot": Manners(said=MASK_ZILCH)}
    async with talking(tmp_path, bot, traits, manners=manners) as (platform, _):
        asked = platform.say("what is it?", direct=True)
        await platform.until(lambda: platform.ever_shown)
        bot.gate.set()
        await platform.until(lambda: any(s.text.endswith("end") for s in platform.shown.values()))

        [shown] = platform.answers_to(asked)
        whole = shown.text
        assert f"{' '.join(MASK * 5)} is it." in whole
        drafts = [version.rstrip("\u2026 ") for version in shown.versions]
        assert len(drafts) > 1
        assert all(whole.startswith(draft) for draft in drafts)


async def test_a_stopped_answer_is_filtered_as_well(tmp_path: Path) -> None:
    bot = SayingBot(lambda text: "zilch zilch and what follows it for ever")
    bot.gate.clear()
    async with talking(tmp_path, bot, manners={"bot": Manners(said=NO_ZILCH)}) as (platform, _):
        asked = platform.say("what?", direct=True)
        await bot.begun.wait()
        platform.say("/stop", direct=True)
        await platform.until(lambda: platform.answers_to(asked))
        assert [s.text for s in platform.answers_to(asked)] == ["Let us talk about tea."]


async def test_a_picture_of_what_is_not_said_is_held_back_with_its_words(tmp_path: Path) -> None:
    manners = {"bot": Manners(said=NO_ZILCH)}
    async with talking(tmp_path, DrawingBot(), manners=manners) as (platform, _):
        asked = platform.say("zilch", direct=True)
        await platform.until(lambda: platform.answers_to(asked))
        [shown] = platform.answers_to(asked)
        assert (shown.text, shown.file) == ("Let us talk about tea.", "")


async def test_an_answer_is_cut_at_the_last_clause_that_fits_in_its_drafts_too(
    tmp_path: Path,
) -> None:
    bot = LetterByLetter(lambda text: "This is short. This goes on, and on and on and on")
    traits = {"edits_per_second": 1000}
    manners = {"bot": Manners(most_said=30)}
    async with talking(tmp_path, bot, traits, manners=manners) as (platform, house):
        assert await answer_to(platform, "?") == ["This is short. This goes on"]
        [shown] = platform.ever_shown
        assert all("This is short. This goes on".startswith(v.rstrip(" …")) for v in shown.versions)
        assert (await house.store.recent(1))[-1].text == "This is short. This goes on"


# --- several messages -----------------------------------------------------------------------

CHATTY = Several(most=3, separator="|", characters_per_second=40)


async def test_messages_of_an_answer_come_in_order_and_no_other_turn_comes_between(
    tmp_path: Path,
) -> None:
    bot = SayingBot(lambda text: f"{text} one|{text} two, longer|{text} three")
    traits = {"edits_per_second": 1000, "buttons": True}
    manners = {"bot": Manners(several=CHATTY)}
    async with talking(tmp_path, bot, traits, manners=manners) as (platform, house):
        first = platform.say("A", direct=True, who="ada")
        await platform.until(lambda: platform.shown)
        second = platform.say("B", direct=True, who="bob")
        await platform.until(lambda: len(platform.ever_shown) == 6)
        await house.outboxes.drained()

        shown = platform.ever_shown
        assert [one.text for one in shown] == [
            *("A one", "A two, longer", "A three"),
            *("B one", "B two, longer", "B three"),
        ]
        assert [one.reply_to for one in shown] == [first, "", "", second, "", ""]
        assert [bool(one.controls) for one in shown] == [False, False, True] * 2
        answers = [said.text for said in await house.store.recent(1) if said.bot]
        assert answers[0] == "A one\n\nA two, longer\n\nA three"
    with closing(sqlite3.connect(tmp_path / "botdaemon.db")) as db:
        waits = db.execute("SELECT not_before > created_at FROM letters ORDER BY id").fetchall()
    assert [bool(wait) for (wait,) in waits] == [False, True, True] * 2


async def test_a_draft_shows_the_first_message_alone(tmp_path: Path) -> None:
    bot = SayingBot(lambda text: "the first message|and the second of them")
    bot.gate.clear()
    traits = {"edits_per_second": 1000}
    manners = {"bot": Manners(several=CHATTY)}
    async with talking(tmp_path, bot, traits, manners=manners) as (platform, _):
        asked = platform.say("?", direct=True)
        await platform.until(lambda: platform.answers_to(asked))
        [draft] = platform.shown.values()
        assert draft.text.rstrip("\u2026 ") == "the first message"
        bot.gate.set()
        await platform.until(lambda: len(platform.shown) == 2)
        assert not any("second" in version for version in draft.versions)


@pytest.mark.parametrize(
    "step", ["before:say", "after:say", "after:claim_letter", "before:send", "after:send"]
)
async def test_after_kill_9_between_its_messages_an_answer_is_whole_and_nothing_twice(
    step: str, tmp_path: Path
) -> None:
    async with Platform().serving() as platform:
        platform.say("@chatty one|two|three")
        async with daemon("crash_daemon.py", platform.port, tmp_path, step) as process:
            assert await process.wait() == -signal.SIGKILL
        async with daemon("crash_daemon.py", platform.port, tmp_path, "none"):
            await platform.until(lambda: len(platform.shown) == 3)
            platform.say("@chatty done", direct=True)
            await platform.until(lambda: platform.ever_shown[-1].text == "done")

    assert [one.text for one in platform.ever_shown] == ["one", "two", "three", "done"]


# --- from the configuration ------------------------------------------------------------------

CONFIGURATION = r"""
[daemon]
data_dir = "data"
[adapters.chat]
kind = "terminal"
bot = "ada"
[models.echo]
kind = "echo"
[bots.ada]
kind = "text"
model = "echo"
messages = { most = 2, separator = "|", longest_pause_seconds = 0.0 }
[bots.ada.most_characters]
heard = 40
said = 30
[bots.ada.filters.said]
patterns = ['\b\d{3}-\d{4}\b']
action = "mask"
[rooms.lounge]
bots = ["ada"]
channels = ["chat:general"]
[filters.heard]
words = ["zilch"]
stand_in = "Let us talk about tea."
[filters.said]
words = ["coffee"]
action = "mask"
[limits]
merge_seconds = 0.0
[records]
directory = "records"
"""


async def test_a_daemon_does_as_its_configuration_says(tmp_path: Path) -> None:
    config = parse(CONFIGURATION, tmp_path / "config.toml")
    async with Platform().serving() as platform:
        adapter = PlatformAdapter("chat", platform.port)
        async with running(config, adapters=lambda store: [adapter]):
            platform.say("ada, z.i.l.c.h")
            await platform.until(lambda: len(platform.shown) == 1)
            platform.say(f"ada, {'x' * 40}")
            await platform.until(lambda: len(platform.shown) == 2)
            platform.say("ada, coffee 555-1234|or this, or that")
            await platform.until(lambda: len(platform.shown) == 4)
    assert [shown.text for shown in platform.ever_shown] == [
        "Let us talk about tea.",
        "That is too long for me: I read 40 characters at most, and it has 45.",
        f"{MASK * 6} {MASK * 8}",
        "or this",
    ]
    assert [one.way for one in noted(tmp_path / "data")] == ["heard", "said"]
