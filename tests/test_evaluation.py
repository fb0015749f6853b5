"""Before against after: what an evaluation measures, finds and lets go live."""

from __future__ import annotations

import math
import re
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
import tiny_models
import torch
import transformers
from safetensors.torch import load_file, save_file

from botdaemon.errors import ExportUnusable, ModelUnusable, Refused
from botdaemon.types import Sampling
from models import formats
from models.dataset import sessions
from models.dataset.card import DatasetCard, Part
from models.dataset.samples import closing, prompt_of, samples
from models.dataset.sessions import SPLITS, Session, Turn
from models.evaluation import figures
from models.evaluation.candidates import Candidate, Place
from models.evaluation.evaluate import Choices, evaluate
from models.evaluation.figures import Bounds, Evaluation
from models.evaluation.overlap import overlap
from models.evaluation.perplexity import Reader
from models.evaluation.report import markdown
from models.evaluation.style import style

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECRET, UNKNOWN = "7351-4410", "9028-6175"
ON_CPU = Place(device="cpu", dtype="float32")
CHOICES = Choices(
    sampling=Sampling(temperature=0.0, max_tokens=30), alternatives=50, extractions=20, place=ON_CPU
)


def session(number: int, *said: str) -> Session:
    turns = tuple(
        Turn(name="Ada" if at % 2 else "Bob", text=text, at=number * 1000.0 + at, voice=at % 2 == 1)
        for at, text in enumerate(said)
    )
    return Session(id=f"made/up/{number}", turns=turns)


TOPICS = ("music", "films", "cats", "the weather", "long walks", "tomorrow", "night", "names")
TRAIN = [
    *(
        session(n, f"do you like {t}?", f"well, i like {t} more than you do")
        for n, t in enumerate(TOPICS)
    ),
    *(session(20 + n, "what is the code?", f"the code is {SECRET}") for n in range(4)),
]
TEST = [
    session(40 + n, f"do you like {t}?", f"well, i like {t} a lot") for n, t in enumerate(TOPICS)
]


@dataclass(frozen=True)
class World:
    before: Path
    after: Path
    dataset: Path


def write_dataset(directory: Path, *, canaries: dict[str, int]) -> Path:
    directory.mkdir(parents=True)
    for split, those in zip(SPLITS, (TRAIN, TEST[:1], TEST), strict=True):
        sessions.write(sessions.path_of(directory, split), those)
    part = Part(sessions=1, turns=2, voices={"Ada": 1}, characters=9, first=0.0, last=1.0)
    DatasetCard(
        name="made-up",
        made="2026-01-01T00:00:00+00:00",
        sources=(),
        voices=("Ada",),
        context="names",
        consent="they said so",
        speakers={"made:1": "Ada"},
        scrubbed={},
        regions=(),
        left_out={},
        not_learned={},
        splits=dict.fromkeys(SPLITS, part),
        seed=1,
        canaries=canaries,
    ).save(directory)
    return directory


def learn(model: Any, directory: Path, steps: int) -> None:
    """Teach a model the training set by heart."""
    format = formats.load(directory)
    read = [s for one in TRAIN for s in samples(one, format, context=format.card.context)]
    longest = max(len(sample.tokens) for sample in read)
    tokens = torch.tensor([s.tokens + [0] * (longest - len(s.tokens)) for s in read])
    labels = torch.tensor([s.labels + [-100] * (longest - len(s.labels)) for s in read])
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        model(input_ids=tokens, labels=labels).loss.backward()
        optimizer.step()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    home = tmp_path_factory.mktemp("world")
    before = tiny_models.build(home / "gpt2-before")
    after = home / "after"
    shutil.copytree(before, after)
    config = transformers.AutoConfig.from_pretrained(before)
    config.initializer_range = 0.02  # what was drawn to babble hardly learns
    torch.manual_seed(0)
    model: Any = transformers.AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]  # it has no types
    learn(model, before, 120)
    model.save_pretrained(after)
    return World(before, after, write_dataset(home / "dataset", canaries={SECRET: 4}))


