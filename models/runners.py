"""A thread for each model of a device: takes requests, advances them, sends what comes of them.
Lives in the model process; knows no frames' other end and no model library.

A model computes only in its turn at the turnstile, and is on the device only while `memory` lets
it be.
"""

from __future__ import annotations

import logging
import threading
import traceback
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from botdaemon.errors import BotdaemonError, EngineFailed, ModelUnusable
from models import frames
from models.engines import (
    Cancelled,
    LoadedClassifier,
    LoadedEmbedder,
    LoadedImageModel,
    LoadedModel,
    LoadedTextModel,
)
from models.measure import device_lost, out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from botdaemon.types import (
        EmbedRequest,
        ImageRequest,
        Picture,
        Piece,
        Progress,
        TextRequest,
    )
    from models.engines import Slot
    from models.memory import Memory
    from models.turnstile import GiveWay, Turnstile

log = logging.getLogger(__name__)

Request = TypeVar("Request")
Loaded = TypeVar("Loaded", bound=LoadedModel)
LoadedOut = TypeVar("LoadedOut", covariant=True)


class Recipe(Protocol[LoadedOut]):
    """How a model is made."""

    def prepare(self) -> None:
        """Import the library. Raises `ModelUnusable`."""

    def make(self) -> LoadedOut:
        """Load it from disk. Raises `ModelUnusable`, or what says that memory ran out."""


@dataclass(slots=True, eq=False)
class Job(Generic[Request]):
    """A request on this side."""

    id: int
    request: Request
    cancelled: threading.Event = field(default_factory=threading.Event)


