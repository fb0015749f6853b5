"""`botdaemon install-service`: the unit of a machine and a configuration, as systemd accepts it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from test_setup import ROOT

from botdaemon import units
from botdaemon.cli import main
from botdaemon.config import parse
from botdaemon.errors import ConfigError
from botdaemon.units import Machine

UNITS = {"system": "botdaemon.service", "user": "botdaemon-user.service"}
HOUSE = """
[daemon]
data_dir = "/var/lib/botdaemon"
[adapters.discord]
kind = "discord"
token_credential = "discord-token"
[models.parrot]
kind = "echo"
[bots.polly]
kind = "text"
model = "parrot"
"""
#: of a machine on which everything is in its place
OPT = Machine(
    program=("/opt/botdaemon/bin/botdaemon",), prefixes=(Path("/opt"),), systemd=252, cards="none"
)


@pytest.fixture
def place() -> Path:
    """A file that everybody may read; its folder is not hidden from services."""
    return Path("/usr/lib/os-release")


def refused(text: str, place: Path, machine: Machine = OPT) -> list[str]:
    with pytest.raises(ConfigError) as error:
        units.system_unit(parse(text, place), machine)
    return list(error.value.problems)


def test_the_unit_has_the_paths_credentials_and_cards_of_this_machine(place: Path) -> None:
    text = units.system_unit(parse(HOUSE.replace("lib/botdaemon", "lib/bots"), place), OPT).text

    assert f"ExecStart=/opt/botdaemon/bin/botdaemon run --config {place}\n" in text
    assert f"LoadCredential=discord-token:{place.parent}/discord-token\n" in text
    assert "\nStateDirectory=bots\n" in text
    assert "\nPrivateDevices=yes\n" in text
    assert "\nDeviceAllow" not in text
    cards = Machine(program=OPT.program, prefixes=OPT.prefixes, systemd=254, cards="nvidia")
    text = units.system_unit(parse(HOUSE, place), cards).text
    assert "\nDeviceAllow=char-nvidia* rw\n" in text
    assert "\nRestartSteps=6\nRestartMaxDelaySec=60\n" in text


def test_what_would_not_work_as_a_service_is_all_said_at_once(place: Path) -> None:
    text = HOUSE.replace("/var/lib/botdaemon", "/srv/data").replace(
        'token_credential = "discord-token"', 'token_file = "/srv/token"'
    )
    text += '[models.big]\nkind = "transformers"\npath = "/home/ada/big"\n'
    there = Machine(
        program=("/home/ada/bin/botdaemon",),
        prefixes=(Path("/home/ada"),),
        systemd=252,
        cards="none",
    )
    found = "\n".join(refused(text, place, there))

    assert "/home/ada: a service cannot see it there" in found
    assert 'write token_credential = "discord-token" in its place' in found
    assert "a service cannot see /home/ada/big there; move it to /srv" in found
    assert 'set data_dir = "/var/lib/botdaemon"' in found


def test_a_variable_does_not_reach_a_service(place: Path) -> None:
    text = HOUSE.replace('token_credential = "discord-token"', 'token_env = "TOKEN"')

    assert "a service does not have the variable TOKEN" in refused(text, place)[0]
    with pytest.raises(ConfigError, match="variable TOKEN"):
        units.user_unit(parse(text, place), OPT)


def test_a_path_that_a_unit_cannot_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot name a path with spaces"):
        units.user_unit(parse(HOUSE, Path("/usr/my bots/config.toml")), OPT)


def test_it_is_written_for_oneself_and_says_what_comes_next(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(HOUSE)
    arguments = ["install-service", "--user", "-c", str(config), "--directory", str(tmp_path)]
    done = CliRunner().invoke(main, arguments)

    assert done.exit_code == 0, done.output
    assert f"wrote {tmp_path}/botdaemon.service" in done.output
    assert "which is not there yet" in done.output
    assert "systemctl --user enable --now botdaemon" in done.output
    text = (tmp_path / "botdaemon.service").read_text()
    assert f"run --config {config}" in text
    assert CliRunner().invoke(main, arguments).exit_code == 0  # its own may be replaced

    (tmp_path / "botdaemon.service").write_text("[Unit]\n")
    done = CliRunner().invoke(main, arguments)
    assert (done.exit_code, "is not of botdaemon's making" in done.output) == (1, True)


@pytest.mark.skipif(Path("/run/systemd/system").exists(), reason="systemd runs this machine")
def test_without_systemd_it_says_what_else_there_is(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(HOUSE)
    done = CliRunner().invoke(main, ["install-service", "--user", "-c", str(config)])

    assert done.exit_code == 1
    assert "--print shows the unit" in done.output


def analyze(tmp_path: Path, name: str, *words: str) -> subprocess.CompletedProcess[str]:
    """systemd's opinion of a shipped unit, with a program that is there."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not there")
    text = (ROOT / "systemd" / name).read_text()
    copy = tmp_path / name
    copy.write_text(text.replace("/opt/botdaemon/bin/botdaemon", sys.executable))
    env = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    command = [analyze, *words, str(copy)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


@pytest.mark.parametrize("which", UNITS)
def test_systemd_accepts_the_units(which: str, tmp_path: Path) -> None:
    done = analyze(tmp_path, UNITS[which], *(["--user"] if which == "user" else []), "verify")

    assert (done.returncode, done.stderr) == (0, "")


def test_the_system_unit_is_exposed_to_1_5_at_most(tmp_path: Path) -> None:
    done = analyze(tmp_path, UNITS["system"], "security", "--offline=yes", "--threshold=15")

    assert done.returncode == 0, done.stdout