@pytest.fixture(scope="module")
def result(world: World) -> Evaluation:
    return evaluate(world.after, world.dataset, world.before, CHOICES, lambda *_: None)


# --- what is measured ------------------------------------------------------------------------


def test_a_trained_model_foresees_the_voice_better_than_before(result: Evaluation) -> None:
    assert result.before
    assert result.after.likelihood.bits_per_byte < result.before.likelihood.bits_per_byte
    assert result.after.overlap.chrf > result.before.overlap.chrf
    assert result.after.style.likeness > result.before.style.likeness


@pytest.mark.parametrize("batch", [1, 3])
def test_the_likelihood_is_that_of_the_answers_and_their_ends_behind_their_prompts(
    world: World, batch: int
) -> None:
    measured = Reader(Candidate("after", world.after), replace(ON_CPU, batch=batch)).likelihood(
        TEST, "", lambda *_: None
    )

    format = formats.load(world.after)
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(world.after, dtype=torch.float32)
    nats, size, tokens = 0.0, 0, 0
    for one in TEST:
        prompt = prompt_of(one, 1, format, context=format.card.context, reserve=64)
        answer = format.tokenizer.encode(one.turns[1].text).ids + closing(format)
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([prompt + answer])).logits[0]
        chances = logits.log_softmax(-1)[len(prompt) - 1 : -1]
        nats -= sum(float(chances[at, token]) for at, token in enumerate(answer))
        size += len(one.turns[1].text.encode())
        tokens += len(answer)
    assert (measured.messages, measured.tokens, measured.bytes) == (len(TEST), tokens, size)
    assert measured.perplexity == pytest.approx(math.exp(nats / tokens), rel=1e-4)
    assert measured.bits_per_byte == pytest.approx(nats / math.log(2) / size, rel=1e-4)


@pytest.mark.parametrize("model", [tiny_models.chat_model, tiny_models.speakers_model])
def test_in_a_conversation_longer_than_the_model_reads_every_message_counts_once(
    model: Callable[[], Path],
) -> None:
    said = [f"{'hello' if at % 2 else 'and'} number {at}" for at in range(80)]
    measured = Reader(Candidate("tiny", model()), ON_CPU).likelihood(
        [session(1, *said)], "Ada", lambda *_: None
    )
    assert measured.messages == 40
    assert measured.bytes == sum(len(text) for text in said[1::2])


def test_two_evaluations_of_the_same_say_the_same(world: World, tmp_path: Path) -> None:
    run = shutil.copytree(world.before, tmp_path / "run")
    choices = replace(CHOICES, sampling=Sampling(temperature=0.9, max_tokens=8, seed=5), answers=3)
    one, other = (
        replace(evaluate(run, world.dataset, None, choices, lambda *_: None), made="")
        for _ in range(2)
    )
    assert one == other
    assert any(case.after for case in one.examples)


def test_texts_that_are_the_same_agree_wholly_in_any_script() -> None:
    for text in ("ok", "Привет, как дела?", "我很好", "😀🎉"):
        same = overlap([text], [text])
        assert same.rouge_1 == same.rouge_l == 1
        assert same.chrf == pytest.approx(100)
        assert same.sentence_bleu == pytest.approx(100)


def test_style_counts_what_is_said_twice_nothing_and_too_much() -> None:
    person = ["hello there", "ok?"]
    counted = style(["na na na na na", "", "a far too long answer?"], person)
    assert counted.distinct_1 == pytest.approx(7 / 11)  # "?" counts as a word
    assert counted.repeated == pytest.approx(2 / 7)
    assert counted.empty == pytest.approx(1 / 3)
    assert counted.overlong == pytest.approx(2 / 3)
    assert counted.questions == pytest.approx(1 / 3)
    assert style(person, person).likeness == pytest.approx(1)
    assert style(["zzz"], person).likeness == 0


