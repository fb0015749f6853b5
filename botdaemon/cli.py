"""The command line. Knows how to say things to an operator; what is done lies in `app`.

Exit codes: 0 done, 1 a fault of ours, 2 wrong usage, 69 something outside refuses (a port in use),
74 the store failed, 75 another daemon has the data directory, 78 the configuration, a model or the
database must be mended by a person.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import sys
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

import botdaemon
from botdaemon.config import CannedBotConfig, ChatConfig, Config, TextBotConfig, load
from botdaemon.errors import BotdaemonError, ConfigError, ModelUnusable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

#: looked for in this order when --config is not given
CONFIGS = (Path("config.toml"), Path("/etc/botdaemon/config.toml"), Path("config.example.toml"))


def _config_path(given: Path | None) -> Path:
    if given is not None:
        return given
    return next((path for path in CONFIGS if path.exists()), CONFIGS[0])


def _fail(error: BaseException) -> NoReturn:
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


def _run(coroutine: Coroutine[Any, Any, int | None]) -> None:
    try:
        code = asyncio.run(coroutine)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        _fail(error)
    sys.exit(code or 0)


def _loaded(path: Path | None) -> Config:
    try:
        return load(_config_path(path))
    except ConfigError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        sys.exit(error.exit_code)


_with_config: Callable[[Callable[..., None]], Callable[..., None]] = click.option(
    "--config",
    "-c",
    "path",
    type=click.Path(path_type=Path),
    help="The configuration; by default config.toml here, then /etc/botdaemon/config.toml, "
    "then config.example.toml here.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(botdaemon.__version__, prog_name="botdaemon")
def main() -> None:
    """Bots for your chat rooms, from one daemon."""
    # Every process below this one, too: nothing is downloaded while a person waits.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


@main.command()
@_with_config
def run(path: Path | None) -> None:
    """Run the daemon until it is told to stop."""
    from botdaemon import app, logs

    faulthandler.enable()  # the watchdog's SIGABRT then prints what hung
    config = _loaded(path)
    logs.configure(config.daemon.log_level, config.daemon.log_format)

    def ready(daemon: app.Daemon) -> None:
        for name, server in daemon.servers.items():
            click.echo(f"{name}: open {server.url} in a browser. Ctrl-C stops.", err=True)

    async def serve() -> None:
        await app.serve(config, on_ready=ready)

    _run(serve())


@main.command()
@_with_config
@click.option("--online", is_flag=True, help="Log in to the platforms, too, and look around there.")
def check(path: Path | None, online: bool) -> None:
    """Say whether the configuration works, without starting anything."""
    from botdaemon import app
    from botdaemon.bots.canned import read_lines
    from botdaemon.check import check as look

    config = _loaded(path)
    report = look(
        config,
        inspect=lambda model: app.inspect_model(config, model),
        weigh=lambda bot: app.weigh(config, bot),
        lines=lambda file: len(read_lines(file)),
        misfits=lambda: app.misfits(config),
    )
    for finding in report.findings:
        click.echo(str(finding))
    if online:
        _run(_look_around(config, report.exit_code))
    sys.exit(report.exit_code)


async def _look_around(config: Config, code: int) -> int:
    from botdaemon import app, logs
    from botdaemon.types import Verdict

    logs.configure("error")
    async for finding in app.probe(config):
        click.echo(str(finding))
        if finding.verdict is Verdict.PROBLEM:
            code = ConfigError.exit_code
    return code


@main.command()
@_with_config
@click.argument("platform", type=click.Choice(["discord", "slack", "telegram"]))
def setup(path: Path | None, platform: str) -> None:
    """Say how to connect a PLATFORM: what to do there, and what to write into the configuration."""
    from botdaemon import app

    tables = [
        table
        for table in _loaded(path).adapters.values()
        if isinstance(table, ChatConfig) and table.kind == platform
    ]
    try:
        click.echo(app.setup_guide(platform, tables[0] if tables else None))
    except ConfigError as error:
        _fail(error)


@main.command()
@_with_config
@click.option("--bot", help="Whom to talk to; by default the first bot of the configuration.")
@click.option("--once", metavar="TEXT", help="Say this, print the answer, and leave.")
def chat(path: Path | None, bot: str | None, once: str | None) -> None:
    """Talk to a bot here in the terminal. The conversation is there again the next time."""
    from botdaemon import app, logs

    config = _loaded(path)
    logs.configure("error" if config.daemon.log_level != "debug" else "debug")
    _run(app.chat(config, _known_bot(config, bot, TextBotConfig | CannedBotConfig), once))


@main.command()
@_with_config
@click.argument("bot")
@click.option("--count", default=100, show_default=True, help="How many lines it shall have.")
def can(path: Path | None, bot: str, count: int) -> None:
    """Fill a canned BOT's file with lines from the text bot it is made from."""
    from botdaemon import app, logs

    config = _loaded(path)
    logs.configure("warning")
    _run(app.can(config, _known_bot(config, bot, CannedBotConfig), count, _progress))


@main.group()
def models() -> None:
    """See what models there are, fetch them, and see what fits."""


