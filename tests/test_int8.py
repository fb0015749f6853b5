"""int8 on the CPU: near the model it was made of, made once, made again when that changes, and
never read half written."""

from __future__ import annotations

import functools
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from text_engines import ask, engine, outcomes
from tiny_models import FAMILIES, family_model

from botdaemon.errors import ModelUnusable

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

IDS = [[(7 * i) % 300 for i in range(64)]]


@functools.cache
def reference(family: str) -> PreTrainedModel:
    import torch
    from transformers import AutoModelForCausalLM

    automatic: Any = AutoModelForCausalLM  # without types
    model: PreTrainedModel = automatic.from_pretrained(family_model(family), dtype=torch.float32)
    return model


def table(model: PreTrainedModel) -> torch.Tensor:
    embeddings: Any = model.get_input_embeddings()
    found: torch.Tensor = embeddings.weight
    return found


def logits(model: PreTrainedModel, ids: list[list[int]] = IDS) -> torch.Tensor:
    """(tokens, vocabulary) of the first row."""
    import torch

    with torch.inference_mode():
        found: torch.Tensor = model(input_ids=torch.tensor(ids)).logits[0]
    return found


def load(directory: Path) -> PreTrainedModel:
    import torch

    from models.text import int8

    return int8.load(directory, name="tiny", dtype=torch.float32)


