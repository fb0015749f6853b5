"""The command about what bots may look up."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from botdaemon.cli.plumbing import bar, fail, loaded, run_to_end, with_config
from botdaemon.errors import BotdaemonError

if TYPE_CHECKING:
    from pathlib import Path

    from botdaemon.config import Config


@click.command()
@with_config
@click.argument("bot", required=False)
@click.argument("question", nargs=-1)
@click.option(
    "--refresh",
    is_flag=True,
    help="Bring the index up to date first. A running daemon does that by itself.",
)
def knowledge(path: Path | None, bot: str | None, question: tuple[str, ...], refresh: bool) -> None:
    """List what bots know from files: all, or those of BOT. With a QUESTION, show what BOT would
    find for it, and why."""
    from botdaemon import app, logs

    config = loaded(path)
    logs.configure("error")
    bots = list(app.knowledge.tables(config))
    if bot is not None and bot not in bots:
        names = ", ".join(bots) or "none"
        click.echo(f'botdaemon: "{bot}" is no bot with knowledge (there are: {names})', err=True)
        sys.exit(2)
    try:
        for name in bots if bot is None else [bot]:
            if refresh:
                _refresh(config, name)
            if not question:
                _list(config, name)
    except BotdaemonError as error:
        fail(error)
    if bot is not None and question:
        run_to_end(_ask(config, bot, " ".join(question)))


def _refresh(config: Config, bot: str) -> None:
    from botdaemon import app

    def say(what: str) -> None:
        click.echo(what, err=True)

    with bar(bot, bytes=False) as told:
        run_to_end(app.knowledge.bring_up_to_date(config, bot, say=say, told=told))


def _list(config: Config, bot: str) -> None:
    from botdaemon import app

    files, passages, vectors = app.knowledge.indexed(config, bot)
    read = sum(not file.problem for file in files)
    by_meaning = f", {vectors:,} with vectors" if vectors else ""
    click.echo(f"{bot}: {passages:,} passages{by_meaning}, in {read:,} files")
    for file in files:
        state = f"cannot be read: {file.problem}" if file.problem else f"{file.passages:,}"
        click.echo(f"  {file.shown}: {state}")
    if not files:
        click.echo("  nothing yet; the daemon reads the folders, or say --refresh")


async def _ask(config: Config, bot: str, question: str) -> None:
    from botdaemon import app
    from botdaemon.knowledge.briefing import source

    found = await app.knowledge.find(config, bot, question)
    if not found:
        click.echo("Nothing: the bot would be told nothing for this.")
    for number, one in enumerate(found, 1):
        why = [f"words {one.share:.0%}"] if one.share else []
        if one.similarity is not None:
            why.append(f"meaning {one.similarity:.2f}")
        click.echo(f"{number}. {source(one.passage)}  ({', '.join(why)})")
        click.echo(f"   {' '.join(one.passage.text.split())[:200]}")
