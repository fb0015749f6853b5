"""Questions that another model puts in other words, and `/why`: how an answer came about."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from house import home
from platform_server import Platform, PlatformAdapter
from test_bots import ScriptedEngine, joe, said, turn

from botdaemon.bots.crowd import CrowdBot
from botdaemon.bots.enriching import TASK, Enricher
from botdaemon.bots.telling import Telling, ToldBot
from botdaemon.config import AccessConfig, parse
from botdaemon.errors import ConfigError, EngineFailed
from botdaemon.types import Bubble, Note, Origin, Piece, Turn

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence
    from pathlib import Path

    from house import Home

    from botdaemon.ports import Briefing
    from botdaemon.types import Draft, TextRequest

ASKED = turn(said("Ann", "I have a cat called Tom"), said("JOE", "nice"), said("Ann", "is he old?"))


def enricher(engine: Any, **more: Any) -> Enricher:
    options = {"task": TASK, "messages": 6, "tokens": 60, "seconds": 5.0, **more}
    return Enricher(engine, "small", "JOE", **options)


def told(engine: Any, sidecar: Any, briefings: Sequence[Briefing] = (), **more: Any) -> ToldBot:
    telling = Telling("tiny", briefings, enricher(sidecar, **more))
    return ToldBot(joe(engine, briefings=[telling.notes]), telling)


async def last(bot: ToldBot, asked: Turn = ASKED) -> Draft:
    *_, final = [draft async for draft in bot.reply(asked)]
    return final


async def remembers(turn: Turn) -> list[Note]:
    return [Note(topic="memory", text="Tom is nine years old.", most=100)]


async def fails(turn: Turn) -> list[Note]:
    raise EngineFailed("the memory is out of order")


# --- the question ----------------------------------------------------------------------------


async def test_the_model_is_told_what_is_meant_and_reads_the_persons_own_words_too() -> None:
    engine, sidecar = ScriptedEngine(["Quite."]), ScriptedEngine(['"Is the cat Tom old?"', "\n"])
    final = await last(told(engine, sidecar, [remembers]))

    # The other model is told what was said and what is known.
    [asked] = sidecar.requests
    assert asked.sampling.max_tokens == 60
    for words in ("I have a cat called Tom", "Tom is nine years old.", "is he old?"):
        assert words in asked.lines[-1].text
    lines = [line.text for line in engine.requests[0].lines]
    assert lines[-1] == "is he old?"
    assert "(What is meant: Is the cat Tom old?)" in lines
    assert final.origin == Origin(
        model="tiny",
        notes=("memory",),
        question="is he old?",
        meant="Is the cat Tom old?",
        rewriter="small",
    )


class Broken(ScriptedEngine):
    async def generate(self, request: TextRequest) -> AsyncGenerator[Piece]:
        raise EngineFailed("broken")
        yield Piece(text="")


class Endless(ScriptedEngine):
    async def generate(self, request: TextRequest) -> AsyncGenerator[Piece]:
        await asyncio.Event().wait()
        yield Piece(text="")


@pytest.mark.parametrize(
    "sidecar", [Broken(), Endless(), ScriptedEngine(), ScriptedEngine(["Is he old?"])]
)
async def test_a_question_that_nobody_puts_better_is_answered_as_it_was_asked(sidecar: Any) -> None:
    engine = ScriptedEngine(["Quite."])
    final = await last(told(engine, sidecar, seconds=0.01))
    assert final.text == "Quite."
    assert final.origin == Origin(model="tiny")
    assert not any("What is meant" in line.text for line in engine.requests[0].lines)


async def test_a_note_that_fails_costs_the_note_only() -> None:
    engine, sidecar = ScriptedEngine(["Quite."]), ScriptedEngine(["Is Tom old?"])
    final = await last(told(engine, sidecar, [fails, remembers]))
    assert final.origin is not None
    assert (final.origin.notes, final.origin.meant) == (("memory",), "Is Tom old?")


async def test_a_crowd_asks_for_its_notes_once() -> None:
    asked: list[Turn] = []

    async def counted(turn: Turn) -> list[Note]:
        asked.append(turn)
        return await remembers(turn)

    async def namer(turn: Turn, count: int) -> Sequence[str]:
        return ["Ox", "Newt"]

    engine, sidecar = ScriptedEngine(["a"], ["b"]), ScriptedEngine(["Is Tom old?"])
    telling = Telling("tiny", [counted], enricher(sidecar))
    bot = CrowdBot(joe(engine, briefings=[telling.notes]), namer, fewest=2, most=2)
    final = await last(ToldBot(bot, telling))

    assert len(asked) == len(sidecar.requests) == 1
    assert final.bubbles == (Bubble("a", "Ox"), Bubble("b", "Newt"))
    assert all("Tom is nine" in str(request.lines) for request in engine.requests)
    assert await telling.notes(ASKED) == []


# --- why -------------------------------------------------------------------------------------

ADMIN = {"chat": AccessConfig(direct="open", admins=("boss",))}


@asynccontextmanager
async def talking(directory: Path, **more: Any) -> AsyncIterator[tuple[Platform, Home]]:
    engine = ScriptedEngine(["Quite."], ["Indeed."])
    sidecar = ScriptedEngine(["Is the cat Tom old?"], ["Is it?"])
    bot = told(engine, sidecar, [remembers])
    async with Platform().serving() as platform:
        adapter = PlatformAdapter("chat", platform.port)
        async with home(directory, {"JOE": bot}, [adapter], access=ADMIN, **more) as house:
            yield platform, house


async def answer_to(platform: Platform, text: str, **more: Any) -> Any:
    asked = platform.say(text, direct=True, **more)
    await platform.until(lambda: platform.answers_to(asked))
    return platform.answers_to(asked)[0]


async def why(platform: Platform, **more: Any) -> str:
    before = len(platform.ever_shown)
    platform.say("/why", direct=True, **more)
    await platform.until(lambda: len(platform.ever_shown) > before)
    return platform.ever_shown[-1].text


async def test_who_asks_why_is_told_how_an_answer_came_about(tmp_path: Path) -> None:
    async with talking(tmp_path) as (platform, _):
        assert "Nobody has answered anything" in await why(platform)
        first = await answer_to(platform, "is he old?")
        await answer_to(platform, "really?")

        newest = await why(platform)
        assert "JOE answered with the model tiny: 7 tokens read, 1 written" in newest
        assert "It was told of: memory." in newest
        assert "really?" in newest
        about = await why(platform, reply_to=first.id)
        assert "is he old?" in about
        assert "Is the cat Tom old?" in about


async def test_what_a_question_was_made_into_is_shown_to_who_asked_it_and_to_admins(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path) as (platform, _):
        await answer_to(platform, "is he old?", who="ada")
        others = await why(platform, who="ben")
        assert "Tom" not in others
        assert "who asked it can see" in others
        assert "Is the cat Tom old?" in await why(platform, who="boss")


def kept(directory: Path) -> list[tuple[Any, ...]]:
    path = f"file:{directory}/botdaemon.db?mode=ro"
    with closing(sqlite3.connect(path, uri=True)) as db:
        return db.execute("SELECT question, meant, tokens FROM origins ORDER BY turn").fetchall()


async def test_both_versions_of_a_question_go_with_its_author_and_with_the_message(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path) as (platform, house):
        first = platform.say("is he old?", direct=True)
        await platform.until(lambda: platform.answers_to(first))
        await answer_to(platform, "really?")
        assert kept(tmp_path) == [
            ("is he old?", "Is the cat Tom old?", 1),
            ("really?", "Is it?", 1),
        ]
        gone = platform.delete(first)
        await platform.until(lambda: gone in platform.confirmed)
        assert kept(tmp_path) == [("", "", 1), ("really?", "Is it?", 1)]
        await house.store.forget("ada")
    assert kept(tmp_path) == [("", "", 1), ("", "", 1)]


async def test_a_bot_that_writes_first_asks_nobody_what_is_meant() -> None:
    engine, sidecar = ScriptedEngine(["Morning."]), ScriptedEngine(["?"])
    await last(told(engine, sidecar), replace(ASKED, fresh=0))
    assert sidecar.requests == []


# --- the configuration -----------------------------------------------------------------------


def test_the_model_that_enriches_writes(tmp_path: Path) -> None:
    text = """
[models.echo]
kind = "echo"
[models.drawing]
kind = "diffusers"
path = "x"
[bots.joe]
kind = "text"
model = "echo"
[bots.joe.enrich]
model = "drawing"
"""
    with pytest.raises(ConfigError, match='"drawing" is an image model, name a text model'):
        parse(text, tmp_path / "config.toml")
