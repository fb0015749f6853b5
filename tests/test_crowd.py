"""A bot that speaks as a crowd: one post, several answers, each under a name of its own. Over a
real store and a chat platform behind real sockets."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from house import home
from hypothesis import given, settings
from hypothesis import strategies as st
from platform_server import Platform, PlatformAdapter
from telegram.constants import ParseMode
from test_bots import said, turn

from adapters.slack.letters import Letters
from adapters.telegram.wording import Wording
from botdaemon.bots import names
from botdaemon.bots.crowd import CrowdBot
from botdaemon.config import parse
from botdaemon.dispatcher import Manners
from botdaemon.errors import ConfigError, EngineDied
from botdaemon.filters import Filter, Rule
from botdaemon.posts import Several
from botdaemon.types import Address, Bubble, Draft, Letter, Part, Turn, Usage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from pathlib import Path

    from botdaemon.types import Message

CROWD = Manners(crowd=True, several=Several(longest_pause=0.0))


class Voices:
    """Says one of its lines each time it is asked."""

    def __init__(self, *lines: str) -> None:
        self.lines = list(lines)
        self.turns: list[Turn] = []

    async def reply(self, turn: Turn) -> AsyncGenerator[Draft]:
        self.turns.append(turn)
        text = self.lines[(len(self.turns) - 1) % len(self.lines)]
        yield Draft(text=text[:2])
        yield Draft(text=text, final=True, usage=Usage(prompt_tokens=7, tokens=3))


def crowd(bot: Any, size: int) -> CrowdBot:
    async def namer(turn: Turn, count: int) -> Sequence[str]:
        return names.draw(f"{turn.id}", count, (), ())

    return CrowdBot(bot, namer, fewest=size, most=size)


async def last(bot: CrowdBot, asked: Turn) -> Draft | None:
    drafts = [draft async for draft in bot.reply(asked)]
    assert len(drafts) < 2  # nothing is shown before names are known
    return drafts[0] if drafts else None


# --- the road --------------------------------------------------------------------------------


async def post(
    directory: Path, bot: CrowdBot, text: str = "what do you all think?", **manners: Any
) -> tuple[list[tuple[str, str]], Message]:
    """(speaker, text) of what answers a post, and the answer as it is kept."""
    async with Platform().serving() as platform:
        adapter = PlatformAdapter("chat", platform.port, edits_per_second=1000)
        told = {"bot": replace(CROWD, **manners)}
        async with home(directory, {"bot": bot}, [adapter], manners=told) as house:
            asked = platform.say(text, direct=True)
            await platform.until(lambda: platform.answers_to(asked))
            await house.outboxes.drained()
            kept = (await house.store.recent_at(Address("chat", "general"), 1))[0]
            # None of them was somebody else's first.
            assert [one.versions[1:] for one in platform.ever_shown] == [
                [] for _ in platform.ever_shown
            ]
            return [(one.speaker, one.text) for one in platform.ever_shown], kept


async def test_a_post_is_answered_by_several_each_under_a_name_of_its_own(tmp_path: Path) -> None:
    shown, kept = await post(tmp_path, crowd(Voices("No!", "Yes.", "Why not?"), 3))

    assert sorted(text for _, text in shown) == ["No!", "Why not?", "Yes."]
    assert len({speaker for speaker, _ in shown} | {"bot", ""}) == 5
    # It is one answer of the bot, and remembers who said what.
    assert (kept.bot, kept.author) == ("bot", None)
    assert kept.bubbles == tuple(Bubble(text, name) for name, text in shown)
    assert all(f"{text}" in kept.text for _, text in shown)


async def test_each_of_a_crowd_is_short(tmp_path: Path) -> None:
    voices = Voices(
        "I think, as ever, that it depends.", "One line.\nAnd another, which is too much."
    )
    shown, _ = await post(tmp_path, crowd(voices, 2), most_said=20)
    assert {text for _, text in shown} == {"I think, as ever", "One line."}


async def test_what_one_of_a_crowd_must_not_say_is_left_out(tmp_path: Path) -> None:
    no_zilch = Filter([Rule(words=("zilch",), stand_in="Let us talk about tea.")])
    shown, kept = await post(tmp_path, crowd(Voices("tea", "zilch!"), 2), said=no_zilch)
    assert [text for _, text in shown] == ["tea"]
    assert "zilch" not in kept.text

    shown, kept = await post(tmp_path / "all", crowd(Voices("zilch"), 2), said=no_zilch)
    assert shown == [("bot", "Let us talk about tea.")]
    assert kept.bubbles == ()


# --- the crowd -------------------------------------------------------------------------------


async def test_a_turn_that_is_begun_again_has_the_same_names_and_another_has_others() -> None:
    asked = turn(said("Ann", "hi"))
    first = await last(crowd(Voices("a", "b", "c"), 3), asked)
    again = await last(crowd(Voices("c", "a", "b"), 3), asked)
    other = await last(crowd(Voices("a", "b", "c"), 3), replace(asked, id=2))

    spoken = [
        [bubble.name for bubble in draft.bubbles] for draft in filter(None, (first, again, other))
    ]
    assert spoken[0] == spoken[1]
    assert not set(spoken[0]) & set(spoken[2])
    assert first is not None
    assert first.usage == Usage(prompt_tokens=21, tokens=9)


async def test_what_two_say_alike_is_said_once_and_nothing_by_nobody() -> None:
    draft = await last(crowd(Voices("same"), 4), turn(said("Ann", "hi")))
    assert draft is not None
    assert [bubble.text for bubble in draft.bubbles] == ["same"]
    assert await last(crowd(Voices(" "), 3), turn(said("Ann", "hi"))) is None


async def test_each_of_a_crowd_knows_one_of_those_that_spoke_before() -> None:
    earlier = replace(
        said("JOE", "**x:** a\n\n**y:** b"), bubbles=(Bubble("a", "x"), Bubble("b", "y"))
    )
    voices = Voices("c", "d", "e")
    asked = replace(turn(said("Ann", "hi"), earlier, said("Ann", "and?")), bot="JOE")
    await last(crowd(voices, 3), asked)
    assert [one.history[1].text for one in voices.turns] == ["a", "b", "a"]


async def test_a_model_that_dies_under_one_of_a_crowd_costs_the_turn_a_retry() -> None:
    class Dying(Voices):
        async def reply(self, turn: Turn) -> AsyncGenerator[Draft]:
            async for draft in super().reply(turn):
                if len(self.turns) == 2:
                    raise EngineDied("gone")
                yield draft

    with pytest.raises(EngineDied):
        await last(crowd(Dying("a", "b"), 2), turn(said("Ann", "hi")))


# --- names -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "person",
    [
        "Brave Heron",
        "brave-heron",
        "BR\u0410VE_HERON",  # a Cyrillic A
        "\uff42\uff52\uff41\uff56\uff45 heron",  # wide letters
        "Br\u00e1ve Her0n",
        "bravehero\u0578",  # an Armenian letter
    ],
)
def test_no_name_looks_like_somebodys_who_is_there(person: str) -> None:
    assert "brave_heron" not in names.draw("1", 3, ("brave_heron",), {person})


def test_a_name_that_only_shares_letters_may_be_given() -> None:
    assert names.draw("1", 1, ("brave_heron",), {"Brave Ox", "heron"}) == ["brave_heron"]


@given(st.integers(), st.lists(st.text(max_size=20), max_size=5))
@settings(max_examples=50, deadline=None)
def test_names_are_different_short_and_plain_whoever_is_there(seed: int, taken: list[str]) -> None:
    drawn = names.draw(f"{seed}", 8, ("Ann", "Ben"), taken)
    assert len(set(drawn)) == 8
    assert drawn == names.draw(f"{seed}", 8, ("Ann", "Ben"), taken)
    assert all(1 <= len(name) <= names.LONGEST for name in drawn)


# --- platforms on which an account has one name ----------------------------------------------


def letter(speaker: str, number: int) -> Letter:
    part = Part(text="hi", plain="hi")
    return Letter(
        id=1, key="k", address=Address("t", "1"), speaker=speaker, part=part, number=number
    )


def test_where_an_account_has_one_name_each_of_a_crowd_says_theirs() -> None:
    wording = Wording(("bot", "other"), own_faces=True)
    assert [wording.text(letter("BraveHeron", n), ParseMode.HTML) for n in (0, 1)] == [
        "<b>BraveHeron:</b> hi"
    ] * 2
    # A bot whose answer goes on says its name once.
    assert [wording.text(letter("other", n), None) for n in (0, 1)] == ["other: hi", "hi"]

    unused: Any = None
    slack = Letters("s", unused, unused, unused, unused, unused, bots=("bot", "other"), faces=None)
    assert slack._signed(letter("BraveHeron", 1)) == "*BraveHeron:* hi"
    assert slack._signed(letter("other", 1)) == "hi"


# --- the configuration -----------------------------------------------------------------------

BASE = """
[models.echo]
kind = "echo"
[bots.joe]
kind = "text"
model = "echo"
"""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[bots.joe.crowd]\nfewest = 5", "fewest = 5 is more than most = 4"),
        ('[bots.joe.crowd]\nnames = ["*bold*"]', "cannot be a name"),
        ("[bots.joe.crowd]\n[bots.joe.messages]\nmost = 2", "leave out messages.most or crowd"),
    ],
)
def test_a_mistake_about_a_crowd_is_explained(text: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=problem.replace("*", r"\*")):
        parse(BASE + text, tmp_path / "config.toml")
