"""The model process, really started, really killed: what the daemon may rely on."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import aclosing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from tiny_models import chat_model

from botdaemon.errors import EngineDied, EngineFailed, ModelUnusable
from botdaemon.types import ChatLine, Piece, Sampling, TextRequest
from models import frames
from models.ledger import Footprint, Need
from models.process import ModelProcess, ModelTextEngine, TextSpec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

#: for tests that use the shared process, which belongs to one event loop
shared = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(frames.__file__).parent.parent


def ask(text: str = "hello", *, stop: tuple[str, ...] = (), **sampling: Any) -> TextRequest:
    options = {"temperature": 0.0, "max_tokens": 30, **sampling}
    return TextRequest(
        model="",
        speaker="Bot",
        lines=(ChatLine(role="user", text=text, name="Ada"),),
        sampling=Sampling(**options),
        stop=stop,
    )


LONG = ask(max_tokens=230)


async def answer(engine: ModelTextEngine, request: TextRequest) -> list[Piece]:
    async with aclosing(engine.generate(request)) as pieces:
        return [piece async for piece in pieces]


def text(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def process() -> AsyncIterator[ModelProcess]:
    """One for all tests that leave it as they found it, since importing torch takes seconds."""
    tiny = TextSpec(path=str(chat_model()))
    models = {"tiny": tiny, "preferred": replace(tiny, sampling=Sampling(max_tokens=6))}
    async with ModelProcess(name="cpu", models=models) as p:
        yield p


@pytest.fixture
def engine(process: ModelProcess) -> ModelTextEngine:
    return process.text("tiny")


# --- answers ---------------------------------------------------------------------------------


@shared
async def test_a_model_process_streams_an_answer_and_says_how_it_is(
    process: ModelProcess, engine: ModelTextEngine
) -> None:
    pieces = await answer(engine, ask())
    assert len(pieces) > 5
    assert [piece.finish for piece in pieces[:-1]] == [""] * (len(pieces) - 1)
    assert (pieces[-1].finish, pieces[-1].tokens) == ("length", 30)
    assert pieces[-1].prompt_tokens == await engine.count(ask())
    assert engine.card.context == 256

    now = process.status()
    assert (now.name, now.ready) == ("cpu", True)
    assert now.models == {"tiny": "loaded", "preferred": "loaded"}
    assert now.memory > 2**20
    assert now.pid == process.pid > 0
    assert now.requests == 0


@shared
async def test_requests_made_at_once_are_all_answered_and_not_mixed_up(
    engine: ModelTextEngine,
) -> None:
    questions = [ask(f"number {n}", max_tokens=10 + n) for n in range(6)]
    alone = [text(await answer(engine, question)) for question in questions]
    together = await asyncio.gather(*(answer(engine, question) for question in questions))
    assert [text(pieces) for pieces in together] == alone
    assert [pieces[-1].tokens for pieces in together] == [10 + n for n in range(6)]


@shared
async def test_the_operators_sampling_comes_between_the_requests_and_the_models(
    process: ModelProcess, engine: ModelTextEngine
) -> None:
    preferred = process.text("preferred")
    assert (engine.card.max_tokens, preferred.card.max_tokens) == (64, 6)
    unsaid = replace(ask(), sampling=Sampling())
    assert (await answer(engine, unsaid))[-1].tokens == 64
    assert (await answer(preferred, unsaid))[-1].tokens == 6
    assert (await answer(preferred, ask(max_tokens=2)))[-1].tokens == 2


@shared
async def test_a_prompt_that_does_not_fit_fails_alone(engine: ModelTextEngine) -> None:
    with pytest.raises(EngineFailed, match="takes 256, prompt and reply together"):
        await answer(engine, ask("hello there " * 300))
    assert (await answer(engine, ask()))[-1].finish == "length"


# --- cancelling ------------------------------------------------------------------------------


@shared
async def test_closing_an_answer_frees_the_device_for_the_next(
    process: ModelProcess, engine: ModelTextEngine
) -> None:
    async with aclosing(engine.generate(LONG)) as pieces:
        await anext(pieces)
        assert process.status().requests == 1
    assert process.status().requests == 0
    assert (await answer(engine, ask()))[-1].finish == "length"


@shared
async def test_an_answer_may_be_closed_before_its_first_piece(
    process: ModelProcess, engine: ModelTextEngine
) -> None:
    await engine.generate(LONG).aclose()  # before it was even begun
    await process.life()

    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(answer(engine, LONG))
        await asyncio.sleep(0)  # it is sent at once
        assert process.status().requests == 1
        waiting.cancel()
    assert waiting.cancelled()
    assert process.status().requests == 0
    assert (await answer(engine, ask()))[-1].finish == "length"


def test_a_cancelled_answer_stops_at_the_next_token() -> None:
    """Counted in tokens, at the process's own door."""
    with _host() as wire:
        wire.send({"do": "generate", "id": 1, "request": _packed(LONG)})
        wire.send({"do": "generate", "id": 2, "request": _packed(LONG)})
        wire.send({"do": "generate", "id": 3, "request": _packed(ask(max_tokens=3))})
        wire.send({"do": "cancel", "id": 2})
        wire.send({"do": "cancel", "id": 99})
        (first, *_), *_ = _next(wire, "pieces")["pieces"]
        assert first == 1
        wire.send({"do": "cancel", "id": 1})
        tokens, answered, seen = 0, False, {first}
        while not (tokens and answered):  # whichever comes first
            frame = wire.read()
            assert frame is not None
            if frame["is"] == "cancelled" and frame["id"] == 1:
                tokens = frame["tokens"]
            elif frame["is"] == "pieces":
                seen |= {id for id, *_ in frame["pieces"]}
                answered |= any(id == 3 and finish for id, *_, finish in frame["pieces"])
        # Those sent before the cancel was read, and the one under way.
        assert tokens < 200
        # The one that was cancelled while it waited is not begun, the one behind it is answered.
        assert seen == {1, 3}


