"""The text engine's requests: what they may ask for, how they end, and what may go wrong."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from text_engines import answer, ask, assert_as_generated, engine, outcomes, text
from tiny_models import (
    build,
    chat_model,
    family_model,
    reddit_model,
    speakers_model,
    tiny_tokenizer,
)

from botdaemon.errors import EngineFailed, ModelUnusable
from botdaemon.types import ChatLine, Sampling, TextRequest

if TYPE_CHECKING:
    from pathlib import Path

    from models.text import TransformersEngine

MODELS = {"chat": chat_model, "speakers": speakers_model, "reddit": reddit_model}


@pytest.fixture(scope="module")
def tiny() -> TransformersEngine:
    return engine(chat_model())


# --- one request -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MODELS)
def test_greedy_answers_equal_generate_in_every_format(kind: str) -> None:
    tiny = engine(MODELS[kind]())
    slots = [tiny.start(ask(line, max_tokens=60)) for line in ("hello", "good night! " * 5)]
    outcomes(tiny)
    assert_as_generated(MODELS[kind](), *slots)


def test_an_answer_is_counted_and_ends_by_length(tiny: TransformersEngine) -> None:
    pieces = answer(tiny, ask(max_tokens=12))
    assert [piece.tokens for piece in pieces] == list(range(1, 13))
    assert {piece.prompt_tokens for piece in pieces} == {19}
    assert [piece.finish for piece in pieces] == [""] * 11 + ["length"]
    assert not tiny.busy


def test_a_stop_string_anywhere_in_the_answer_ends_it_and_is_never_seen(
    tiny: TransformersEngine,
) -> None:
    whole = text(answer(tiny, ask()))
    for start in range(1, len(whole) - 4, 3):
        stop = whole[start : start + 4]
        pieces = answer(tiny, ask(stop=("never said", stop)))
        assert text(pieces) == whole[: whole.index(stop)]
        assert pieces[-1].finish == "stop"


def test_the_end_token_ends_the_answer(tmp_path: Path) -> None:
    plain = engine(chat_model())
    slot = plain.start(ask())
    outcomes(plain)
    said = slot.ids[slot.prompt_tokens :]
    model = shutil.copytree(chat_model(), tmp_path / "model")
    (model / "generation_config.json").write_text(json.dumps({"eos_token_id": [said[2]]}))

    pieces = answer(engine(model), ask())

    assert (pieces[-1].finish, pieces[-1].tokens) == ("stop", 3)
    assert text(pieces) == plain._format.tokenizer.decode(said[:2])


def test_a_seed_repeats_an_answer_whoever_else_is_there_and_no_seed_does_not(
    tiny: TransformersEngine,
) -> None:
    def said(*seeds: int | None) -> list[list[int]]:
        drawn: dict[str, Any] = {"temperature": 1.5, "top_k": 50, "top_p": 0.95, "min_p": 0.01}
        slots = [tiny.start(ask(seed=seed, **drawn)) for seed in seeds]
        outcomes(tiny)
        return [slot.ids for slot in slots]

    (seven,), (eight,) = said(7), said(8)
    assert seven != eight
    together = said(8, None, 7)
    assert (together[0], together[2]) == (eight, seven)
    assert len({tuple(ids) for ids in said(None, None, None, None)}) > 1


def test_repeating_can_be_forbidden(tiny: TransformersEngine) -> None:
    slot = tiny.start(ask(no_repeat_ngram=1, max_tokens=80))
    penalised = tiny.start(ask(repetition_penalty=1.8))
    free = tiny.start(ask())
    outcomes(tiny)
    said = slot.ids[slot.prompt_tokens :]
    assert len(set(said)) == len(said)
    assert penalised.ids != free.ids
    assert_as_generated(chat_model(), free)


def test_the_request_comes_before_the_format_and_the_format_before_the_generation_config(
    tmp_path: Path,
) -> None:
    model = shutil.copytree(chat_model(), tmp_path / "model")
    generation = {"do_sample": True, "temperature": 0.7, "max_new_tokens": 9}
    (model / "generation_config.json").write_text(json.dumps(generation))
    (model / "format.json").write_text(json.dumps({"sampling": {"max_tokens": 5, "seed": 1}}))
    both = engine(model)

    def tokens(sampling: Sampling) -> int:
        lines = (ChatLine(role="user", text="hello"),)
        request = TextRequest(model="tiny", speaker="Bot", lines=lines, sampling=sampling)
        return answer(both, request)[-1].tokens

    assert tokens(Sampling(max_tokens=3)) == 3
    assert tokens(Sampling()) == 5
    assert both._defaults.temperature == 0.7
    (model / "format.json").unlink()
    assert engine(model)._defaults.max_tokens == 9


def test_a_prompt_that_does_not_fit_is_refused_with_the_arithmetic(
    tiny: TransformersEngine,
) -> None:
    with pytest.raises(
        EngineFailed, match=r'the prompt has \d+ tokens, but model "tiny" takes 256'
    ):
        tiny.start(ask("hello there " * 200))
    assert not tiny.busy


def test_an_answer_never_outgrows_the_context(tiny: TransformersEngine) -> None:
    pieces = answer(tiny, ask("hello there, " * 40, max_tokens=10_000))
    assert pieces[-1].prompt_tokens + pieces[-1].tokens == 256
    assert pieces[-1].finish == "length"


def test_a_prompt_is_tokenised_as_transformers_would() -> None:
    from transformers import PreTrainedTokenizerFast

    from models import formats

    directory = chat_model()
    theirs = PreTrainedTokenizerFast.from_pretrained(directory)
    chat = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "hi, how are you?"},
        {"role": "assistant", "content": "fine — 好"},
        {"role": "user", "content": "good"},
    ]
    lines = tuple(ChatLine(role=line["role"], text=line["content"]) for line in chat)  # type: ignore[arg-type]
    ours = formats.load(directory).encode(TextRequest(model="", speaker="Bot", lines=lines))
    assert ours == theirs.apply_chat_template(chat, add_generation_prompt=True)["input_ids"]


# --- what may go wrong under way -------------------------------------------------------------


def test_a_dropped_request_makes_room_and_disturbs_nobody() -> None:
    tiny = engine(chat_model(), batch=2)
    first, second, third = (tiny.start(ask(line)) for line in ("hello", "x", "good night!"))
    outcomes(tiny, steps=5)
    assert second.tokens > 0 == third.tokens
    tiny.drop(first)
    found = outcomes(tiny)
    tiny.drop(first)  # it is gone already
    assert set(found) == {second, third}
    assert_as_generated(chat_model(), second, third)


def test_a_request_that_waits_can_be_dropped() -> None:
    tiny = engine(chat_model(), batch=1)
    first, second = tiny.start(ask()), tiny.start(ask("x"))
    outcomes(tiny, steps=2)
    tiny.drop(second)
    assert set(outcomes(tiny)) == {first}


def test_what_is_no_number_fails_its_own_request_only(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    model = shutil.copytree(family_model("llama"), tmp_path / "model")
    weights = load_file(model / "model.safetensors")
    bad = tiny_tokenizer(("<|endoftext|>", "<|im_start|>", "<|im_end|>")).encode("%").ids
    weights["model.embed_tokens.weight"][bad] = torch.nan
    save_file(weights, model / "model.safetensors", {"format": "pt"})
    tiny = engine(model, batch=3)

    sound = tiny.start(ask("hello"))
    broken = [tiny.start(ask(line)) for line in ("100 % sure", "so " * 60 + "%")]
    # It takes the row of a broken one, where nothing of it may be left.
    late = tiny.start(ask("x", max_tokens=60))
    found = outcomes(tiny)

    for slot in broken:
        (failure,) = found[slot]
        assert str(failure).startswith('model "tiny" computed something that is no number')
    assert_as_generated(family_model("llama"), sound, late)


def test_a_step_that_raises_changes_nothing() -> None:
    import torch

    tiny = engine(chat_model())
    alone = [tiny.start(ask(line, temperature=2.0, seed=3)) for line in ("hello", "x" * 90)]
    outcomes(tiny)
    slots = [tiny.start(ask(line, temperature=2.0, seed=3)) for line in ("hello", "x" * 90)]
    layers = [m for m in tiny._network.model.modules() if isinstance(m, torch.nn.LayerNorm)]

    def run_out(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    for layer in layers:  # early in a forward, half-way, and at its very end
        handle = layer.register_forward_hook(run_out)
        with pytest.raises(torch.OutOfMemoryError):
            tiny.step()
        handle.remove()
        outcomes(tiny, steps=2)
    outcomes(tiny)
    assert [slot.ids for slot in slots] == [slot.ids for slot in alone]


def test_relief_makes_the_batch_smaller_and_loses_nothing() -> None:
    tiny = engine(chat_model())
    slots = [tiny.start(ask(line)) for line in ("hello", "x", "good night!", "who are you?")]
    outcomes(tiny, steps=7)
    said = [list(slot.ids) for slot in slots]
    assert tiny.relieve()
    outcomes(tiny, steps=4)
    assert len(tiny._slots) == 2
    assert tiny.relieve()
    outcomes(tiny, steps=2)
    assert len(tiny._slots) == 1
    outcomes(tiny)
    assert [slot.ids[: len(ids)] for slot, ids in zip(slots, said, strict=True)] == said
    assert_as_generated(chat_model(), *slots)


def test_relief_comes_to_an_end() -> None:
    tiny = engine(chat_model())
    answer(tiny, ask())
    reliefs = [tiny.relieve() for _ in range(10)]
    assert reliefs == sorted(reliefs, reverse=True)
    assert (reliefs[0], reliefs[-1]) == (True, False)
    assert tiny._kept.bytes == 0
    assert answer(tiny, ask())[-1].tokens == 40


def test_after_a_rest_requests_go_on_where_they_were() -> None:
    tiny = engine(chat_model())
    slots = [tiny.start(ask(line)) for line in ("hello", "x")]
    outcomes(tiny, steps=5)
    tiny.rest()
    assert tiny._rows.bytes == tiny._kept.bytes == 0
    tiny.wake()
    outcomes(tiny)
    assert_as_generated(chat_model(), *slots)


# --- models that cannot be used --------------------------------------------------------------


def test_weights_that_do_not_belong_to_the_config_are_refused(tmp_path: Path) -> None:
    model = shutil.copytree(chat_model(), tmp_path / "model")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "n_layer": 3}))
    with pytest.raises(ModelUnusable, match=r"lack 12 parts, the first is transformer.h.2"):
        engine(model)


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    model = build(tmp_path / "model", special=("<|endoftext|>",), template="")
    tiny_tokenizer(("<|endoftext|>", *(f"<|{n}|>" for n in range(300)))).save(
        str(model / "tokenizer.json")
    )
    with pytest.raises(ModelUnusable, match="they do not belong together"):
        engine(model)


def test_an_unknown_architecture_is_refused(tmp_path: Path) -> None:
    model = shutil.copytree(chat_model(), tmp_path / "model")
    (model / "config.json").write_text('{"model_type": "gpt9", "n_positions": 64}')
    with pytest.raises(ModelUnusable, match=r'model "tiny" in .* cannot be loaded: .*gpt9'):
        engine(model)


def test_a_model_without_a_cache_of_the_known_kind_is_refused(tmp_path: Path) -> None:
    from transformers import MambaConfig, MambaForCausalLM

    model = shutil.copytree(chat_model(), tmp_path / "model")
    sizes: Any = {"hidden_size": 8, "num_hidden_layers": 1, "state_size": 2, "vocab_size": 500}
    MambaForCausalLM(MambaConfig(**sizes)).save_pretrained(model)
    (model / "format.json").write_text('{"context": 64}')
    with pytest.raises(ModelUnusable, match="a mamba model keeps its state in a way that this"):
        engine(model)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"dtype": "int3"}, 'there is no dtype "int3"; say "auto" or one of float32'),
        ({"device": "toaster"}, 'there is no device "toaster"; say "auto", "cpu" or "cuda:0"'),
        ({"device": "cuda:99"}, 'there is no device "cuda:99" on this machine'),
    ],
)
def test_a_device_or_number_format_that_is_not_there_is_named(
    options: dict[str, Any], sentence: str
) -> None:
    from models.text import TransformersEngine

    with pytest.raises(ModelUnusable) as refused:
        TransformersEngine(name="tiny", directory=chat_model(), **options)
    assert sentence in str(refused.value)
