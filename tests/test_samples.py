"""What samples promise: a model learns to answer what the server would show it, and to stop."""

from __future__ import annotations

import itertools
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import tiny_models
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, processors

from botdaemon import types
from botdaemon.bots.text import TextBot
from botdaemon.errors import ModelUnusable, Refused
from botdaemon.types import Address, Identity, Message, ModelCard, Piece, Sampling, TextRequest, Why
from models import formats
from models.dataset.samples import IGNORED, Sample, closing, prompt_of, samples
from models.dataset.sessions import Session, Turn

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from models.formats import Format

STARTER = Path(__file__).parent.parent / "models" / "starter"
END = "<|endoftext|>"


def opening_with_the_end(source: Path, home: Path) -> Path:
    """The same model with a tokenizer that opens every text with the end of the last one."""
    directory = shutil.copytree(source, home / "opened")
    path = directory / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{END} $A", special_tokens=[(END, tokenizer.token_to_id(END))]
    )
    tokenizer.save(str(path))
    return directory


@pytest.fixture(scope="module")
def speakers(tmp_path_factory: pytest.TempPathFactory) -> Format:
    home = tmp_path_factory.mktemp("samples")
    return formats.load(opening_with_the_end(tiny_models.speakers_model(), home))


@pytest.fixture(scope="module")
def bursting(tmp_path_factory: pytest.TempPathFactory) -> Format:
    """Speaker tags where a reply may have several lines."""
    home = tmp_path_factory.mktemp("bursting")
    made = tiny_models.build(
        home, special=(END,), template="", format={"kind": "speakers", "stop": []}
    )
    return formats.load(made)


def session(*lines: str) -> Session:
    """Lines "Ada: text"; a star before the name marks what a voice learns."""
    turns = []
    for number, line in enumerate(lines):
        name, _, text = line.partition(": ")
        turns.append(
            Turn(name=name.lstrip("*"), text=text, at=float(number), voice=name.startswith("*"))
        )
    return Session(id="test/1/1", turns=tuple(turns))


TALK = session(
    "Bob: hello there",
    "*Ada: hello Bob, how are you?",
    "Bob: i am fine",
    "Cyd: me too",
    "*Ada: good to hear",
    "*Eve: what is the weather?",
    "Bob: grey",
    "*Ada: good night then",
    "Cyd: see you",
)


def runs(sample: Sample) -> list[tuple[int, int]]:
    """Where learned stretches begin and end."""
    found, at = [], 0
    for learned, group in itertools.groupby(sample.labels, lambda label: label != IGNORED):
        length = len(list(group))
        if learned:
            found.append((at, at + length))
        at += length
    return found


def learned(laid: Sequence[Sample], format: Format) -> list[str]:
    """What is learned, as the server would show it: without control tokens and stop strings."""
    return [
        format.tokenizer.decode(sample.tokens[begin:end]).strip()
        for sample in laid
        for begin, end in runs(sample)
    ]


def lay(said: Session, format: Format, context: int = 200, **more: object) -> list[Sample]:
    return list(samples(said, format, context=context, **more))  # type: ignore[arg-type]


ANSWERS = ["hello Bob, how are you?", "good to hear", "what is the weather?", "good night then"]


# --- the end -----------------------------------------------------------------------------------


def test_documents_of_speaker_tags_begin_and_end_with_the_real_end_token(speakers: Format) -> None:
    end = speakers.tokenizer.token_to_id(END)
    laid = lay(TALK, speakers)
    assert [sample.tokens[0] for sample in laid] == [end] * len(laid)
    assert [sample.tokens[-1] for sample in laid] == [end] * len(laid)
    assert all(sample.labels[-1] == end for sample in laid)
    assert all(end not in sample.tokens[1:-1] for sample in laid)


def test_every_answer_is_learned_with_what_ends_it_for_the_server(speakers: Format) -> None:
    ends = speakers.ends()
    for sample in lay(TALK, speakers):
        for _, end in runs(sample):
            token = sample.tokens[end - 1]
            assert token in ends or speakers.tokenizer.decode([token]) == "\n"


def test_the_end_of_an_answer_is_the_token_of_the_chat_template() -> None:
    format = formats.load(tiny_models.chat_model())
    end = format.tokenizer.token_to_id("<|im_end|>")
    assert closing(format) == [end]
    for sample in lay(TALK, format):
        assert [sample.tokens[last - 1] for _, last in runs(sample)] == [end] * len(runs(sample))