def test_answers_advance_together_and_leave_one_by_one() -> None:
    with _host() as wire:
        lengths = {1: 200, 2: 20, 3: 100}
        for id, length in lengths.items():
            request = _packed(ask(max_tokens=length))
            wire.send({"do": "generate", "id": id, "request": request})
        pieces = [p for frame in _until_answered(wire, 1) for p in frame["pieces"]]
    tokens = {id: [n for other, _, n, *_ in pieces if other == id] for id in lengths}
    ends = [id for id, *_, finish in pieces if finish]
    assert ends == [2, 3, 1]
    assert {id: n[-1] for id, n in tokens.items()} == lengths
    # The last to come is under way long before the first has ended.
    began = {id: next(at for at, p in enumerate(pieces) if p[0] == id) for id in lengths}
    assert began[3] < next(at for at, p in enumerate(pieces) if p[0] == 1 and p[2] > 100)


# --- deaths ----------------------------------------------------------------------------------


@shared
async def test_a_killed_process_fails_what_it_was_doing_and_answers_the_next(
    process: ModelProcess, engine: ModelTextEngine, caplog: pytest.LogCaptureFixture
) -> None:
    usual = text(await answer(engine, ask()))
    first = process.pid
    pieces = engine.generate(LONG)
    await anext(pieces)
    queued = asyncio.create_task(answer(engine, LONG))
    await asyncio.sleep(0)  # it is sent at once
    assert process.status().requests == 2
    restarts = process.status().restarts

    os.kill(first, signal.SIGKILL)

    with pytest.raises(EngineDied, match='the model process "cpu" was ended by SIGKILL'):
        async for _ in pieces:
            pass
    with pytest.raises(EngineDied):
        await queued
    with caplog.at_level(logging.INFO):
        assert text(await answer(engine, ask())) == usual
    assert process.pid != first
    assert process.status().restarts == restarts + 1
    # What the new process logs is in the daemon's log.
    assert 'model "tiny" loaded on cpu in float32 (exact' in caplog.text


async def test_a_model_that_is_not_there_is_named_before_anything_is_started(
    tmp_path: Path,
) -> None:
    process = ModelProcess(name="cpu", models={"a": TextSpec(path="./a")}, base=tmp_path)
    with pytest.raises(ModelUnusable, match='model "a": there is no model directory'):
        await process.__aenter__()
    assert process.pid == 0


async def test_an_error_in_the_body_comes_out_as_it_is() -> None:
    with pytest.raises(EngineFailed, match="of the body"):
        async with ModelProcess(name="cpu", models={}):
            raise EngineFailed("of the body")


async def test_a_model_spoilt_meanwhile_is_named_and_leaving_ends_all(tmp_path: Path) -> None:
    model = shutil.copytree(chat_model(), tmp_path / "model")
    models = {"tiny": TextSpec(path="model")}
    async with ModelProcess(name="cpu", models=models, base=tmp_path) as process:
        engine = process.text("tiny")
        pieces = engine.generate(LONG)
        await anext(pieces)
        # What was fine at the start is broken when the next process has to load it.
        (model / "model.safetensors").write_bytes(b"")
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(EngineDied):
            async for _ in pieces:
                pass
        with pytest.raises(ModelUnusable, match=r'model "tiny" in .* cannot be loaded'):
            await answer(engine, ask())
        # Mended, it is loaded by the next request.
        shutil.copy(chat_model() / "model.safetensors", model)
        pieces = engine.generate(LONG)
        await anext(pieces)
        pid = process.pid

    with pytest.raises(EngineDied):
        async for _ in pieces:
            pass
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)  # neither running nor a zombie
    with pytest.raises(EngineDied, match="was stopped"):
        await answer(engine, ask())


async def test_a_process_that_does_not_end_when_asked_is_killed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with ModelProcess(name="cpu", models={}, patience=0.05) as process:
        await process.life()
        os.kill(process.pid, signal.SIGSTOP)
        pid = process.pid
    assert "did not end when asked" in caplog.text
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_process_dies_with_the_daemon(tmp_path: Path) -> None:
    program = f"""
import asyncio
from models.process import ModelProcess, TextSpec
async def main():
    models = {{"tiny": TextSpec(path={str(chat_model())!r})}}
    async with ModelProcess(name="cpu", models=models) as process:
        print((await process.life()).child.pid, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as daemon:
        assert daemon.stdout
        handle = os.pidfd_open(int(daemon.stdout.readline()))
        try:
            daemon.kill()
            # Readable once the process has ended; pytest's timeout bounds the wait.
            assert select.select([handle], [], [], 30)[0]
        finally:
            os.close(handle)


def test_a_process_that_cannot_start_fails_its_requests_instead_of_keeping_them() -> None:
    program = f"""