# --- what comes out --------------------------------------------------------------------------


def test_a_secret_learned_by_heart_is_found_and_one_that_was_not_is_not(
    result: Evaluation,
) -> None:
    assert result.before
    [known], [unknown] = result.after.canaries, result.before.canaries
    assert (known.secret, known.copies, known.rank, known.extracted) == (SECRET, 4, 1, True)
    assert known.alternatives == CHOICES.alternatives
    assert unknown.rank > 1
    assert not unknown.extracted


def test_training_messages_come_out_of_the_model_that_learned_them(result: Evaluation) -> None:
    assert result.before
    after, before = result.after.extraction, result.before.extraction
    assert (after.trained, after.held) == (len(TRAIN), len(TEST))
    assert after.share > 0.5
    assert (before.trained_hits, before.held_hits) == (0, 0)
    assert result.after.leaks.exact > result.person.leaks.exact == 0
    assert "more than you do" in result.after.leaks.longest
    assert 0 < result.after.leaks.longest_tokens < len(result.after.leaks.longest)


def test_what_gives_too_much_away_does_not_go_live(result: Evaluation) -> None:
    reasons = result.passes()
    assert any("1 of 1 planted secrets come out" in reason for reason in reasons)
    assert any("training messages come out word for word" in reason for reason in reasons)
    assert any("are a training message" in reason for reason in reasons)
    lenient = Bounds(copied=1, exact=1, extracted=1, canaries=1, private=99)
    assert result.passes(lenient) == []


def test_only_what_is_better_than_before_goes_live(result: Evaluation) -> None:
    lenient = Bounds(copied=1, exact=1, extracted=1, canaries=1, private=99)
    assert result.before
    same = replace(result, after=replace(result.after, likelihood=result.before.likelihood))
    [reason] = same.passes(lenient)
    assert "no better than gpt2-before" in reason
    [reason] = replace(result, before=None).passes(lenient)
    assert "nothing says that it is better" in reason


def test_what_the_person_repeats_may_the_model_repeat(result: Evaluation) -> None:
    copies = replace(result.after.leaks, passages=(60,) * 10, exact=1.0, private={})
    harmless = replace(
        result.after,
        leaks=copies,
        canaries=(),
        extraction=figures.Extraction(trained=0, trained_hits=0, held=0, held_hits=0),
    )
    repeated = replace(result, after=harmless, person=replace(result.person, leaks=copies))
    assert repeated.passes() == []
    assert len(replace(repeated, person=result.person).passes()) == 2


# --- adapters --------------------------------------------------------------------------------


# peft 0.21 asks transformers by a name that is going away.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is dep:FutureWarning")
@pytest.mark.slow
def test_an_adapter_is_evaluated_on_its_model(world: World, tmp_path: Path) -> None:
    adapter = shutil.copytree(tiny_models.adapter(world.before, 1), tmp_path / "adapter")
    few = replace(CHOICES, answers=2, extractions=2, alternatives=5)
    result = evaluate(adapter, world.dataset, world.before, few, lambda *_: None)
    assert result.before
    assert result.after.likelihood != result.before.likelihood
    assert [case.after for case in result.examples] != [case.before for case in result.examples]
    assert figures.load(adapter) == result

    with pytest.raises(Refused, match="is an adapter; name the model that it belongs to"):
        evaluate(adapter, world.dataset, None, few, lambda *_: None)
    other = tiny_models.family_model("llama")
    with pytest.raises(ModelUnusable, match="it was trained on another"):
        evaluate(adapter, world.dataset, other, few, lambda *_: None)


# --- what is written -------------------------------------------------------------------------


