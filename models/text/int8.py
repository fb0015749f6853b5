"""A model in int8 on the CPU, as a way of loading: what it returns runs like any other model. Knows
no requests, and not how the int8 form lies on disk.

Weights have a scale per output, 8 bits and no zero point; the inputs of a layer get a scale per
token when they come. Their products are summed as whole numbers, so what a token becomes does not
depend on the tokens that are computed beside it. Biases, norms and positions stay floats.

Neither way to a quantised model that the libraries offer does here: torch.ao's (quantised tensors)
is deprecated and has one scale for the whole batch, and both it and transformers' quantizers want
the whole model in full width first, which is most of what int8 is to save.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import accelerate  # type: ignore[import-untyped]  # it has no types
import torch
import transformers
from torch import nn

from botdaemon.errors import ModelUnusable
from models.footprints import weight_files
from models.measure import Gauge, out_of_memory
from models.text import int8_form
from models.text.int8_form import Wanted, quantise, scale_of

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedModel


#: malloc.h of glibc
_M_MMAP_THRESHOLD = -3
#: up to so many rows a product has a kernel of its own for each number, above for each multiple
_FEW, _STRIDE = 16, 32


class _Scaled(nn.Module):
    """Numbers in 8 bits, and a scale for each row."""

    #: a buffer: a model's number format is that of its parameters, and this has 32 bits in any
    scale: torch.Tensor

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        numbers = torch.empty((rows, columns), dtype=torch.int8, device="meta")
        self.weight = nn.Parameter(numbers, requires_grad=False)
        self.register_buffer("scale", torch.empty(rows, dtype=torch.float32, device="meta"))


class Linear(_Scaled):
    """Takes the place of a linear layer: x @ weight.T * scale + bias."""

    def __init__(
        self, outputs: int, inputs: int, bias: nn.Parameter | None, *, turned: bool
    ) -> None:
        """`turned`: the original keeps its weight as (inputs, outputs), as GPT-2 does."""
        super().__init__(outputs, inputs)
        self.turned = turned
        self.bias = bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., inputs) to (..., outputs)."""
        rows, scale = quantise(x.flatten(0, -2))
        count = len(rows)
        if count > _FEW:  # a kernel is compiled for each number of rows, and kept: 0.3 MB
            rows = nn.functional.pad(rows, (0, 0, 0, -count % _STRIDE))
        # As if the inputs had no scale: it knows one for the whole batch only.
        y: torch.Tensor = torch.ops.onednn.qlinear_pointwise(
            rows, 1.0, 0, self.weight, self.scale, None, None, 1.0, 0, torch.float32, "none", [], ""
        )
        y = y[:count]
        y = y.mul_(scale) if self.bias is None else torch.addcmul(self.bias, y, scale)
        return y.view(*x.shape[:-1], -1).to(x.dtype)

    def pack(self) -> None:
        """Bring the weight into the order in which oneDNN reads it on this processor, with VNNI or
        AMX where it has that. Without, a token takes a third longer."""
        packed = torch.ops.onednn.qlinear_prepack(self.weight, None)
        self.weight = nn.Parameter(packed, requires_grad=False)


class Embedding(_Scaled):
    """Takes the place of a table of tokens."""

    def __init__(self, rows: int, width: int, dtype: torch.dtype) -> None:
        """`dtype`: of what comes out."""
        super().__init__(rows, width)
        self.num_embeddings = rows
        self._dtype = dtype

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """(...) to (..., width)."""
        return (self.weight[ids] * self.scale[ids, None]).to(self._dtype)


def load(directory: Path, *, name: str, dtype: torch.dtype | None = None) -> PreTrainedModel:
    """The model in `directory`, ready on the CPU. Makes its int8 form if there is none, or none of
    these weights. `dtype`: of everything else, which includes the keys and values of conversations;
    by default 16 bits where the processor computes with them. Raises `ModelUnusable`; what says
    that memory ran out passes through."""
    _give_large_pieces_back()
    try:
        model = _hollow(directory, dtype or _half_if_quick())
        sources = weight_files(directory)[""]
        tensors = int8_form.get(directory / "int8", sources, _wanted(model), name)
        _fill(model, tensors)
        tensors.clear()  # each goes when its packed form is there
        for module in model.modules():
            if isinstance(module, Linear):
                module.pack()
        Gauge("cpu").give_back()  # holes the size of the packed weights
    except ModelUnusable:
        raise
    except Exception as error:  # whatever the libraries raise, the operator must mend the model
        if out_of_memory(error):
            raise
        raise ModelUnusable(
            f'model "{name}" in {directory} cannot be loaded in int8: {error}'
        ) from error
    return model


