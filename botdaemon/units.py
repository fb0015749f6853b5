"""The systemd unit of this machine, made from the unit that is shipped. Knows the configuration,
and writes nothing; what it needs to know of the machine it is told.

The shipped units are valid as they stand, for a program in /opt; their paths and a few lines are
replaced. What would not work as a service is said before anything is written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from botdaemon.config import DiffusersConfig, TransformersConfig
from botdaemon.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdaemon.config import Config
    from botdaemon.config.base import Table

Cards = Literal["nvidia", "amd", "none"]

_HERE = Path(__file__).resolve().parent
_PROGRAM, _CONFIG = "/opt/botdaemon/bin/botdaemon", "/etc/botdaemon/config.toml"
_STATE = Path("/var/lib")
#: what ProtectHome= and PrivateTmp= hide
_HIDDEN = tuple(map(Path, ("/home", "/root", "/run/user", "/tmp", "/var/tmp")))
_BACK_OFF_SINCE = 254
_DEVICES = {
    "nvidia": "DevicePolicy=closed\nDeviceAllow=char-nvidia* rw\n",
    "amd": "DevicePolicy=closed\nDeviceAllow=char-kfd rw\nDeviceAllow=char-drm rw\n"
    "SupplementaryGroups=render\n",
    "none": "PrivateDevices=yes\n",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a unit has to be fit for."""

    #: the command that runs botdaemon: one path, or one and its arguments
    program: tuple[str, ...]
    #: where it and its interpreter lie
    prefixes: tuple[Path, ...]
    #: systemd's version; 0: unknown
    systemd: int
    cards: Cards


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit as it is to be written."""

    text: str
    #: credentials, and the file that each comes from
    credentials: dict[str, Path]


def system_unit(config: Config, machine: Machine) -> Unit:
    """For the whole machine, under a user of its own. Raises `ConfigError` with everything that
    keeps the configuration from working there."""
    data = config.daemon.data_dir
    problems = [
        *_unreadable(config, machine),
        *_secrets(config, "a service has a user of its own, who cannot read that file", files=True),
        *_unspeakable(config, machine),
    ]
    if not data.is_relative_to(_STATE) or data == _STATE:
        problems.append(
            config.problem(
                ("daemon", "data_dir"),
                f'a service keeps its data below {_STATE}: set data_dir = "/var/lib/botdaemon",'
                " and move the data there, or use --user",
            )
        )
    records = config.records.directory
    if records is not None and not records.is_relative_to(data):
        problems.append(
            config.problem(
                ("records", "directory"), f"a service writes only into {data}: name a folder in it"
            )
        )
    if problems:
        raise ConfigError(*problems)
    text = _shipped("botdaemon.service").replace(_DEVICES["nvidia"], _DEVICES[machine.cards])
    text = text.replace("/var/lib/botdaemon", str(data))
    state = data.relative_to(_STATE)
    return _fitted(
        text.replace("StateDirectory=botdaemon", f"StateDirectory={state}"), config, machine
    )


def user_unit(config: Config, machine: Machine) -> Unit:
    """For one person. Raises `ConfigError` likewise."""
    if problems := [*_secrets(config, "", files=False), *_unspeakable(config, machine)]:
        raise ConfigError(*problems)
    return _fitted(_shipped("botdaemon-user.service"), config, machine)


def _shipped(name: str) -> str:
    installed, checkout = _HERE / "service", _HERE.parent / "systemd"
    return ((installed if installed.is_dir() else checkout) / name).read_text("utf-8")


def _fitted(text: str, config: Config, machine: Machine) -> Unit:
    path = config.path.absolute()
    names = sorted({name for _, key, name in _references(config) if key.endswith("_credential")})
    credentials = {name: path.parent / name for name in names}
    loads = "\n".join(f"LoadCredential={name}:{file}" for name, file in credentials.items())
    text = re.sub(r"^# LoadCredential=.*$", lambda _: loads or "# none", text, flags=re.MULTILINE)
    text = text.replace(_PROGRAM, " ".join(machine.program)).replace(_CONFIG, str(path))
    if machine.systemd >= _BACK_OFF_SINCE:
        text = text.replace("\n#RestartSteps=", "\nRestartSteps=")
        text = text.replace("\n#RestartMaxDelaySec=", "\nRestartMaxDelaySec=")
    return Unit(text, credentials)


# --- what would not work ---------------------------------------------------------------------


def _unspeakable(config: Config, machine: Machine) -> Iterator[str]:
    paths = (*machine.program, config.path.absolute(), config.daemon.data_dir)
    for path in map(str, paths):
        if re.search(r"[\s%$\"'\\;]", path):
            yield f"{path}: a unit cannot name a path with spaces, quotes, %, $ or ;"


def _unreadable(config: Config, machine: Machine) -> Iterator[str]:
    for prefix in machine.prefixes:
        if _hidden(prefix):
            yield (
                f"{prefix}: a service cannot see it there, and the program or its Python lies"
                " there; install it into /opt/botdaemon with the system's Python, or use"
                " --user"
            )
    path = config.path.absolute()
    if _hidden(path):
        yield f"{path}: a service cannot see it there; move it to {_CONFIG}, or use --user"
    elif not _for_all(path):
        yield (
            f"{path}: a service has a user of its own, who cannot read it; it holds no secrets:"
            f" chmod a+r {path}, and a+x the folders above it"
        )
    for name, table in config.models.items():
        if isinstance(table, TransformersConfig | DiffusersConfig):
            for one in filter(None, (table.path, *table.adapters.values())):
                if _hidden(path.parent / one):
                    yield config.problem(
                        ("models", name), f"a service cannot see {one} there; move it to /srv"
                    )


def _hidden(path: Path) -> bool:
    return any(path.resolve().is_relative_to(home) for home in _HIDDEN)


def _for_all(path: Path) -> bool:
    """Whether everybody may read a file."""
    return bool(path.stat().st_mode & 0o4) and all(
        folder.stat().st_mode & 0o1 for folder in path.resolve().parents
    )


def _secrets(config: Config, why: str, *, files: bool) -> Iterator[str]:
    """Secrets that do not come as credentials, and would not arrive; those in `files`, too."""
    for where, key, reference in _references(config):
        name = re.sub(r"[^\w-]+", "-", "-".join((where[-1], key.rpartition("_")[0])))
        if key.endswith("_env"):
            problem = f"a service does not have the variable {reference}"
        elif key.endswith("_file") and files:
            problem = why
        else:
            continue
        instead = f'{key.rpartition("_")[0]}_credential = "{name}"'
        file = config.path.absolute().parent / name
        yield config.problem(
            (*where, key),
            f"{problem}: write {instead} in its place, and put the secret into {file},"
            " for root's eyes only",
        )


def _references(config: Config) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """What the configuration says of secrets: the table, the key, and the value."""
    for section in ("adapters", "models"):
        for name, table in getattr(config, section).items():
            yield from _of_table((section, name), table)


def _of_table(where: tuple[str, ...], table: Table) -> Iterator[tuple[tuple[str, ...], str, str]]:
    for key in type(table).model_fields:
        if re.fullmatch(r"(?:\w+_)?token_(?:file|env|credential)", key) and (
            value := getattr(table, key)
        ):
            yield where, key, str(value)
