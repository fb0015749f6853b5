"""What the option language promises: phones, apostrophes and any order; limits in one sentence."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdaemon.bots.options import MOST_SEED, Limits, Options, read, read_options
from botdaemon.errors import Refused
from botdaemon.types import ImageRequest

LIMITS = Limits(
    pictures=4,
    steps=100,
    side=1536,
    styles=("ink", "Oil"),
    adapters=("rain", "snow"),
    width=768,
    height=512,
)


@pytest.mark.parametrize(
    ("text", "prompt", "options"),
    [
        ("a cat", "a cat", Options()),
        ("a cat's hat --steps 4", "a cat's hat", Options(steps=4)),
        ('a "big" cat --seed 7', 'a "big" cat', Options(seed=7)),
        ("--steps 4 a cat", "a cat", Options(steps=4)),
        ("a --steps=4 cat", "a cat", Options(steps=4)),
        ("a --steps 4, cat", "a cat", Options(steps=4)),
        ("a cat \u2014steps 4", "a cat", Options(steps=4)),
        ("a cat \u2013Steps 4", "a cat", Options(steps=4)),
        ("a cat\n--steps 4\nin a hat", "a cat in a hat", Options(steps=4)),
        ("a cat --no a dog, a hat --seed 1", "a cat", Options(negative="a dog, a hat", seed=1)),
        ("--no dogs --no hats --number 2", "", Options(negative="dogs, hats", count=2)),
        ("x --size 512X256", "x", Options(width=512, height=256)),
        ("x --size 512\u00d7256", "x", Options(width=512, height=256)),
        ("x --size 512x512 --width 64", "x", Options(width=64, height=512)),
        ("--wide x", "x", Options(width=768, height=512)),
        ("x --tall", "x", Options(width=512, height=768)),
        ("x --square", "x", Options(width=768, height=768)),
        ("x --guidance 7,5 --strength 1", "x", Options(guidance=7.5, strength=1.0)),
        ("x --style oil", "x", Options(style="Oil")),
        ("x --style none", "x", Options(style="")),
        ("x --lora rain:0.5", "x", Options(adapters=(("rain", 0.5),))),
        ("--lora rain --lora SNOW:2", "", Options(adapters=(("rain", 1.0), ("snow", 2.0)))),
        ("x --seed 1 --seed 2", "x", Options(seed=2)),
        # Dashes that are only punctuation
        ("a cat\u2014dog -- or \u2014perhaps\u2014 a -5 well--known --", None, Options()),
    ],
)
def test_options_are_read_wherever_they_stand(
    text: str, prompt: str | None, options: Options
) -> None:
    assert read(text, LIMITS) == (text if prompt is None else prompt, options)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x --steps 10000", "`--steps` takes a whole number from 1 to 100, not `10000`."),
        ("x --steps", "`--steps` takes a whole number from 1 to 100."),
        ("x --steps 0", "`--steps` takes a whole number from 1 to 100, not `0`."),
        ("x --steps \u2014seed 4", "`--steps` takes a whole number from 1 to 100."),
        ("x --seed -1", f"`--seed` takes a whole number from 0 to {MOST_SEED}, not `-1`."),
        ("x --seed " + "9" * 5000, "9…`."),
        (
            "x --size 1x100000",
            "such as `512x512`, each from 16 to 1536, not `1x100000`.",
        ),
        ("x --size huge", "not `huge`."),
        ("x --width 9999", "`--width` takes a whole number from 16 to 1536, not `9999`."),
        ("x --number 5", "`--number` takes a whole number from 1 to 4, not `5`."),
        ("x --guidance nan", "`--guidance` takes a number from 0 to 100, not `nan`."),
        ("x --strength 0", "`--strength` takes a number from 0.01 to 1, not `0`."),
        ("x --strength", "`--strength` takes a number from 0.01 to 1."),
        ("x --style crayon", "There is no style `crayon`. There is: `ink`, `Oil`."),
        ("x --lora fog:1", "There is no LoRA adapter `fog`. There is: `rain`, `snow`."),
        ("x --lora rain:9", "`--lora NAME:WEIGHT` takes a number from 0 to 2, not `9`."),
        ("x --no", "After `--no` comes what should not be seen, such as `--no clouds`."),
        ("x --step 4", "I do not know the option `--step`. Did you mean `--steps`?"),
        ("x --bananas", "I do not know the option `--bananas`. I know `--steps`, `--seed`,"),
        ("x --steps `@all`", "not `'@all'`."),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(Refused, match=re.escape(sentence)):
        read(text, LIMITS)


def test_where_there_are_no_styles_nothing_is_listed() -> None:
    with pytest.raises(Refused, match=r"^There is no style to choose here, not `ink`\.$"):
        read("x --style ink", Limits(pictures=1, steps=1, side=64))


def test_words_beside_options_are_refused_where_only_options_are_kept() -> None:
    with pytest.raises(Refused, match=r"^`a cat` is no option\. Options look like"):
        read_options("a cat --steps 4", LIMITS)


def test_what_is_said_comes_before_what_is_usual() -> None:
    said = read_options("--steps 4 --style none --seed 0", LIMITS)
    usual = read_options("--steps 50 --seed 9 --style ink --guidance 3 --lora rain", LIMITS)
    assert said.over(usual) == Options(
        steps=4, seed=0, style="", guidance=3.0, adapters=(("rain", 1.0),)
    )


def test_the_model_s_own_size_is_never_made_larger_than_allowed() -> None:
    small = Limits(pictures=1, steps=1, side=100, width=1024, height=1024)
    assert read_options("--square", small) == Options(width=96, height=96)


_SIDES = st.integers(16, 1536)
_OPTIONS = st.builds(
    Options,
    steps=st.none() | st.integers(1, 100),
    seed=st.none() | st.integers(0, MOST_SEED),
    width=st.none() | _SIDES,
    height=st.none() | _SIDES,
    guidance=st.none() | st.floats(0, 100),
    negative=st.none() | st.sampled_from(["dogs", "a dog, a cat's hat", "well--known \u2014 x"]),
    count=st.none() | st.integers(1, 4),
    style=st.none() | st.sampled_from(["", "ink", "Oil"]),
    strength=st.none() | st.floats(0.01, 1),
    adapters=st.none()
    | st.dictionaries(st.sampled_from(["rain", "snow"]), st.floats(0, 2), min_size=1).map(
        lambda weights: tuple(weights.items())
    ),
)


@given(_OPTIONS)
def test_options_written_out_are_the_options_that_were_read(options: Options) -> None:
    assert read_options(str(options), LIMITS) == options


_SCRAPS = (
    *(
        "--steps",
        "--no",
        "--size",
        "--lora",
        "--style",
        "--wide",
        "\u2014seed",
        "--",
        "--x",
        "\u2014",
    ),
    *("4", "512x512", "rain:1", "ink", "none", "a cat's", "=", ",", "\n"),
)


@given(st.lists(st.sampled_from(_SCRAPS) | st.text(max_size=5)))
def test_whatever_is_read_is_read_the_same_when_it_is_written_out(scraps: list[str]) -> None:
    try:
        prompt, options = read(" ".join(scraps), LIMITS)
    except Refused:
        return
    assert read(f"{prompt} {options}", LIMITS) == (prompt, options)


@given(st.lists(st.text(st.characters(exclude_characters="-\u2013\u2014"), max_size=20)))
def test_a_prompt_without_dashes_stays_as_it_is_typed(words: list[str]) -> None:
    assert read(" ".join(words), LIMITS) == (" ".join(" ".join(words).split()), Options())


def test_the_options_of_a_request_can_be_typed_again() -> None:
    request = ImageRequest(model="m", prompt="x", seed=3, width=64, height=32, negative="")
    assert str(Options.of(request)) == "--size 64x32 --seed 3 --number 1"
    assert read_options("--seed 3", LIMITS).changes() == {"seed": 3}
