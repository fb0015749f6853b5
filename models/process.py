"""Keeps a model process alive and lends out its engines. Lives in the daemon; never imports torch.

    async with ModelProcess(name="cuda:0", models={"starter": TextSpec(path=PATH)}) as process:
        engine = process.text("starter")

When the process dies, the requests under way raise `EngineDied` at once, it is started again after
a pause, and requests made meanwhile wait for it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, ClassVar, Literal

from botdaemon.errors import BotdaemonError, EngineDied, ModelUnusable
from botdaemon.types import (
    ClassifierCard,
    EmbedderCard,
    EmbedRequest,
    ImageCard,
    ImageRequest,
    ModelCard,
    Picture,
    Piece,
    Progress,
    Sampling,
    TextRequest,
)
from models import formats, frames, labels, preflight
from models.confinement import environment
from models.devices import ORDER, Reading
from models.embed import layout
from models.lasting import Lasting, beside
from models.ledger import Footprint, Need
from models.life import Life
from models.live import Lookout, log_kept
from models.sound import files as sound_files
from models.sound.engines import ModelHearingEngine, ModelSpeechEngine

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
    from contextlib import AsyncExitStack

    from models.live import Edition, Editions

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 30.0
"""Seconds before a dead process is started again: doubled each time it dies young."""
HEALTHY = 60.0
"""Seconds after which a death is no longer part of the same misfortune."""
LOOK = 1.0
"""Seconds between two looks for other versions of the models."""
PING, MOST_UNANSWERED = 10.0, 9
"""Seconds between two questions whether it lives, and how many may stay without an answer. Long
enough for a library that holds the interpreter while it loads."""

_ROOT = str(Path(__file__).resolve().parent.parent)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A model as the operator describes it."""

    #: what it is for
    kind: ClassVar[preflight.Kind]
    #: a directory, or a hub id that is already on this machine
    path: str
    revision: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    #: LoRA adapters: names and directories
    adapters: Mapping[str, str] = field(default_factory=dict)
    #: it waits in RAM when it has to leave the device
    offload: bool | Literal["always"] = False
    #: loaded when the process starts, else when it is first asked
    load: bool = True
    #: it never leaves the device
    pinned: bool = False
    #: seconds without a request after which it makes way; 0: when somebody needs the room
    idle: float = 0.0
    #: bytes of its weights as they lie in RAM, for one that waits there
    weights: int = 0
    #: what it takes, if that is known or estimated
    footprint: Footprint = field(default_factory=lambda: Footprint(load=0, peak=0))

    def resolve(self, base: Path) -> Path:
        """Its directory; a relative path is looked for in `base`. Raises `ModelUnusable`."""
        return preflight.resolve(self.path, base=base, revision=self.revision, kind=self.kind)

    def reads(self, directory: str) -> list[str]:
        """What its process has to read, once it is resolved."""
        return [directory]

    def need(self, name: str) -> Need:
        """What it asks of its device, for the ledger."""
        return Need(
            name=name,
            footprint=self.footprint,
            device=self.device,
            pinned=self.pinned,
            load_at_start=self.load,
            idle_seconds=self.idle,
            offload=self.weights if self.offload else 0,
            part_by_part=self.offload == "always",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSpec(ModelSpec):
    """A text model."""

    kind = "text"
    quantize: str = "none"
    #: conversations at once
    batch: int = 16
    #: bytes for conversations, under way and remembered
    cache: int = 512 * 2**20
    #: what the operator prefers to the model's own defaults
    sampling: Sampling = field(default_factory=Sampling)

    def need(self, name: str) -> Need:
        # Not super(): a dataclass with slots is made anew, and the old one is not its base.
        return replace(ModelSpec.need(self, name), kept=self.cache)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSpec(ModelSpec):
    """An image model."""

    kind = "image"
    #: its safety checker, if it has one, looks at every picture
    checker: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedderSpec(ModelSpec):
    """An embedder."""

    kind = "embedder"
    #: texts at once
    batch: int = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierSpec(ModelSpec):
    """A classifier."""

    kind = "classifier"


@dataclass(frozen=True, slots=True, kw_only=True)
class HearingSpec(ModelSpec):
    """A model that writes down recordings: the directory of a Whisper model in CTranslate2's
    form."""

    kind = "hearing"
    #: what is spoken, as "en"; empty to find out from each recording
    language: str = ""

    def resolve(self, base: Path) -> Path:
        return sound_files.whisper(base / Path(self.path).expanduser())


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechSpec(ModelSpec):
    """A model that speaks: the file of a Piper voice, or "" for espeak-ng."""

    kind = "speech"
    #: which of espeak-ng's languages
    language: str = "en"
    #: the number of one of the Piper voice's speakers
    speaker: int = 0
    #: times as fast as usual
    speed: float = 1.0

    def resolve(self, base: Path) -> Path:
        path = str(base / Path(self.path).expanduser()) if self.path else ""
        return sound_files.speech(path, self.language)

    def reads(self, directory: str) -> list[str]:
        # What a Piper voice needs to know lies beside it.
        return [directory, f"{directory}.json"] if directory.endswith(".onnx") else [directory]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A model process as `/status` shows it."""

    name: str
    #: 0 while it is not running
    pid: int
    ready: bool
    #: each model: "away", "loading", "loaded" or "resting" (in RAM, off the device)
    models: Mapping[str, str]
    restarts: int
    #: requests waiting or being answered
    requests: int
    #: resident memory, bytes
    memory: int
    #: what each model takes on the device, estimated or measured
    footprints: Mapping[str, Footprint]
    #: how often each model was sent away from the device
    evictions: Mapping[str, int]
    #: how the device does; None while nobody knows
    device: Reading | None


class ModelTextEngine:
    """A text model of a process: a `TextEngine`."""

    def __init__(
        self,
        process: ModelProcess,
        model: str,
        editions: Editions,
        preferred: Sampling,
        adapter: str = "",
    ) -> None:
        """`adapter`: the LoRA adapter to speak with when a request names none."""
        self._process = process
        self._model = model
        self._editions = editions
        self._preferred = preferred
        self._adapter = adapter

    def speaking(self, adapter: str) -> ModelTextEngine:
        """The same model with an adapter of its own."""
        return ModelTextEngine(self._process, self._model, self._editions, self._preferred, adapter)

    @property
    def card(self) -> ModelCard:
        return self._editions.current.card

    async def count(self, request: TextRequest) -> int:
        # Here rather than over there: it costs a millisecond and the memory of one tokenizer,
        # and a bot can pack its history while the process is busy or still starting. In a thread,
        # because a megabyte of text or a model's own template may take its time.
        return len(await asyncio.to_thread(self._editions.current.format.encode, request))

    async def generate(self, request: TextRequest) -> AsyncGenerator[Piece, None]:
        request = replace(
            request,
            model=self._model,
            sampling=formats.merge(request.sampling, self._preferred),
            adapter=request.adapter or self._adapter,
        )
        life = await self._process.life()
        with life.request("generate", frames.pack_request(request)) as inbox:
            while True:
                piece = await inbox.get()
                if isinstance(piece, BotdaemonError):
                    raise piece
                assert isinstance(piece, Piece)
                yield piece
                if piece.finish:
                    return


class ModelImageEngine:
    """An image model of a process: an `ImageEngine`."""

    def __init__(self, process: ModelProcess, model: str, card: ImageCard) -> None:
        self._process = process
        self._model = model
        self._card = card

    @property
    def card(self) -> ImageCard:
        return self._card

    async def draw(self, request: ImageRequest) -> AsyncGenerator[Progress | Picture, None]:
        request = replace(request, model=self._model)
        life = await self._process.life()
        with life.request("draw", frames.pack_image_request(request)) as inbox:
            while (drawn := await inbox.get()) is not None:
                if isinstance(drawn, BotdaemonError):
                    raise drawn
                assert isinstance(drawn, Progress | Picture)
                yield drawn

    def read(self, picture: bytes) -> ImageRequest | None:
        from models.image import metadata

        return metadata.read(picture)


class ModelEmbedder:
    """An embedder of a process: an `Embedder`."""

    def __init__(self, process: ModelProcess, model: str, card: EmbedderCard) -> None:
        self._process = process
        self._model = model
        self._card = card

    @property
    def card(self) -> EmbedderCard:
        return self._card

    async def embed(self, texts: Sequence[str], *, question: bool = False) -> list[bytes]:
        request = EmbedRequest(model=self._model, texts=tuple(texts), question=question)
        life = await self._process.life()
        with life.request("embed", asdict(request)) as inbox:
            vectors = await inbox.get()
        if isinstance(vectors, BotdaemonError):
            raise vectors
        assert isinstance(vectors, list)
        return vectors


class ModelClassifier:
    """A classifier of a process: a `Classifier`."""

    def __init__(self, process: ModelProcess, model: str, card: ClassifierCard) -> None:
        self._process = process
        self._model = model
        self._card = card

    @property
    def card(self) -> ClassifierCard:
        return self._card

    async def classify(self, what: str | bytes) -> Mapping[str, float]:
        life = await self._process.life()
        with life.request("classify", frames.pack_classified(self._model, what)) as inbox:
            found = await inbox.get()
            if isinstance(found, BotdaemonError):
                raise found
            assert isinstance(found, dict)
            return found


class ModelProcess(Lasting):
    """One model process through all its lives."""

    def __init__(
        self,
        *,
        name: str,
        models: Mapping[str, ModelSpec],
        base: Path | None = None,
        memory: int = 0,
        measured: Callable[[str, int, int], None] = lambda name, load, peak: None,
        patience: float = 5.0,
        look: float = LOOK,
        ping: float = PING,
        confined: bool = True,
    ) -> None:
        """`base`: where relative paths begin, by default the working directory. `memory`: bytes
        that its models may take together; 0: all there is. `measured`: told what a model takes
        (name, bytes at rest, more bytes at work). `patience`: seconds the process gets to end by
        itself before it is killed. `look`: seconds between two looks for other versions, `ping`:
        between two questions whether it lives. `confined`: see `models.confinement`."""
        self._name = name
        self._specs = dict(models)
        self._base = base or Path.cwd()
        self._memory = memory
        self._measured = measured
        self._patience = patience
        self._pause = look
        self._ping = ping
        self._confined = confined
        self._lookout = Lookout(self._switch)
        self._frames: dict[str, frames.Frame] = {}
        self._texts: dict[str, ModelTextEngine] = {}
        self._images: dict[str, ModelImageEngine] = {}
        self._embedders: dict[str, ModelEmbedder] = {}
        self._classifiers: dict[str, ModelClassifier] = {}
        self._scratch = ""
        self._restarts = 0
        self._footprints = {name: spec.footprint for name, spec in models.items()}
        self._evictions = dict.fromkeys(models, 0)
        self._life: Life | None = None
        #: the life that is looked after, also while it ends
        self._attended: Life | None = None
        #: the life that is to come, or its failure to; replaced after each attempt
        self._awaited: asyncio.Future[Life]

    async def _begin(self, stack: AsyncExitStack) -> None:
        """Start it, without waiting for the models to load. Raises `ModelUnusable`. When it is
        left, requests under way raise `EngineDied`."""
        await asyncio.to_thread(self._prepare)
        # The one place where the process may write: torch wants some for temporary files.
        scratch = TemporaryDirectory(prefix="botdaemon-models-", ignore_cleanup_errors=True)
        self._scratch = stack.enter_context(scratch)
        self._awaited = self._hope()
        # Another future by then.
        why = f'the model process "{self._name}" was stopped'
        stack.callback(lambda: _disappoint(self._awaited, why))
        work = self._supervise()
        await stack.enter_async_context(beside(work, name=f"model process {self._name}"))
        await stack.enter_async_context(
            beside(self._lookout.watch(self._pause), name=f"versions on {self._name}")
        )

    def text(self, model: str) -> ModelTextEngine:
        return self._texts[model]

    def image(self, model: str) -> ModelImageEngine:
        return self._images[model]

    def embedder(self, model: str) -> ModelEmbedder:
        return self._embedders[model]

    def classifier(self, model: str) -> ModelClassifier:
        return self._classifiers[model]

    def hearing(self, model: str) -> ModelHearingEngine:
        return ModelHearingEngine(self, model)

    def speech(self, model: str) -> ModelSpeechEngine:
        return ModelSpeechEngine(self, model)

    @property
    def pid(self) -> int:
        """0 while it is not running."""
        return self._life.child.pid if self._life else 0

    @property
    def hangs(self) -> bool:
        """Whether it shows no sign of life, and killing it has not helped."""
        return self._attended is not None and self._attended.unanswered > 2 * MOST_UNANSWERED

    def _weighed(self, model: str, load: int, peak: int) -> None:
        self._footprints[model] = Footprint(load=load, peak=peak, measured=True)
        self._measured(model, load, peak)

    def _left(self, model: str) -> None:
        self._evictions[model] += 1

    async def look(self) -> None:
        """See at once whether there are other versions of the models; see `Lookout.look`."""
        await self._lookout.look()

    def status(self) -> Status:
        life = self._life
        return Status(
            name=self._name,
            pid=self.pid,
            ready=life is not None and life.ready,
            models=dict(life.models) if life else {},
            restarts=self._restarts,
            requests=len(life.inboxes) if life else 0,
            memory=_resident(self.pid),
            footprints=dict(self._footprints),
            evictions=dict(self._evictions),
            device=life.device if life else None,
        )

    async def life(self) -> Life:
        """The running process; waits for it to start. Raises `EngineDied` when it did not."""
        if self._life and self._life.ready:
            return self._life
        return await asyncio.shield(self._awaited)

    @staticmethod
    def _hope() -> asyncio.Future[Life]:
        return asyncio.get_running_loop().create_future()

    def _prepare(self) -> None:
        for name, spec in self._specs.items():
            try:
                self._frames[name] = self._prepared(name, spec)
            except ModelUnusable as error:
                raise ModelUnusable(f'model "{name}": {error}') from error

    def _prepared(self, name: str, spec: ModelSpec) -> frames.Frame:
        """What the process is told of a model; its engine is made on the way."""
        directory = spec.resolve(self._base)
        told = asdict(spec) | {
            "kind": spec.kind,
            "directory": str(directory),
            "adapters": {
                adapter: str(self._base / Path(path).expanduser())
                for adapter, path in spec.adapters.items()
            },
        }
        for key in ("path", "revision", "sampling", "footprint", "weights", "pinned", "idle"):
            told.pop(key, None)
        told["need"] = asdict(spec.need(name))
        match spec:
            case TextSpec():
                editions = self._lookout.add(name, directory, spec.sampling)
                self._texts[name] = ModelTextEngine(self, name, editions, spec.sampling)
            case ImageSpec():
                from models.image import manners

                card = manners.card(directory, checker=spec.checker)
                self._images[name] = ModelImageEngine(self, name, card)
            case EmbedderSpec():
                self._embedders[name] = ModelEmbedder(self, name, layout.load(directory).card)
            case ClassifierSpec():
                self._classifiers[name] = ModelClassifier(self, name, labels.card(directory))
            case HearingSpec() | SpeechSpec():
                pass  # nothing in their files need be known to ask them
            case _:
                raise TypeError(f"{name} is no model of a kind that is known")
        return told

    # --- supervision -------------------------------------------------------------------------

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE
        while True:
            began = loop.time()
            why = await self._live()
            pause = FIRST_PAUSE if loop.time() - began > HEALTHY else pause
            log.error(
                "model process died",
                extra={"event": "model.died", "device": self._name, "why": why, "pause": pause},
            )
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            self._restarts += 1

    async def _live(self) -> str:
        """Start the process, serve until it ends, and say why it did."""
        ours, theirs = socket.socketpair()
        # 1. Start it. The package is named by its place, since the working directory may hold
        #    another `models`.
        path = os.pathsep.join(filter(None, (_ROOT, os.environ.get("PYTHONPATH"))))
        with theirs:
            reader, writer = await asyncio.open_connection(sock=ours)
            try:
                child = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", "models.host", str(theirs.fileno())),
                    pass_fds=[theirs.fileno()],
                    env={
                        **environment(os.environ),
                        **ORDER,
                        "PYTHONPATH": path,
                        "TMPDIR": self._scratch,
                    },
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.PIPE,
                )
            except BaseException:
                writer.close()
                raise
        life = self._life = Life(
            self._name, child, writer, self._weighed, self._lookout.switched, self._left
        )
        self._attended = life
        # 2. Serve until the socket closes.
        try:
            async with asyncio.TaskGroup() as group:
                asking = group.create_task(life.ask(self._ping, MOST_UNANSWERED), name="pings")
                stderr = group.create_task(life.read_stderr(), name=f"stderr of {self._name}")
                try:
                    await self._serve(life, reader)
                finally:
                    # 3. From here on requests wait for the next life, if this one was the awaited.
                    self._life = None
                    given_up = self._lookout.give_up()
                    failed, self._awaited = self._awaited, self._hope()
                    await life.end(self._patience)
                    # Its last words, unless a child of its own holds the pipe open.
                    await asyncio.wait([stderr], timeout=1)
                    stderr.cancel()
                    asking.cancel()
        finally:
            # 4. Whatever happened, nobody waits in vain.
            self._attended = None
            why = life.epitaph()
            life.abandon(EngineDied(why))
            _disappoint(failed, why)
        for name in given_up:
            log_kept(name, "the process ended before it had loaded another version")
        return why

    async def _serve(self, life: Life, reader: asyncio.StreamReader) -> None:
        try:
            self._greet(life)
            while (frame := await frames.read(reader)) is not None:
                try:
                    life.take(frame)
                except (KeyError, TypeError) as error:
                    raise frames.Malformed(f"not understood: {frame!r:.200}") from error
                if life.ready and not self._awaited.done():
                    self._awaited.set_result(life)
                    log.info(
                        "model process started",
                        extra={
                            "event": "model.started",
                            "device": self._name,
                            "pid": life.child.pid,
                        },
                    )
        except ConnectionError as error:
            life.last_words = str(error)

    def _greet(self, life: Life) -> None:
        """Say what there is to load: what is known to be good, then what is to take its place."""
        told = {
            name: self._frames[name] | {"directory": directory}
            for name, directory in self._lookout.directories().items()
        }
        life.send(
            {
                "do": "hello",
                "device": self._name,
                "memory": self._memory,
                "confined": self._confined,
                # By their links: another version may be switched to.
                "readable": [
                    path
                    for name, frame in self._frames.items()
                    for path in self._specs[name].reads(frame["directory"])
                ],
                "models": self._frames | told,
            }
        )
        for name, edition in self._lookout.pending():
            self._switch(name, edition)

    def _switch(self, name: str, edition: Edition) -> None:
        if self._life:
            directory = str(edition.version.directory)
            told = {"model": name, "edition": edition.number, "directory": directory}
            self._life.send({"do": "switch", **told})


def _disappoint(awaited: asyncio.Future[Life], why: str) -> None:
    if not awaited.done():
        awaited.set_exception(EngineDied(why))
        awaited.exception()  # looked at here, because nobody has to be waiting for it


def _resident(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
