"""The service: what systemd is told, and what the unit promises."""

from __future__ import annotations

import asyncio
import configparser
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from botdaemon import systemd
from botdaemon.app import watch
from botdaemon.config import DaemonConfig
from botdaemon.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

UNIT = Path(__file__).parent.parent / "systemd" / "botdaemon.service"


@pytest.fixture(params=["file", "abstract"])
def manager(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    """systemd's end of the conversation."""
    name = f"{tmp_path}/notify" if request.param == "file" else f"\0{tmp_path}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.bind(name)
        door.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", name.replace("\0", "@"))
        yield door


def test_systemd_is_told_how_the_daemon_is_doing(manager: socket.socket) -> None:
    systemd.ready("answering\nMAINPID=1")
    systemd.stopping("finishing answers")

    assert [manager.recv(1000).decode() for _ in range(2)] == [
        "READY=1\nSTATUS=answering MAINPID=1",
        "STOPPING=1\nSTATUS=finishing answers",
    ]


def test_a_reload_is_told_with_the_time_it_began(manager: socket.socket) -> None:
    systemd.reloading("reading")
    systemd.alive()

    told = manager.recv(1000).decode().splitlines()
    assert (told[0], told[2]) == ("RELOADING=1", "STATUS=reading")
    assert told[1].removeprefix("MONOTONIC_USEC=").isdecimal()
    assert manager.recv(1000) == b"WATCHDOG=1"


def test_only_the_process_that_is_watched_feeds_the_watchdog(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "5000000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert systemd.watchdog() == 0.0
    monkeypatch.delenv("WATCHDOG_PID")
    assert systemd.watchdog() == 5.0


async def test_the_watchdog_is_fed_only_while_nothing_hangs(
    manager: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    manager.setblocking(False)  # its own interface
    loop, hanging = asyncio.get_running_loop(), ["telegram"]
    feeding = asyncio.create_task(watch.feed(lambda: hanging, 0.01))
    try:
        told = (await loop.sock_recv(manager, 1000)).decode()
        assert told == "STATUS=hangs, and will be killed: telegram"
        hanging.clear()
        assert await loop.sock_recv(manager, 1000) == b"WATCHDOG=1"
    finally:
        feeding.cancel()
    assert caplog.text.count("will be killed") == 1


def test_without_systemd_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)

    systemd.ready("answering")


def test_a_systemd_that_is_gone_is_no_reason_to_fail(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", f"{tmp_path}/gone")

    systemd.ready("answering")

    assert caplog.messages == ["systemd was not told"]


def test_the_unit_lets_turns_finish_and_leaves_a_bad_configuration_alone() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.read(UNIT)
    service = unit["Service"]

    assert service["Type"] == "notify"
    assert service["Restart"] == "on-failure"
    assert str(ConfigError.exit_code) in service["RestartPreventExitStatus"].split()
    assert int(service["TimeoutStopSec"]) > DaemonConfig().grace_seconds
    # SIGTERM for all would end the model process under the turns that may still finish.
    assert service["KillMode"] == "mixed"