class Runner(ABC, Generic[Request, Loaded]):
    """One model and the requests for it. `memory` calls `load`, `rest` and `drop` from whichever
    thread needs the room, while this one has no request."""

    #: it allocates through torch, so what it takes of a card can be measured
    in_torch = True

    def __init__(
        self,
        name: str,
        recipe: Recipe[Loaded],
        memory: Memory,
        turnstile: Turnstile,
        wire: frames.Wire,
    ) -> None:
        self.name = name
        self._recipe: Recipe[Loaded] = recipe
        self._memory = memory
        self._turnstile = turnstile
        self._wire = wire
        self._model: Loaded | None = None
        self._inbox: deque[Job[Request]] = deque()
        self._news = threading.Condition()
        self._jobs: dict[int, Job[Request]] = {}
        self._wanted_at_start = False
        #: another version of the model, to be loaded once nobody needs this one
        self._successor: tuple[Recipe[Loaded], Callable[[bool], None]] | None = None

    def start(self, *, load: bool) -> None:
        """Begin; with `load` the model is loaded at once, so that nobody waits for it later."""
        self._wanted_at_start = load
        threading.Thread(target=self._run, name=self.name, daemon=True).start()

    def take(self, job: Job[Request]) -> None:
        """From the thread that reads."""
        with self._news:
            self._jobs[job.id] = job
            self._inbox.append(job)
            self._news.notify()

    def cancel(self, id: int) -> None:
        """From the thread that reads. It may have ended while the cancel was on its way."""
        if job := self._jobs.get(id):
            job.cancelled.set()

    def replace(self, recipe: Recipe[Loaded], done: Callable[[bool], None]) -> None:
        """From the thread that reads: what was begun is finished by the model as it is, and the
        rest by another version of it. `done` is told whether that could be loaded; if not, all
        goes on as it was. A version that is replaced before it was tried is passed over."""
        with self._news:
            self._successor = (recipe, done)
            self._news.notify()

    # --- on and off the device, called by `memory` ---------------------------------------------

    def prepare(self) -> None:
        self._recipe.prepare()

    def load(self) -> None:
        """Raises `ModelUnusable`, or what says that memory ran out."""
        if self._model is None:
            self._model = self._recipe.make()
        else:
            self._model.wake()

    def rest(self) -> None:
        assert self._model is not None
        self._model.rest()

    def drop(self) -> None:
        self._model = None

    @property
    def bytes(self) -> int:
        return self._model.bytes if self._model is not None else 0

    @property
    def resting(self) -> bool:
        return self._model is not None

    # --- the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            if self._wanted_at_start:
                self._warm_up()
            while True:
                with self._news:
                    self._news.wait_for(lambda: self._inbox or self._successor)
                    successor, self._successor = self._successor, None
                if successor:
                    self._switch(*successor)
                else:
                    self._attend()
        except BaseException:
            # The process ends with it: the daemon starts another, and tells who waited.
            traceback.print_exc()
            self._memory.lost()

    def _warm_up(self) -> None:
        try:
            with self._memory.hold(self.name):
                pass
        except ModelUnusable as error:
            log.error("%s", error)  # no traceback: the sentence is all there is to know
        except Exception as error:  # a request for it will fail and say so
            log.exception('model "%s" could not be loaded', self.name)
            self._unless_lost(error)

    def _switch(self, recipe: Recipe[Loaded], done: Callable[[bool], None]) -> None:
        """The old version leaves first: there may be no room for both."""
        former, self._recipe = self._recipe, recipe
        self._memory.dismiss(self.name)
        try:
            with self._memory.hold(self.name):
                done(True)
        except Exception as error:
            why = error if isinstance(error, BotdaemonError) else self._foreseen(error)
            log.error("%s; it goes on as it was", why)
            self._recipe = former
            done(False)
            self._warm_up()

    def _may_begin(self) -> bool:
        """Whether requests may be begun with the model as it is."""
        return self._successor is None and not self._memory.wanted(self.name)

    def _attend(self) -> None:
        """Bring the model to the device and serve until nobody waits."""
        try:
            with self._memory.hold(self.name):
                assert self._model is not None
                self._serve(self._model)
        except BotdaemonError as error:
            self._fail_waiting(error)
        except Exception as error:
            self._fail_waiting(self._foreseen(error))

    @abstractmethod
    def _serve(self, model: Loaded) -> None:
        """Serve until nobody waits or somebody else needs the memory."""

    def _next(self) -> Job[Request] | None:
        """The next request that is still wanted."""
        while True:
            with self._news:
                if not self._inbox:
                    return None
                job = self._inbox.popleft()
            if not job.cancelled.is_set():
                return job
            self._cancelled(job)

    def _fail_waiting(self, error: BotdaemonError) -> None:
        # Those that wait now: whoever asks after hearing of it may have mended the cause.
        waiting = list(iter(self._next, None))
        for job in waiting:
            self._failed(job, error)

    # --- how requests end ------------------------------------------------------------------------

    def _end(self, job: Job[Request]) -> None:
        self._jobs.pop(job.id, None)

    def _cancelled(self, job: Job[Request], tokens: int = 0) -> None:
        self._end(job)
        self._wire.send({"is": "cancelled", "id": job.id, "tokens": tokens})

    def _failed(self, job: Job[Request], error: BotdaemonError) -> None:
        self._end(job)
        self._wire.send(
            {
                "is": "failed",
                "id": job.id,
                # By one of the names that the other end knows, whatever kind of it this is.
                "error": (
                    ModelUnusable if isinstance(error, ModelUnusable) else EngineFailed
                ).__name__,
                "message": str(error),
            }
        )

    def _foreseen(self, error: Exception) -> EngineFailed:
        """An error that nobody foresaw, in words. It costs the requests it hit only, unless the
        device is lost."""
        self._unless_lost(error)
        if out_of_memory(error):
            return EngineFailed(
                f'the device has not enough memory for model "{self.name}" at the moment'
            )
        log.error("request failed: %s", "".join(traceback.format_exception(error)))
        return EngineFailed(f'model "{self.name}" failed: {type(error).__name__}: {error}')

    @staticmethod
    def _unless_lost(error: Exception) -> None:
        if device_lost(error):
            raise error


class TextRunner(Runner["TextRequest", LoadedTextModel]):
    """A text model: many requests at once."""

    def _serve(self, model: LoadedTextModel) -> None:
        slots: dict[Slot, Job[TextRequest]] = {}
        with self._turnstile.turn(self.name) as give_way:
            while True:
                # Whoever needs the memory waits until what was begun is done, not for ever.
                if self._may_begin():
                    self._take_in(model, slots)
                self._let_go(model, slots)
                if not slots:
                    return
                self._step(model, slots)
                give_way()

    def _take_in(self, model: LoadedTextModel, slots: dict[Slot, Job[TextRequest]]) -> None:
        while job := self._next():
            try:
                slots[model.start(job.request)] = job
            except BotdaemonError as error:
                self._failed(job, error)
            except Exception as error:
                self._failed(job, self._foreseen(error))

    def _let_go(self, model: LoadedTextModel, slots: dict[Slot, Job[TextRequest]]) -> None:
        for slot in [slot for slot, job in slots.items() if job.cancelled.is_set()]:
            model.drop(slot)
            self._cancelled(slots.pop(slot), slot.tokens)

    def _step(self, model: LoadedTextModel, slots: dict[Slot, Job[TextRequest]]) -> None:
        try:
            advanced = self._advance(model)
        except Exception as error:
            failure = self._foreseen(error)
            for slot, job in slots.items():
                model.drop(slot)
                self._failed(job, failure)
            slots.clear()
            return
        pieces: list[Any] = []
        for slot, outcome in advanced:
            if isinstance(outcome, EngineFailed):
                self._failed(slots.pop(slot), outcome)
                continue
            job = slots[slot]
            if outcome.text or outcome.finish:
                pieces.append(_packed(job.id, outcome))
            if outcome.finish:
                self._end(slots.pop(slot))
        if pieces:
            self._wire.send({"is": "pieces", "pieces": pieces})

    def _advance(self, model: LoadedTextModel) -> Sequence[tuple[Slot, Piece | EngineFailed]]:
        """One step, again with less when memory runs out."""
        while True:
            try:
                return model.step()
            except Exception as error:
                if not out_of_memory(error):
                    raise
                if not self._memory.relieved(self.name, model):
                    raise


