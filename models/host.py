"""The model process: takes frames, runs models, sends back what comes of it. Knows nothing of the
daemon.

    python -m models.host FD

One thread reads, so that a cancel is seen while others compute; each model has a thread of its own
(`models.runners`), and `models.memory` decides which of them are on the device.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from botdaemon.errors import EngineFailed, ModelUnusable
from botdaemon.types import SpeechRequest
from models import confinement, devices, frames
from models.ledger import Footprint, Ledger, Need
from models.measure import Gauge
from models.memory import Memory
from models.runners import ClassifierRunner, EmbedderRunner, ImageRunner, Job, TextRunner
from models.sound.runners import HearingRunner, SpeechRunner
from models.turnstile import Turnstile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.classifier import TransformersClassifier
    from models.embed.engine import SentenceEngine
    from models.image.engine import DiffusersEngine
    from models.sound.hearing import Whisper
    from models.sound.speaking import Speaking
    from models.text import TransformersEngine

UNLIMITED = 2**62
"""Bytes, for a device whose memory nobody has given."""
READ_DEVICE = 5.0
"""Seconds between two readings of the device's sensors."""


_AnyRunner = (
    TextRunner | ImageRunner | EmbedderRunner | ClassifierRunner | HearingRunner | SpeechRunner
)


class Host:
    """The models of one device."""

    def __init__(self, wire: frames.Wire, hello: frames.Frame) -> None:
        self._wire = wire
        self._texts: dict[str, TextRunner] = {}
        self._images: dict[str, ImageRunner] = {}
        self._embedders: dict[str, EmbedderRunner] = {}
        self._classifiers: dict[str, ClassifierRunner] = {}
        self._hearing: dict[str, HearingRunner] = {}
        self._speech: dict[str, SpeechRunner] = {}
        models = self._models = hello["models"]
        turnstile = Turnstile()
        ledger = Ledger(
            [_need(name, told) for name, told in models.items()],
            device=hello["device"],
            budget=hello["memory"] or UNLIMITED,
        )
        memory = Memory(ledger, Gauge(hello["device"]), turnstile, wire.send)
        around = (memory, turnstile, wire)
        for name, told in models.items():
            match told["kind"]:
                case "text":
                    self._texts[name] = TextRunner(name, _TextRecipe(name, told), *around)
                case "image":
                    self._images[name] = ImageRunner(name, _ImageRecipe(name, told), *around)
                case "embedder":
                    reading = _EmbedderRecipe(name, told)
                    self._embedders[name] = EmbedderRunner(name, reading, *around)
                case "classifier":
                    judging = _ClassifierRecipe(name, told)
                    self._classifiers[name] = ClassifierRunner(name, judging, *around)
                case "hearing":
                    self._hearing[name] = HearingRunner(name, _HearingRecipe(name, told), *around)
                case "speech":
                    self._speech[name] = SpeechRunner(name, _SpeechRecipe(name, told), *around)
        self._runners: tuple[_AnyRunner, ...] = (
            *self._texts.values(),
            *self._images.values(),
            *self._embedders.values(),
            *self._classifiers.values(),
            *self._hearing.values(),
            *self._speech.values(),
        )
        for runner in self._runners:
            memory.add(runner)
        for runner in self._runners:
            runner.start(load=models[runner.name]["load"])
        memory.watch()
        _watch_device(hello["device"], wire)

    def listen(self) -> None:
        """Read until the daemon closes the socket or ends, in whatever way."""
        while (frame := self._wire.read()) is not None:
            match frame:
                case {"do": "generate", "id": id, "request": packed}:
                    text = frames.unpack_request(packed)
                    if runner := self._texts.get(text.model):
                        runner.take(Job(id, text))
                    else:
                        self._unknown(id, text.model)
                case {"do": "draw", "id": id, "request": packed}:
                    image = frames.unpack_image_request(packed)
                    if painter := self._images.get(image.model):
                        painter.take(Job(id, image))
                    else:
                        self._unknown(id, image.model)
                case {"do": "embed", "id": id, "request": packed}:
                    texts = frames.unpack_embed_request(packed)
                    if embedder := self._embedders.get(texts.model):
                        embedder.take(Job(id, texts))
                    else:
                        self._unknown(id, texts.model)
                case {"do": "classify", "id": id, "request": packed}:
                    if judge := self._classifiers.get(packed["model"]):
                        judge.take(Job(id, frames.unpack_classified(packed)))
                    else:
                        self._unknown(id, packed["model"])
                case {"do": "hear", "id": id, "request": packed}:
                    recording = frames.unpack_hearing_request(packed)
                    if listener := self._hearing.get(recording.model):
                        listener.take(Job(id, recording))
                    else:
                        self._unknown(id, recording.model)
                case {"do": "speak", "id": id, "request": packed}:
                    words = SpeechRequest(**packed)
                    if speaker := self._speech.get(words.model):
                        speaker.take(Job(id, words))
                    else:
                        self._unknown(id, words.model)
                case {"do": "switch", "model": name, "edition": edition, "directory": directory}:
                    self._switch(name, edition, directory)
                case {"do": "ping"}:
                    self._wire.send({"is": "pong"})
                case {"do": "cancel", "id": id}:
                    for each in self._runners:
                        each.cancel(id)
                case _:
                    raise frames.Malformed(f"there is no request {frame.get('do')!r}")

    def _switch(self, name: str, edition: int, directory: str) -> None:
        told = self._models[name] | {"directory": directory}
        frame = {"is": "switched", "model": name, "edition": edition}
        self._texts[name].replace(
            _TextRecipe(name, told), lambda loaded: self._wire.send(frame | {"loaded": loaded})
        )

    def _unknown(self, id: int, model: str) -> None:
        self._wire.send(
            {
                "is": "failed",
                "id": id,
                "error": EngineFailed.__name__,
                "message": f'there is no model "{model}" in this process',
            }
        )


