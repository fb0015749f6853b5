"""What a training takes of a device, and how it is made to fit. Knows no dataset.

A daemon may serve from the same device: what it uses is not free, and what it may still need is
left to it by `Plan.memory`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from botdaemon.errors import Refused
from models.devices import devices
from models.ledger import size

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.devices import Device
    from models.training.voice.plan import Plan, Recipe

Found = TypeVar("Found")

_LIBRARIES = 600 * 2**20
"""Bytes of torch itself, in RAM or as CUDA's context: 0.5 to 0.7 GiB were seen."""
_SHARE = 0.9
"""What may be taken of the memory that is free: allocators leave gaps."""
_ENOUGH = {"cpu": 4096, "cuda": 16_384}
"""Tokens that are on the device at once. More are no quicker, they only take memory."""
_LOOK = 10.0
"""Seconds between two looks for free memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What counts of a model, and of its adapter if it has one."""

    #: numbers in all, those that are trained, and those that "qlora" makes small
    parameters: int
    trained: int
    linear: int
    layers: int
    width: int
    #: of the layer between two in each block
    inner: int
    heads: int
    vocabulary: int
    #: attention with dropout, which a CPU does the long way
    dropout: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Bytes by what they are for."""

    weights: int
    gradients: int
    #: AdamW's two moments
    optimizer: int
    activations: int
    logits: int
    samples: int
    context: int

    @property
    def total(self) -> int:
        return (
            self.weights + self.gradients + self.optimizer + self.activations + self.logits
        ) + _LIBRARIES

    def __str__(self) -> str:
        return (
            f"weights {size(self.weights)} + gradients {size(self.gradients)} + optimizer"
            f" {size(self.optimizer)} + activations {size(self.activations)} + logits"
            f" {size(self.logits)} ({self.samples} x {self.context} tokens at once) + libraries"
            f" {size(_LIBRARIES)} = {size(self.total)}"
        )


def measure(blank: Any) -> Size:
    """Read it off a model that has no numbers yet (torch's meta device)."""
    import torch
    from transformers.pytorch_utils import Conv1D

    config = blank.config.get_text_config()
    linear = (
        module.weight.numel()
        for name, module in blank.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and "lora_" not in name
    )
    head = blank.get_output_embeddings()
    width = config.hidden_size
    dropouts = (getattr(config, key, 0.0) for key in ("attn_pdrop", "attention_dropout"))
    return Size(
        parameters=sum(p.numel() for p in blank.parameters()),
        trained=sum(p.numel() for p in blank.parameters() if p.requires_grad),
        linear=sum(linear) - (head.weight.numel() if head is not None else 0),
        layers=config.num_hidden_layers,
        width=width,
        inner=getattr(config, "intermediate_size", None) or 4 * width,
        heads=config.num_attention_heads,
        vocabulary=config.vocab_size,
        dropout=any(dropouts),
    )


def estimate(model: Size, plan: Plan, recipe: Recipe, device: str) -> Estimate:
    """What it will take at most.

    A block keeps about 12 numbers for each of its width and 4 for each of its inner layer for the
    way back (counted with torch's saved_tensors_hooks: GPT-2 28.8 widths a token, Llama 19.8,
    Qwen3 22.8, Falcon 18.5, where this says 28, 23, 23 and 28); in bfloat16 half to four fifths of
    the bytes. Attention with dropout on a CPU keeps 12 bytes for each pair of tokens."""
    narrow = recipe.precision == "bfloat16"
    frozen = model.parameters - model.trained
    weights = 4 * model.trained
    if plan.method == "qlora":
        # nf4 with twice quantised scales: 4.127 bits (https://arxiv.org/abs/2305.14314).
        weights += int(0.53 * model.linear) + 2 * (frozen - model.linear)
    else:
        weights += (2 if plan.method == "lora" and device != "cpu" else 4) * frozen
    if narrow:  # autocast keeps a narrow copy of what it casts
        weights += 2 * (model.trained if device != "cpu" else model.parameters)
    tokens = recipe.at_once * recipe.context
    a_layer = tokens * (12 * model.width + 4 * model.inner) * (3 if narrow else 4)
    if model.dropout and device == "cpu":
        a_layer += 12 * tokens * recipe.context * model.heads
    kept = 4 * tokens * model.width  # what enters a block
    activations = (model.layers * kept + a_layer) if recipe.recompute else model.layers * a_layer
    return Estimate(
        weights=weights,
        gradients=4 * model.trained,
        optimizer=8 * model.trained,
        activations=activations,
        # As they come, in 32 bits, as logarithms, and their gradient.
        logits=16 * tokens * model.vocabulary,
        samples=recipe.at_once,
        context=recipe.context,
    )


def fitted(model: Size, plan: Plan, recipe: Recipe, device: Device) -> tuple[Recipe, Estimate]:
    """The recipe with as many samples at once as fit and are of use, if need be with activations
    computed again. Raises `Refused`, with the arithmetic, when nothing fits."""
    kind = device.name.partition(":")[0]
    room = room_on(device, plan)
    for recompute in (False, True):
        for at_once in (n for n in range(recipe.batch, 0, -1) if recipe.batch % n == 0):
            if at_once > 1 and at_once * recipe.context > _ENOUGH[kind]:
                continue
            chosen = replace(recipe, at_once=at_once, recompute=recompute)
            needs = estimate(model, plan, chosen, kind)
            if needs.total <= room:
                return chosen, needs
    raise Refused(_obstacle(needs, plan, device))


def checked(needs: Estimate, plan: Plan, device: Device) -> None:
    """Raises `Refused`, with the arithmetic, when it does not fit now."""
    if needs.total > room_on(device, plan):
        raise Refused(_obstacle(needs, plan, device))


def smaller(recipe: Recipe) -> Recipe | None:
    """The next one that takes less, for when memory ran out all the same; None after the last."""
    fewer = [n for n in range(1, recipe.at_once) if recipe.batch % n == 0]
    if fewer:
        return replace(recipe, at_once=fewer[-1])
    return None if recipe.recompute else replace(recipe, recompute=True)


def room_on(device: Device, plan: Plan) -> int:
    """Bytes that a training may take there now."""
    free = int(device.free * _SHARE)
    return free if plan.memory is None else min(free, plan.memory)


def _obstacle(needs: Estimate, plan: Plan, device: Device) -> str:
    words = f"the training needs {needs}, but "
    if plan.memory is not None and plan.memory < needs.total:
        return (
            f"{words}it may take {size(plan.memory)} of {device.name}; allow it more, or take a"
            " smaller model or context, or an adapter"
        )
    words += f"{device.name} has {size(device.free)} free of {size(device.memory)}"
    if needs.total <= device.memory * _SHARE:
        return f"{words}; stop what uses it, or let the training wait for it"
    return f"{words}; take a smaller model or context, or an adapter"


# --- the device -------------------------------------------------------------------------------


def choose(name: str) -> Device:
    """The device of that name, as it is now; "auto" is the card with most memory free, else the
    CPU. Raises `Refused` for one that is not there."""
    there = [device for device in devices() if device.name != "mps"]
    if name == "auto":
        return max(there, key=lambda device: (device.name != "cpu", device.free))
    for device in there:
        if device.name == ("cuda:0" if name == "cuda" else name):
            return device
    names = ", ".join(f'"{device.name}"' for device in there)
    raise Refused(f'there is no device "{name}" to train on; this machine has {names}')


def wait(
    attempt: Callable[[Device], Found],
    device: Device,
    seconds: float,
    tell: Callable[[str], None],
    *,
    look: Callable[[str], Device] = choose,
    sleep: Callable[[float], None] = time.sleep,
) -> Found:
    """Try until it does not raise `Refused` any more, with the device as it is then, but not longer
    than this. `tell` is told what it waits for."""
    while True:
        try:
            return attempt(device)
        except Refused as refused:
            if seconds <= 0:
                raise
            tell(f"waiting for memory: {refused}")
        sleep(min(seconds, _LOOK))
        seconds -= _LOOK
        device = look(device.name)