def test_a_typed_delimiter_is_text_and_ends_nothing(speakers: Format) -> None:
    said = session(f"Bob: hello {END}", f"*Ada: {END} is what you typed")
    [sample] = lay(said, speakers)
    end = speakers.tokenizer.token_to_id(END)
    assert [i for i, token in enumerate(sample.tokens) if token == end] == [
        0,
        len(sample.tokens) - 1,
    ]
    assert learned([sample], speakers) == [f"{END} is what you typed"]


def test_a_model_without_any_end_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / "endless"
    shutil.copytree(tiny_models.speakers_model(), directory)
    for name in ("config.json", "generation_config.json", "tokenizer_config.json"):
        (directory / name).write_text('{"n_positions": 64}')
    with pytest.raises(ModelUnusable, match="could never learn to stop"):
        lay(TALK, formats.load(directory))


# --- what is learned ---------------------------------------------------------------------------


def test_only_the_answers_of_voices_are_learned(speakers: Format) -> None:
    assert learned(lay(TALK, speakers), speakers) == ANSWERS


def test_several_voices_share_a_window_of_speaker_tags(speakers: Format) -> None:
    [sample] = lay(TALK, speakers)
    assert len(runs(sample)) == len(ANSWERS)


def test_each_voice_of_a_chat_template_has_samples_of_its_own() -> None:
    format = formats.load(STARTER)
    said = lay(TALK, format)
    assert sorted(learned(said, format)) == sorted(ANSWERS)
    assert learned(lay(TALK, format, speaker="Eve"), format) == ["what is the weather?"]


def test_the_starter_learns_a_conversation_of_two_in_one_sample() -> None:
    format = formats.load(STARTER)
    said = session("Bob: hi", "*Ada: hello!", "Bob: how are you?", "*Ada: good", "Bob: fine")
    [sample] = lay(said, format)
    assert learned([sample], format) == ["hello!", "good"]


def test_each_line_of_a_burst_is_a_reply_where_a_line_break_ends_one(speakers: Format) -> None:
    said = Session(
        id="x",
        turns=(
            Turn(name="Bob", text="hello", at=0),
            Turn(name="Ada", text="hi\nhow are you?", at=1, voice=True),
        ),
    )
    assert learned(lay(said, speakers), speakers) == ["hi", "how are you?"]


def test_a_burst_is_one_reply_where_only_the_end_token_ends_one(bursting: Format) -> None:
    said = Session(
        id="x",
        turns=(
            Turn(name="Ada", text="hi\nhow are you?", at=1, voice=True),
            Turn(name="Bob", text="hello", at=2),
            Turn(name="Ada", text="good", at=3, voice=True),
        ),
    )
    assert sorted(learned(lay(said, bursting), bursting)) == ["good", "hi\nAda: how are you?"]


def test_everything_is_learned_once_of_a_dataset_with_one_side_only(speakers: Format) -> None:
    said = session(*(f"*Ada: {answer}" for answer in ANSWERS))
    laid = lay(said, speakers, context=24, style_only=True)
    assert len(laid) > 1
    assert all(sample.labels == sample.tokens for sample in laid)
    text = "\n".join(speakers.tokenizer.decode(sample.tokens) for sample in laid)
    assert text.split("\n") == [f"Ada: {answer}" for answer in ANSWERS]


def test_an_answer_longer_than_the_context_loses_its_end_only(speakers: Format) -> None:
    answer = "hello there " * 60
    [sample] = lay(session("Bob: hi", f"*Ada: {answer}"), speakers, context=64)
    [text] = learned([sample], speakers)
    assert len(sample.tokens) == 64
    assert answer.startswith(text)


def test_a_context_without_room_for_an_answer_is_refused(speakers: Format) -> None:
    with pytest.raises(Refused, match="no room for an answer"):
        lay(TALK, speakers, context=3)


# --- the prompt --------------------------------------------------------------------------------


class Counting:
    """An engine that counts as the model does, and keeps what it is asked."""

    def __init__(self, format: Format, context: int) -> None:
        self._format = format
        self.card = ModelCard(context=context)
        self.asked: list[TextRequest] = []

    async def count(self, request: TextRequest) -> int:
        return len(self._format.encode(request))

    async def generate(self, request: TextRequest) -> AsyncGenerator[Piece]:
        self.asked.append(request)
        yield Piece(text="ok", finish="stop")


