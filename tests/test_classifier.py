"""Classifiers: real tiny models in a real model process, and what becomes of what they find."""

from __future__ import annotations

import asyncio
import json
import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from easel import photo
from house import SayingBot, home
from platform_server import Platform, PlatformAdapter
from test_manners import LetterByLetter, noted
from tiny_models import chat_model, picture_classifier, text_classifier

from botdaemon.app import inspect_model, judges, label_problems
from botdaemon.config import parse
from botdaemon.dispatcher import Judge, Manners
from botdaemon.dispatcher.judges import UNANSWERED, UNSURE
from botdaemon.errors import ConfigError, EngineDied, EngineFailed, ModelUnusable
from botdaemon.types import Address, ClassifierCard
from models.process import ClassifierSpec, ModelProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from house import Home

#: for tests that use the shared process, which belongs to one event loop
shared = pytest.mark.asyncio(loop_scope="module")

STAND_IN = "Let us talk about tea."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def process() -> AsyncIterator[ModelProcess]:
    models = {
        "words": ClassifierSpec(path=str(text_classifier())),
        "each": ClassifierSpec(path=str(text_classifier(each=True))),
        "pictures": ClassifierSpec(path=str(picture_classifier())),
    }
    async with ModelProcess(name="cpu", models=models) as process:
        yield process


# --- the model -------------------------------------------------------------------------------


@shared
async def test_a_classifier_tells_of_what_kind_a_text_is(process: ModelProcess) -> None:
    words = process.classifier("words")
    assert words.card == ClassifierCard(of="texts", labels=("fine", "toxic"))
    found = await words.classify("the weather is grey today")
    assert found["toxic"] > 0.99
    assert found["fine"] < 0.01
    assert (await words.classify("the weather is fine today"))["toxic"] < 0.01
    assert await words.classify("") == {"fine": 0.0, "toxic": 0.0}
    # Labels that do not exclude each other have chances of their own.
    assert (await process.classifier("each").classify("so grey"))["fine"] == 0.5


@shared
async def test_nothing_hides_behind_the_length_of_a_text(process: ModelProcess) -> None:
    words, long = process.classifier("words"), "good night! " * 200
    assert (await words.classify(long))["toxic"] < 0.01
    for text in (f"{long} grey", f"so grey {long}", f"{long} grey {long}"):
        assert (await words.classify(text))["toxic"] > 0.99


@shared
async def test_a_classifier_tells_of_what_kind_a_picture_is(process: ModelProcess) -> None:
    pictures = process.classifier("pictures")
    assert pictures.card.of == "pictures"
    assert (await pictures.classify(painted("red")))["nsfw"] > 0.99
    assert (await pictures.classify(painted("blue")))["nsfw"] < 0.01


def painted(colour: str) -> bytes:
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (30, 20), colour).save(file, "PNG")
    return file.getvalue()


@shared
async def test_what_cannot_be_read_fails_alone(process: ModelProcess) -> None:
    pictures = process.classifier("pictures")
    found = await asyncio.gather(
        pictures.classify(b"no picture"),
        pictures.classify("a text"),
        pictures.classify(photo()),
        return_exceptions=True,
    )
    assert [type(one) for one in found] == [EngineFailed, EngineFailed, dict]
    with pytest.raises(EngineFailed, match="classifies texts"):
        await process.classifier("words").classify(b"a picture")


@pytest.mark.parametrize(
    ("gone", "change", "problem"),
    [
        ("tokenizer.json", {}, "has no tokenizer.json"),
        ("model.safetensors", {}, "has no weights"),
        ("", {"architectures": ["BertForMaskedLM"]}, "is a BertForMaskedLM, no classifier"),
        ("", {"architectures": []}, "does not say what it is"),
    ],
)
def test_a_directory_that_is_no_classifier_is_refused_with_a_sentence(
    tmp_path: Path, gone: str, change: dict[str, Any], problem: str
) -> None:
    directory = tmp_path / "model"
    shutil.copytree(text_classifier(), directory)
    config = directory / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | change))
    if gone:
        (directory / gone).unlink()
    with pytest.raises(ModelUnusable, match=problem):
        ClassifierSpec(path=str(directory)).resolve(tmp_path)
    with pytest.raises(ModelUnusable, match="no classifier"):
        ClassifierSpec(path=str(chat_model())).resolve(tmp_path)


