"""Every family of models says in a batch what plain `generate` says to each prompt alone."""

from __future__ import annotations

import pytest
from text_engines import answer, ask, assert_as_generated, engine, outcomes
from tiny_models import FAMILIES, family_model

PROMPTS = ("hello", "i like music, films and long walks. " * 8, "x", "what is your name?", "so")


@pytest.mark.parametrize("family", FAMILIES)
def test_replies_in_a_batch_equal_generate_token_for_token(family: str) -> None:
    from models.text.engine import SHORTEST_SLICE

    directory = family_model(family)
    tiny = engine(directory)
    # They join while others write, are of different lengths, and leave at different times.
    slots = []
    for number, prompt in enumerate(PROMPTS):
        slots.append(tiny.start(ask(prompt, max_tokens=24 - 4 * number)))
        outcomes(tiny, steps=2)
    outcomes(tiny)
    assert max(slot.prompt_tokens for slot in slots) > 2 * SHORTEST_SLICE
    assert_as_generated(directory, *slots)

    # What was said before is not read again, and makes no difference.
    again = tiny.start(ask(PROMPTS[1] + "and you?", max_tokens=12))
    outcomes(tiny)
    assert_as_generated(directory, again)


def test_what_sees_only_so_far_back_goes_one_after_the_other() -> None:
    """Their biases and windows follow from where a token lies in the batch."""
    assert {f for f in FAMILIES if not engine(family_model(f))._network.batched} == {
        "falcon-rw",
        "mistral-sliding",
    }


def test_half_precision_batches_too() -> None:
    tiny = engine(family_model("llama"), dtype="bfloat16")
    assert tiny._network.batched
    assert answer(tiny, ask())[-1].tokens == 40
