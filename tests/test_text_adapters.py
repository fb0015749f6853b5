"""LoRA adapters beside one model: several in a batch, loaded when they are asked for, and again."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from text_engines import ask, assert_as_generated, engine, outcomes
from tiny_models import adapter, chat_model, family_model

from botdaemon.errors import EngineFailed

if TYPE_CHECKING:
    from pathlib import Path

#: peft 0.21 asks transformers 5.23 for something by its old name
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is dep:FutureWarning")

LONG = "my name is Ada and i like music, films and long walks. " * 6


@pytest.mark.parametrize("family", ["gpt2", "llama", "falcon-7b", "falcon-rw"])
def test_adapters_and_the_model_itself_share_a_batch_exactly(family: str) -> None:
    base = family_model(family)
    voices = {"ada": adapter(base, seed=1), "bob": adapter(base, seed=2)}
    tiny = engine(base, adapters=voices)
    names = ["", "ada", "bob", "ada", ""]
    slots = [tiny.start(ask(LONG[: 40 * n], adapter=name)) for n, name in enumerate(names, 1)]
    outcomes(tiny)
    said = set()
    for slot, name in zip(slots, names, strict=True):
        assert_as_generated(base, slot, adapter=voices.get(name))
        said.add(tuple(slot.ids[slot.prompt_tokens :]))
    assert len(said) > 2


def test_what_one_voice_has_read_is_no_use_to_another() -> None:
    base = family_model("llama")
    voices = {"ada": adapter(base, seed=1)}
    tiny = engine(base, adapters=voices)
    for name in ("", "ada", ""):
        slot = tiny.start(ask(LONG, adapter=name))
        outcomes(tiny)
        assert_as_generated(base, slot, adapter=voices.get(name))


def test_an_adapter_that_was_trained_on_is_loaded_again(tmp_path: Path) -> None:
    base = family_model("llama")
    one, two = adapter(base, seed=1), adapter(base, seed=2)
    place = shutil.copytree(one, tmp_path / "ada")
    tiny = engine(base, adapters={"ada": place})
    before = tiny.start(ask("hello", adapter="ada"))
    outcomes(tiny, steps=3)

    weights = place / "adapter_model.safetensors"
    shutil.copy(two / weights.name, weights)
    os.utime(weights, (1, 1))
    after = tiny.start(ask("hello", adapter="ada"))
    outcomes(tiny)

    # Whoever spoke with the old one went on with it to the end.
    assert_as_generated(base, before, adapter=one)
    assert_as_generated(base, after, adapter=two)
    # And then it is gone.
    again = tiny.start(ask("hello", adapter="ada"))
    outcomes(tiny)
    assert again.ids == after.ids
    assert list(tiny._adapters._peft.peft_config) == [again.adapter]


def test_only_so_many_stay_loaded() -> None:
    from models.text.adapters import MOST

    base = family_model("llama")
    voices = {f"v{n}": adapter(base, seed=n % 2 + 1) for n in range(MOST + 3)}
    tiny = engine(base, adapters=voices)
    for name in voices:
        slot = tiny.start(ask("hello", max_tokens=8, adapter=name))
        outcomes(tiny)
        assert_as_generated(base, slot, adapter=voices[name])
        assert len(tiny._adapters._peft.peft_config) <= MOST
    slot = tiny.start(ask("hello", max_tokens=8, adapter="v0"))
    outcomes(tiny)
    assert_as_generated(base, slot, adapter=voices["v0"])


def test_a_step_that_raises_leaves_every_voice_its_own() -> None:
    import torch

    base = family_model("gpt2")
    voices = {"ada": adapter(base, seed=1)}
    tiny = engine(base, adapters=voices)
    slots = [tiny.start(ask("hello", adapter=name)) for name in ("ada", "")]
    outcomes(tiny, steps=4)

    def run_out(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    handle = tiny._network.model.transformer.ln_f.register_forward_hook(run_out)
    with pytest.raises(torch.OutOfMemoryError):
        tiny.step()
    handle.remove()
    outcomes(tiny)
    assert_as_generated(base, slots[0], adapter=voices["ada"])
    assert_as_generated(base, slots[1])


# --- adapters that cannot be used ------------------------------------------------------------


def refusal(base: Path, directory: Path) -> str:
    """What a request for the adapter is told; and that the next, for none, is answered."""
    tiny = engine(base, adapters={"ada": directory})
    with pytest.raises(EngineFailed) as refused:
        tiny.start(ask("hello", adapter="ada"))
    slot = tiny.start(ask("hello"))
    outcomes(tiny)
    assert_as_generated(base, slot)
    return str(refused.value)


def test_an_adapter_that_nobody_named_is_refused_with_those_there_are() -> None:
    tiny = engine(chat_model(), adapters={"ada": chat_model(), "bob": chat_model()})
    with pytest.raises(EngineFailed) as refused:
        tiny.start(ask(adapter="cleo"))
    assert str(refused.value) == (
        'model "tiny" has no adapter "cleo"; it has "ada", "bob": add it under models.tiny.adapters'
    )
    assert not tiny.busy


def test_an_adapter_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert refusal(chat_model(), tmp_path / "ada") == (
        f'adapter "ada" of model "tiny" cannot be used: {tmp_path}/ada/adapter_config.json cannot'
        " be read: No such file or directory"
    )


def test_an_adapter_that_is_half_copied_is_refused(tmp_path: Path) -> None:
    base = family_model("llama")
    half = shutil.copytree(adapter(base, seed=1), tmp_path / "ada")
    weights = (half / "adapter_model.safetensors").read_bytes()
    (half / "adapter_model.safetensors").write_bytes(weights[: len(weights) // 2])
    assert f"{half} is incomplete or damaged" in refusal(base, half)
    (half / "adapter_config.json").write_text("{")
    assert f"{half} is incomplete or damaged" in refusal(base, half)


def test_an_adapter_of_another_model_is_refused() -> None:
    stranger = refusal(family_model("llama"), adapter(family_model("gpt2"), seed=1))
    assert "it changes transformer.h.0.attn.c_attn, which the model does not have" in stranger
    assert "it was trained on another" in stranger
    larger = refusal(family_model("llama"), adapter(family_model("llama", width=64), seed=1))
    assert "its model.layers.0.self_attn.q_proj takes 64 numbers, the model's 32" in larger


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"peft_type": "IA3"}, "holds IA3, not LORA"),
        ({"use_dora": True}, 'was trained with "use_dora", which no batch can mix with others'),
        ({"modules_to_save": ["lm_head"]}, 'was trained with "modules_to_save"'),
    ],
)
def test_an_adapter_that_cannot_share_a_batch_is_refused(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    base = family_model("llama")
    place = shutil.copytree(adapter(base, seed=1), tmp_path / "ada")
    config = json.loads((place / "adapter_config.json").read_text())
    (place / "adapter_config.json").write_text(json.dumps({**config, **change}))
    assert words in refusal(base, place)