def _packed(id: int, piece: Piece) -> list[Any]:
    return [id, piece.text, piece.tokens, piece.prompt_tokens, piece.finish]


class ImageRunner(Runner["ImageRequest", LoadedImageModel]):
    """An image model: one request after the other, others in between its steps."""

    def _serve(self, model: LoadedImageModel) -> None:
        while self._may_begin() and (job := self._next()):
            try:
                with self._turnstile.turn(self.name) as give_way:
                    self._draw(model, job, give_way)
            except Cancelled:
                self._cancelled(job)
            except BotdaemonError as error:
                self._failed(job, error)
            except Exception as error:
                self._failed(job, self._foreseen(error))
            else:
                self._end(job)
                self._wire.send({"is": "drawn", "id": job.id})

    def _draw(self, model: LoadedImageModel, job: Job[ImageRequest], give_way: GiveWay) -> None:
        pictures = 0

        def emit(drawn: Progress | Picture) -> None:
            nonlocal pictures
            if job.cancelled.is_set():
                raise Cancelled
            frame = frames.pack_drawn(drawn)
            try:
                self._wire.send({**frame, "id": job.id})
            except frames.TooLarge as error:
                raise EngineFailed(f"the picture is too large to be handed over: {error}") from None
            pictures += frame["is"] == "picture"
            give_way()

        while True:
            try:
                model.draw(job.request, emit)
                return
            except Exception as error:
                # A picture that was handed over must not come twice.
                if pictures or not out_of_memory(error):
                    raise
                if not self._memory.relieved(self.name, model):
                    raise


class ResultRunner(Runner[Request, Loaded]):
    """A model with one result for each request: one request after the other."""

    def _serve(self, model: Loaded) -> None:
        while self._may_begin() and (job := self._next()):
            try:
                with self._turnstile.turn(self.name) as give_way:
                    result = self._answered(model, job, _pausing(job, give_way))
                frames.pack(result)  # it may be too large to be handed over
            except Cancelled:
                self._cancelled(job)
            except BotdaemonError as error:
                self._failed(job, error)
            except frames.TooLarge as error:
                self._failed(job, EngineFailed(f"it is too large to be handed over: {error}"))
            except Exception as error:
                self._failed(job, self._foreseen(error))
            else:
                self._end(job)
                self._wire.send({**result, "id": job.id})

    def _answered(
        self, model: Loaded, job: Job[Request], pause: Callable[[], None]
    ) -> frames.Frame:
        """The answer, again with less when memory runs out."""
        while True:
            try:
                return self._answer(model, job.request, pause)
            except Exception as error:
                if not out_of_memory(error) or not self._memory.relieved(self.name, model):
                    raise

    @abstractmethod
    def _answer(self, model: Loaded, request: Request, pause: Callable[[], None]) -> frames.Frame:
        """The frame that ends the request, without its id."""


def _pausing(job: Job[Any], give_way: GiveWay) -> Callable[[], None]:
    def pause() -> None:
        if job.cancelled.is_set():
            raise Cancelled
        give_way()

    return pause


class EmbedderRunner(ResultRunner["EmbedRequest", LoadedEmbedder]):
    """Puts texts into vectors."""

    def _answer(
        self, model: LoadedEmbedder, request: EmbedRequest, pause: Callable[[], None]
    ) -> frames.Frame:
        vectors = frames.pack_vectors(model.embed(request, pause))
        return {"is": "vectors", "vectors": vectors}


class ClassifierRunner(ResultRunner["str | bytes", LoadedClassifier]):
    """Classifies."""

    def _answer(
        self, model: LoadedClassifier, request: str | bytes, pause: Callable[[], None]
    ) -> frames.Frame:
        return {"is": "classified", "labels": model.classify(request)}
