"""Commands about the daemon and its bots: run, check, setup, and conversations without it."""

from __future__ import annotations

import faulthandler
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from botdaemon.cli.plumbing import bar, fail, loaded, run_to_end, with_config
from botdaemon.config import CannedBotConfig, ChatConfig, Config, TextBotConfig
from botdaemon.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdaemon import app


@click.command()
@with_config
def run(path: Path | None) -> None:
    """Run the daemon until it is told to stop."""
    from botdaemon import app, logs

    faulthandler.enable()  # the watchdog's SIGABRT then prints what hung
    config = loaded(path)
    logs.configure(config.daemon.log_level, config.daemon.log_format)

    def ready(daemon: app.Daemon) -> None:
        for name, server in daemon.servers.items():
            click.echo(f"{name}: open {server.url} in a browser. Ctrl-C stops.", err=True)

    async def serve() -> None:
        await app.serve(config, on_ready=ready)

    run_to_end(serve())


@click.command()
@with_config
@click.option("--online", is_flag=True, help="Log in to the platforms, too, and look around there.")
def check(path: Path | None, online: bool) -> None:
    """Say whether the configuration works, without starting anything."""
    from botdaemon import app, filters
    from botdaemon.bots.canned import read_lines
    from botdaemon.check import check as look

    config = loaded(path)
    report = look(
        config,
        inspect=lambda model: app.inspect_model(config, model),
        weigh=lambda bot: app.weigh(config, bot),
        lines=lambda file: len(read_lines(file)),
        misfits=lambda: app.misfits(config),
        too_slow=filters.too_slow,
        knowledge=app.knowledge.check_knowledge(config),
        labels=lambda: app.label_problems(config),
    )
    for finding in report.findings:
        click.echo(str(finding))
    if online:
        run_to_end(_look_around(config, report.exit_code))
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


@click.command()
@with_config
@click.argument("platform", type=click.Choice(["discord", "slack", "telegram"]))
def setup(path: Path | None, platform: str) -> None:
    """Say how to connect a PLATFORM: what to do there, and what to write into the configuration."""
    from botdaemon import app

    tables = [
        table
        for table in loaded(path).adapters.values()
        if isinstance(table, ChatConfig) and table.kind == platform
    ]
    try:
        click.echo(app.setup_guide(platform, tables[0] if tables else None))
    except ConfigError as error:
        fail(error)


@click.command()
@with_config
@click.option("--bot", help="Whom to talk to; by default the first bot of the configuration.")
@click.option("--once", metavar="TEXT", help="Say this, print the answer, and leave.")
def chat(path: Path | None, bot: str | None, once: str | None) -> None:
    """Talk to a bot here in the terminal. The conversation is there again the next time."""
    from botdaemon import app, logs

    config = loaded(path)
    logs.configure("error" if config.daemon.log_level != "debug" else "debug")
    run_to_end(app.chat(config, _known_bot(config, bot, TextBotConfig | CannedBotConfig), once))


@click.command()
@with_config
@click.argument("bot")
@click.option(
    "--count",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="How many lines it shall have.",
)
@click.option(
    "--at-once",
    type=click.IntRange(1, 1024),
    default=16,
    show_default=True,
    help="How many are made at the same time.",
)
@click.option(
    "--dataset",
    type=click.Path(file_okay=False, path_type=Path),
    help="What the text bot was trained on: it is asked what people said there, and no line gives "
    "its messages away.",
)
@click.option(
    "--block",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file of words that no line may have, one a line.",
)
def can(
    path: Path | None,
    bot: str,
    count: int,
    at_once: int,
    dataset: Path | None,
    block: Path | None,
) -> None:
    """Fill a canned BOT's file with lines from the text bot it is made from.

    Called again after an interruption, it goes on. Lines that hold something private are left out.
    """
    from botdaemon import app, logs
    from botdaemon.bots.canning import in_words

    config = loaded(path)
    logs.configure("warning")
    bot = _known_bot(config, bot, CannedBotConfig)
    click.echo(_WITH_DATASET if dataset else _WITHOUT_DATASET, err=True)
    report = ""

    async def fill() -> None:
        with bar("lines", bytes=False) as shown:

            def told(lines: int, left_out: Mapping[str, int]) -> None:
                nonlocal report
                report = f"{lines:,} lines; left out: {in_words(left_out) or 'none'}"
                shown(lines, count)

            await app.can(
                config,
                bot,
                count,
                told,
                at_once=at_once,
                dataset=dataset,
                blocked=_words(block) if block else (),
            )

    try:
        run_to_end(fill())
    finally:  # also of a run that was interrupted
        if report:
            click.echo(report, err=True)


_WITHOUT_DATASET = "Without --dataset, no line is compared with training messages."
_WITH_DATASET = 'What people said stays in the file, as "to": keep it as private as the dataset.'


def _words(path: Path) -> tuple[str, ...]:
    try:
        words = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    return tuple(filter(None, map(str.strip, words)))


def _known_bot(config: Config, name: str | None, kind: Any) -> str:
    fitting = [bot for bot, table in config.bots.items() if isinstance(table, kind)]
    if name is None and fitting:
        return fitting[0]
    if name in fitting and name is not None:
        return name
    names = ", ".join(fitting) or "none"
    click.echo(f'botdaemon: there is no such bot "{name}" (there are: {names})', err=True)
    sys.exit(2)