def made(directory: Path) -> Path:
    return directory / "int8" / "model.safetensors"


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A GPT-2, the only family whose weights lie the other way round."""
    return copy("gpt2", tmp_path)


def copy(family: str, home: Path) -> Path:
    return Path(shutil.copytree(family_model(family), home / family))


# --- what it says ----------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_it_says_nearly_what_the_original_says(family: str, tmp_path: Path) -> None:
    """Rounding both inputs of a product to 8 bits costs about 1 % of a layer's output. With random
    weights the best words lie close together, and so do the tokens that attention looks for."""
    import torch

    near, exact = logits(load(copy(family, tmp_path))), logits(reference(family))
    assert torch.cosine_similarity(near, exact, dim=-1).mean() > 0.99
    assert (near.argmax(-1) == exact.argmax(-1)).float().mean() > 0.9


@pytest.mark.parametrize("family", FAMILIES)
def test_all_layers_and_the_table_of_tokens_are_in_8_bits(family: str, tmp_path: Path) -> None:
    import torch

    model, wide = load(copy(family, tmp_path)), reference(family)
    assert not any(isinstance(module, torch.nn.Linear) for module in model.modules())
    wider = {name for name, p in model.named_parameters() if p.dtype != torch.int8 and p.ndim > 1}
    assert all("wpe" in name or "embed_positions" in name for name in wider)
    # The last layer has the numbers of the table of tokens in an order of its own.
    assert model.num_parameters() - wide.num_parameters() in (0, table(wide).numel())


def test_what_a_token_becomes_does_not_depend_on_those_beside_it(tiny: Path) -> None:
    """A scale for the whole batch, as torch's own int8 has, would let one conversation change the
    answers of the others."""
    import torch

    model = load(tiny)
    loud = [9] * 64
    together = logits(model, [IDS[0], loud])
    torch.testing.assert_close(together, logits(model), rtol=1e-5, atol=1e-5)


def test_the_rest_may_have_16_bits(tiny: Path) -> None:
    """Which halves the memory of conversations."""
    import torch

    from models.text import int8

    half = int8.load(tiny, name="tiny", dtype=torch.bfloat16)
    assert half.dtype == torch.bfloat16
    with torch.inference_mode():
        past = half(input_ids=torch.tensor(IDS), use_cache=True).past_key_values
    assert past.layers[0].keys.dtype == torch.bfloat16
    assert torch.cosine_similarity(logits(half).float(), logits(load(tiny)), dim=-1).mean() > 0.99


def test_the_engine_batches_streams_and_remembers_with_it(tmp_path: Path) -> None:
    from models.text.engine import SHORTEST_SLICE

    serving = engine(copy("opt-350m", tmp_path), quantize="int8")
    assert serving._network.batched
    long = "i like music, films and long walks. " * 4
    first = [serving.start(ask(prompt, max_tokens=12)) for prompt in (long, "so", "x")]
    pieces = outcomes(serving)
    assert [len(pieces[slot]) for slot in first] == [12, 12, 12]

    again = serving.start(ask(long, max_tokens=12))
    assert again.prompt_tokens > SHORTEST_SLICE  # more than the first step reads
    serving._slice = SHORTEST_SLICE
    outcomes(serving, steps=1)
    assert again.tokens == 1


def test_numbers_that_are_none_come_out_as_such() -> None:
    """So that the engine can say that the weights are at fault."""
    import torch

    from models.text.int8_form import quantise

    rows = torch.tensor([[1.0, float("nan")], [float("inf"), 1.0], [0.0, 0.0]])
    numbers, scale = quantise(rows)
    assert scale.isfinite().flatten().tolist() == [False, False, True]
    assert numbers[2].tolist() == [0, 0]


# --- what is kept ----------------------------------------------------------------------------


def test_it_is_made_once_and_then_the_original_is_not_read(tiny: Path) -> None:
    import torch

    first = logits(load(tiny))
    file = made(tiny).stat()
    original = tiny / "model.safetensors"
    was = original.stat()
    original.write_bytes(b"\0" * was.st_size)  # whoever reads it now fails
    os.utime(original, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert torch.equal(logits(load(tiny)), first)
    assert made(tiny).stat().st_ino == file.st_ino


def test_when_the_original_changes_it_is_made_again(tiny: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    first = logits(load(tiny))
    tensors = load_file(tiny / "model.safetensors")
    tensors["transformer.h.0.mlp.c_fc.weight"] = -tensors["transformer.h.0.mlp.c_fc.weight"]
    (tiny / "model.safetensors").unlink()  # it may still be mapped
    save_file(tensors, tiny / "model.safetensors", metadata={"format": "pt"})
    second = logits(load(tiny))
    assert not torch.allclose(first, second, atol=0.1)
    assert torch.equal(logits(load(tiny)), second)


def test_weights_in_several_files_saved_without_their_head_are_found(tmp_path: Path) -> None:
    """As the first GPT-2 was published, and as large models are."""
    import torch

    directory = copy("gpt2", tmp_path)
    expected = logits(load(directory))
    shutil.rmtree(directory / "int8")
    (directory / "model.safetensors").unlink()
    base: Any = reference("gpt2").base_model
    base.save_pretrained(directory, max_shard_size="50KB")
    assert len(list(directory.glob("*.safetensors"))) > 1
    # That rewrote config.json for a model without a head, which is still read as one with it.
    assert torch.equal(logits(load(directory)), expected)


def test_a_half_written_form_is_never_used(tiny: Path, caplog: pytest.LogCaptureFixture) -> None:
    import torch

    first = logits(load(tiny))
    whole = made(tiny).read_bytes()
    made(tiny).unlink()
    made(tiny).with_suffix(".part").write_bytes(whole[: len(whole) // 2])  # killed on the way
    assert torch.equal(logits(load(tiny)), first)
    assert not made(tiny).with_suffix(".part").exists()

    made(tiny).unlink()
    made(tiny).write_bytes(whole[: len(whole) // 2])  # a copy that broke off
    caplog.clear()
    assert torch.equal(logits(load(tiny)), first)
    assert "is made again" in caplog.text
    assert made(tiny).stat().st_size == len(whole)


@pytest.mark.slow
def test_two_processes_that_start_at_once_make_it_once(tiny: Path) -> None:
    code = (
        "import logging, sys, pathlib; logging.basicConfig(level=logging.INFO)\n"
        "from models.text import int8; int8.load(pathlib.Path(sys.argv[1]), name='tiny')"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code, str(tiny)], stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [process.communicate(timeout=100)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert sum("making its int8 form" in one for one in told) == 1


# --- what may go wrong -----------------------------------------------------------------------


def test_where_it_cannot_be_kept_one_sentence_says_what_to_do(tiny: Path) -> None:
    (tiny / "int8").write_text("not a directory")
    with pytest.raises(ModelUnusable, match=r'"tiny": its int8 form is kept in .*int8, which') as e:
        load(tiny)
    assert "let the daemon write there, or leave out quantize" in str(e.value)


def test_a_full_disk_is_one_sentence_and_leaves_nothing_behind(tiny: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
        with pytest.raises(ModelUnusable, match="make room for it"):
            load(tiny)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert [path.name for path in (tiny / "int8").iterdir()] == ["lock"]
    load(tiny)


def test_missing_weights_are_named(tiny: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(tiny / "model.safetensors")
    del tensors["transformer.h.1.mlp.c_fc.weight"]
    save_file(tensors, tiny / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelUnusable, match=r"lack 1 parts, the first is transformer.h.1.mlp.c_fc"):
        load(tiny)
    (tiny / "model.safetensors").unlink()
    with pytest.raises(ModelUnusable, match="there are no safetensors weights in"):
        load(tiny)


def test_weights_of_another_shape_are_refused(tiny: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(tiny / "model.safetensors")
    tensors["transformer.h.1.mlp.c_fc.weight"] = tensors["transformer.h.1.mlp.c_fc.weight"][:, :8]
    contiguous = {key: tensor.contiguous() for key, tensor in tensors.items()}
    save_file(contiguous, tiny / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        ModelUnusable, match=r"c_fc.weight in .* is of another shape than its config"
    ):
        load(tiny)
