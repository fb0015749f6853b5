"""One device for several models: text and pictures side by side in a real model process, coming and
going within its memory, and what happens when that runs out. The device is the CPU, its memory RAM.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import os
import resource
import shutil
import signal
import tempfile
from contextlib import aclosing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
import tiny_models
import tiny_pipelines

from botdaemon.errors import EngineDied, EngineFailed, ModelUnusable
from botdaemon.types import ChatLine, ImageRequest, Picture, Progress, Sampling, TextRequest
from models.fleet import Fleet
from models.footprints import Footprints
from models.ledger import Footprint
from models.process import ImageSpec, ModelProcess, TextSpec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

shared = pytest.mark.asyncio(loop_scope="module")

MIB = 2**20


@functools.cache
def large_model() -> Path:
    """So large that it shows in the memory of a process: 50 million random weights, 193 MiB."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    directory = shutil.copytree(
        tiny_models.chat_model(), Path(tempfile.mkdtemp(prefix="large-model-")) / "large"
    )
    atexit.register(shutil.rmtree, directory.parent, ignore_errors=True)
    torch.manual_seed(0)
    config = GPT2Config.from_pretrained(directory)
    config.n_embd, config.n_layer, config.n_head = 1024, 4, 8
    GPT2LMHeadModel(config).save_pretrained(directory)
    return directory


def ask(text: str = "hello", **sampling: Any) -> TextRequest:
    return TextRequest(
        model="",
        speaker="Bot",
        lines=(ChatLine(role="user", text=text, name="Ada"),),
        sampling=Sampling(**{"temperature": 0.0, "max_tokens": 20, **sampling}),
    )


def draw(prompt: str = "a red circle", **more: Any) -> ImageRequest:
    return ImageRequest(
        model="", prompt=prompt, **{"steps": 4, "width": 64, "height": 64, "seed": 7, **more}
    )


async def say(process: ModelProcess | Fleet, model: str, request: TextRequest) -> str:
    async with aclosing(process.text(model).generate(request)) as pieces:
        return "".join([piece.text async for piece in pieces])


async def paint(process: ModelProcess | Fleet, model: str, request: ImageRequest) -> list[Picture]:
    async with aclosing(process.image(model).draw(request)) as drawn:
        return [one async for one in drawn if isinstance(one, Picture)]


async def until(what: Callable[[], bool]) -> None:
    """Wait for it; pytest's timeout bounds that."""
    while not what():  # noqa: ASYNC110  # the process tells nobody of its own when it changes
        await asyncio.sleep(0.01)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def process() -> AsyncIterator[ModelProcess]:
    models = {
        "writer": TextSpec(path=str(tiny_models.chat_model()), device="cpu"),
        "other": TextSpec(path=str(tiny_models.speakers_model()), device="cpu"),
        "painter": ImageSpec(path=str(tiny_pipelines.stable_diffusion()), device="cpu"),
    }
    async with ModelProcess(name="cpu", models=models) as running:
        yield running


# --- side by side ----------------------------------------------------------------------------


@shared
async def test_two_pictures_and_eight_chats_at_once_all_finish_as_they_do_alone(
    process: ModelProcess,
) -> None:
    questions = [("writer" if n % 2 else "other", ask(f"number {n}")) for n in range(8)]
    orders = [draw("a red circle"), draw("a blue square", seed=8)]
    texts = [await say(process, model, question) for model, question in questions]
    pictures = [await paint(process, "painter", order) for order in orders]

    together = await asyncio.gather(
        *(say(process, model, question) for model, question in questions),
        *(paint(process, "painter", order) for order in orders),
    )
    assert together == [*texts, *pictures]


@shared
async def test_tokens_come_between_the_steps_of_a_picture(process: ModelProcess) -> None:
    told: list[str] = []
    tell = told.append

    async def write() -> None:
        async with aclosing(process.text("writer").generate(ask(max_tokens=150))) as pieces:
            async for _ in pieces:
                tell("token")

    async with aclosing(process.image("painter").draw(draw(steps=30))) as drawn:
        await anext(drawn)  # the picture is under way before the question comes
        writing = asyncio.create_task(write())
        async for one in drawn:
            tell("step" if isinstance(one, Progress) else "picture")
    await writing
    assert "token" in told[: told.index("picture")]