import asyncio, os
from botdaemon.errors import EngineDied
from botdaemon.types import TextRequest
from models.process import ModelProcess, TextSpec
async def main():
    models = {{"tiny": TextSpec(path={str(chat_model())!r})}}
    async with ModelProcess(name="cpu", models=models) as process:
        try:
            async for _ in process.text("tiny").generate(
                TextRequest(model="", speaker="", lines=())
            ):
                pass
        except EngineDied as error:
            print(error)
os.environ["PYTHONHOME"] = "/nowhere"  # no Python starts with that
asyncio.run(main())
"""
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert said.startswith('the model process "cpu" ended with status 1 (')


@shared
async def test_an_interrupt_from_the_terminal_leaves_the_process_to_the_daemon(
    process: ModelProcess, engine: ModelTextEngine
) -> None:
    pieces = engine.generate(LONG)
    await anext(pieces)
    os.kill(process.pid, signal.SIGINT)
    os.kill(process.pid, signal.SIGTERM)
    async for piece in pieces:
        last = piece
    assert last.finish == "length"


@shared
async def test_many_cancelled_answers_leave_nothing_behind(
    process: ModelProcess, engine: ModelTextEngine
) -> None:
    for n in range(30):
        async with aclosing(engine.generate(LONG)) as pieces:
            if n % 2:
                await anext(pieces)
    assert process.status().requests == 0
    assert (await answer(engine, ask()))[-1].finish == "length"


# --- frames ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [b"\xff\xff\xff\xff", b"\0\0\0\5{nope", b"\0\0\0\2[]", b"\0\0", b"\0\0\0\x09{}"],
    ids=["too long", "no JSON", "no object", "half a length", "half a frame"],
)
async def test_a_malformed_frame_is_an_error_at_either_end_and_no_wait(sent: bytes) -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(sent)
    theirs.close()
    reader, writer = await asyncio.open_connection(sock=ours)
    with pytest.raises(frames.Malformed):
        await frames.read(reader)
    writer.close()
    await writer.wait_closed()

    ours, theirs = socket.socketpair()
    theirs.sendall(sent)
    theirs.close()
    wire = frames.Wire(ours)
    with pytest.raises(frames.Malformed):
        wire.read()
    wire.close()


async def test_a_closed_connection_is_the_end_of_the_frames() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    reader, writer = await asyncio.open_connection(sock=ours)
    assert await frames.read(reader) is None
    writer.close()
    await writer.wait_closed()


def test_a_request_survives_the_crossing() -> None:
    request = ask("naïve 好 \ud800", stop=("x",), seed=3)
    crossed = json.loads(frames.pack({"r": frames.pack_request(request)})[4:])
    assert frames.unpack_request(crossed["r"]) == request


def test_a_process_that_is_spoken_nonsense_to_ends() -> None:
    with _host() as wire:
        wire.send({"do": "dance"})
        assert [f for f in iter(wire.read, None) if f["is"] not in ("models", "log")] == []


# --- a process without a daemon --------------------------------------------------------------


def _packed(request: TextRequest) -> frames.Frame:
    return frames.pack_request(replace(request, model="tiny"))


@contextmanager
def _host() -> Iterator[frames.Wire]:
    ours, theirs = socket.socketpair()
    with theirs:
        child = subprocess.Popen(
            [sys.executable, "-m", "models.host", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            cwd=ROOT,
            stderr=subprocess.DEVNULL,
        )
    wire = frames.Wire(ours)
    try:
        need = Need(name="tiny", footprint=Footprint(load=0, peak=0))
        model = {
            "kind": "text",
            "directory": str(chat_model()),
            "device": "cpu",
            "dtype": "auto",
            "quantize": "none",
            "adapters": {},
            "batch": 4,
            "cache": 2**24,
            "load": True,
            "need": asdict(need),
        }
        wire.send(
            {
                "do": "hello",
                "device": "cpu",
                "memory": 0,
                "confined": False,
                "models": {"tiny": model},
            }
        )
        assert wire.read() == {"is": "ready"}
        yield wire
    finally:
        wire.close()
        child.wait()


def _until_answered(wire: frames.Wire, id: int) -> Iterator[frames.Frame]:
    """The frames with pieces, up to the one with the last piece of this request."""
    while (frame := wire.read()) is not None:
        if frame["is"] == "pieces":
            yield frame
            if any(other == id and finish for other, *_, finish in frame["pieces"]):
                return


def _next(wire: frames.Wire, kind: str, **more: Any) -> frames.Frame:
    frames_read = iter(wire.read, None)
    return next(f for f in frames_read if f["is"] == kind and f.items() >= more.items())