def _watch_device(name: str, wire: frames.Wire) -> None:
    """Tell the daemon how the device does, for as long as it can be asked."""

    def look() -> None:
        with contextlib.suppress(OSError):  # the daemon is gone
            while (told := devices.reading(name)) is not None:
                wire.send({"is": "device", **asdict(told)})
                time.sleep(READ_DEVICE)

    threading.Thread(target=look, name="device", daemon=True).start()


def _need(name: str, told: frames.Frame) -> Need:
    need = told["need"]
    return Need(**need | {"name": name, "footprint": Footprint(**need["footprint"])})


@dataclass(frozen=True, slots=True)
class _TextRecipe:
    name: str
    told: frames.Frame

    def prepare(self) -> None:
        with _library(self.name, "text"):
            _settle_threads()

    def make(self) -> TransformersEngine:
        from models.text import TransformersEngine

        told = self.told
        return TransformersEngine(
            name=self.name,
            directory=Path(told["directory"]),
            device=told["device"],
            dtype=told["dtype"],
            quantize=told["quantize"],
            adapters={adapter: Path(path) for adapter, path in told["adapters"].items()},
            batch=told["batch"],
            cache_bytes=told["cache"],
        )


@dataclass(frozen=True, slots=True)
class _ImageRecipe:
    name: str
    told: frames.Frame

    def prepare(self) -> None:
        with _library(self.name, "images"):
            _settle_threads()

    def make(self) -> DiffusersEngine:
        from models.image.engine import DiffusersEngine

        told = self.told
        return DiffusersEngine(
            name=self.name,
            directory=Path(told["directory"]),
            device=told["device"],
            dtype=told["dtype"],
            adapters={adapter: Path(path) for adapter, path in told["adapters"].items()},
            offload=told["offload"],
            checker=told["checker"],
        )


@dataclass(frozen=True, slots=True)
class _EmbedderRecipe:
    name: str
    told: frames.Frame

    def prepare(self) -> None:
        with _library(self.name, "text"):
            _settle_threads()

    def make(self) -> SentenceEngine:
        from models.embed.engine import SentenceEngine

        told = self.told
        return SentenceEngine(
            name=self.name,
            directory=Path(told["directory"]),
            device=told["device"],
            dtype=told["dtype"],
            batch=told["batch"],
        )


