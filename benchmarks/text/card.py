"""Text and pictures on a GPU: `python -m benchmarks.text.card`. Knows no engine's inside.

For each of two models in bfloat16: tokens a second and the wait for the first token with 1, 16 and
64 people who ask at once, beside plain `generate` (one after the other) and, where it is installed,
vLLM; and what share of the card's memory bandwidth a step of generating uses, which is what bounds
it: it has to read all weights, and the keys and values of every conversation. Then a picture model
of SDXL's shape and a text model share the card.

Ours and theirs run one after the other, since both models may not fit in at once. With `--tiny`
everything runs once on the CPU with models of a few thousand weights, to see that it does.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import statistics
import tempfile
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmarks import OUT
from benchmarks.gauges import percentile
from benchmarks.report import report
from benchmarks.text import ours, pictures, rivals, shapes
from benchmarks.text.course import Wrong
from benchmarks.text.rivals import Child
from benchmarks.text.talk import Talker, same
from botdaemon.types import ImageRequest, Progress
from models import devices
from models.process import ImageSpec, ModelProcess, TextSpec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from benchmarks.text.course import Figures
    from benchmarks.text.shapes import Shape, Weight
    from benchmarks.text.talk import Prompt, Run
    from models.process import ModelImageEngine, ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured, and where."""

    device: str
    dtype: str
    shapes: Mapping[str, Shape]
    #: people who ask at once
    counts: Sequence[int]
    #: as many of them as `generate` is asked for: its rate does not depend on how many wait
    patient: int
    #: tokens of the prompts, and of each answer
    shortest: int
    longest: int
    tokens: int
    rounds: int
    #: bytes for conversations
    cache: int
    #: bytes that are copied to find the bandwidth
    copied: int
    #: steps of a picture
    steps: int
    tiny: bool = False


FULL = Size(
    device="cuda:0",
    dtype="bfloat16",
    shapes={"gpt2_large": shapes.GPT2_LARGE, "qwen_7b": shapes.QWEN_7B},
    counts=(1, 16, 64),
    patient=16,
    shortest=32,
    longest=512,
    tokens=128,
    rounds=3,
    cache=16 * 2**30,
    copied=2**30,
    steps=20,
)
TINY = Size(
    device="cpu",
    dtype="float32",
    shapes={"qwen": shapes.TINY_QWEN},
    counts=(1, 4),
    patient=4,
    shortest=32,
    longest=64,
    tokens=8,
    rounds=1,
    cache=64 * 2**20,
    copied=2**24,
    steps=2,
    tiny=True,
)


async def run(size: Size) -> Figures:
    """All figures: times in seconds, `share` of the memory bandwidth. Raises `Wrong` when answers
    in float32 are not those of `generate`; in bfloat16, sums in another order may differ."""
    OUT.mkdir(exist_ok=True)
    figures: Figures = {"measured": _words(size)}
    async with Child() as child:
        bandwidth = await child.call(rivals.bandwidth, size.device, size.copied)
        figures["bandwidth_gb_per_s"] = bandwidth / 1e9
        for name, shape in size.shapes.items():
            with tempfile.TemporaryDirectory(dir=OUT) as directory:
                found = await _text(size, shape, Path(directory), child, bandwidth)
            figures |= {f"{name}_{figure}": value for figure, value in found.items()}
        with tempfile.TemporaryDirectory(dir=OUT) as directory:
            figures |= await _together(size, Path(directory), child)
    return figures


def _words(size: Size) -> str:
    title = next(d.title for d in devices.devices() if d.name == size.device)
    return (
        f"{title}; {size.dtype}; prompts of {size.shortest} to {size.longest} tokens,"
        f" {size.tokens} new tokens each; rounds: {size.rounds}"
    )


