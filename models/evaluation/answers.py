"""Lets a model answer in the place of the person, as it would when it is served. Knows no figures.

Prompts are those of training, and the engine is the one that serves: what is measured is what
people would read.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from botdaemon.errors import EngineFailed, ModelUnusable
from models import formats, torch_device
from models.dataset.samples import request_of
from models.evaluation.candidates import ADAPTER, engine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from botdaemon.types import Sampling
    from models.evaluation.candidates import Candidate, Place
    from models.evaluation.questions import Asked
    from models.text import Slot


class Speaker:
    """A candidate that answers."""

    def __init__(self, candidate: Candidate, place: Place) -> None:
        """Raises `ModelUnusable`."""
        self._name = candidate.name
        self._adapter = ADAPTER if candidate.adapter else ""
        self._format = formats.load(candidate.directory)
        self._engine = engine(candidate, place)
        self.device = str(torch_device.device(place.device, candidate.name))

    def answers(
        self,
        asked: Sequence[Asked],
        sampling: Sampling,
        progress: Callable[[int, int], None],
    ) -> list[str]:
        """What it says in each place. Raises `ModelUnusable` when it says something that is no
        number, or the adapter does not fit."""
        said: dict[Slot, str] = {}
        try:
            for place in asked:
                said[self._start(place, sampling)] = ""
            done = 0
            while self._engine.busy:
                for slot, piece in self._engine.step():
                    if isinstance(piece, EngineFailed):
                        raise piece
                    said[slot] += piece.text
                    if piece.finish:
                        done += 1
                        progress(done, len(asked))
        except EngineFailed as error:
            raise ModelUnusable(str(error)) from error
        return [text.strip() for text in said.values()]

    def _start(self, asked: Asked, sampling: Sampling) -> Slot:
        wanted = sampling.max_tokens or self._format.card.max_tokens
        context = self._format.card.context
        reply = min(wanted, context // 2)  # as a bot shares out its context
        request = request_of(
            asked.session, asked.index, self._format, context=context, reserve=reply
        )
        names = dict.fromkeys(turn.name for turn in asked.session.turns)
        return self._engine.start(
            replace(
                request,
                model=self._name,
                adapter=self._adapter,
                sampling=replace(sampling, max_tokens=reply),
                # It is stopped where it would speak for somebody else, as bots are.
                stop=tuple(f"\n{name}:" for name in names if name != request.speaker),
            )
        )
