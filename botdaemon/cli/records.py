"""Commands about what was said: whole threads to read, and what filters held back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from botdaemon.cli.plumbing import fail, loaded, with_config
from botdaemon.errors import BotdaemonError, StoreUnusable
from botdaemon.records.pages import moment, one_line

if TYPE_CHECKING:
    from botdaemon.types import Held

_SINCE = click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]),
    help="Only since then (UTC).",
)


def _seconds(since: datetime | None) -> float:
    return since.replace(tzinfo=UTC).timestamp() if since else 0.0


def _line(one: Held) -> str:
    who = f"{one.author.name} ({one.author.account})" if one.author else one.bot or "somebody"
    what = f"{'held back' if one.blocked else 'masked'} {one.way}"
    where = f"{one.address.adapter}:{one.address.channel}"
    found = ", ".join(map(repr, one.found))
    return f"{moment(one.at)} {what} {where} {one_line(who)}: {one_line(one.text)!r} ({found})"


@click.command()
@with_config
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--room", multiple=True, help="Only this room. May be repeated.")
@click.option("--thread", multiple=True, type=int, help="Only this thread, by number. Likewise.")
@_SINCE
def export(
    path: Path | None,
    out: Path,
    room: tuple[str, ...],
    thread: tuple[int, ...],
    since: datetime | None,
) -> None:
    """Write threads into the new folder OUT, as Markdown and as JSON Lines, with their files.

    The daemon may run meanwhile. What was deleted is not among it.
    """
    from botdaemon import app

    data = loaded(path).daemon.data_dir
    try:
        made = app.export(data, out, rooms=room, threads=thread, since=_seconds(since))
    except BotdaemonError as error:
        fail(error)
    except OSError as error:
        fail(StoreUnusable(f"{error.filename or out} cannot be written: {error.strerror}"))
    click.echo(
        f"{made.threads:,} threads with {made.messages:,} messages and {made.files:,} files"
        f" in {out}"
    )
    if made.missing:
        click.echo(f"{made.missing:,} files are not there any more", err=True)


@click.command()
@with_config
@_SINCE
def held(path: Path | None, since: datetime | None) -> None:
    """List what filters held back or masked, oldest first: when, where, whose words, and all of
    them."""
    from botdaemon import app

    try:
        for one in app.held(loaded(path).daemon.data_dir, _seconds(since)):
            click.echo(_line(one))
    except BotdaemonError as error:
        fail(error)
