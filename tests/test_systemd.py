"""The service: what systemd is told, and what the unit promises."""

from __future__ import annotations

import configparser
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from botdaemon import systemd
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
    assert service["RestartPreventExitStatus"] == str(ConfigError.exit_code)
    assert int(service["TimeoutStopSec"]) > DaemonConfig().grace_seconds
    # SIGTERM for all would end the model process under the turns that may still finish.
    assert service["KillMode"] == "mixed"


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    text = UNIT.read_text()
    program = "/opt/botdaemon/bin/botdaemon"
    assert f"ExecStart={program} run --config /etc/botdaemon/config.toml" in text
    copy = tmp_path / UNIT.name
    copy.write_text(text.replace(program, sys.executable))  # which must be there to be accepted

    if analyze := shutil.which("systemd-analyze"):  # elsewhere, the test above must do
        done = subprocess.run(
            [analyze, "verify", copy], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
