"""What all commands share: the configuration, saying what went wrong, and a bar of progress. Knows
no command."""

from __future__ import annotations

import asyncio
import sys
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from botdaemon.config import Config, load
from botdaemon.errors import BotdaemonError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

#: looked for in this order when --config is not given
CONFIGS = (Path("config.toml"), Path("/etc/botdaemon/config.toml"), Path("config.example.toml"))


def _config_path(given: Path | None) -> Path:
    if given is not None:
        return given
    return next((path for path in CONFIGS if path.exists()), CONFIGS[0])


def fail(error: BaseException) -> NoReturn:
    """Say in one place what went wrong, and end with its exit code."""
    known = _known(error)
    if known is not None:
        click.echo(f"botdaemon: {known}", err=True)
        sys.exit(known.exit_code)
    traceback.print_exception(error)
    click.echo(f"botdaemon: a fault of its own ended it: {_deepest(error)}", err=True)
    sys.exit(1)


def _known(error: BaseException) -> BotdaemonError | None:
    """The error with an explanation in what may be a group of groups."""
    if isinstance(error, BotdaemonError):
        return error
    if isinstance(error, BaseExceptionGroup):
        found = [_known(one) for one in error.exceptions]
        return found[0] if len(found) == 1 else None
    return None


def _deepest(error: BaseException) -> str:
    """The first error in groups of groups, with the task it came from."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return " ".join((repr(error), *getattr(error, "__notes__", ())))


def run_to_end(coroutine: Coroutine[Any, Any, int | None]) -> None:
    try:
        code = asyncio.run(coroutine)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        fail(error)
    sys.exit(code or 0)


def loaded(path: Path | None) -> Config:
    try:
        return load(_config_path(path))
    except ConfigError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        sys.exit(error.exit_code)


with_config: Callable[[Callable[..., None]], Callable[..., None]] = click.option(
    "--config",
    "-c",
    "path",
    type=click.Path(path_type=Path),
    help="The configuration; by default config.toml here, then /etc/botdaemon/config.toml, "
    "then config.example.toml here.",
)


@contextmanager
def bar(what: str = "", *, bytes: bool = True) -> Iterator[Callable[..., None]]:
    """A bar of progress on stderr, to be told how much is done of how much; of bytes or of other
    things. What is done may change: then that is told first."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    count = DownloadColumn() if bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), count, TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as shown:
        task = shown.add_task(what, total=None)

        def told(*progress: str | int) -> None:
            *name, done, total = progress
            shown.update(
                task,
                description=str(name[0]) if name else what,
                completed=float(done),
                total=float(total),
            )

        yield told