@dataclass(frozen=True, slots=True)
class _ClassifierRecipe:
    name: str
    told: frames.Frame

    def prepare(self) -> None:
        with _library(self.name, "text"):
            _settle_threads()

    def make(self) -> TransformersClassifier:
        from models.classifier import TransformersClassifier

        told = self.told
        return TransformersClassifier(
            name=self.name,
            directory=Path(told["directory"]),
            device=told["device"],
            dtype=told["dtype"],
        )


@dataclass(frozen=True, slots=True)
class _HearingRecipe:
    name: str
    told: frames.Frame

    def prepare(self) -> None:
        with _library(self.name, "speech"):
            from models.sound import hearing  # noqa: F401  # so that its own memory is not counted

    def make(self) -> Whisper:
        from models.sound.hearing import Whisper

        told = self.told
        return Whisper(
            Path(told["directory"]),
            device=told["device"],
            dtype=told["dtype"],
            language=told["language"],
        )


@dataclass(frozen=True, slots=True)
class _SpeechRecipe:
    name: str
    told: frames.Frame

    def prepare(self) -> None:
        with _library(self.name, "piper" if self.told["directory"].endswith(".onnx") else "speech"):
            from models.sound import encoding  # noqa: F401  # likewise

    def make(self) -> Speaking:
        from models.sound.speaking import Speaking, Talker

        told = self.told
        path = Path(told["directory"])
        talker: Talker
        if path.is_file():
            from models.sound.piper import Piper

            talker = Piper(path, speaker=told["speaker"], speed=told["speed"])
        else:
            from models.sound.espeak import Espeak

            talker = Espeak(told["language"], told["speed"])
        return Speaking(talker)


@contextlib.contextmanager
def _library(name: str, extra: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise ModelUnusable(
            f'model "{name}" needs {error.name or error}; install botdaemon[{extra}]'
        ) from error


def _settle_threads() -> None:
    """A core is left to the daemon: with a thread on each, every step waits for the one that was
    scheduled out, which made small models ten times slower on a busy machine."""
    import torch

    cores = len(os.sched_getaffinity(0))
    torch.set_num_threads(max(1, min(torch.get_num_threads(), cores - 1)))


class _LogFrames(logging.Handler):
    """What is logged here appears in the daemon's log."""

    def __init__(self, wire: frames.Wire) -> None:
        super().__init__()
        self._wire = wire

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):  # the daemon is gone, and so is its log
            self._wire.send(
                {
                    "is": "log",
                    "level": record.levelno,
                    "logger": record.name,
                    "message": self.format(record),
                }
            )


def _quieten() -> None:
    """Before transformers is imported: it reads these then."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def _settle_in(hello: frames.Frame) -> None:
    """Before the first byte of a model is read: whoever takes this process over gets nothing else,
    and when memory runs out, it is this one that goes and not the daemon."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")
    if not hello["confined"]:
        return
    readable = [Path(directory) for directory in hello["readable"]]
    writable = [Path(os.environ["TMPDIR"])]
    for told in hello["models"].values():
        directory = Path(told["directory"])
        readable += [directory, *map(Path, told["adapters"].values())]
        if told.get("quantize") == "int8":  # where that form is kept
            writable.append(directory / "int8")
            with contextlib.suppress(OSError):
                writable[-1].mkdir(exist_ok=True)
    for lacking in confinement.confine(readable, writable):
        logging.getLogger(__name__).warning("%s", lacking)


def main() -> None:
    """Serve until the socket closes. The daemon's end of the socket is the one thing this process
    lives by, so it outlives no daemon, and a Ctrl-C in the terminal or a SIGTERM to the whole
    service does not take it away from the turn that the daemon is finishing."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _quieten()
    wire = frames.Wire(socket.socket(fileno=int(sys.argv[1])))
    logging.getLogger().addHandler(_LogFrames(wire))
    logging.getLogger().setLevel(logging.INFO)
    hello = wire.read()
    if hello is None:
        return
    _settle_in(hello)
    wire.send({"is": "ready"})
    try:
        Host(wire, hello).listen()
    except ConnectionError:
        traceback.print_exc()
    # Not a return: the interpreter's own end would wait for, or trip over, a thread inside torch.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
