"""Code that runs in a model process reaches no network, no secret and no file but its models'. The
code here takes the place of torch, so it runs where a model is loaded, in the process that the
daemon really starts."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from typing import TYPE_CHECKING

from tiny_models import chat_model

from models.confinement import environment
from models.process import ModelProcess, TextSpec

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

ATTACK = """
import ctypes, os, socket, threading
from pathlib import Path

place = Path({place!r})

def say(line):
    os.write(2, line.encode() + b"\\n")

def attempt(name, do):
    try:
        do()
    except BaseException as error:
        say(f"HELD {{name}}")
    else:
        say(f"BROKEN {{name}}")

def connect():
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(place / "door"))

def send():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.sendto(b"secret", str(place / "box"))

def send_with_a_message():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.sendmsg([b"secret"], [], 0, str(place / "box"))

def ring():
    if ctypes.CDLL(None).syscall(425, 4, bytes(120)) < 0:
        raise OSError

def variable():
    if not any("hunter2" in value for value in os.environ.values()):
        raise LookupError

attempt("internet", lambda: socket.socket(socket.AF_INET))
attempt("internet 6", lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
attempt("netlink", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
attempt("a door of this machine", connect)
attempt("a letter to this machine", send)
attempt("a message to this machine", send_with_a_message)
attempt("io_uring", ring)
attempt("a token file", lambda: (place / "token").read_text())
attempt("the folder of tokens", lambda: os.listdir(place))
attempt("a token variable", variable)
attempt("the daemon's variables", Path(f"/proc/{{os.getppid()}}/environ").read_bytes)
attempt("the daemon's memory", lambda: open(f"/proc/{{os.getppid()}}/mem", "rb"))
attempt("writing", lambda: (place / "left").write_text("x"))
attempt("writing into a model", lambda: (Path({model!r}) / "left").write_text("x"))
attempt("writing beside", lambda: (place.parent / "left").write_text("x"))
attempt("changing a token", lambda: open(place / "token", "r+"))
say("DONE")
threading.Event().wait()  # not torch, and no more to say
"""
ATTEMPTS = 16


async def attacked(
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    *,
    confined: bool = True,
) -> dict[str, str]:
    """What each attempt came to, in a model process."""
    place, evil = directory / "place", directory / "evil"
    place.mkdir()
    evil.mkdir()
    (place / "token").write_text("hunter2")
    attack = ATTACK.format(place=str(place), model=str(chat_model()))
    (evil / "torch.py").write_text(attack)
    monkeypatch.setenv("PYTHONPATH", str(evil))
    monkeypatch.setenv("BOT_TOKEN", "hunter2")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(place))
    with (
        socket.socket(socket.AF_UNIX) as door,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as box,
    ):
        monkeypatch.chdir(place)  # an address has 107 bytes at most
        door.bind("door")
        door.listen()
        box.bind("box")
        models = {"tiny": TextSpec(path=str(chat_model()))}
        async with ModelProcess(name="cpu", models=models, confined=confined):
            while "DONE" not in caplog.text:  # noqa: ASYNC110  # the log is all it says
                await asyncio.sleep(0.01)
        await asyncio.to_thread((chat_model() / "left").unlink, missing_ok=True)
    lines = [line for line in caplog.messages if line.startswith(("HELD ", "BROKEN "))]
    return {line.partition(" ")[2]: line.partition(" ")[0] for line in lines}


def test_the_environment_of_a_model_process_has_what_libraries_read_and_no_secret() -> None:
    given = environment(
        {
            "PATH": "/bin",
            "CUDA_VISIBLE_DEVICES": "1",
            "LC_ALL": "C.UTF-8",
            "HF_HOME": "/srv/hub",
            "HF_TOKEN": "hf_secret",
            "DISCORD_TOKEN": "secret",
            "CREDENTIALS_DIRECTORY": "/run/credentials/botdaemon.service",
            "NOTIFY_SOCKET": "/run/systemd/notify",
            "SSH_AUTH_SOCK": "/tmp/agent",
        }
    )

    assert set(given) == {"PATH", "CUDA_VISIBLE_DEVICES", "LC_ALL", "HF_HOME"}


async def test_code_in_a_model_process_opens_no_socket_reads_no_token_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    outcomes = await attacked(tmp_path, monkeypatch, caplog)

    assert len(outcomes) == ATTEMPTS
    assert [attempt for attempt, outcome in outcomes.items() if outcome != "HELD"] == []
    assert not (tmp_path / "place" / "left").exists()


async def test_without_confinement_the_same_code_gets_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    outcomes = await attacked(tmp_path, monkeypatch, caplog, confined=False)

    assert len(outcomes) == ATTEMPTS
    # What it is given at its start has no token, confined or not; kernels may forbid io_uring.
    held = {attempt for attempt, outcome in outcomes.items() if outcome == "HELD"}
    assert held - {"io_uring"} == {"a token variable"}


async def test_a_model_process_that_stands_still_is_killed_and_begun_anew(
    caplog: pytest.LogCaptureFixture,
) -> None:
    models = {"tiny": TextSpec(path=str(chat_model()), load=False)}
    async with ModelProcess(name="cpu", models=models, ping=0.3) as process:
        stopped = (await process.life()).child.pid
        os.kill(stopped, signal.SIGSTOP)
        while process.pid in (0, stopped):  # noqa: ASYNC110  # it tells nobody when it changes
            await asyncio.sleep(0.01)

        assert not process.hangs
        assert "no sign of life" in caplog.text
        assert process.status().restarts == 1
