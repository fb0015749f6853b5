"""The command about what bots may look up."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from botdaemon.cli.plumbing import bar, loaded, run_to_end, with_config

if TYPE_CHECKING:
    from collections.abc import Sequence
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
    run_to_end(_look(config, bots if bot is None else [bot], " ".join(question), refresh=refresh))


async def _look(config: Config, bots: Sequence[str], question: str, *, refresh: bool) -> None:
    for bot in bots:
        if refresh:
            await _refresh(config, bot)
        if question:
            await _ask(config, bot, question)
        else:
            _list(config, bot)


async def _refresh(config: Config, bot: str) -> None:
    from botdaemon import app

    def say(what: str) -> None:
        click.echo(what, err=True)

    with bar(bot, bytes=False) as told:
        await app.knowledge.bring_up_to_date(config, bot, say=say, told=told)


def _list(config: Config, bot: str) -> None:
    from botdaemon import app

    files, passages, vectors = app.knowledge.indexed(config, bot)
    read = sum(not file.problem for file in files)
    by_meaning = f", {vectors:,} with vectors" if vectors else ""
    click.echo(f"{bot}: {passages:,} passages{by_meaning}, in {read:,} files")
    for file in files:
        click.echo(f"  {file.shown}: {file.problem or f'{file.passages:,} passages'}")
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
