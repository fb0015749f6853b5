"""What a bot with lines from a file promises: a line that fits, not again and again, typed."""

from __future__ import annotations

import asyncio
import json
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdaemon.bots.canned import CannedBot, read_lines
from botdaemon.errors import ConfigError
from botdaemon.types import Address, Draft, Identity, Message, Turn, Why

if TYPE_CHECKING:
    from pathlib import Path

HERE = Address("web", "den")
ANN = Identity(adapter="web", account="ann", name="Ann")

LINES = (
    {"text": "Arr, fresh rum!", "to": "what do you drink?"},
    {"text": "The sea is my home.", "to": "where do you live?"},
    {"text": "Raining again, is it?", "to": "how is the weather today?"},
    {"text": "Shiver me timbers."},
    {"text": "Yo ho ho."},
)


def write(path: Path, *lines: object) -> Path:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return path


class Clock:
    """Remembers how long it was asked to sleep."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def pirate(path: Path, clock: Clock | None = None) -> CannedBot:
    sleep = (clock or Clock()).sleep
    return CannedBot("PETE", path, 10.0, 3.0, sleep=sleep, chance=random.Random(1))


async def drafts(bot: CannedBot, *history: str) -> list[Draft]:
    """What the bot says to a thread; lines of its own are written "PETE: ..."."""
    messages = tuple(
        Message(address=HERE, text=text.removeprefix("PETE: "), sent_at=0.0, bot="PETE")
        if text.startswith("PETE: ")
        else Message(address=HERE, text=text, sent_at=0.0, author=ANN)
        for text in history
    )
    turn = Turn(
        id=1,
        thread=1,
        bot="PETE",
        why=Why.DIRECT,
        asked_by=ANN,
        history=messages,
        fresh=1,
    )
    return [draft async for draft in bot.reply(turn)]


async def answer(bot: CannedBot, *history: str) -> str:
    [draft] = await drafts(bot, *history)
    assert draft.final
    return draft.text


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "pete.jsonl", *LINES)


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("So what are you drinking tonight?", "Arr, fresh rum!"),
        ("WHERE DO YOU LIVE", "The sea is my home."),
        ("lovely weather!", "Raining again, is it?"),
        ("timbers?", "Shiver me timbers."),
    ],
)
async def test_the_line_fits_the_message(path: Path, message: str, line: str) -> None:
    assert await answer(pirate(path), message) == line


async def test_a_message_that_nothing_fits_gets_a_line_that_answers_nothing_in_particular(
    path: Path,
) -> None:
    for message in ("the stock market", "\U0001f600", "", '"*)( NEAR/2 -'):
        assert await answer(pirate(path), message) in ("Shiver me timbers.", "Yo ho ho.")


async def test_no_line_twice_while_there_are_others(path: Path) -> None:
    bot, history = pirate(path), ["where do you live?"]
    for _ in LINES:
        history += [f"PETE: {await answer(bot, *history)}", "where do you live?"]
    said = [text for text in history if text.startswith("PETE")]
    assert said[0] == "PETE: The sea is my home."
    assert len(set(said)) == len(LINES)


async def test_never_the_same_line_twice_in_a_row(tmp_path: Path) -> None:
    bot = pirate(write(tmp_path / "two.jsonl", {"text": "aye", "to": "yes"}, {"text": "nay"}))
    history = ["yes"]
    for _ in range(8):
        line = await answer(bot, *history)
        assert f"PETE: {line}" not in history[-2:]
        history += [f"PETE: {line}", "yes"]
    only = pirate(write(tmp_path / "one.jsonl", {"text": "aye"}))
    assert await answer(only, "yes") == "aye"
    assert await drafts(only, "yes", "PETE: aye", "yes") == []


@given(st.text(max_size=200))
@settings(max_examples=50)
def test_whatever_is_said_is_answered(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = write(tmp_path_factory.mktemp("lines") / "pete.jsonl", *LINES)
    assert asyncio.run(answer(pirate(path), text))


async def test_a_line_takes_as_long_as_typing_it_and_never_longer_than_allowed(
    tmp_path: Path,
) -> None:
    clock = Clock()
    await answer(pirate(write(tmp_path / "a", {"text": "x" * 20}), clock), "hi")
    await answer(pirate(write(tmp_path / "b", {"text": "x" * 900}), clock), "hi")
    assert clock.slept == [pytest.approx(2.0, rel=0.2), 3.0]


async def test_changed_lines_are_taken_up_and_broken_ones_are_not(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bot = pirate(path)
    write(path, {"text": "Ahoy!"})
    assert await answer(bot, "hi") == "Ahoy!"
    write(path, {"txet": "Broken!"})
    assert await answer(bot, "hi") == "Ahoy!"
    assert "pete.jsonl:1: a line must be" in caplog.text
    write(path)
    assert await answer(bot, "hi") == "Ahoy!"


@pytest.mark.parametrize(
    "row",
    ["hello", "{", "[]", "{}", '{"text": ""}', '{"text": 1}', '{"text": "a", "to": 1}',
     '{"text": "a", "too": "b"}', r'{"text": "\ud800"}', "null", '"a"'],
)  # fmt: skip
def test_a_broken_line_is_named_with_its_number(tmp_path: Path, row: str) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text(f'{{"text": "fine"}}\n\n{row}\n', encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_lines(path)
    [problem] = caught.value.problems
    assert problem.startswith(f"{path}:3: ")


def test_many_broken_lines_are_not_all_listed(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text("x\n" * 100, encoding="utf-8")
    with pytest.raises(ConfigError, match="and 95 more such lines"):
        read_lines(path)


def test_a_missing_empty_or_unreadable_file_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        pirate(tmp_path / "none.jsonl")
    with pytest.raises(ConfigError, match="no lines in it"):
        pirate(write(tmp_path / "empty.jsonl"))
    with pytest.raises(ConfigError, match="cannot be read"):
        pirate(tmp_path)
    (tmp_path / "latin").write_bytes(b'{"text": "caf\xe9"}')
    with pytest.raises(ConfigError, match="cannot be read"):
        pirate(tmp_path / "latin")
