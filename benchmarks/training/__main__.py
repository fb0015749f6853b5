"""Measures training on the first GPU, or with `--tiny` on the CPU. Knows no training's inside."""

from __future__ import annotations

import multiprocessing
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmarks import OUT
from benchmarks.report import report
from benchmarks.text import shapes
from benchmarks.text.shapes import Shape
from benchmarks.training import course
from benchmarks.training.course import Exercise
from models import devices

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Figures = dict[str, float | str]

_GPT2_MEDIUM = Shape(
    config="GPT2Config",
    options={"n_embd": 1024, "n_layer": 24, "n_head": 16},
    spread=0.02,
    context=1024,
    vocabulary=50257,
)
_LLAMA_1B = Shape(  # Llama-3.2-1B's config.json
    config="LlamaConfig",
    options={
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "tie_word_embeddings": True,
    },
    spread=0.02,
    context=2048,
    vocabulary=128256,
)
_TINY_LLAMA = Shape(
    config="LlamaConfig",
    options={
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
    spread=0.02,
    context=1024,
    vocabulary=4200,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What is measured, and where."""

    device: str
    exercises: Mapping[str, Exercise]
    #: rows and columns of the matrices that show what the device can do
    width: int


FULL = Size(
    device="cuda:0",
    exercises={
        "gpt2_medium_full": Exercise(
            shape=_GPT2_MEDIUM, method="full", device="cuda:0", batch=16, context=1024, updates=24
        ),
        "llama_1b_lora": Exercise(
            shape=_LLAMA_1B, method="lora", device="cuda:0", batch=8, context=2048, updates=24
        ),
    },
    width=8192,
)
TINY = Size(
    device="cpu",
    exercises={
        "gpt2_full": Exercise(
            shape=shapes.TINY_GPT2, method="full", device="cpu", batch=4, context=128, updates=8
        ),
        "llama_lora": Exercise(
            shape=_TINY_LLAMA, method="lora", device="cpu", batch=4, context=128, updates=8
        ),
    },
    width=512,
)


def measure(size: Size) -> Figures:
    """All figures: memory in GiB, numbers of the model in millions."""
    OUT.mkdir(exist_ok=True)
    title = next(d.title for d in devices.devices() if d.name == size.device)
    figures: Figures = {"measured": title}
    for name, exercise in size.exercises.items():
        with tempfile.TemporaryDirectory(dir=OUT) as place:
            found = _apart(course.measure, exercise, Path(place))
        peak = _apart(course.peak, size.device, found.precision, size.width)
        figures |= {
            f"{name}_tokens_per_s": found.tokens_per_s,
            f"{name}_tflop_per_s": found.tokens_per_s * found.work / 1e12,
            f"{name}_peak_tflop_per_s": peak / 1e12,
            f"{name}_share_of_peak": found.tokens_per_s * found.work / peak,
            f"{name}_memory_gib": found.memory / 2**30,
            f"{name}_memory_estimate_gib": found.estimate / 2**30,
            f"{name}_parameters_m": found.parameters / 1e6,
            f"{name}_trained_m": found.trained / 1e6,
            f"{name}_measured": f"{found.precision}, {exercise.batch} samples of"
            f" {exercise.context} tokens an update, {exercise.updates} updates",
        }
    return figures


def _apart(run: Callable[..., Any], *arguments: Any) -> Any:
    """Its result, from a fresh process: a training keeps what it has of a device."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(run, arguments)


@click.command()
@click.option("--tiny", is_flag=True, help="With tiny models on the CPU, to see that it runs.")
def main(tiny: bool) -> None:
    """Measure the training of voices on the first GPU."""
    size = TINY if tiny else FULL
    if all(device.name != size.device for device in devices.devices()):
        raise click.ClickException(f"there is no {size.device} here; try --tiny")
    report("training-tiny" if tiny else "training", measure(size))


if __name__ == "__main__":
    main()