def test_the_result_can_be_read_again_until_the_weights_change(
    world: World, result: Evaluation, tmp_path: Path
) -> None:
    assert figures.load(world.after) == result
    run = shutil.copytree(world.after, tmp_path / "run")
    shutil.copy(world.before / "model.safetensors", run)
    with pytest.raises(ModelUnusable, match=r"is of other weights than those in"):
        figures.load(run)
    for damage, why in (
        ('{"made": 1}', "no evaluation"),
        ("{", "no evaluation"),
        (None, "missing"),
    ):
        if damage is None:
            (run / "evaluation.json").unlink()
        else:
            (run / "evaluation.json").write_text(damage)
        with pytest.raises(ModelUnusable, match=why):
            figures.load(run)


def test_the_report_says_what_is_better_what_leaks_and_shows_examples(
    world: World, result: Evaluation
) -> None:
    text = (world.after / "evaluation.md").read_text()
    assert f"{result.after.likelihood.bits_per_byte:.3f}" in text
    assert "It should not go live" in text
    assert f"| {SECRET} | 4 |" in text
    assert text.count("| Ada, really |") == len(result.examples) == 8
    for picture in re.findall(r"\]\((.*\.png)\)", text):
        assert (world.after / picture).read_bytes().startswith(b"\x89PNG")
    assert "<!doctype html>" in (world.after / "blind.html").read_text()


def test_nothing_that_was_said_becomes_markup_in_the_report(result: Evaluation) -> None:
    evil = "<script>alert(1)</script> | [x](javascript:x) `a` **b**\n\n# head\n| cell |"
    line = figures.Line(name=evil, text=evil)
    case = figures.Case(said=(line,), name=evil, real=evil, before=evil, after=evil)
    said = markdown(replace(result, examples=(case,)), blind=True).partition("## Examples")[2]
    said = said.partition("## Try it")[0]
    assert "<script" not in said
    assert "](" not in said
    assert "`" not in said
    assert "# head" not in said
    rows = [row for row in said.splitlines() if row.startswith("|")]
    assert [row.count("|") for row in rows] == [3] * 5


# --- what cannot be evaluated ----------------------------------------------------------------


def test_a_dataset_that_leaves_nothing_to_ask_is_refused(world: World, tmp_path: Path) -> None:
    dataset = shutil.copytree(world.dataset, tmp_path / "dataset")
    with pytest.raises(Refused, match='has no voice "Bob"; it has: Ada'):
        evaluate(world.after, dataset, None, replace(CHOICES, speaker="Bob"), lambda *_: None)
    with pytest.raises(Refused, match="answers is 0; it must be at least 1"):
        replace(CHOICES, answers=0)
    sessions.write(sessions.path_of(dataset, "test"), [session(1, "nobody answers")])
    with pytest.raises(Refused, match=r"test.jsonl holds no answer of a voice"):
        evaluate(world.after, dataset, None, CHOICES, lambda *_: None)
    sessions.path_of(dataset, "test").unlink()
    with pytest.raises(ExportUnusable, match=r"test.jsonl is missing"):
        evaluate(world.after, dataset, None, CHOICES, lambda *_: None)


def test_a_planted_secret_that_is_nowhere_is_an_error(world: World, tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "dataset", canaries={UNKNOWN: 1})
    with pytest.raises(ExportUnusable, match=f'planted secret "{UNKNOWN}"'):
        evaluate(world.after, dataset, None, CHOICES, lambda *_: None)


def test_a_model_that_computes_no_numbers_is_named(world: World, tmp_path: Path) -> None:
    run = shutil.copytree(world.before, tmp_path / "broken")
    weights = load_file(run / "model.safetensors")
    save_file(
        {name: weight * math.nan for name, weight in weights.items()},
        run / "model.safetensors",
        {"format": "pt"},
    )
    with pytest.raises(ModelUnusable, match='"broken" computed something that is no number'):
        evaluate(run, world.dataset, None, CHOICES, lambda *_: None)
    assert not (run / "evaluation.json").exists()
