"""All models on this machine: each on its device, a model process for each device in use. Lives in
the daemon; never imports torch.

    async with Fleet(specs, base=HERE, footprints=DATA / "footprints.json") as fleet:
        engine = fleet.text("starter")
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from botdaemon.errors import ModelUnusable
from models import footprints, placement
from models.devices import devices
from models.footprints import Footprints
from models.lasting import Lasting
from models.ledger import Footprint
from models.process import ModelProcess, ModelSpec, TextSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AsyncExitStack
    from pathlib import Path

    from models.process import (
        ModelClassifier,
        ModelEmbedder,
        ModelImageEngine,
        ModelTextEngine,
        Status,
    )
    from models.sound.engines import ModelHearingEngine, ModelSpeechEngine

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Survey:
    """What is known of the models before any of them is loaded."""

    #: with the device that each goes to, and its footprint
    specs: Mapping[str, ModelSpec]
    plan: placement.Plan
    #: say under which each model's footprint is kept; another one for another version of it
    identities: Mapping[str, Callable[[], str]]


def survey(
    specs: Mapping[str, ModelSpec],
    *,
    base: Path,
    budgets: Mapping[str, int],
    known: Footprints | None,
) -> Survey:
    """Look at the files and the devices, and plan. `budgets`: bytes that models may take, by
    device. Raises `ModelUnusable` for a model whose files are not right."""
    there = devices()
    looked: dict[str, ModelSpec] = {}
    identities: dict[str, Callable[[], str]] = {}
    for name, spec in specs.items():
        try:
            directory = spec.resolve(base)
        except ModelUnusable as error:
            raise ModelUnusable(f'model "{name}": {error}') from error
        quantize = spec.quantize if isinstance(spec, TextSpec) else "none"
        # int8 is for CPUs; the rest goes to the first device, a card if there is one.
        device = "cpu" if quantize == "int8" else spec.device
        on = there[0].name if device == "auto" else device
        identities[name] = partial(
            footprints.identity, directory, device=on, dtype=spec.dtype, quantize=quantize
        )
        estimate, weights = footprints.estimate(
            directory,
            kind=spec.kind,
            device=on,
            dtype=spec.dtype,
            quantize=quantize,
            part_by_part=spec.offload == "always",
        )
        measured = known.get(identities[name]()) if known else None
        looked[name] = replace(spec, device=device, footprint=measured or estimate, weights=weights)
    plan = placement.place([spec.need(name) for name, spec in looked.items()], there, budgets)
    for share in plan.shares:
        for place in share.places:
            name = place.need.name
            looked[name] = replace(
                looked[name],
                device=place.device,
                load=place.state == "resident",
                # Where there is no room to wait for it, it is loaded from disk each time.
                offload=looked[name].offload if place.need.offload else False,
            )
    return Survey(looked, plan, identities)


class Fleet(Lasting):
    """The model processes of this machine."""

    def __init__(
        self,
        specs: Mapping[str, ModelSpec],
        *,
        base: Path,
        budgets: Mapping[str, int] | None = None,
        footprints: Path | None = None,
        confined: bool = True,
    ) -> None:
        """`base`: where relative paths begin. `budgets`: bytes that models may take, by device.
        `footprints`: the file in which it is kept what they were measured to take. `confined`: see
        `models.confinement`."""
        self._given = specs
        self._base = base
        self._budgets = budgets or {}
        self._file = footprints
        self._confined = confined
        self._known: Footprints | None = None
        self._identities: Mapping[str, Callable[[], str]] = {}
        self._processes: dict[str, ModelProcess] = {}
        #: the process of each model
        self._of: dict[str, ModelProcess] = {}

    async def _begin(self, stack: AsyncExitStack) -> None:
        """Start the processes, without waiting for the models to load. Raises `ModelUnusable` when
        a model's files are not right or it can never fit."""
        looked = await asyncio.to_thread(self._survey)
        if looked.plan.problems:
            raise ModelUnusable("\n".join(looked.plan.problems.values()))
        for note in looked.plan.notes:
            log.warning("%s", note)
        self._identities = looked.identities
        for share in looked.plan.shares:
            names = [place.need.name for place in share.places]
            if not names:
                continue
            device = share.device.name
            process = self._processes[device] = await stack.enter_async_context(
                ModelProcess(
                    name=device,
                    models={name: looked.specs[name] for name in names},
                    base=self._base,
                    memory=share.budget,
                    measured=self._measured,
                    confined=self._confined,
                )
            )
            self._of |= dict.fromkeys(names, process)

    def text(self, model: str) -> ModelTextEngine:
        return self._of[model].text(model)

    def image(self, model: str) -> ModelImageEngine:
        return self._of[model].image(model)

    def embedder(self, model: str) -> ModelEmbedder:
        return self._of[model].embedder(model)

    def classifier(self, model: str) -> ModelClassifier:
        return self._of[model].classifier(model)

    def hearing(self, model: str) -> ModelHearingEngine:
        return self._of[model].hearing(model)

    def speech(self, model: str) -> ModelSpeechEngine:
        return self._of[model].speech(model)

    def silent(self) -> list[str]:
        """The processes that hang, and that killing does not end."""
        return [f"models on {name}" for name, process in self._processes.items() if process.hangs]

    def status(self) -> list[Status]:
        """A line for each process."""
        return [process.status() for process in self._processes.values()]

    def _survey(self) -> Survey:
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._known = Footprints(self._file)
        return survey(self._given, base=self._base, budgets=self._budgets, known=self._known)

    def _measured(self, model: str, load: int, peak: int) -> None:
        if self._known is None:
            return
        try:
            identity = self._identities[model]()
            self._known.put(identity, Footprint(load=load, peak=peak, measured=True))
        except (OSError, ValueError) as error:  # it is measured again the next time
            log.warning("what models take could not be kept: %s", error)
