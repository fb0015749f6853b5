"""What an image bot promises: what is asked is drawn, drawn again and told; else kind words."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from easel import CARD, Easel, photo
from PIL import Image

from botdaemon import render
from botdaemon.bots.image import UNDER_PICTURES, ImageBot
from botdaemon.bots.improver import Improver
from botdaemon.config import StyleConfig
from botdaemon.errors import ConfigError, EngineDied, EngineFailed, Refused
from botdaemon.ports import Painter, Traits
from botdaemon.store import files
from botdaemon.types import (
    Address,
    Control,
    Draft,
    File,
    Identity,
    ImageCard,
    ImageRequest,
    Message,
    ModelCard,
    Picture,
    Piece,
    TextRequest,
    Turn,
    Why,
    Wish,
)
from models.echo import EchoEngine
from models.image import metadata

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

HERE = Address("web", "den")
ANN = Identity(adapter="web", account="ann", name="Ann")
_WORDS = "a small big red blue circle square left of please draw me"
WORLD = ImageCard(
    width=64,
    height=64,
    steps=2,
    guidance=1.0,
    words=frozenset(_WORDS.split()),
    draws="circles and squares",
    examples=("a red circle", "a small blue square left of a big red circle"),
    harmless=True,
)


@dataclass
class Shelf:
    """The files of a store, without its database."""

    directory: Path

    async def keep(self, content: bytes, name: str, media_type: str) -> File:
        sha256 = files.keep(self.directory, content)
        return File(sha256=sha256, name=name, media_type=media_type, size=len(content))

    def file(self, sha256: str) -> Path:
        return files.path_of(self.directory, sha256)


@pytest.fixture
def store(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def painter(store: Shelf, engine: Easel, **more: Any) -> ImageBot:
    chosen: dict[str, Any] = {
        "name": "painter",
        "model": "easel",
        "engine": engine,
        "keep": store.keep,
        "path": store.file,
        "source_of": metadata.source,
        "options": "",
        "styles": {},
        "improver": None,
        "adapters": ("rain", "snow"),
        "unsafe": "hide",
        "most_pictures": 4,
        "most_steps": 100,
        "largest_side": 256,
    }
    return ImageBot(**{**chosen, **more})


def said(text: str, *files: File) -> Message:
    return Message(address=HERE, text=text, sent_at=0.0, author=ANN, files=files)


def turn(*fresh: Message, **more: Any) -> Turn:
    plain: dict[str, Any] = {"why": Why.DIRECT, "history": fresh, "fresh": len(fresh)}
    return Turn(id=1, thread=1, bot="painter", asked_by=ANN, **{**plain, **more})


def wish(what: Any, about: Message | None = None, text: str = "") -> Turn:
    return turn(why=Why.WISH, wish=Wish(what=what, text=text, message=7), about=about)


async def drafts(bot: ImageBot, asked: Turn) -> list[Draft]:
    return [draft async for draft in bot.reply(asked)]


async def answer(bot: ImageBot, asked: Turn | str) -> Draft:
    *_, last = await drafts(bot, turn(said(asked)) if isinstance(asked, str) else asked)
    assert last.final
    return last


async def words(bot: ImageBot, asked: Turn | str) -> str:
    """The words of an answer that is only words, given without beginning to draw."""
    [final] = await drafts(bot, turn(said(asked)) if isinstance(asked, str) else asked)
    assert final.final
    assert (final.files, final.controls) == ((), ())
    return final.text


def shown(draft: Draft, id: int = 7) -> Message:
    """The message that a draft becomes."""
    return Message(
        address=HERE, text=draft.text, sent_at=0.0, bot="painter", files=draft.files, id=id
    )


def request_of(store: Shelf, file: File) -> ImageRequest:
    request = metadata.read(store.file(file.sha256).read_bytes())
    assert request is not None
    return request


# --- a new picture -----------------------------------------------------------------------------


async def test_an_image_bot_is_a_painter(store: Shelf) -> None:
    assert isinstance(painter(store, Easel()), Painter)


async def test_a_message_becomes_a_picture_with_its_words_and_buttons(store: Shelf) -> None:
    final = await answer(painter(store, Easel()), "@painter a small red circle --seed 42")
    assert final.text == "**a small red circle**\nseed 42, 96x64, 3 steps"
    assert final.controls == UNDER_PICTURES
    [file] = final.files
    assert (file.name, file.media_type, file.spoiler) == (
        "a-small-red-circle-42.png",
        "image/png",
        False,
    )
    assert request_of(store, file) == ImageRequest(
        model="easel", prompt="a small red circle", seed=42, steps=3, width=96, height=64
    )


async def test_drafts_tell_how_far_it_is_and_show_it(store: Shelf) -> None:
    *growing, final = await drafts(painter(store, Easel()), turn(said("a red circle")))
    assert [draft.text for draft in growing] == [
        "*drawing…*",
        "*drawing, step 1 of 3, about 4 s*",
        "*drawing, step 2 of 3, about 2 s*",
        "*drawing, step 3 of 3*",
    ]
    assert [draft.preview for draft in growing] == [b"", b"jpeg", b"jpeg", b"jpeg"]
    assert not any(draft.final for draft in growing)
    assert final.preview == b""


async def test_minutes_are_not_told_in_seconds(store: Shelf) -> None:
    _, first, *_ = await drafts(painter(store, Easel()), turn(said("a circle --steps 100")))
    assert first.text == "*drawing, step 1 of 100, about 3 min*"


async def test_several_pictures_come_in_one_answer_with_their_seeds(store: Shelf) -> None:
    *growing, final = await drafts(
        painter(store, Easel()), turn(said("a circle --number 3 --seed 5 --steps 1"))
    )
    assert final.text == "**a circle**\nseeds 5, 6, 7, 96x64, 1 step"
    assert [file.name for file in final.files] == [f"a-circle-{seed}.png" for seed in (5, 6, 7)]
    # whoever stops it keeps those that are there already
    assert [len(draft.files) for draft in growing] == [0, 0, 1, 2]
    assert growing[-1].controls == UNDER_PICTURES


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("painter, a red circle", "a red circle"),
        ("draw a red circle!", "a red circle"),
        ("Please draw me a red circle", "a red circle"),
        ("can you draw a red circle, please?", "a red circle"),
        ("paint splashes on a wall", "paint splashes on a wall"),
        ("a cat's hat", "a cat's hat"),
    ],
)
async def test_what_is_asked_politely_is_the_prompt(store: Shelf, text: str, prompt: str) -> None:
    engine = Easel()
    await answer(painter(store, engine), text)
    assert [request.prompt for request in engine.requests] == [prompt]


async def test_messages_said_in_a_row_are_one_prompt(store: Shelf) -> None:
    engine = Easel()
    earlier = said("good morning")
    asked = turn(earlier, said("a red circle"), said("on grass --seed 3"), fresh=2)
    await answer(painter(store, engine), asked)
    [request] = engine.requests
    assert (request.prompt, request.seed) == ("a red circle on grass", 3)


async def test_what_is_typed_comes_before_the_place_and_that_before_the_bot(store: Shelf) -> None:
    engine = Easel()
    bot = painter(store, engine, options="--steps 9 --guidance 2 --size 32x32 --seed 1")
    await answer(bot, turn(said("a circle --steps 5"), defaults="--steps 7 --guidance 3"))
    [request] = engine.requests
    assert (request.steps, request.guidance, request.width, request.seed) == (5, 3.0, 32, 1)


async def test_options_kept_for_a_place_that_do_not_hold_any_more_are_left_out(
    store: Shelf,
) -> None:
    engine = Easel()
    asked = turn(said("a circle --seed 1"), defaults="--style ink --steps 50")
    final = await answer(painter(store, engine, options="--steps 2"), asked)
    assert engine.requests[0].steps == 2
    assert final.text.endswith(
        "\nThe options kept for this place do not hold any more: There is no style to choose"
        " here, not `ink`."
    )


async def test_a_style_is_put_around_the_prompt(store: Shelf) -> None:
    engine = Easel()
    styles = {
        "ink": StyleConfig(prompt="ink drawing of {}", negative="colour", adapters={"rain": 0.5}),
        "oil": StyleConfig(prompt="oil painting"),
    }
    bot = painter(store, engine, styles=styles, options="--style oil")
    final = await answer(bot, "a cat --style ink --no dogs --lora rain:0.8 --seed 1")
    await answer(bot, "a cat")
    await answer(bot, "a cat --style none")
    ink, oil, plain = engine.requests
    assert (ink.prompt, ink.negative) == ("ink drawing of a cat", "dogs, colour")
    assert ink.adapters == (("rain", 0.8),)
    assert oil.prompt == "a cat, oil painting"
    assert (plain.prompt, plain.negative) == ("a cat", None)
    assert final.text.startswith("**a cat**\n")


async def test_what_a_person_types_formats_nothing_and_calls_nobody(store: Shelf) -> None:
    final = await answer(painter(store, Easel()), "a *cat* @everyone `x` <b> [y](z) ** --seed 1")
    discord = Traits(dialect="discord", text_limit=2000)
    [part] = render.split(final.text, discord).parts
    assert part.plain.splitlines()[0] == "a *cat* @everyone `x` <b> [y](z) **"
    assert "@everyone" not in part.text


async def test_a_long_prompt_is_drawn_whole_and_shown_short(store: Shelf) -> None:
    engine = Easel()
    final = await answer(painter(store, engine), "circle " * 500)
    assert len(engine.requests[0].prompt) == 3499
    assert len(final.text) < 400
    assert len(final.files[0].name) < 80


async def test_a_name_keeps_only_letters_that_every_platform_takes(store: Shelf) -> None:
    final = await answer(painter(store, Easel()), "../Anna's Käfer\u202e im Gras --seed 1")
    other = await answer(painter(store, Easel()), "кот --seed 1")
    assert [final.files[0].name, other.files[0].name] == [
        "annas-kafer-im-gras-1.png",
        "picture-1.png",
    ]


async def test_what_was_not_done_as_asked_is_said_once(store: Shelf) -> None:
    engine = Easel(notes=("it takes no *negative* prompt",))
    final = await answer(painter(store, engine), "a circle --number 2 --seed 1")
    assert final.text.splitlines()[2:] == [r"It takes no \*negative\* prompt."]


# --- a picture from a picture ------------------------------------------------------------------


async def test_a_picture_that_is_attached_or_replied_to_is_drawn_over(store: Shelf) -> None:
    engine = Easel()
    bot = painter(store, engine, options="--size 64x64 --steps 2")
    mine = await store.keep(photo(), "me.jpg", "image/jpeg")
    other = await store.keep(photo(20, 20), "you.jpg", "image/jpeg")
    note = await store.keep(b"words", "a.txt", "text/plain")
    about = said("look", other, mine)
    attached = await answer(bot, turn(said("made of glass", note, mine), about=about))
    replied = await answer(bot, turn(said("made of wood --strength 0.4"), about=about))
    first, second = engine.requests
    assert (first.source, first.steps) == (photo(), 2)
    assert (first.width, first.height) == (None, None)  # its own shape, not the usual one
    assert (second.source, second.strength) == (photo(20, 20), 0.4)
    assert "took the first" not in attached.text
    assert replied.text.endswith("\nThere are 2 pictures; I took the first.")


async def test_a_source_that_is_no_picture_is_one_sentence(store: Shelf) -> None:
    broken = await store.keep(b"no picture", "x.png", "image/png")
    final = await answer(painter(store, Easel()), turn(said("made of glass", broken)))
    assert final.text == "The file is no picture that can be read; send a PNG, JPEG, WebP or GIF."
    assert (final.files, final.controls) == ((), (Control.RETRY,))


async def test_a_source_whose_file_is_gone_is_one_sentence(store: Shelf) -> None:
    gone = File(sha256="0" * 64, name="x.png", media_type="image/png", size=1)
    assert (
        await words(painter(store, Easel()), turn(said("made of glass", gone)))
        == "That picture is not there any more."
    )


# --- instead of a picture ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["hi", "@painter", "Hello there!", "thanks :)", "", "🙂", "--steps 4", "who are you?"]
)
async def test_whoever_asks_for_nothing_is_told_what_can_be_drawn(store: Shelf, text: str) -> None:
    told = await words(painter(store, Easel(WORLD)), text)
    assert told.startswith("I draw circles and squares. Try for example:\n\n- a red circle\n- ")


async def test_a_model_that_says_nothing_of_itself_draws_what_is_described(store: Shelf) -> None:
    told = await words(painter(store, Easel()), "hi")
    assert told.startswith("I draw what you describe. Try for example:\n\n- a lighthouse")


@pytest.mark.parametrize("why", [Why.FOLLOW_UP, Why.CHANCE])
async def test_talk_among_others_is_left_alone(store: Shelf, why: Why) -> None:
    bot = painter(store, Easel(WORLD))
    assert await drafts(bot, turn(said("hi there"), why=why)) == []
    assert await drafts(bot, turn(said("lovely weather"), why=why)) == []
    assert (await answer(bot, turn(said("a red circle"), why=why))).files


async def test_words_that_the_model_never_learned_are_named_with_the_nearest_example(
    store: Shelf,
) -> None:
    engine = Easel(WORLD)
    bot = painter(store, engine)
    assert await words(bot, "a small green Cat left of a cat.") == (
        "I never learned the words “green”, “cat”. I draw circles and squares. Try for example"
        " “a small blue square left of a big red circle”."
    )
    many = await words(bot, wish("draw", text="one two three four five six a"))
    assert many.startswith("I never learned the words “one”, “two”, “three”, “four”, “five” and 1")
    assert (await answer(bot, "Please, draw me a RED circle!")).files


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a cat --steps 10000", "`--steps` takes a whole number from 1 to 100, not `10000`."),
        ("a cat --size 1x100000", "each from 16 to 256, not `1x100000`."),
        ("a cat --number 99", "`--number` takes a whole number from 1 to 4, not `99`."),
        ("a cat --style ink", "There is no style to choose here, not `ink`."),
        ("a cat --lora fog", "There is no LoRA adapter `fog`. There is: `rain`, `snow`."),
        ("a cat --bananas", "I do not know the option `--bananas`."),
    ],
)
async def test_an_option_that_cannot_be_is_refused_and_nothing_drawn(
    store: Shelf, text: str, sentence: str
) -> None:
    bot = painter(store, Easel())
    assert sentence in await words(bot, text)
    assert sentence in await words(bot, wish("draw", text=text))


async def test_an_engine_s_sentence_is_told_to_who_asked(store: Shelf) -> None:
    engine = Easel(error=EngineFailed("the picture is too large"))
    final = await answer(painter(store, engine), "a cat")
    assert (final.text, final.files) == ("The picture is too large.", ())
    assert engine.closed == 1


async def test_pictures_that_were_finished_before_a_failure_are_kept(store: Shelf) -> None:
    engine = Easel(error=EngineFailed("it drew nothing"))
    final = await answer(painter(store, engine), "a cat --number 3 --seed 1")
    assert [file.name for file in final.files] == ["a-cat-1.png"]
    assert final.text.endswith("\nIt drew nothing.")


async def test_a_dead_engine_is_the_dispatcher_s_concern(store: Shelf) -> None:
    with pytest.raises(EngineDied):
        await answer(painter(store, Easel(error=EngineDied("gone"))), "a cat")


async def test_stopping_frees_the_engine(store: Shelf) -> None:
    engine = Easel()
    async with aclosing(painter(store, engine).reply(turn(said("a cat --steps 50")))) as reply:
        async for draft in reply:
            if "step 2" in draft.text:
                break
    assert engine.closed == 1


async def test_options_of_the_bot_that_cannot_be_are_the_operator_s_to_mend(store: Shelf) -> None:
    with pytest.raises(ConfigError, match=r"bots\.painter\.options: `--steps` takes .* not `999`"):
        painter(store, Easel(), options="--steps 999")


# --- what not everybody wants to see -----------------------------------------------------------


@pytest.mark.parametrize(
    ("unsafe", "harmless", "objects", "covered"),
    [
        ("hide", False, None, True),
        ("hide", True, None, False),
        ("hide", False, False, False),
        ("cover", True, None, True),
        ("cover", False, False, True),
        ("cover", False, True, True),
        ("show", False, None, False),
        ("show", False, True, False),
    ],
)
async def test_pictures_are_covered_as_the_operator_wants(
    store: Shelf, unsafe: str, harmless: bool, objects: bool | None, covered: bool
) -> None:
    engine = Easel(replace(CARD, harmless=harmless), unsafe=objects)
    final = await answer(painter(store, engine, unsafe=unsafe), "a cat")
    assert [file.spoiler for file in final.files] == [covered]


@pytest.mark.parametrize(
    ("verdict", "own", "shown", "covered"),
    [
        (True, None, False, False),
        (False, None, True, False),
        (None, None, True, True),  # it could not be told
        (True, False, False, False),
        (False, True, False, False),
    ],
)
async def test_a_picture_that_a_classifier_objects_to_is_hidden_and_so_is_its_beginning(
    store: Shelf, verdict: bool | None, own: bool | None, shown: bool, covered: bool
) -> None:
    async def checker(picture: bytes) -> bool | None:
        assert picture
        return verdict

    engine = Easel(replace(CARD, harmless=False), unsafe=own)
    seen = await drafts(painter(store, engine, checker=checker), turn(said("a cat")))
    assert [file.spoiler for file in seen[-1].files] == [covered] * shown
    assert not any(draft.preview for draft in seen)


@pytest.mark.parametrize(
    ("unsafe", "blank"), [("hide", False), ("hide", True), ("cover", True), ("show", True)]
)
async def test_a_picture_that_is_hidden_is_words(store: Shelf, unsafe: str, blank: bool) -> None:
    engine = Easel(unsafe=True, blank=blank)
    final = await answer(painter(store, engine, unsafe=unsafe), "a cat --seed 1")
    assert (final.files, final.controls) == ((), (Control.RETRY,))
    assert "The model's safety checker hid this picture." in final.text


# --- wishes ------------------------------------------------------------------------------------


async def drawn(bot: ImageBot, text: str = "a cat --seed 5 --no dogs") -> Message:
    return shown(await answer(bot, text))


async def test_the_same_again_has_another_seed(store: Shelf) -> None:
    engine = Easel()
    bot = painter(store, engine)
    final = await answer(bot, wish("reroll", await drawn(bot)))
    old, new = engine.requests
    assert new == replace(old, seed=None, width=96, height=64, steps=3)
    assert final.text.startswith("**a cat**\nseed 1002,")
    assert final.controls == UNDER_PICTURES


async def test_a_variation_begins_with_the_picture(store: Shelf) -> None:
    engine = Easel()
    bot = painter(store, engine)
    message = await drawn(bot)
    await answer(bot, wish("vary", message))
    new = engine.requests[-1]
    assert new.source == store.file(message.files[0].sha256).read_bytes()
    assert (new.prompt, new.negative, new.seed) == ("a cat", "dogs", None)
    assert (new.strength, new.enlarge, new.width) == (0.5, 1, 96)


async def test_a_picture_is_enlarged_until_its_side_is_too_long(store: Shelf) -> None:
    engine = Easel()
    bot = painter(store, engine)
    larger = shown(await answer(bot, wish("upscale", await drawn(bot))))
    new = engine.requests[-1]
    assert (new.enlarge, new.seed, new.prompt) == (2, 5, "a cat")
    assert request_of(store, larger.files[0]).width == 192
    final = await answer(bot, wish("upscale", larger))
    assert final.text == (
        "That picture has 192x128 pixels. Twice as large would be more than the 256 pixels that a"
        " side may have."
    )
    assert len(engine.requests) == 2


async def test_an_enlarged_picture_stands_for_the_one_that_was_enlarged(store: Shelf) -> None:
    engine = Easel()
    bot = painter(store, engine, largest_side=1000)
    mine = await store.keep(photo(), "me.jpg", "image/jpeg")
    small = shown(await answer(bot, turn(said("made of glass", mine))))
    large = shown(await answer(bot, wish("upscale", small)))
    larger = shown(await answer(bot, wish("upscale", large)))
    engine.requests.clear()
    await answer(bot, wish("edit", larger, "made of wood"))
    await answer(bot, wish("edit", small, "made of wood"))
    from_larger, from_small = engine.requests
    assert from_larger == from_small
    assert (from_small.source, from_small.enlarge) == (photo(), 1)


async def test_a_model_is_kept_within_the_limits_of_its_bot(store: Shelf) -> None:
    engine = Easel()
    await answer(painter(store, engine, most_steps=2, largest_side=80), "a cat")
    [request] = engine.requests
    assert (request.steps, request.width, request.height) == (2, 80, None)


async def test_a_picture_of_an_engine_without_seeds_is_told_without_one(store: Shelf) -> None:
    class Seedless(Easel):
        def _picture(self, request: ImageRequest) -> Picture:
            drawn = super()._picture(request)
            return replace(drawn, request=replace(drawn.request, seed=None))

    final = await answer(painter(store, Seedless()), "a cat")
    assert final.text == "**a cat**\n96x64, 3 steps"
    assert final.files[0].name == "a-cat.png"


async def test_an_edit_changes_what_is_said_and_keeps_the_rest(store: Shelf) -> None:
    engine = Easel()
    bot = painter(store, engine)
    message = await drawn(bot)
    await answer(bot, wish("edit", message, "a dog --steps 2"))
    await answer(bot, wish("edit", message, "--seed 6"))
    _, words_and_steps, seed = engine.requests
    assert (words_and_steps.prompt, words_and_steps.steps) == ("a dog", 2)
    assert (words_and_steps.seed, words_and_steps.negative) == (5, "dogs")
    assert (seed.prompt, seed.seed) == ("a cat", 6)


async def test_a_picture_from_a_picture_is_drawn_again_from_it(store: Shelf) -> None:
    engine = Easel()
    bot = painter(store, engine)
    mine = await store.keep(photo(), "me.jpg", "image/jpeg")
    message = shown(await answer(bot, turn(said("made of glass", mine))))
    await answer(bot, wish("reroll", message))
    await answer(bot, wish("edit", message, "made of wood"))
    assert [request.source for request in engine.requests] == [photo()] * 3
    assert f"drawn from: `{mine.sha256[:12]}`" in await bot.settings(message)
    store.file(mine.sha256).unlink()
    final = await answer(bot, wish("reroll", message))
    assert final.text == "The picture that it was drawn from is not there any more."


async def test_of_several_pictures_the_first_is_meant(store: Shelf) -> None:
    engine = Easel()
    bot = painter(store, engine)
    message = await drawn(bot, "a cat --number 2 --seed 5")
    final = await answer(bot, wish("vary", message))
    assert engine.requests[-1].source == store.file(message.files[0].sha256).read_bytes()
    assert engine.requests[-1].count == 1
    assert final.text.endswith("\nThere are 2 pictures; I took the first.")


async def test_what_is_no_picture_of_ours_is_said_kindly(store: Shelf) -> None:
    bot = painter(store, Easel())
    foreign = await store.keep(photo(), "me.jpg", "image/jpeg")
    gone = File(sha256="0" * 64, name="x.png", media_type="image/png", size=1)
    for about, told in (
        (None, "That picture is not there any more."),
        (replace(said("x", foreign), deleted_at=1.0), "That picture is not there any more."),
        (said("x", gone), "That picture is not there any more."),
        (said("no picture"), "There is no picture in that message."),
        (
            said("mine", foreign),
            "I cannot tell how that picture was drawn. Reply to it with what it should become.",
        ),
    ):
        for what in ("reroll", "vary", "upscale", "edit"):
            assert await words(bot, wish(what, about)) == told


async def test_forged_settings_are_held_to_the_limits(store: Shelf) -> None:
    engine = Easel()
    bot = painter(store, engine)
    honest = store.file((await drawn(bot)).files[0].sha256).read_bytes()
    engine.requests.clear()
    old = metadata.read(honest)
    assert old is not None

    async def sent(**forged: Any) -> Message:
        content = metadata.write(Image.new("RGB", (8, 8)), replace(old, **forged))
        return said("look", await store.keep(content, "x.png", "image/png"))

    assert "not `10000`" in await words(bot, wish("reroll", await sent(steps=10_000)))
    assert "not `500`" in await words(bot, wish("vary", await sent(count=500)))
    assert "no LoRA adapter" in await words(
        bot, wish("reroll", await sent(adapters=(("/etc", 1.0),)))
    )
    await answer(bot, wish("reroll", await sent(enlarge=1000)))
    await answer(bot, wish("edit", await sent(width=100_000, height=1)))
    first, second = engine.requests
    assert first.enlarge == 1
    assert (second.width, second.height) == (None, None)


async def test_a_wish_to_draw_takes_its_words_as_they_are(store: Shelf) -> None:
    engine = Easel()
    await answer(painter(store, engine), wish("draw", text="draw me like one of your cats?"))
    assert engine.requests[0].prompt == "draw me like one of your cats?"
    told = await answer(painter(store, Easel(WORLD)), wish("draw"))
    assert told.text.startswith("I draw circles and squares.")


# --- a better prompt ---------------------------------------------------------------------------


class Poet:
    """A text engine that writes one line, or fails."""

    card = ModelCard(context=1000)

    def __init__(self, line: str = "", error: Exception | None = None) -> None:
        self._line = line
        self._error = error
        self.requests: list[TextRequest] = []

    async def count(self, request: TextRequest) -> int:
        return len(request.lines)

    async def generate(self, request: TextRequest) -> AsyncGenerator[Piece]:
        self.requests.append(request)
        if self._error is not None:
            raise self._error
        yield Piece(text=self._line, finish="stop")


async def test_an_improved_prompt_is_drawn_and_shown(store: Shelf) -> None:
    engine, poet = Easel(), Poet(' "a cat in *golden* light"\n')
    bot = painter(store, engine, improver=Improver(poet, "poet", "painter"))
    begun, *_, final = await drafts(bot, turn(said("a cat --seed 1")))
    assert begun.text == "*thinking of a better prompt…*"
    assert engine.requests[0].prompt == "a cat in *golden* light"
    assert final.text.splitlines()[:2] == [
        "**a cat**",
        r"improved: a cat in \*golden\* light",
    ]
    # what is drawn again is the improved prompt, and it is not improved once more
    await answer(bot, wish("reroll", shown(final)))
    assert engine.requests[1].prompt == "a cat in *golden* light"
    [request] = poet.requests
    assert request.lines[-1].text == "a cat"
    assert request.sampling.max_tokens is not None


async def test_a_picture_is_drawn_also_when_its_prompt_cannot_be_improved(store: Shelf) -> None:
    asked = "a red circle --seed 1"
    for poet in (
        Poet(error=EngineDied("gone")),
        Poet(error=EngineFailed("too long")),
        Poet(""),
        Poet("a crimson orb"),  # words that the image model never learned
    ):
        engine = Easel(WORLD)
        bot = painter(store, engine, improver=Improver(poet, "poet", "painter"))
        final = await answer(bot, asked)
        assert engine.requests[0].prompt == "a red circle"
        assert final.text.endswith(
            "\nI could not improve the prompt; it was drawn as you wrote it."
        )


async def test_a_prompt_for_a_given_picture_is_not_improved(store: Shelf) -> None:
    engine = Easel()
    bot = painter(store, engine, improver=Improver(EchoEngine(), "echo", "painter"))
    mine = await store.keep(photo(), "me.jpg", "image/jpeg")
    final = await answer(bot, turn(said("made of glass", mine)))
    assert "improved" not in final.text


# --- what can be asked about pictures ----------------------------------------------------------


async def test_settings_tell_everything_a_picture_was_drawn_with(store: Shelf) -> None:
    bot = painter(store, Easel())
    message = await drawn(bot, "a *cat* --seed 5 --no dogs --lora rain:0.5 --guidance 4")
    assert await bot.settings(message) == (
        "- prompt: a \\*cat\\*\n- without: dogs\n- seed: 5\n- steps: 3\n- guidance: 4.0\n"
        "- size: 96x64\n- model: easel\n- LoRA adapters: rain 0.5"
    )
    assert await bot.prompt(message) == "a *cat*"
    several = await bot.settings(await drawn(bot, "a cat --number 2 --seed 5"))
    assert [line for line in several.splitlines() if "seed" in line] == ["- seed: 5", "- seed: 6"]


async def test_there_are_no_settings_of_what_was_not_drawn_here(store: Shelf) -> None:
    bot = painter(store, Easel())
    foreign = await store.keep(photo(), "me.jpg", "image/jpeg")
    for message in (said("words"), said("mine", foreign)):
        with pytest.raises(Refused):
            await bot.settings(message)
        with pytest.raises(Refused):
            await bot.prompt(message)


async def test_options_for_a_place_are_kept_in_one_form(store: Shelf) -> None:
    bot = painter(store, Easel())
    assert bot.options("\u2014steps 20, --wide") == "--size 96x64 --steps 20"
    assert bot.options("") == ""
    with pytest.raises(Refused, match="`a cat` is no option"):
        bot.options("a cat")
    with pytest.raises(Refused, match="not `1000`"):
        bot.options("--steps 1000")
