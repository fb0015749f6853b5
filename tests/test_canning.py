"""What filling the file of a canned bot promises: many lines at once, none twice, none that gives
something away, and what was made stays whatever happens."""

from __future__ import annotations

import asyncio
import random
import resource
import threading
from typing import TYPE_CHECKING

import pytest

from botdaemon.bots.canned import Line, read_lines
from botdaemon.bots.canning import PROMPTS, fill, in_words
from botdaemon.bots.text import TextBot
from botdaemon.errors import (
    EngineDied,
    EngineFailed,
    ExportUnusable,
    ModelUnusable,
    Refused,
    StoreError,
)
from botdaemon.types import ModelCard, Piece, Sampling, TextRequest
from models.dataset import sessions
from models.dataset.card import DatasetCard, Part
from models.dataset.sessions import SPLITS, Session, Turn
from models.evaluation.screen import Screen, heard

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
    from pathlib import Path


class Parrot:
    """An engine that says what it is told to: by the number of the request, from 1 on."""

    card = ModelCard(context=1000)

    def __init__(self, say: Callable[[int], str] = "Answer {}.".format) -> None:
        self.asked: list[str] = []
        self._say = say

    async def generate(self, request: TextRequest) -> AsyncGenerator[Piece]:
        self.asked.append(request.lines[-1].text)
        text = self._say(len(self.asked))
        await asyncio.sleep(0)  # as others do, which compute elsewhere
        yield Piece(text=text, tokens=1)
        yield Piece(text="", tokens=1, finish="stop")

    async def count(self, request: TextRequest) -> int:
        return len(request.lines)