async def _text(
    size: Size, shape: Shape, directory: Path, child: Child, bandwidth: float
) -> Figures:
    """One model, by itself on the card."""
    weight = await child.call(shapes.make, shape, directory, size.device, size.dtype)
    talker = Talker(directory, size.tokens)
    # The same prompts for all, new ones in each round; the first is to wake everybody.
    asked = {
        count: [talker.prompts(count, size.shortest, size.longest) for _ in range(size.rounds + 1)]
        for count in size.counts
    }
    patient = [prompts[: size.patient] for prompts in asked[max(size.counts)]]
    await child.load(directory, size.device, size.dtype)
    theirs = [await child.one_by_one(prompts, size.tokens) for prompts in patient][1:]
    await child.unload()
    generate = statistics.median(run.rate for run in theirs)
    figures: Figures = {"generate_tokens_per_s": generate}
    async with _process(size, text=directory) as process:
        engine = process.text("text")
        for count in size.counts:
            runs = [await ours.ask(engine, prompts) for prompts in asked[count]][1:]
            rate = statistics.median(run.rate for run in runs)
            # In the last quarter all prompts are read, and each step is one token for everybody.
            step = statistics.median(
                gap
                for run in runs
                for answer in run.answers
                for gap in answer.gaps[-size.tokens // 4 :]
            )
            figures |= {
                f"tokens_per_s_{count}": rate,
                f"speedup_{count}": rate / generate,
                f"ttft_p50_{count}_s": percentile([s for run in runs for s in run.first], 50),
                f"ttft_p95_{count}_s": percentile([s for run in runs for s in run.first], 95),
                f"step_{count}_s": step,
                f"bandwidth_share_{count}": _read(weight, size, asked[count][1:])
                / step
                / bandwidth,
            }
        again = [await ours.ask(engine, prompts) for prompts in patient][1:]
    figures[f"ttft_ratio_{size.patient}"] = statistics.median(
        statistics.median(a.first) / statistics.median(b.first)
        for a, b in zip(again, theirs, strict=True)
    )
    equal = [same(a, b) for a, b in zip(again, theirs, strict=True)]
    figures[f"same_tokens_of_{size.patient}"] = min(equal)
    if size.dtype == "float32" and min(equal) < size.patient:
        raise Wrong(f"of {size.patient} greedy answers, {min(equal)} are those of `generate`")
    if importlib.util.find_spec("vllm"):
        for count in size.counts:
            async with Child() as other:
                ids = [prompt.ids for prompt in asked[count][-1]]
                figures[f"vllm_tokens_per_s_{count}"] = await other.call(
                    rivals.vllm, directory, size.dtype, ids, size.tokens
                )
    else:
        figures["vllm"] = "not installed"
    return figures


def _read(weight: Weight, size: Size, rounds: Sequence[Sequence[Prompt]]) -> float:
    """Bytes that a step of the last quarter has to read."""
    tokens = statistics.mean(sum(len(prompt.ids) for prompt in prompts) for prompts in rounds)
    said = len(rounds[0]) * size.tokens * 7 / 8
    return weight.model + weight.token * (tokens + said)


async def _together(size: Size, directory: Path, child: Child) -> Figures:
    """A text and a picture model on one card: each alone, then both at once."""
    shape = next(iter(size.shapes.values()))
    await child.call(shapes.make, shape, directory / "text", size.device, size.dtype)
    await child.call(pictures.make, directory / "pictures", size.device, size.dtype, size.tiny)
    await child.unload()  # what was made is still in its allocator
    talker = Talker(directory / "text", size.tokens)

    async def talk() -> Run:
        prompts = talker.prompts(size.patient, size.shortest, size.longest)
        return await ours.ask(process.text("text"), prompts)

    async with _process(size, directory / "text", directory / "pictures") as process:
        draw = process.image("pictures")
        await talk()
        await _picture(draw, size.steps)
        alone, steps = await talk(), await _picture(draw, size.steps)
        busy: list[float] = []
        drawing = asyncio.create_task(_pictures(draw, size.steps, busy))
        try:
            # Until both have been at work for a while.
            runs = [await talk()]
            while len(busy) < size.steps:
                runs.append(await talk())
        finally:
            drawing.cancel()
            await asyncio.gather(drawing, return_exceptions=True)
    return {
        "text_alone_tokens_per_s": alone.rate,
        "text_beside_pictures_tokens_per_s": statistics.median(run.rate for run in runs),
        "text_alone_gap_p95_s": percentile(_gaps([alone]), 95),
        "text_beside_pictures_gap_p95_s": percentile(_gaps(runs), 95),
        "picture_step_alone_s": statistics.median(steps),
        "picture_step_beside_text_s": statistics.median(busy),
    }


def _gaps(runs: Sequence[Run]) -> list[float]:
    return [gap for run in runs for answer in run.answers for gap in answer.gaps]


async def _picture(engine: ModelImageEngine, steps: int) -> list[float]:
    """Draw one. Seconds from each step to the next."""
    request = ImageRequest(model="", prompt="a red circle", seed=1, steps=steps)
    at = [
        time.perf_counter() async for drawn in engine.draw(request) if isinstance(drawn, Progress)
    ]
    return [after - before for before, after in pairwise(at)]


async def _pictures(engine: ModelImageEngine, steps: int, seconds: list[float]) -> None:
    """Draw one after the other for ever; steps into `seconds`."""
    while True:
        seconds += await _picture(engine, steps)


@asynccontextmanager
async def _process(
    size: Size, text: Path, pictures: Path | None = None
) -> AsyncIterator[ModelProcess]:
    models: dict[str, ModelSpec] = {
        "text": TextSpec(
            path=str(text),
            device=size.device,
            dtype=size.dtype,
            batch=max(size.counts),
            cache=size.cache,
        )
    }
    if pictures:
        models["pictures"] = ImageSpec(path=str(pictures), device=size.device, dtype=size.dtype)
    async with ModelProcess(name=size.device, models=models) as process:
        yield process


@click.command()
@click.option("--tiny", is_flag=True, help="With tiny models on the CPU, to see that it runs.")
def main(tiny: bool) -> None:
    """Measure text and pictures on the first GPU."""
    size = TINY if tiny else FULL
    if all(device.name != size.device for device in devices.devices()):
        raise click.ClickException(f"there is no {size.device} here; try --tiny")
    logging.disable(logging.INFO)
    report("card-tiny" if tiny else "card", asyncio.run(run(size)))


if __name__ == "__main__":
    main()
