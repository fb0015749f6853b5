"""Commands about keeping data: backup, restore, and what there is about a person."""

from __future__ import annotations

from pathlib import Path

import click

from botdaemon.cli.plumbing import fail, loaded, with_config
from botdaemon.errors import BotdaemonError, StoreError, StoreUnusable


@click.command()
@with_config
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    help="A folder, in which a new one is made, or a file that ends in .tar or .tar.gz; by default"
    " the folder backup.directory, in which old ones are deleted then.",
)
def backup(path: Path | None, to: Path | None) -> None:
    """Back up the database, the files and the configuration, and restore that to see whether it is
    good.

    The daemon may run meanwhile. One that is not good is kept apart as NAME.failed.
    """
    from botdaemon import app

    try:
        made = app.back_up(loaded(path), to)
    except BotdaemonError as error:
        fail(error)
    if made.holds is None:
        fail(StoreError(f"the backup {made.path} is not good: {'; '.join(made.found)}"))
    messages, files = made.holds.rows.get("messages", 0), made.holds.files
    click.echo(
        f"{made.path}: {messages:,} messages, {len(files):,} files"
        f" ({sum(files.values()) / 1e6:,.1f} MB), restored and found to be good"
    )
    for old in made.gone:
        click.echo(f"deleted: {old}")


@click.command()
@with_config
@click.argument("backup", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    help="The data directory to make; by default that of the configuration.",
)
@click.option("--force", is_flag=True, help="Move what is there aside; nothing is deleted.")
def restore(path: Path | None, backup: Path, into: Path | None, force: bool) -> None:
    """Make a data directory of a BACKUP. Stop the daemon first."""
    from botdaemon import app

    target = into or loaded(path).daemon.data_dir
    try:
        aside = app.restore(backup, target, force=force)
    except BotdaemonError as error:
        fail(error)
    except OSError as error:
        fail(StoreUnusable(f"{error.filename or target} cannot be written: {error.strerror}"))
    if aside is not None:
        click.echo(f"what was there is in {aside} now; delete it when you do not need it any more")
    click.echo(f"restored {backup} into {target}; its configuration is {target / 'config.toml'}")


@click.group()
def person() -> None:
    """What there is about a person. `botdaemon forget` deletes it."""


@person.command("export")
@with_config
@click.argument("who")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The zip file to write.",
)
def person_export(path: Path | None, who: str, out: Path) -> None:
    """Write everything about a person into a zip file: what they said, their files, what they
    thought of answers, what was arranged and noted.

    WHO is ADAPTER:ACCOUNT or a name; all accounts that were linked are the same person. The daemon
    may run meanwhile.
    """
    from botdaemon import app

    try:
        made = app.export_person(loaded(path).daemon.data_dir, who, out)
    except BotdaemonError as error:
        fail(error)
    except OSError as error:
        fail(StoreUnusable(f"{error.filename or out} cannot be written: {error.strerror}"))
    each = ", ".join(f"{count:,} {name}" for name, count in made.rows.items())
    click.echo(f"{out}: {made.who}: {each}; {made.files:,} files")
    if made.missing:
        click.echo(f"{made.missing:,} files are not there any more", err=True)