def _half_if_quick() -> torch.dtype:
    """oneDNN multiplies bfloat16 from AVX-512 on."""
    wide = torch.backends.cpu.get_cpu_capability() == "AVX512"
    return torch.bfloat16 if wide else torch.float32


def _give_large_pieces_back() -> None:
    """glibc learns to keep freed pieces of up to 32 MiB, and a prompt's tensors leave holes of that
    size: a fifth of the memory of a 350M model. From now on pieces of 1 MiB go back at once."""
    try:
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 2**20)
    except (AttributeError, OSError):  # another libc
        return


def _hollow(directory: Path, dtype: torch.dtype) -> PreTrainedModel:
    """The model with int8 layers and no weights; its buffers are there."""
    own: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    config = transformers.AutoConfig.from_pretrained(directory, **own)
    automatic: Any = transformers.AutoModelForCausalLM  # without types
    with accelerate.init_empty_weights(include_buffers=False):
        model: PreTrainedModel = automatic.from_config(config, dtype=dtype, trust_remote_code=False)
    if (directory / "generation_config.json").exists():
        model.generation_config = transformers.GenerationConfig.from_pretrained(
            directory, local_files_only=True
        )
    tokens = model.get_input_embeddings()
    for name, module in list(model.named_modules()):
        if smaller := _in_int8(module, tokens):
            model.set_submodule(name, smaller)
    model.requires_grad_(False)
    model.train(False)
    return model


def _in_int8(module: nn.Module, tokens: nn.Module) -> nn.Module | None:
    """What takes its place."""
    if isinstance(module, nn.Linear):
        outputs, inputs = module.weight.shape
        return Linear(outputs, inputs, module.bias, turned=False)
    if isinstance(module, transformers.Conv1D):
        inputs, outputs = module.weight.shape
        return Linear(outputs, inputs, module.bias, turned=True)
    if module is tokens and type(module) is nn.Embedding:  # a subclass does more than look up
        rows, width = module.weight.shape
        return Embedding(rows, width, module.weight.dtype)
    return None


def _shared(model: PreTrainedModel) -> dict[str, str]:
    """Tensors that are other tensors under a second name."""
    state = model.state_dict()
    shared = {}
    for target, source in model.all_tied_weights_keys.items():
        if target in state and state[target].dtype == state[source].dtype:
            shared[target] = source
            if state[target].dtype == torch.int8:
                shared[scale_of(target)] = scale_of(source)
    return shared


def _wanted(model: PreTrainedModel) -> dict[str, Wanted]:
    """What the int8 form is to hold, by the names of the model's tensors."""
    shared, tied = _shared(model), model.all_tied_weights_keys
    scaled = {name: module for name, module in model.named_modules() if isinstance(module, _Scaled)}
    wanted = {}
    for key, like in model.state_dict().items():
        layer, _, leaf = key.rpartition(".")
        if key in shared or (layer in scaled and leaf == "scale"):
            continue
        # Files of a model that was saved without its head lack the beginning of the names.
        names = [
            name for own in (key, tied.get(key, key)) for name in _with_and_without(own, model)
        ]
        wanted[key] = Wanted(
            names=tuple(names),
            shape=tuple(like.shape),
            int8=like.dtype == torch.int8,
            turned=getattr(scaled.get(layer), "turned", False) and leaf == "weight",
        )
    return wanted


def _with_and_without(key: str, model: PreTrainedModel) -> tuple[str, str]:
    return key, key.removeprefix(f"{model.base_model_prefix}.")


def _fill(model: PreTrainedModel, tensors: dict[str, torch.Tensor]) -> None:
    """Put the weights in their places."""
    shared = _shared(model)
    tensors |= {target: tensors[source] for target, source in shared.items()}
    state = model.state_dict()
    # What it does not know is left in for `load_state_dict` to name.
    cast = {k: t.to(state[k].dtype) if k in state else t for k, t in tensors.items()}
    model.load_state_dict(cast, assign=True)