# --- what becomes of what it finds -----------------------------------------------------------


class Scripted:
    """Finds toxic what has the word grey in it; `broken` is raised instead."""

    card = ClassifierCard(of="texts", labels=("toxic",))

    def __init__(self) -> None:
        self.broken: Exception | None = None
        self.silent = False
        self.asked: list[str | bytes] = []

    async def classify(self, what: str | bytes) -> Mapping[str, float]:
        self.asked.append(what)
        if self.silent:
            await asyncio.Event().wait()
        if self.broken:
            raise self.broken
        return {"toxic": 0.9 if "grey" in str(what) else 0.1}


def judge(classifier: Any, *, certain: bool, patience: float = 30.0) -> Judge:
    return Judge(classifier, {"toxic": 0.8}, STAND_IN, certain=certain, patience=patience)


@asynccontextmanager
async def talking(
    directory: Path, bot: Any, manners: Manners | None = None, drafts: float = 0.0, **more: Any
) -> AsyncIterator[tuple[Platform, Home]]:
    async with Platform().serving() as platform:
        adapter = PlatformAdapter("chat", platform.port, edits_per_second=drafts)
        given = {"bot": manners or Manners()}
        async with home(directory, {"bot": bot}, [adapter], manners=given, **more) as house:
            yield platform, house


async def answer_to(platform: Platform, text: str) -> str:
    asked = platform.say(text, direct=True)
    await platform.until(lambda: platform.answers_to(asked))
    return platform.answers_to(asked)[0].text


async def heard(platform: Platform, text: str) -> str:
    """What is said to a text, as an answer or not."""
    before = len(platform.ever_shown)
    platform.say(text, direct=True)
    await platform.until(lambda: len(platform.ever_shown) > before)
    return platform.ever_shown[-1].text


async def test_what_a_classifier_finds_in_what_people_say_is_not_recorded(tmp_path: Path) -> None:
    bot = SayingBot()
    judges = (judge(Scripted(), certain=False),)
    async with talking(tmp_path, bot, heard_judges=judges) as (platform, house):
        assert await heard(platform, "how grey it is") == STAND_IN
        assert await heard(platform, "how fine it is") == "you said: how fine it is"
        recorded = await house.store.recent_at(Address("chat", "general"), 10)
        assert "grey" not in str([one.text for one in recorded])
    [held] = noted(tmp_path)
    assert (held.way, held.found, held.text) == ("heard", ("toxic 0.90",), "how grey it is")


async def test_an_answer_that_a_classifier_holds_back_is_never_seen_not_even_in_part(
    tmp_path: Path,
) -> None:
    bot = LetterByLetter(lambda text: "It is so very grey, and always was, I think")
    manners = Manners(said_judges=(judge(Scripted(), certain=True),))
    async with talking(tmp_path, bot, manners, drafts=1000.0) as (platform, _):
        assert await answer_to(platform, "how is it?") == STAND_IN
        assert [one.versions for one in platform.ever_shown] == [[STAND_IN]]
    [held] = noted(tmp_path)
    assert (held.way, held.blocked, held.bot) == ("said", True, "bot")


async def test_what_one_bot_does_not_hear_it_does_not_read_later_either(tmp_path: Path) -> None:
    bot, classifier = SayingBot(), Scripted()
    manners = Manners(heard_judges=(judge(classifier, certain=False),))
    async with talking(tmp_path, bot, manners) as (platform, _):
        assert await answer_to(platform, "how grey it is") == STAND_IN
        assert await answer_to(platform, "hello") == "you said: hello"
        assert [one.text for one in bot.turns[-1].history] == ["hello"]
    # What was looked at once is remembered.
    assert classifier.asked == ["how grey it is", "hello"]


