"""The text engine on a small machine: an OPT-350M shape in int8 beside float32, each in a process
of its own. Knows nothing of sockets and of other engines.

The engine and the memory for conversations are the same for both; narrower keys and values let more
conversations into it at once. Weights lie
on disk in 16 bits, as they are published. Both get the same prompts and go first in turn.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmarks import OUT
from benchmarks.text import shapes
from benchmarks.text.rivals import Child
from benchmarks.text.shapes import Shape
from benchmarks.text.talk import Answer, Run, Talker
from models.specs import SMALL_CACHE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.text.course import Figures
    from botdaemon.types import TextRequest

Width = Literal["int8", "fp32"]

OPT_350M = Shape(
    config="OPTConfig",
    options={
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "ffn_dim": 4096,
        "word_embed_proj_dim": 512,
        "do_layer_norm_before": False,
    },
    spread=0.05,
    context=2048,
    vocabulary=50272,
)
SHORTEST, LONGEST, TOKENS = 32, 128, 24
"""Of the prompts, and of each answer."""
ROUNDS = {1: 2, 8: 2}
"""How often, by the number of people who ask at once."""
CACHE = SMALL_CACHE * 2**20
"""Bytes for conversations, what int8 models have when nobody says otherwise."""
_MEGABYTE = 10**6


def measure() -> Figures:
    """Tokens a second with 1 and with 8 at once, prompts included; the most memory that each whole
    process had resident, and the one that made the int8 form, MB; how often int8 is quicker:
    `cpu_int8_speedup` with 8 at once, `cpu_int8_speedup_1` alone."""
    return asyncio.run(_measure(OPT_350M))


async def _measure(shape: Shape) -> Figures:
    OUT.mkdir(exist_ok=True)
    figures: Figures = {}
    with tempfile.TemporaryDirectory(dir=OUT) as name:
        directory = Path(name)
        async with Child() as child:
            await child.call(shapes.make, shape, directory, "cpu", "float16")
        async with Child() as child:
            figures["cpu_int8_making_s"] = await child.call(_load, directory, "int8")
            figures["cpu_int8_making_peak_mb"] = await child.call(_peak)
        async with Child() as narrow, Child() as wide:
            children: dict[Width, Child] = {"int8": narrow, "fp32": wide}
            for width, child in children.items():
                figures[f"cpu_{width}_load_s"] = await child.call(_load, directory, width)
            talker = Talker(directory, TOKENS)
            for count, rounds in ROUNDS.items():
                figures |= await _rounds(children, talker, count, rounds)
            for width, child in children.items():
                figures[f"cpu_{width}_peak_mb"] = await child.call(_peak)
    figures["cpu_int8_speedup"] = figures.pop(f"cpu_int8_speedup_{max(ROUNDS)}")
    return figures


async def _rounds(children: dict[Width, Child], talker: Talker, count: int, rounds: int) -> Figures:
    """So many at once, so many times."""
    rates: dict[Width, list[float]] = {width: [] for width in children}
    for number in range(rounds):
        prompts = talker.prompts(count, SHORTEST, LONGEST)
        requests = [prompt.request for prompt in prompts]
        for width in sorted(children, reverse=number % 2 == 1):
            rates[width].append(Run(await children[width].call(_answers, requests)).rate)
    figures: Figures = {
        f"cpu_{width}_tokens_per_s_{count}": statistics.median(each)
        for width, each in rates.items()
    }
    ratios = [a / b for a, b in zip(rates["int8"], rates["fp32"], strict=True)]
    figures[f"cpu_int8_speedup_{count}"] = statistics.median(ratios)
    return figures


# --- in a child ----------------------------------------------------------------------------------

_engine: Any = None


def _load(directory: Path, width: Width) -> float:
    """Seconds, imports and all."""
    global _engine
    began = time.perf_counter()
    import torch

    from models.text import TransformersEngine

    # As many as the model process uses: it leaves a core to the daemon.
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) - 1))
    _engine = TransformersEngine(
        name=width,
        directory=directory,
        device="cpu",
        dtype="auto" if width == "int8" else "float32",
        quantize="int8" if width == "int8" else "none",
        cache_bytes=CACHE,
    )
    return time.perf_counter() - began


def _answers(requests: Sequence[TextRequest]) -> list[Answer]:
    """All handed over at once. Raises what a request came to other than an answer."""
    began = time.perf_counter()
    slots = [_engine.start(request) for request in requests]
    answers = {slot: Answer(text="", tokens=0, at=[]) for slot in slots}
    while _engine.busy:
        for slot, piece in _engine.step():
            if isinstance(piece, Exception):
                raise piece
            at = [*answers[slot].at, time.perf_counter() - began]
            answers[slot] = Answer(text="", tokens=piece.tokens, at=at)
    return [answers[slot] for slot in slots]


def _peak() -> float:
    """MB that this process has had resident at most."""
    from models.measure import Gauge

    return Gauge("cpu").peak() / _MEGABYTE
