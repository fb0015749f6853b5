"""One run of a model process, and the requests that depend on it. Knows no models.

It ends with the process; `models.process` then begins another.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import signal
from typing import TYPE_CHECKING

from botdaemon.errors import BotdaemonError, EngineDied, EngineFailed, ModelUnusable
from botdaemon.types import Picture, Piece, Progress, Speech, Transcript
from models import frames
from models.devices import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

log = logging.getLogger(__name__)

Inbox = asyncio.Queue[
    Piece
    | Progress
    | Picture
    | list[bytes]
    | dict[str, float]
    | Transcript
    | Speech
    | BotdaemonError
    | None
]
"""What comes of a request: vectors are a list, labels a dict; after a picture's last there is
None."""

STARTING = 20
"""More pings that a process may leave unanswered before its first sign of life."""

_ERRORS: dict[str, type[BotdaemonError]] = {e.__name__: e for e in (EngineFailed, ModelUnusable)}


class Life:
    """One run of the process, and the requests that depend on it."""

    def __init__(
        self,
        name: str,
        child: asyncio.subprocess.Process,
        writer: asyncio.StreamWriter,
        measured: Callable[[str, int, int], None],
        switched: Callable[[str, int, bool], None],
        left: Callable[[str], None],
    ) -> None:
        """`measured` is told a model's name, and its bytes at rest and at work; `switched` its
        name, an edition that it was to be replaced by, and whether that could be loaded; `left`
        the name of one that was sent away from its device."""
        self._name = name
        self.child = child
        self._writer = writer
        self._measured = measured
        self._switched = switched
        self._left = left
        self._ids = itertools.count(1)
        self.inboxes: dict[int, Inbox] = {}
        self.ready = False
        #: pings since the last sign of life; below 0 while it may still be starting
        self.unanswered = -STARTING
        #: each model: "away", "loading", "loaded" or "resting" (in RAM, off the device)
        self.models: dict[str, str] = {}
        #: how the device does, as it was last told
        self.device: Reading | None = None
        self.last_words = ""

    @contextlib.contextmanager
    def request(self, do: str, request: frames.Frame) -> Iterator[Inbox]:
        """Have it answered into the inbox; leaving early cancels it."""
        inbox: Inbox = asyncio.Queue()
        id = next(self._ids)
        try:
            data = frames.pack({"do": do, "id": id, "request": request})
        except frames.TooLarge as error:
            raise EngineFailed(f"the request is too large to be handed over: {error}") from error
        if self._writer.is_closing():
            raise EngineDied(self.epitaph())
        self.inboxes[id] = inbox
        self._writer.write(data)
        try:
            yield inbox
        finally:
            # Still there: neither finished nor failed. No await here, so that closing the
            # iterator takes effect even while its task is being cancelled.
            if self.inboxes.pop(id, None) is not None:
                self.send({"do": "cancel", "id": id})

    def send(self, frame: frames.Frame) -> None:
        if not self._writer.is_closing():
            self._writer.write(frames.pack(frame))

    def take(self, frame: frames.Frame) -> None:
        """Do what a frame of the process says."""
        match frame:
            # Cancelled requests have no inbox any more, and their last pieces go nowhere.
            case {"is": "pieces", "pieces": pieces}:
                for id, text, tokens, prompt_tokens, finish in pieces:
                    inbox = self.inboxes.pop(id, None) if finish else self.inboxes.get(id)
                    if inbox:
                        inbox.put_nowait(
                            Piece(
                                text=text,
                                tokens=tokens,
                                prompt_tokens=prompt_tokens,
                                finish=finish,
                            )
                        )
            case {"is": "progress" | "picture" as kind, "id": id, **rest}:
                if inbox := self.inboxes.get(id):
                    inbox.put_nowait(frames.unpack_drawn(kind, rest))
            case {"is": "drawn", "id": id}:
                if inbox := self.inboxes.pop(id, None):
                    inbox.put_nowait(None)
            case {"is": "vectors", "id": id, "vectors": packed}:
                if inbox := self.inboxes.pop(id, None):
                    inbox.put_nowait(frames.unpack_vectors(packed))
            case {"is": "classified", "id": id, "labels": labels}:
                if inbox := self.inboxes.pop(id, None):
                    inbox.put_nowait(dict(labels))
            case {"is": "heard", "id": id, "text": text}:
                if inbox := self.inboxes.pop(id, None):
                    inbox.put_nowait(Transcript(text))
            case {"is": "spoken", "id": id, **rest}:
                if inbox := self.inboxes.pop(id, None):
                    inbox.put_nowait(frames.unpack_speech(rest))
            case {"is": "failed", "id": id, "error": error, "message": message}:
                if inbox := self.inboxes.pop(id, None):
                    inbox.put_nowait(_ERRORS[error](message))
            case {"is": "pong"}:
                self.unanswered = 0
            case {"is": "ready"}:
                self.ready = True
                self.unanswered = 0
            case {"is": "models", "states": states}:
                for name, state in states.items():
                    if self.models.get(name) == "loaded" and state in ("away", "resting"):
                        self._left(name)
                self.models = dict(states)
            case {"is": "device", **told}:
                self.device = Reading(**told)
            case {"is": "measured", "model": model, "load": load, "peak": peak}:
                self._measured(model, load, peak)
            case {"is": "switched", "model": model, "edition": edition, "loaded": loaded}:
                self._switched(model, edition, loaded)
            case {"is": "log", "level": level, "logger": logger, "message": message}:
                logging.getLogger(logger).log(level, "%s", message, extra={"device": self._name})
            case {"is": "cancelled", "id": id, "tokens": tokens}:
                extra = {"event": "model.cancelled", "request": id, "tokens": tokens}
                log.debug("request cancelled", extra=extra)
            case _:
                raise frames.Malformed(f"there is no message {frame.get('is')!r}")

    async def ask(self, pause: float, most: int) -> None:
        """Ping it until cancelled; end it when it has left `most` pings unanswered. Pings are
        counted, not seconds: the daemon may have stood still itself."""
        while True:
            await asyncio.sleep(pause)
            self.unanswered += 1
            self.send({"do": "ping"})
            if self.unanswered == most:
                self.last_words = f"no sign of life for {most * pause:.0f} s"
                extra = {"event": "model.hangs", "device": self._name, "pid": self.child.pid}
                log.error("model process killed: %s", self.last_words, extra=extra)
                with contextlib.suppress(ProcessLookupError):
                    self.child.kill()

    async def read_stderr(self) -> None:
        """Faults of the process that never reached its log, such as a crash in a library."""
        assert self.child.stderr is not None
        while block := await self.child.stderr.read(2**16):
            for line in block.decode("utf-8", "replace").splitlines():
                if line.strip():
                    self.last_words = line.strip()
                    log.warning("%s", line, extra={"event": "model.stderr", "device": self._name})

    async def end(self, patience: float) -> None:
        """Ask it to end by closing the socket; kill it if it does not. It ignores SIGTERM."""
        self._writer.close()
        try:
            async with asyncio.timeout(patience):
                await self.child.wait()
        except TimeoutError:
            log.warning(
                "model process killed: it did not end when asked",
                extra={"event": "model.killed", "device": self._name, "pid": self.child.pid},
            )
        finally:
            with contextlib.suppress(ProcessLookupError):
                self.child.kill()
        await self.child.wait()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def abandon(self, error: EngineDied) -> None:
        for inbox in self.inboxes.values():
            inbox.put_nowait(error)
        self.inboxes.clear()

    def epitaph(self) -> str:
        status = self.child.returncode
        if status is None:
            how = "closed its connection"
        elif status < 0:
            how = f"was ended by {signal.Signals(-status).name}"
        else:
            how = f"ended with status {status}"
        words = f" ({self.last_words})" if self.last_words else ""
        return f'the model process "{self._name}" {how}{words}'
