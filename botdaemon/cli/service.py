"""Commands about the service: the unit of this machine, and a changed configuration."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from botdaemon.cli.plumbing import fail, loaded, with_config
from botdaemon.errors import BotdaemonError, Refused

if TYPE_CHECKING:
    from botdaemon.units import Cards, Machine, Unit

NAME = "botdaemon.service"
#: of our units the first words
_OURS = "# botdaemon as a "
_RUNNING = Path("/run/systemd/system")
"""Is there when systemd runs the machine (sd_booted(3))."""


@click.command()
@with_config
def reload(path: Path | None) -> None:
    """Let the running daemon take over its changed configuration, without a break.

    It is taken over whole, or refused whole: then this says why, and nothing has changed.
    """
    from botdaemon import app

    config = loaded(path)
    try:
        words, code = app.ask(config.daemon.data_dir, "reload")
    except BotdaemonError as error:
        fail(error)
    click.echo(words, err=code != 0)
    sys.exit(code)


@click.command("install-service")
@with_config
@click.option("--user", is_flag=True, help="For yourself, without root; by default for all.")
@click.option("--print", "only_print", is_flag=True, help="Print the unit, and write nothing.")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write it there instead, for instance into a package.",
)
def install_service(
    path: Path | None, user: bool, only_print: bool, directory: Path | None
) -> None:
    """Write the systemd unit for this machine and this configuration, and say what to do next."""
    from botdaemon import units

    config = loaded(path)
    try:
        machine = _machine()
        unit = units.user_unit(config, machine) if user else units.system_unit(config, machine)
        if only_print:
            click.echo(unit.text, nl=False)
            return
        place = (directory or _usual_place(user=user)) / NAME
        _verify(unit, user=user)
        _write(place, unit)
    except BotdaemonError as error:
        fail(error)
    click.echo(f"wrote {place}")
    click.echo(f"  it runs {' '.join(machine.program)} with {config.path.absolute()}")
    click.echo(f"  data: {config.daemon.data_dir}; cards: {machine.cards}")
    for name, file in unit.credentials.items():
        there = "" if file.exists() else " (which is not there yet)"
        click.echo(f"  the secret {name} is read from {file}{there}")
    click.echo("next:")
    for command in _next(unit, user=user):
        click.echo(f"  {command}")


def _next(unit: Unit, *, user: bool) -> list[str]:
    systemctl = "systemctl --user" if user else "systemctl"
    missing = [file for file in unit.credentials.values() if not file.exists()]
    return [
        *(
            f"install -m 600 /dev/stdin {file}    # paste the secret, then Ctrl-D"
            for file in missing
        ),
        f"{systemctl} daemon-reload",
        f"{systemctl} enable --now botdaemon",
        *(["loginctl enable-linger    # it runs while nobody is logged in"] if user else []),
        f"{systemctl} status botdaemon",
    ]


def _machine() -> Machine:
    from botdaemon.units import Machine

    command = Path(sys.prefix, "bin", "botdaemon")
    program = (str(command),) if command.exists() else (sys.executable, "-m", "botdaemon")
    return Machine(
        program=program,
        prefixes=(Path(sys.prefix), Path(sys.base_prefix)),
        systemd=_version(),
        cards=_cards(),
    )


def _version() -> int:
    """systemd's; 0 when there is none."""
    if (systemctl := shutil.which("systemctl")) is None:
        return 0
    said = subprocess.run([systemctl, "--version"], capture_output=True, text=True, check=False)
    found = re.match(r"systemd (\d+)", said.stdout)
    return int(found[1]) if found else 0


def _cards() -> Cards:
    if Path("/dev/nvidiactl").exists():
        return "nvidia"
    return "amd" if Path("/dev/kfd").exists() else "none"


def _usual_place(*, user: bool) -> Path:
    if not _RUNNING.is_dir():
        raise Refused(
            "systemd does not run this machine, so there is nowhere to install a service;"
            " --print shows the unit, --directory DIR writes it there"
        )
    if not user:
        return Path("/etc/systemd/system")
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "systemd" / "user"


def _verify(unit: Unit, *, user: bool) -> None:
    """systemd's own opinion, where it can be had. Raises `Refused`."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None or (user and "XDG_RUNTIME_DIR" not in os.environ):
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, NAME)
        file.write_text(unit.text, "utf-8")
        said = subprocess.run(
            [analyze, *(["--user"] if user else []), "verify", file],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    if said.returncode or said.stderr.strip():
        raise Refused(
            f"systemd does not accept the unit, nothing was written: {said.stderr.strip()}"
        )


def _write(place: Path, unit: Unit) -> None:
    try:
        if place.exists() and not place.read_text("utf-8", "replace").startswith(_OURS):
            raise Refused(f"{place} is not of botdaemon's making; move it away first")
        place.parent.mkdir(parents=True, exist_ok=True)
        new = place.with_suffix(".new")
        new.write_text(unit.text, "utf-8")
        new.chmod(0o644)
        new.replace(place)
    except OSError as error:
        raise Refused(
            f"{error.filename or place} cannot be written ({error.strerror}); be root, install it"
            " for yourself with --user, or see it with --print"
        ) from None