class Crowd(Parrot):
    """Answers only when so many are asked at the same time, and remembers how many were."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._together = asyncio.Barrier(size)
        self.now = self.most = 0

    async def generate(self, request: TextRequest) -> AsyncGenerator[Piece]:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self._together.wait()
            async for piece in super().generate(request):
                yield piece
        finally:
            self.now -= 1


class Seen:
    """How far it was, and what was left out."""

    def __init__(self) -> None:
        self.lines: list[int] = []
        self.left_out: dict[str, int] = {}

    def __call__(self, lines: int, left_out: Mapping[str, int]) -> None:
        self.lines.append(lines)
        self.left_out = dict(left_out)


def joe(engine: Parrot) -> TextBot:
    return TextBot("JOE", "", "tiny", engine, Sampling(), 10)


async def can(
    engine: Parrot,
    path: Path,
    count: int,
    prompts: Sequence[str] = PROMPTS,
    *,
    at_once: int = 1,
    screen: Callable[[Sequence[str]], Sequence[str]] | None = None,
    seen: Seen | None = None,
) -> Seen:
    seen = seen or Seen()
    await fill(
        joe(engine), prompts, count, path,
        progress=seen, at_once=at_once, screen=screen, chance=random.Random(1),
    )  # fmt: skip
    return seen


def texts(path: Path) -> list[str]:
    return [line.text for line in read_lines(path)]


# --- filling -----------------------------------------------------------------------------------


async def test_the_file_is_filled_up_to_the_count_and_it_is_told_how_far_it_is(
    tmp_path: Path,
) -> None:
    path = tmp_path / "new" / "joe.jsonl"
    seen = await can(Parrot(), path, 5, ["hi", "bye"])
    assert seen.lines == sorted(seen.lines)
    assert (seen.lines[0], seen.lines[-1]) == (0, 5)
    assert seen.left_out == {}
    lines = read_lines(path)
    assert len(lines) == 5
    assert lines[:2] == [Line("Answer 1.", "hi"), Line("Answer 2.", "bye")]


async def test_it_goes_on_where_it_stopped_and_never_doubles_a_line(tmp_path: Path) -> None:
    path = tmp_path / "joe.jsonl"
    path.write_text('{"text": "answer 2"}', encoding="utf-8")  # an editor left the line open
    seen = await can(Parrot(), path, 3)
    assert texts(path) == ["answer 2", "Answer 1.", "Answer 3."]
    assert seen.left_out == {"said before": 1}
    assert (await can(Parrot(), path, 3)).lines == [3]


async def test_what_a_line_answers_already_is_not_asked_before_everything_else(
    tmp_path: Path,
) -> None:
    path = tmp_path / "joe.jsonl"
    await can(Parrot(), path, 2, ["hi", "bye", "why?"])
    engine = Parrot(lambda number: f"And {number}.")
    await can(engine, path, 3, ["hi", "bye", "why?"])
    assert engine.asked[0] == "why?"


async def test_as_many_are_made_at_once_as_was_asked_for_and_no_more(tmp_path: Path) -> None:
    engine, path = Crowd(4), tmp_path / "joe.jsonl"
    await can(engine, path, 12, at_once=4)
    assert len(texts(path)) == 12
    assert engine.most == 4
    assert engine.now == 0


async def test_nothing_is_asked_for_that_is_not_needed(tmp_path: Path) -> None:
    engine = Crowd(2)
    await can(engine, tmp_path / "joe.jsonl", 2, at_once=100)
    assert engine.most == 2


async def test_while_lines_are_looked_through_the_next_ones_are_made(tmp_path: Path) -> None:
    made = threading.Event()
    batches: list[int] = []

    def say(number: int) -> str:
        if number == 40:
            made.set()
        return f"Answer {number}."

    def screen(lines: Sequence[str]) -> list[str]:
        made.wait()
        batches.append(len(lines))
        return [""] * len(lines)

    await can(Parrot(say), tmp_path / "joe.jsonl", 30, at_once=2, screen=screen)
    assert len(batches) == 2
    assert batches[1] > 2


async def test_an_interrupted_run_keeps_every_counted_line_and_can_go_on(tmp_path: Path) -> None:
    path = tmp_path / "joe.jsonl"

    class Impatient(Seen):
        def __call__(self, lines: int, left_out: Mapping[str, int]) -> None:
            super().__call__(lines, left_out)
            if lines >= 4:
                run.cancel()

    seen = Impatient()
    run = asyncio.create_task(can(Parrot(), path, 10**6, at_once=3, seen=seen))
    with pytest.raises(asyncio.CancelledError):
        await run
    kept = texts(path)
    assert len(kept) == seen.lines[-1]
    await can(Parrot(), path, len(kept) + 9, at_once=3)
    assert texts(path)[: len(kept)] == kept
    assert len(set(texts(path))) == len(kept) + 9


async def test_a_full_disk_is_said_and_leaves_the_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "joe.jsonl"
    path.write_text('{"text": "Ahoy!"}\n', encoding="utf-8")
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, hard))
    try:
        with pytest.raises(StoreError, match=r"joe\.jsonl cannot be written: "):
            await can(Parrot(), path, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before


# --- what is left out --------------------------------------------------------------------------


async def test_lines_that_the_screen_refuses_are_counted_and_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "joe.jsonl"
    engine = Parrot(lambda number: "" if number in (3, 4) else f"Answer {number}.")

    def screen(lines: Sequence[str]) -> list[str]:
        return ["with a five" if "5" in line else "" for line in lines]

    seen = await can(engine, path, 10, at_once=4, screen=screen)
    assert len(texts(path)) == 10
    assert "Answer 5." not in texts(path)
    assert seen.left_out["with a five"] >= 1
    assert seen.left_out.keys() <= {"with a five", "empty"}


async def test_a_bot_whose_lines_cannot_be_kept_does_not_run_all_night(tmp_path: Path) -> None:
    path, engine, seen = tmp_path / "joe.jsonl", Parrot(), Seen()
    kept = {"Answer 1.", "Answer 30."}

    def screen(lines: Sequence[str]) -> list[str]:
        return ["" if line in kept else "too private" for line in lines]

    with pytest.raises(Refused, match=r"has 2 of 9 lines.*\(50 too private\)"):
        await can(engine, path, 9, screen=screen, seen=seen)
    assert set(texts(path)) == kept
    assert seen.left_out == {"too private": 28 + 50}


async def test_a_bot_that_only_repeats_itself_comes_to_an_end(tmp_path: Path) -> None:
    engine = Parrot(lambda number: f"Answer {min(number, 3)}.")
    with pytest.raises(Refused, match=r"has 3 of 10 lines.*\(\d+ said before\)"):
        await can(engine, tmp_path / "joe.jsonl", 10, ["hi"])
    assert texts(tmp_path / "joe.jsonl") == ["Answer 1.", "Answer 2.", "Answer 3."]
    assert "Answer 1." in engine.asked  # it was asked its own lines, too


@pytest.mark.parametrize("error", [EngineFailed, EngineDied])
async def test_an_answer_that_fails_does_not_end_the_run(
    tmp_path: Path, error: type[Exception]
) -> None:
    def say(number: int) -> str:
        if number == 2:
            raise error("something broke")
        return f"Answer {number}."

    seen = await can(Parrot(say), tmp_path / "joe.jsonl", 5)
    assert texts(tmp_path / "joe.jsonl") == [f"Answer {n}." for n in (1, 3, 4, 5, 6)]
    assert seen.left_out == {"not answered (something broke)": 1}


async def test_an_engine_that_only_fails_comes_to_an_end_that_says_why(tmp_path: Path) -> None:
    def say(_: int) -> str:
        raise EngineFailed("out of order")

    with pytest.raises(Refused, match=r"0 of 5 lines.*not answered \(out of order\)"):
        await can(Parrot(say), tmp_path / "joe.jsonl", 5, at_once=3)


async def test_a_model_that_cannot_be_used_ends_the_run_with_its_own_sentence(
    tmp_path: Path,
) -> None:
    def say(_: int) -> str:
        raise ModelUnusable("no weights")

    with pytest.raises(ModelUnusable, match="no weights"):
        await can(Parrot(say), tmp_path / "joe.jsonl", 5, at_once=3)


def test_what_was_left_out_is_said_the_most_frequent_first() -> None:
    counts = {"empty": 1, "said before": 1234, "with a blocked word": 0}
    assert in_words(counts) == "1,234 said before, 1 empty"


# --- what a dataset knows ----------------------------------------------------------------------

LONG = "the spare key lies under the third flower pot from the left, as always"
CODE = "abcd-1234"


def session(number: int, *said: str) -> Session:
    """Bob and Ada in turn; Ada is the voice."""
    turns = (
        Turn(name="Ada" if at % 2 else "Bob", text=text, at=float(at), voice=at % 2 == 1)
        for at, text in enumerate(said)
    )
    return Session(id=f"made/up/{number}", turns=tuple(turns))


TRAIN = (
    session(1, "where is it?", f"psst: {LONG}", "Thanks!", "ask Mallory in 14b"),
    *(session(2 + n, "coming?", "on my way") for n in range(3)),
    session(6, "what was the code?", f"it is {CODE}"),
    session(7, "x" * 1000, "wow"),
    session(8, "unanswered"),
)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "friends")


def write_dataset(directory: Path) -> Path:
    directory.mkdir()
    sessions.write(sessions.path_of(directory, "train"), TRAIN)
    part = Part(sessions=1, turns=2, voices={"Ada": 1}, characters=9, first=0.0, last=1.0)
    DatasetCard(
        name="friends", made="2026-01-01T00:00:00+00:00", sources=(), voices=("Ada",),
        context="names", consent="she said so", speakers={"made:1": "Ada"}, scrubbed={},
        regions=("DE",), left_out={}, not_learned={}, splits=dict.fromkeys(SPLITS, part), seed=1,
        canaries={CODE: 1},
    ).save(directory)  # fmt: skip
    return directory


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f"I heard that {LONG.upper()}!", "with a passage of a training message"),
        (LONG[:49], ""),  # the evaluation's bound is 50
        ("Ask  mallory in 14B", "that are training messages"),
        ("oh!\nask Mallory in 14b", "that are training messages"),
        ("On my way", ""),  # everybody says so
        (f"try {CODE}", "with a planted secret"),
        ("write to ada@example.com or +49 30 901820", "with something private (email, phone)"),
        ("call 030 901820", "with something private (phone)"),  # as in the dataset's country
        ("what a Sausage!", "with a blocked word"),
        ("sausages are fine", ""),
        ("something new", ""),
    ],
)
def test_a_line_that_gives_something_away_is_left_out(
    dataset: Path, line: str, reason: str
) -> None:
    screen = Screen(dataset, ("sausage",)).screen
    assert screen([line]) == [reason]
    assert screen(["fine", line, "fine too"]) == ["", reason, ""]


def test_without_a_dataset_private_things_and_words_are_still_found() -> None:
    lines = [LONG, "https://example.com/secret", "sausage", "fine"]
    assert Screen(None, ("sausage",)).screen(lines) == [
        "",
        "with something private (link)",
        "with a blocked word",
        "",
    ]


def test_what_was_said_before_a_voice_is_what_is_asked(dataset: Path) -> None:
    assert sorted(heard(dataset)) == ["Thanks!", "coming?", "where is it?"]


def test_a_directory_that_is_no_dataset_is_refused_in_words(dataset: Path, tmp_path: Path) -> None:
    for use in (Screen, heard):
        with pytest.raises(ExportUnusable, match="botdaemon dataset build"):
            use(tmp_path)
    sessions.path_of(dataset, "train").unlink()
    with pytest.raises(ExportUnusable, match=r"train\.jsonl is missing"):
        Screen(dataset).screen(["hello"])


async def test_no_line_of_a_parrot_is_a_message_of_the_dataset(
    dataset: Path, tmp_path: Path
) -> None:
    """What an overtrained model does, which says its training messages."""
    said = [turn.text for one in TRAIN for turn in one.turns if len(turn.text) < 300]
    engine = Parrot(lambda number: said[number % len(said)] if number % 2 else f"Answer {number}.")
    seen = await can(
        engine, tmp_path / "joe.jsonl", 20, heard(dataset), at_once=4, screen=Screen(dataset).screen
    )
    assert {text for text in texts(tmp_path / "joe.jsonl") if not text.startswith("Answer")} <= {
        "coming?",
        "on my way",
    }
    assert seen.left_out["that are training messages"] > 0