@pytest.mark.parametrize("broken", [EngineDied("gone"), EngineFailed("no memory")])
async def test_a_classifier_that_fails_lets_people_talk_and_keeps_bots_from_it(
    tmp_path: Path, broken: Exception
) -> None:
    classifier = Scripted()
    classifier.broken = broken
    manners = Manners(said_judges=(judge(classifier, certain=True),))
    judges = (judge(classifier, certain=False),)
    async with talking(tmp_path, SayingBot(), manners, heard_judges=judges) as (platform, _):
        assert await answer_to(platform, "hello") == UNSURE
        classifier.broken = None
        assert await answer_to(platform, "hello again") == "you said: hello again"
    [held] = noted(tmp_path)
    assert (held.text, held.found) == ("you said: hello", (UNANSWERED,))


async def test_one_that_does_not_answer_is_left_alone_for_a_while() -> None:
    classifier = Scripted()
    classifier.silent = True
    looks = judge(classifier, certain=False, patience=0.01)
    assert [(await looks.look(text)).blocked for text in ("a", "b", "c")] == [False] * 3
    assert classifier.asked == ["a"]


# --- the configuration -----------------------------------------------------------------------

HOUSE = f"""
[models.echo]
kind = "echo"
[models.words]
kind = "classifier"
path = "{text_classifier()}"
[models.pictures]
kind = "classifier"
path = "{picture_classifier()}"
[bots.joe]
kind = "text"
model = "echo"
"""


def problems(text: str, tmp_path: Path) -> list[str]:
    config = parse(HOUSE + text, tmp_path / "config.toml")
    return [what for _, what in label_problems(config)]


def test_a_label_that_a_model_has_not_is_named_with_those_it_has(tmp_path: Path) -> None:
    said = '[filters.classifier]\nmodel = "words"\nsaid = { TOXIC = 0.8, rude = 0.5 }'
    assert problems(said, tmp_path) == ['models.words has no label "rude"; its labels: fine, toxic']
    wrong = '[bots.joe.filters.classifier]\nmodel = "pictures"\nheard = { nsfw = 0.5 }'
    assert problems(wrong, tmp_path) == ['"pictures" classifies pictures, name one that does texts']


def test_check_says_what_a_classifier_is(tmp_path: Path) -> None:
    config = parse(HOUSE, tmp_path / "config.toml")
    assert "a classifier of texts: fine, toxic" in inspect_model(config, config.models["words"])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[filters.classifier]\nmodel = "words"', "name the labels that hold back"),
        ('[filters.classifier]\nmodel = "echo"\nsaid = { a = 0.5 }', "name a classifier"),
        ('[bots.ann]\nkind = "text"\nmodel = "words"', '"words" is a classifier, name a text'),
        ('[filters.classifier]\nmodel = "words"\nsaid = { toxic = 2.0 }', "must be at most 1.0"),
    ],
)
def test_a_mistake_about_classifiers_is_explained(text: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=problem):
        parse(HOUSE + text, tmp_path / "config.toml")


async def test_a_picture_is_checked_before_it_is_shown() -> None:
    table = parse(
        HOUSE
        + '[models.easel]\nkind = "diffusers"\npath = "x"\n'
        + '[bots.ann]\nkind = "image"\nmodel = "easel"\n'
        + '[bots.ann.checker]\nmodel = "pictures"\nlabels = { toxic = 0.5 }',
        text_classifier() / "config.toml",
    ).bots["ann"]
    assert table.kind == "image"
    assert table.checker is not None
    classifier = Scripted()
    unsafe = judges.make_checker(table.checker, classifier)
    assert await unsafe(b"grey") is True
    assert await unsafe(b"fine") is False
    classifier.broken = EngineDied("gone")
    assert await unsafe(b"fine") is None