@models.command("plan")
@_with_config
@click.option("--svg", type=click.Path(path_type=Path), help="Write the picture to this file, too.")
def plan_models(path: Path | None, svg: Path | None) -> None:
    """Print which model goes onto which device, before anything is loaded."""
    from rich.console import Console

    from botdaemon import app

    try:
        picture, drawing, fits = app.plan(_loaded(path))
    except BotdaemonError as error:
        _fail(error)
    Console().print(picture)
    if svg is not None:
        svg.write_text(drawing, encoding="utf-8")
    sys.exit(0 if fits else ModelUnusable.exit_code)


@models.command("list")
@_with_config
def list_models(path: Path | None) -> None:
    """List the models of the configuration, and what else lies in the hub's cache."""
    from rich.console import Console
    from rich.table import Table

    from botdaemon import app

    table = Table(box=None, pad_edge=False)
    for heading in ("name", "source", "size", "takes", "state"):
        table.add_column(heading, justify="right" if heading in ("size", "takes") else "left")
    missing = False
    for item in app.listing(_loaded(path)):
        source = f"{item.source}@{item.revision[:12]}" if item.revision else item.source
        takes = item.footprint.load + item.footprint.peak if item.footprint else 0
        state = item.problem or ("" if item.name else "not in the configuration")
        missing |= bool(item.problem)
        table.add_row(item.name or "-", source, app.amount(item.size), app.amount(takes), state)
    Console().print(table)
    sys.exit(ModelUnusable.exit_code if missing else 0)


@models.command("pull")
@click.argument("repo", metavar="OWNER/NAME")
@click.option("--revision", help="A branch, tag or commit; by default the newest.")
@click.option("--variant", default="", help="The form of the weights, such as fp16.")
@click.option("--yes", is_flag=True, help="Fetch without asking.")
def pull(repo: str, revision: str | None, variant: str, yes: bool) -> None:
    """Fetch a model from the hub, with its size first, and verify it."""
    from botdaemon import app

    try:
        offer = app.offer(repo, revision, variant)
        for file in offer.files:
            there = ", is there already" if file.there else ""
            click.echo(f"{app.amount(file.size):>10}  {file.name}{there}")
        click.echo(f"{app.amount(offer.size):>10}  in all, {app.amount(offer.missing)} to fetch")
        if offer.choice.others:
            click.echo(f"other forms of the weights: --variant {', '.join(offer.choice.others)}")
        if offer.missing and not yes:
            click.confirm("Fetch it?", abort=True)
        with _bar() as progress:
            app.fetch(offer, progress)
    except BotdaemonError as error:
        _fail(error)
    click.echo(f'It is here. In the configuration:\n\nhub = "{repo}"\nrevision = "{offer.commit}"')


@models.command("verify")
@_with_config
@click.argument("repo", metavar="OWNER/NAME", required=False)
def verify(path: Path | None, repo: str | None) -> None:
    """Compare the files of hub models with their checksums; by default those of the
    configuration. Needs no network."""
    from botdaemon import app

    states = {"whole": 0, "damaged": 0, "unknown": 0}
    try:
        with _bar() as progress:
            found = list(app.verify(_loaded(path), repo, progress))
    except BotdaemonError as error:
        _fail(error)
    for name, finding in found:
        states[finding.state] += 1
        if finding.state == "damaged":
            click.echo(f"damaged: {finding.file}; mend it with: botdaemon models pull {name}")
        elif finding.state == "unknown":
            click.echo(f"no checksum is known of {finding.file}")
    counts = ", ".join(f"{count} {state}" for state, count in states.items() if count)
    click.echo(counts or "the configuration names no hub model")
    sys.exit(ModelUnusable.exit_code if states["damaged"] else 0)


@contextmanager
def _bar() -> Iterator[Callable[[str, int, int], None]]:
    """A bar of progress on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True
    ) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, total: bar.update(
            task, description=what, completed=done, total=total
        )


@main.command("serve-models")
@_with_config
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8643, show_default=True, help="The port to listen on.")
@click.option(
    "--key-env",
    metavar="VARIABLE",
    help="The environment variable that holds the key callers must have.",
)
def serve_models(path: Path | None, host: str, port: int, key_env: str | None) -> None:
    """Offer the models of the configuration as an OpenAI-compatible service, without bots."""
    from botdaemon import app, logs

    config = _loaded(path)
    logs.configure(config.daemon.log_level, config.daemon.log_format)
    key = os.environ.get(key_env) if key_env else None
    if key_env and not key:
        _fail(ConfigError(f"the environment variable {key_env} is not set"))
    if key:
        logs.redact(key)

    def ready(url: str) -> None:
        click.echo(f"serving models at {url}. Ctrl-C stops.", err=True)

    _run(app.serve_models(config, host, port, key, ready))


def _progress(done: int, total: int) -> None:
    click.echo(f"\r{done} of {total} lines", nl=done == total, err=True)


def _known_bot(config: Config, name: str | None, kind: Any) -> str:
    fitting = [bot for bot, table in config.bots.items() if isinstance(table, kind)]
    if name is None and fitting:
        return fitting[0]
    if name in fitting and name is not None:
        return name
    names = ", ".join(fitting) or "none"
    click.echo(f'botdaemon: there is no such bot "{name}" (there are: {names})', err=True)
    sys.exit(2)
