"""The model process: takes frames, runs engines, sends pieces back. Knows nothing of the daemon.

    python -m models.host FD

One thread reads, so that a cancel is seen while another generates. Requests are served one after
the other, in the order they came; since every frame carries its request's id, several slots can be
served side by side later without a change to the frames.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import socket
import sys
import threading
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botdaemon.errors import BotdaemonError, EngineFailed, ModelUnusable
from models import frames

if TYPE_CHECKING:
    from botdaemon.types import TextRequest
    from models.text import TransformersEngine

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Job:
    id: int
    request: TextRequest
    cancelled: threading.Event = field(default_factory=threading.Event)


class Host:
    """The models of one device and the queue before them."""

    def __init__(self, wire: frames.Wire, models: dict[str, dict[str, Any]]) -> None:
        self._wire = wire
        self._models = models
        self._engines: dict[str, TransformersEngine] = {}
        self._queue: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._jobs: dict[int, _Job] = {}

    def listen(self) -> None:
        """Read until the daemon closes the socket or ends, in whatever way."""
        while (frame := self._wire.read()) is not None:
            if frame.get("do") == "generate":
                new = _Job(frame["id"], frames.unpack_request(frame["request"]))
                self._jobs[new.id] = new
                self._queue.put(new)
            elif frame.get("do") == "cancel":
                # It may have ended while the cancel was on its way.
                if job := self._jobs.get(frame["id"]):
                    job.cancelled.set()
            else:
                raise frames.Malformed(f"there is no request {frame.get('do')!r}")

    def work(self) -> None:
        """Load every model, so that nobody waits for it later, then serve for ever."""
        for name in self._models:
            try:
                self._engine(name)
            except ModelUnusable as error:
                log.error("%s", error)  # no traceback: the sentence is all there is to know
            except Exception:  # a request for it will fail and say so
                log.exception('model "%s" could not be loaded', name)
        while True:
            job = self._queue.get()
            try:
                self._serve(job)
            except BotdaemonError as error:
                self._failed(job, type(error).__name__, str(error))
            except Exception as error:
                self._survive(job, error)
            finally:
                del self._jobs[job.id]

    def _engine(self, name: str) -> TransformersEngine:
        if name not in self._engines:
            if name not in self._models:
                raise ModelUnusable(f'there is no model "{name}" in this process')
            try:
                import torch

                from models.text import TransformersEngine
            except ImportError as error:
                raise ModelUnusable(
                    f'model "{name}" needs {error.name or error}; install botdaemon[text]'
                ) from error
            # A core is left to the daemon: with a thread on each, every step waits for the one that
            # was scheduled out, which made small models ten times slower on a busy machine.
            cores = len(os.sched_getaffinity(0))
            torch.set_num_threads(max(1, min(torch.get_num_threads(), cores - 1)))
            options = dict(self._models[name])
            directory = Path(options.pop("directory"))
            self._engines[name] = TransformersEngine(name=name, directory=directory, **options)
            self._wire.send({"is": "loaded", "model": name})
        return self._engines[name]

    def _serve(self, job: _Job) -> None:
        engine = self._engine(job.request.model)
        slot = engine.start(job.request)
        while not job.cancelled.is_set():
            piece = engine.step(slot)
            if piece.text or piece.finish:
                self._wire.send(
                    {
                        "is": "piece",
                        "id": job.id,
                        "text": piece.text,
                        "tokens": piece.tokens,
                        "prompt_tokens": piece.prompt_tokens,
                        "finish": piece.finish,
                    }
                )
            if piece.finish:
                return
        self._wire.send({"is": "cancelled", "id": job.id, "tokens": slot.tokens})

    def _failed(self, job: _Job, error: str, message: str) -> None:
        self._wire.send({"is": "failed", "id": job.id, "error": error, "message": message})

    def _survive(self, job: _Job, error: Exception) -> None:
        """An error that nobody foresaw costs this request only, unless the device is lost."""
        import torch

        log.error("request failed: %s", "".join(traceback.format_exception(error)))
        name = job.request.model
        if isinstance(error, torch.OutOfMemoryError):
            torch.cuda.empty_cache()
            message = f'the device has not enough memory for model "{name}" at the moment'
        elif isinstance(error, torch.AcceleratorError):
            # After a fault every further call on the device fails too: start afresh.
            raise error
        else:
            message = f'model "{name}" failed: {type(error).__name__}: {error}'
        self._failed(job, EngineFailed.__name__, message)


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
    host = Host(wire, hello["models"])
    wire.send({"is": "ready"})

    def work() -> None:
        try:
            host.work()
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)

    threading.Thread(target=work, name="work", daemon=True).start()
    try:
        host.listen()
    except ConnectionError:
        traceback.print_exc()
    # Not a return: the interpreter's own end would wait for, or trip over, a thread inside torch.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
