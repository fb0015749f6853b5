"""One training, from a dataset's directory to the directory of a voice. Knows no kind of export and
no daemon."""

from __future__ import annotations

import gc
import os
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botdaemon.errors import Refused
from models import devices
from models.dataset.card import DatasetCard
from models.measure import Gauge, out_of_memory
from models.training.voice import (
    base,
    card,
    checkpoints,
    loop,
    material,
    memory,
    product,
    record,
)
from models.training.voice.card import TrainingCard
from models.training.voice.loop import Course
from models.training.voice.plan import Recipe, recipe
from models.training.voice.progress import PICTURE, Progress, draw, losses

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from models.devices import Device
    from models.training.voice.base import Base
    from models.training.voice.material import Material
    from models.training.voice.memory import Estimate, Size
    from models.training.voice.plan import Plan

_HELD_OUT = 256
"""Samples that are looked at in between. More would cost more time than they tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """All that is known before the first update."""

    device: Device
    base: Base
    material: Material
    size: Size
    recipe: Recipe
    needs: Estimate


def train(
    directory: Path, out: Path, plan: Plan, progress: Callable[[Progress], None] = lambda _: None
) -> TrainingCard:
    """Train a voice on the dataset in `directory`, and write the model or the adapter into `out`.

    Called again after it was killed, it goes on from the last checkpoint, and comes to the same
    end; called again after it has finished, it does nothing. On a card, this process sees no other
    one from now on.

    Raises `ExportUnusable` for a dataset that cannot be read, `ModelUnusable` for a base that
    cannot be trained, and `Refused` when it does not fit the device, when `out` holds something
    else, and when the losses are no numbers.
    """
    directory, out = directory.absolute(), out.absolute()
    about = DatasetCard.load(directory)
    if plan.speaker and plan.speaker not in about.voices:
        raise Refused(
            f'"{plan.speaker}" is no voice of {directory}; it has {", ".join(about.voices)}'
        )
    origin = base.from_directory(plan.base) if plan.base else None
    identity = record.identity(plan, directory, origin)
    with record.in_words(out), record.alone(out):
        if not record.is_finished(out, identity):
            prepared = _prepare(directory, out, plan, identity, origin, progress)
            course = _course(out, plan, prepared)
            peak = _run(course, progress)
            _finish(course, prepared, about, directory, identity, peak).save(out)
        shutil.rmtree(checkpoints.place(out), ignore_errors=True)
    return TrainingCard.load(out)


# --- before the first update -------------------------------------------------------------------


def _prepare(
    directory: Path,
    out: Path,
    plan: Plan,
    identity: dict[str, Any],
    origin: Base | None,
    progress: Callable[[Progress], None],
) -> _Prepared:
    def tell(words: str) -> None:
        progress(Progress(done=0, total=0, doing=words))

    device = _only(memory.choose(plan.device))
    kind = device.name.partition(":")[0]
    if plan.method == "qlora" and (why := base.four_bit_obstacle(kind)):
        raise Refused(why)
    tell("reading the dataset")
    start = checkpoints.place(out) / "start"
    origin = origin or base.from_scratch(material.texts(directory), plan, start)
    context = plan.window(origin.format.card.context)
    learned = material.read(directory, plan, origin.format, context)
    blank = origin.blank
    size = memory.measure(base.adapted(blank, plan) if plan.adapter else blank)

    known: dict[str, Any] = record.read(out).get("recipe", {})

    def attempt(seen: Device) -> tuple[Recipe, Estimate]:
        if known:
            chosen = Recipe(**known)
            needs = memory.estimate(size, plan, chosen, kind)
            memory.checked(needs, plan, seen)
            return chosen, needs
        wish = recipe(
            plan,
            context=context,
            samples=len(learned.train),
            turns=learned.turns,
            parameters=size.parameters,
            precision=loop.precision(kind),
        )
        return memory.fitted(size, plan, wish, seen)

    chosen, needs = memory.wait(attempt, device, plan.wait_seconds, tell)
    checkpoints.room(out, 4 * (size.trained if plan.adapter else size.parameters))
    record.write(out, identity, chosen)
    return _Prepared(
        device=device, base=origin, material=learned, size=size, recipe=chosen, needs=needs
    )


def _only(device: Device) -> Device:
    """Let this process see no other card, or the Trainer would share the work out among all."""
    if device.name == "cpu":
        return device
    number = int(device.name.partition(":")[2])
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ.update(devices.ORDER)
    os.environ["CUDA_VISIBLE_DEVICES"] = visible.split(",")[number] if visible else str(number)
    return replace(device, name="cuda:0")


def _course(out: Path, plan: Plan, prepared: _Prepared) -> Course:
    found, chosen = prepared.material, prepared.recipe
    lengths = [len(item["input_ids"]) for item in found.train]
    order = material.order(lengths, epochs=chosen.epochs, batch=chosen.batch, seed=plan.seed)
    return Course(
        out=out,
        plan=plan,
        base=prepared.base,
        recipe=chosen,
        device=prepared.device.name.partition(":")[0],
        train=[found.train[n] for n in order],
        held_out=_spread(found.held_out, _HELD_OUT),
    )


def _spread(items: Sequence[Any], most: int) -> Sequence[Any]:
    """So many of them, from beginning to end."""
    step = max(1.0, len(items) / most)
    return [items[int(i * step)] for i in range(min(most, len(items)))]


# --- during and after --------------------------------------------------------------------------


def _run(course: Course, progress: Callable[[Progress], None]) -> int:
    """Returns the most memory that it took, bytes. When memory runs out all the same, it goes on
    from the last checkpoint with less at once."""
    gauge = Gauge(course.device)
    gauge.restart()
    while True:
        try:
            loop.run(course, progress)
            return gauge.peak()
        except Exception as error:
            if not out_of_memory(error):
                raise
            less = memory.smaller(course.recipe)
            if less is None:
                raise Refused(
                    f"the training of {course.out} runs out of memory even with one sample at once;"
                    " take a smaller model or context, or an adapter"
                ) from error
        course = replace(course, recipe=less)
        record.write(course.out, record.read(course.out)["identity"], less)
        gc.collect()
        gauge.give_back()


def _finish(
    course: Course,
    prepared: _Prepared,
    about: DatasetCard,
    directory: Path,
    identity: dict[str, Any],
    peak: int,
) -> TrainingCard:
    """Write the voice, of the best checkpoint."""
    out, plan, found = course.out, course.plan, prepared.material
    newest = checkpoints.newest(out)
    assert newest is not None, "the last update is always saved"
    state = loop.state_of(newest)
    seen = losses(state.log_history)
    kept = state.best_global_step or state.global_step
    notes = product.write(
        out, checkpoints.path_of(out, kept), course.base, plan, found, course.recipe.context
    )
    draw(out / PICTURE, seen)
    before = next((loss for step, loss in seen.held_out if step == 0), None)
    best = next((loss for step, loss in seen.held_out if step == kept), None)
    if best is None:
        notes.append("no conversations were held out, so nothing says that it has not overlearned")
    elif before is not None and best >= before:
        notes.append("it never became better on held-out conversations than it was before training")
    return TrainingCard(
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        method=plan.method,
        base=str(plan.base.absolute()) if plan.base else "",
        base_name=plan.base_name,
        base_digest=course.base.digest,
        voices=(plan.speaker,) if plan.speaker else about.voices,
        dataset=str(directory),
        dataset_digest=identity["dataset"],
        dataset_card=about,
        identity=identity,
        recipe=record.read(out)["recipe"],
        parameters=prepared.size.parameters,
        trained=prepared.size.trained,
        samples=len(found.train) - found.replayed,
        replayed=found.replayed,
        held_out=len(course.held_out),
        before=before,
        best=best,
        best_update=kept,
        updates=state.global_step,
        stopped_early=state.global_step < course.recipe.updates,
        learned_losses=seen.learned,
        held_out_losses=seen.held_out,
        seconds=checkpoints.seconds(newest),
        tokens=sum(course.tokens[: state.global_step]),
        device=prepared.device.title,
        memory_estimate=prepared.needs.total,
        memory_peak=peak,
        versions=card.versions(),
        notes=tuple(notes),
    )