@shared
async def test_a_picture_that_is_not_wanted_any_more_makes_way_for_the_next(
    process: ModelProcess,
) -> None:
    many = draw(steps=1000, count=4)
    async with aclosing(process.image("painter").draw(many)) as drawn:
        step = await anext(drawn)
        assert isinstance(step, Progress)
        assert step.steps == 4000
        queued = asyncio.create_task(paint(process, "painter", draw()))
    # Four thousand steps would take longer than pytest lets a test last.
    assert len(await queued) == 1
    assert process.status().requests == 0


@shared
async def test_a_killed_process_costs_pictures_and_texts_one_retry(process: ModelProcess) -> None:
    alone = (await say(process, "writer", ask()), await paint(process, "painter", draw()))
    under_way = [
        asyncio.create_task(say(process, "writer", ask(max_tokens=200))),
        asyncio.create_task(paint(process, "painter", draw(steps=1000, count=4))),
    ]
    await until(lambda: process.status().requests == 2)
    os.kill(process.pid, signal.SIGKILL)
    ends = await asyncio.gather(*under_way, return_exceptions=True)
    assert [type(end) for end in ends] == [EngineDied, EngineDied]
    again = (await say(process, "writer", ask()), await paint(process, "painter", draw()))
    assert again == alone


# --- memory ----------------------------------------------------------------------------------


async def test_models_take_turns_in_memory_that_holds_one_of_them() -> None:
    spec = TextSpec(path=str(large_model()), device="cpu", load=False, cache=16 * MIB)
    models = dict.fromkeys(("ann", "ben", "cid"), spec)
    measured: dict[str, tuple[int, int]] = {}
    async with ModelProcess(
        name="cpu",
        models=models,
        memory=330 * MIB,
        measured=lambda name, load, peak: measured.update({name: (load, peak)}),
    ) as process:
        answers = [await say(process, name, ask()) for name in models]
        assert len(set(answers)) == 1
        # All at once: each in its turn, none twice in memory beside another.
        together = await asyncio.gather(*(say(process, name, ask()) for name in models))
        assert list(together) == answers
        states = list(process.status().models.values())
        assert states.count("loaded") == 1
        assert states.count("away") == 2
        assert process.status().restarts == 0
    # What was measured is what the file has, within what an allocator rounds.
    weights = (large_model() / "model.safetensors").stat().st_size
    for load, peak in measured.values():
        assert 0.9 * weights < load < 1.3 * weights
        assert peak < weights


async def test_a_pinned_model_stays_and_what_never_fits_beside_it_is_refused_with_arithmetic() -> (
    None
):
    footprint = Footprint(load=185 * MIB, peak=20 * MIB, measured=True)
    spec = TextSpec(path=str(large_model()), device="cpu", cache=16 * MIB, footprint=footprint)
    models = {"home": replace(spec, pinned=True), "guest": replace(spec, load=False)}
    async with ModelProcess(name="cpu", models=models, memory=330 * MIB) as process:
        at_home = await say(process, "home", ask())
        with pytest.raises(ModelUnusable) as refused:
            await say(process, "guest", ask())
        assert 'model "guest" needs 185 MiB + 16 MiB' in str(refused.value)
        assert "cpu has 330 MiB for models" in str(refused.value)
        assert await say(process, "home", ask()) == at_home
        assert process.status().models == {"home": "loaded", "guest": "away"}


async def test_a_model_that_nobody_uses_makes_way_and_comes_back_when_it_is_asked() -> None:
    spec = TextSpec(path=str(tiny_models.chat_model()), device="cpu", idle=0.05)
    async with ModelProcess(name="cpu", models={"idle": spec}) as process:
        first = await say(process, "idle", ask())
        await until(lambda: process.status().models == {"idle": "away"})
        assert process.status().evictions == {"idle": 1}
        assert await say(process, "idle", ask()) == first


