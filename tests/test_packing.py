"""What a prompt promises: it fits, every part keeps to its budget, and what is lasting stays."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from house import home
from hypothesis import given, settings
from hypothesis import strategies as st
from platform_server import Platform, PlatformAdapter
from test_bots import ScriptedEngine, drafts, said, turn

from botdaemon.bots.packing import Shares, budget
from botdaemon.bots.personas import dialogue
from botdaemon.bots.text import TextBot
from botdaemon.types import ChatLine, Cue, Message, ModelCard, Note, Sampling, TextRequest, Turn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from botdaemon.types import Spent

EXAMPLES = dialogue([("What is tea?", "A leaf."), ("And coffee?", "A bean.")])


def note(text: str, *, most: int = 1000, lasting: bool = False, weight: int = 1) -> Note:
    return Note(topic="memory", text=text, most=most, lasting=lasting, weight=weight)


def joe(
    engine: ScriptedEngine,
    *notes: Note,
    persona: str = "You are Joe.",
    examples: Sequence[ChatLine] = EXAMPLES,
    **more: Any,
) -> TextBot:
    async def brief(turn: Turn) -> Sequence[Note]:
        return notes

    options: dict[str, Any] = {"sampling": Sampling(), "history_messages": 40, **more}
    return TextBot("JOE", persona, "tiny", engine, briefings=(brief,), examples=examples, **options)


async def packed(
    context: int, history: Sequence[Message], *notes: Note, reply: int = 50, **more: Any
) -> tuple[TextRequest, Spent, int]:
    """What the model is asked, where the tokens went, and how often it had to count."""
    engine = ScriptedEngine(["ok"], card=ModelCard(context=context, max_tokens=reply))
    [*_, last] = await drafts(joe(engine, *notes, **more), turn(*history))
    [request] = engine.requests
    counts = engine.counts
    assert await engine.count(request) <= context - reply
    return request, last.usage.spent, counts


def texts(request: TextRequest) -> list[str]:
    return [line.text for line in request.lines]


def talk(number: int, length: int = 20) -> list[Message]:
    """So many messages of so many characters, in which two people take turns with the bot."""
    names = ("Ann", "JOE", "Ben", "JOE")
    return [
        replace(said(names[at % 4], f"{at:03} {'x' * (length - 4)}"), id=at + 1)
        for at in range(1, number + 1)
    ]


# --- where everything stands -------------------------------------------------------------------


async def test_examples_stand_after_the_persona_as_a_conversation_with_nobody() -> None:
    request, spent, _ = await packed(1000, [said("Ann", "Hi")])
    assert [(line.role, line.name, line.text) for line in request.lines] == [
        ("system", "", "You are Joe."),
        ("user", "", "What is tea?"),
        ("assistant", "", "A leaf."),
        ("user", "", "And coffee?"),
        ("assistant", "", "A bean."),
        ("user", "Ann", "Hi"),
    ]
    assert request.stop == ("\nAnn:",)  # nobody in an example is a speaker
    assert spent.examples > 0


async def test_an_example_is_never_the_beginning_of_what_the_bot_said() -> None:
    request, _, _ = await packed(1000, [said("JOE", "Good morning"), said("Ann", "Hi")])
    roles = [line.role for line in request.lines]
    assert all(pair != ("assistant", "assistant") for pair in pairwise(roles))


async def test_a_bots_own_stop_strings_come_before_peoples_names() -> None:
    request, _, _ = await packed(1000, [said("Ann", "Hi")], stop=("THE END",))
    assert request.stop == ("THE END", "\nAnn:")


async def test_what_is_for_one_turn_stands_before_what_a_bot_is_to_write_first() -> None:
    engine = ScriptedEngine(["ok"])
    bot = joe(engine, note("It rains."), examples=())
    first = replace(turn(said("Ann", "Hi")), cue=Cue(prompt="Say good morning"))
    await drafts(bot, first)
    assert texts(engine.requests[0]) == ["You are Joe.", "Hi", "(It rains.)", "(Say good morning)"]


async def test_the_log_can_say_where_the_tokens_went() -> None:
    request, spent, _ = await packed(1000, talk(3), note("Tea is at five."))
    engine = ScriptedEngine()
    total = await engine.count(request)
    assert spent.persona == len(": You are Joe.\n: \n")
    assert spent.persona + spent.examples + spent.notes + spent.history == total
    assert min(spent.persona, spent.examples, spent.notes, spent.history) > 0


# --- what goes ---------------------------------------------------------------------------------


async def test_a_note_is_cut_at_the_end_of_a_sentence_to_what_it_may_take() -> None:
    text = "Ann likes tea. Ben likes coffee. Eve likes water."
    request, spent, _ = await packed(2000, talk(1), note(text, most=40), examples=())
    assert texts(request)[1] == "(Ann likes tea. Ben likes coffee.)"
    assert spent.notes <= 40


async def test_notes_of_the_smallest_weight_go_first_and_the_others_keep_their_order() -> None:
    size = budget(Shares().passing, 1000)
    heavy, light = "h" * (size // 2), "l" * (size // 2)
    notes = (note(light, weight=1), note(heavy, weight=2), note("Last.", weight=3))
    request, spent, _ = await packed(1000, talk(1), *notes, examples=())
    assert texts(request)[1:-1] == [f"({heavy})", "(Last.)"]
    assert spent.notes <= size


async def test_what_is_lasting_is_byte_identical_over_turns() -> None:
    """So that a model goes on from what it has read, however the rest changes."""
    begins = set()
    for number in (1, 5, 40):
        passing = [note(f"Fact {number}. " * 30 * (number % 3), weight=5)]
        notes = (note("You are friends. " * 20, lasting=True), *passing)
        request, _, _ = await packed(1500, talk(number), *notes)
        begins.add(request.lines[:5])
    assert len(begins) == 1


async def test_the_examples_go_before_fewer_than_a_few_messages_are_left() -> None:
    request, spent, _ = await packed(320, talk(10, length=50))
    assert spent.examples == 0
    assert len(request.lines) >= 1 + 4
    request, spent, _ = await packed(600, talk(10, length=50))
    assert spent.examples > 0
    assert 5 + 4 <= len(request.lines) < 5 + 10


async def test_too_many_examples_are_cut_to_their_budget_pair_by_pair() -> None:
    many = dialogue([(f"question {number}", f"answer {number}") for number in range(20)])
    request, spent, _ = await packed(1000, [said("Ann", "Hi")], examples=many)
    shown = request.lines[1:-1]
    assert 0 < len(shown) < len(many)
    assert shown == many[: len(shown)]
    assert len(shown) % 2 == 0
    assert spent.examples <= budget(Shares().examples, 1000)


async def test_a_share_of_nothing_leaves_a_part_out() -> None:
    none = Shares(examples=0, lasting=0, passing=0)
    notes = (note("It rains."), note("You are friends.", lasting=True))
    request, _, _ = await packed(1000, [said("Ann", "Hi")], *notes, shares=none)
    assert texts(request) == ["You are Joe.", "Hi"]


async def test_the_newest_message_stays_whole_rather_than_the_notes() -> None:
    newest = said("Ann", "w" * 210)
    notes = (note("k" * 30, weight=2), note("l" * 30, weight=1))
    request, _, _ = await packed(350, [*talk(5), newest], *notes)
    assert texts(request) == ["You are Joe.", f"({'k' * 30})", newest.text]
    request, _, _ = await packed(350, [*talk(5), said("Ann", "w" * 2000)], *notes)
    [_, end] = texts(request)
    assert end.startswith("… www")


def test_a_small_model_gets_smaller_parts_and_a_large_one_no_boundless_ones() -> None:
    sizes = [budget(0.2, context) for context in (64, 256, 1024, 32_768, 1_000_000)]
    assert sizes == [24, 51, 204, 2048, 2048]


# --- how dear it is ----------------------------------------------------------------------------


@pytest.mark.parametrize("number", [40, 1000])
async def test_a_long_conversation_is_packed_with_a_handful_of_counts(number: int) -> None:
    history = [
        replace(message, text=message.text * (1 + at % 7))
        for at, message in enumerate(talk(number))
    ]
    *_, counts = await packed(1024, history, note("It rains."), history_messages=number)
    assert counts <= 12


@given(
    st.lists(
        st.tuples(st.sampled_from(["Ann", "Ben", "JOE"]), st.text(max_size=200)),
        min_size=1,
        max_size=12,
    ),
    st.lists(
        st.builds(
            note,
            st.text(max_size=300),
            most=st.integers(0, 200),
            lasting=st.booleans(),
            weight=st.integers(0, 3),
        ),
        max_size=4,
    ),
    st.lists(st.tuples(st.text(max_size=60), st.text(max_size=60)), max_size=4),
    st.integers(60, 600),
)
@settings(max_examples=60, deadline=None)
def test_a_prompt_always_fits_beside_its_reply_whatever_is_to_be_in_it(
    history: list[tuple[str, str]],
    notes: list[Note],
    examples: list[tuple[str, str]],
    context: int,
) -> None:
    messages = [
        replace(said(name, text), id=number) for number, (name, text) in enumerate(history, start=1)
    ]
    engine = ScriptedEngine(["ok"], card=ModelCard(context=context, max_tokens=30))
    bot = joe(engine, *notes, persona="Joe", examples=dialogue(examples))
    asyncio.run(drafts(bot, turn(*messages)))
    [request] = engine.requests
    assert asyncio.run(engine.count(request)) <= context - 30
    assert request.lines[0].text.startswith("Joe")
    newest = messages[-1].text.strip()
    assert not newest or request.lines[-1].text[-1:] == newest[-1]


# --- over the whole road -----------------------------------------------------------------------


async def test_an_answer_always_fits_its_platform_and_its_model(tmp_path: Path) -> None:
    engine = ScriptedEngine(*[["word " * 300] for _ in range(3)], card=ModelCard(context=600))
    bot = joe(engine, note("It rains. " * 50), note("You are friends. " * 50, lasting=True))
    async with Platform().serving() as platform:
        adapter = PlatformAdapter("chat", platform.port, text_limit=150, parts_limit=4)
        async with home(tmp_path, {"JOE": bot}, [adapter]) as house:
            for length in (1, 100, 3000):
                asked = platform.say("Hi. " * length, direct=True)
                await platform.until(partial(platform.answers_to, asked))
                await house.outboxes.drained()
    assert max(len(shown.text) for shown in platform.ever_shown) <= 150
    assert len(engine.requests) == 3
    for request in engine.requests:
        assert request.sampling.max_tokens is not None
        assert await engine.count(request) + request.sampling.max_tokens <= 600


async def test_the_log_says_in_numbers_where_the_tokens_of_a_turn_went(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    bot = joe(ScriptedEngine(["Hello."]), note("It rains."))
    async with Platform().serving() as platform:
        adapter = PlatformAdapter("chat", platform.port)
        async with home(tmp_path, {"JOE": bot}, [adapter]):
            asked = platform.say("Hi", direct=True)
            await platform.until(lambda: platform.answers_to(asked))
            await platform.until(lambda: any(r.message == "turn" for r in caplog.records))
    [line] = [record.__dict__ for record in caplog.records if record.message == "turn"]
    for part in ("persona", "examples", "notes", "history"):
        assert line[f"{part}_tokens"] > 0
