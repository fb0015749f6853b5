"""What the text engine remembers of conversations: what is not read again, and how much is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from text_engines import answer, ask, assert_as_generated, engine, outcomes
from tiny_models import family_model

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from models.text import Slot, TransformersEngine

LONG = "my name is Ada and i like music, films and long walks. " * 8
TOKEN = 2 * 2 * 2 * 8 * 4
"""Bytes a token takes: keys and values of 2 layers, 2 heads, 8 floats of 4 bytes."""


def llama() -> Path:
    return family_model("llama")


def begin(tiny: TransformersEngine, line: str) -> tuple[Slot, int]:
    """Start a request up to its first token, alone. Returns how many tokens the model read."""
    read = 0

    def count(_: Any, inputs: tuple[torch.Tensor, ...], __: Any) -> None:
        nonlocal read
        read += inputs[0].numel()

    handle = tiny._network.model.get_input_embeddings().register_forward_hook(count)
    slot = tiny.start(ask(line))
    while not slot.tokens:
        tiny.step()
    handle.remove()
    return slot, read


def test_the_next_turn_of_a_thread_reads_only_what_is_new() -> None:
    tiny = engine(llama())
    slot, read = begin(tiny, LONG)
    assert read == slot.prompt_tokens > 100
    outcomes(tiny)
    for words in ("hello", "hello there", "hello there, how are you?"):
        slot, read = begin(tiny, LONG + words)
        assert read < 20
        outcomes(tiny)
        assert_as_generated(llama(), slot)


def test_threads_share_how_they_begin() -> None:
    tiny = engine(llama())
    ada = tiny.start(ask(LONG + "Ada"))
    tiny.step()
    assert ada.read < ada.prompt_tokens  # its prompt takes several steps
    while not ada.tokens:
        tiny.step()
    bob, read = begin(tiny, LONG + "Bob")
    assert read < 40  # some for Ada's reply
    outcomes(tiny)
    assert_as_generated(llama(), ada, bob)


def test_a_dropped_turn_is_remembered_too() -> None:
    tiny = engine(llama())
    slot, _ = begin(tiny, LONG)
    tiny.drop(slot)
    assert begin(tiny, LONG)[1] == 1


def test_what_is_kept_and_under_way_stays_within_the_bound() -> None:
    bound = 1000 * TOKEN
    tiny = engine(llama(), cache_bytes=bound)
    kept = set()
    slots = []
    for number in range(12):
        slots.append(tiny.start(ask(f"{number} {LONG}", max_tokens=30)))
        for _ in range(4):
            tiny.step()
            assert tiny._rows.bytes + tiny._kept.bytes <= bound
            kept.add(tiny._kept.bytes)
    while tiny.busy:
        tiny.step()
        assert tiny._rows.bytes + tiny._kept.bytes <= bound
    assert max(kept) > 0
    assert_as_generated(llama(), *slots)


def test_the_least_recently_used_are_forgotten_first() -> None:
    plenty = engine(llama())
    answer(plenty, ask(f"Ada: {LONG}"))
    one = plenty._kept.bytes
    tiny = engine(llama(), cache_bytes=2 * one + one // 2 + plenty._rows.cost(1, 256))
    for name in ("Ada", "Bob"):
        answer(tiny, ask(f"{name}: {LONG}"))
    assert begin(tiny, f"Ada: {LONG} hi")[1] < 20
    outcomes(tiny)
    assert begin(tiny, f"Bob: {LONG} hi")[1] > 100


def test_a_request_without_room_waits_and_a_single_one_never_does() -> None:
    tiny = engine(llama(), cache_bytes=1)
    slots = [tiny.start(ask(line)) for line in ("hello", "x")]
    found = outcomes(tiny, steps=3)
    assert (len(found), slots[1].tokens) == (1, 0)
    outcomes(tiny)
    assert_as_generated(llama(), *slots)


def test_rows_that_outgrow_the_room_wait_and_lose_nothing() -> None:
    tiny = engine(llama(), cache_bytes=3 * 128 * TOKEN)
    slots = [tiny.start(ask(line, max_tokens=150)) for line in ("hello", "x", "so?")]
    most = fewest = 0
    while tiny.busy:
        tiny.step()
        most = max(most, len(tiny._slots))
        if most == 3 and not any(slot.tokens >= 150 for slot in slots):
            fewest = len(tiny._slots)
    assert (most, fewest < 3) == (3, True)
    assert_as_generated(llama(), *slots)


@pytest.mark.parametrize(
    ("one", "other", "tokens"),
    [([], [], 0), ([1], [], 0), ([1, 2], [1, 2], 2), ([1, 2, 3], [1, 2], 2), ([2, 1], [1, 2], 0)],
)
def test_what_two_conversations_have_in_common(
    one: list[int], other: list[int], tokens: int
) -> None:
    from models.text.kept import common

    assert common(one, other) == common(other, one) == tokens