async def test_what_models_take_is_kept_and_known_at_the_next_start(tmp_path: Path) -> None:
    specs = {
        "writer": TextSpec(path=str(large_model()), device="cpu"),
        "painter": ImageSpec(path=str(tiny_pipelines.stable_diffusion()), device="cpu"),
    }
    book = tmp_path / "footprints.json"
    async with Fleet(specs, base=tmp_path, footprints=book) as fleet:
        await say(fleet, "writer", ask())
        await paint(fleet, "painter", draw())
        assert fleet.status()[0].models == {"writer": "loaded", "painter": "loaded"}
    from models.fleet import survey

    looked = survey(specs, base=tmp_path, budgets={}, known=Footprints(book))
    assert all(spec.footprint.measured for spec in looked.specs.values())
    assert looked.specs["writer"].footprint.load > 150 * MIB


async def test_a_model_that_can_never_fit_is_refused_before_anything_is_started(
    tmp_path: Path,
) -> None:
    fleet = Fleet(
        {"large": TextSpec(path=str(large_model()), device="cpu")},
        base=tmp_path,
        budgets={"cpu": 600 * MIB},
    )
    with pytest.raises(ModelUnusable, match=r'model "large" needs .* but cpu has .* for models'):
        await fleet.__aenter__()
    assert fleet.status() == []


# --- when it runs out ------------------------------------------------------------------------


@contextmanager
def no_more_than(process: ModelProcess, more: int) -> Iterator[None]:
    """The process gets only so many bytes more than it has, by the kernel's own limit."""
    statm = Path(f"/proc/{process.pid}/statm").read_text()
    has = int(statm.split()[0]) * resource.getpagesize()
    _, hard = resource.prlimit(process.pid, resource.RLIMIT_AS)
    resource.prlimit(process.pid, resource.RLIMIT_AS, (has + more, hard))
    try:
        yield
    finally:
        resource.prlimit(process.pid, resource.RLIMIT_AS, (hard, hard))


async def test_a_picture_that_needs_more_memory_than_there_is_costs_that_picture_only() -> None:
    models = {
        "painter": ImageSpec(path=str(tiny_pipelines.stable_diffusion()), device="cpu"),
        "writer": TextSpec(path=str(tiny_models.chat_model()), device="cpu"),
    }
    async with ModelProcess(name="cpu", models=models) as process:
        usual = await paint(process, "painter", draw())
        text = await say(process, "writer", ask())
        with no_more_than(process, 64 * MIB):
            with pytest.raises(EngineFailed, match='not enough memory for model "painter"'):
                await paint(process, "painter", draw(width=4096, height=4096, steps=1))
            assert await say(process, "writer", ask()) == text
        assert await paint(process, "painter", draw()) == usual
        assert process.status().restarts == 0


async def test_a_model_that_runs_out_of_memory_while_it_is_loaded_says_so_and_is_tried_again() -> (
    None
):
    models = {
        "writer": TextSpec(path=str(tiny_models.chat_model()), device="cpu"),
        "large": TextSpec(path=str(large_model()), device="cpu", load=False),
    }
    async with ModelProcess(name="cpu", models=models) as process:
        text = await say(process, "writer", ask())
        with no_more_than(process, 100 * MIB):
            with pytest.raises(ModelUnusable, match='model "large"'):
                await say(process, "large", ask())
            assert await say(process, "writer", ask()) == text
        assert await say(process, "large", ask())
        assert process.status().restarts == 0


async def test_an_adapter_directory_that_vanished_costs_one_answer(tmp_path: Path) -> None:
    model = shutil.copytree(tiny_models.chat_model(), tmp_path / "model")
    spec = TextSpec(path=str(model), device="cpu", adapters={"joe": str(tmp_path / "joe")})
    async with ModelProcess(name="cpu", models={"base": spec}) as process:
        with pytest.raises((EngineFailed, ModelUnusable), match="joe"):
            await say(process, "base", replace(ask(), adapter="joe"))
        assert await say(process, "base", ask())