async def served(
    format: Format, turns: Sequence[Turn], speaker: str, *, context: int = 10_000, reserve: int = 1
) -> list[int]:
    """The prompt that a real bot of this name gives its engine."""
    history = tuple(
        Message(
            address=Address("web", "den"),
            text=turn.text,
            sent_at=turn.at,
            bot=turn.name if turn.name == speaker else "",
            author=None
            if turn.name == speaker
            else Identity(adapter="web", account=turn.name, name=turn.name),
            id=7 * number,  # where a prompt may begin
        )
        for number, turn in enumerate(turns)
    )
    engine = Counting(format, context)
    bot = TextBot(speaker, "", "tiny", engine, Sampling(max_tokens=reserve), history_messages=1000)
    asked = types.Turn(
        id=1, thread=1, bot=speaker, why=Why.DIRECT, asked_by=None, history=history, fresh=1
    )
    _ = [draft async for draft in bot.reply(asked)]
    return format.encode(engine.asked[0])


@pytest.mark.parametrize("kind", ["speakers", "chat", "starter", "reddit"])
async def test_every_sample_begins_with_the_prompt_of_the_real_bot(
    kind: str, speakers: Format
) -> None:
    format = {
        "speakers": lambda: speakers,
        "chat": lambda: formats.load(tiny_models.chat_model()),
        "starter": lambda: formats.load(STARTER),
        "reddit": lambda: formats.load(tiny_models.reddit_model()),
    }[kind]()
    for context in (60, 90, 200):
        laid = lay(TALK, format, context=context)
        assert sum(len(runs(sample)) for sample in laid) == len(ANSWERS)
        for sample in laid:
            assert len(sample.tokens) <= context
            for begin, end in runs(sample):
                text = format.tokenizer.decode(sample.tokens[begin:end])
                index = next(i for i, t in enumerate(TALK.turns) if t.voice and t.text[:8] in text)
                turn, before = TALK.turns[index], TALK.turns[:index]
                possible = [
                    await served(format, before[first:], turn.name) for first in range(index + 1)
                ]
                if index and sample.tokens[:begin] not in possible:
                    # the end of a message that is too long alone
                    assert "…" in format.tokenizer.decode(sample.tokens[:begin])


@pytest.mark.parametrize("context", [30, 60, 500])
async def test_an_answer_is_asked_for_with_the_prompt_that_the_bot_would_pack(
    context: int, speakers: Format
) -> None:
    for index in (4, 7):
        turn = TALK.turns[index]
        prompt = prompt_of(TALK, index, speakers, context=context, reserve=10)
        assert prompt == await served(
            speakers, TALK.turns[:index], turn.name, context=context, reserve=10
        )


# --- any session -------------------------------------------------------------------------------

texts = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"]), min_size=1
)
turns = st.builds(
    Turn,
    name=st.sampled_from(["Ada", "Bob", "Eve: x"]),
    text=texts,
    at=st.just(0.0),
    voice=st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(
    said=st.lists(turns, max_size=12),
    context=st.integers(48, 160),
    kind=st.sampled_from(["speakers", "chat", "reddit"]),
)
def test_in_any_session_every_turn_of_a_voice_is_learned_once(
    said: list[Turn], context: int, kind: str
) -> None:
    model = {
        "speakers": tiny_models.speakers_model,
        "chat": tiny_models.chat_model,
        "reddit": tiny_models.reddit_model,
    }[kind]
    format = formats.load(model())
    laid = lay(Session(id="x", turns=tuple(said)), format, context=context)
    assert all(len(s.tokens) == len(s.labels) <= context for s in laid)
    assert all(
        label in (IGNORED, token)
        for s in laid
        for token, label in zip(s.tokens, s.labels, strict=True)
    )
    assert sum(len(runs(sample)) for sample in laid) == sum(turn.voice for turn in said)
    if kind != "reddit":  # there the end is text as well
        whole = Counter(t.text for t in said if t.voice and len(t.text.encode()) < 8)
        said_once = Counter(learned(laid, format))
        assert all(said_once[text] >= number for text, number in whole.items())
