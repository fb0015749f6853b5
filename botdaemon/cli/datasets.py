"""Commands about what voices are made from: importing exports, and datasets."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from botdaemon.cli.plumbing import bar, fail, loaded, run_to_end, with_config
from botdaemon.errors import BotdaemonError, ExportUnusable

_DIRECTORY = click.Path(file_okay=False, path_type=Path)
_SPLITS = ("train", "validation", "test")


@click.command("import")
@click.argument("kind")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--out", type=_DIRECTORY, required=True, help="The dataset's directory.")
@click.option("--bots", is_flag=True, help="Keep what bots said.")
@click.option(
    "--passphrase-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file with the passphrase of an encrypted backup.",
)
@click.option(
    "--date-order",
    type=click.Choice(["day", "month"]),
    default=None,
    help="What comes first in dates that leave it open.",
)
@click.option("--timezone", default="", help="The zone of times that name none: Europe/Berlin.")
@click.option("--me", default="", help="What you are called, where an export says Me.")
@click.option("--subreddit", multiple=True, help="Only this subreddit. May be repeated.")
@click.option("--author", multiple=True, help="Only what this author takes part in, on Reddit.")
def import_export(
    kind: str,
    path: Path,
    out: Path,
    bots: bool,
    passphrase_file: Path | None,
    date_order: str | None,
    timezone: str,
    me: str,
    subreddit: tuple[str, ...],
    author: tuple[str, ...],
) -> None:
    """Import an export of chats: PATH is a file, a folder or a zip.

    KIND: slack, signal, signal-backup, discord, telegram, whatsapp, reddit, or threads (the
    daemon's own; PATH is then its data directory). Several imports make one dataset; what was
    imported before is not doubled.
    """
    from botdaemon import app

    try:
        with bar(kind) as progress:
            report, problem = app.collect(
                kind,
                path,
                out,
                progress,
                bots=bots,
                passphrase=_secret(passphrase_file) if passphrase_file else "",
                date_order=date_order or "",
                timezone=timezone,
                me=me,
                subreddits=_plain(subreddit, "r/"),
                authors=_plain(author, "u/"),
            )
    except BotdaemonError as error:
        fail(error)
    click.echo(report)
    sys.exit(ExportUnusable.exit_code if problem else 0)


def _plain(names: tuple[str, ...], prefix: str) -> tuple[str, ...]:
    """As Reddit writes names in its data, however people type them."""
    return tuple(name.lower().strip("/").removeprefix(prefix) for name in names)


def _secret(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        fail(ExportUnusable(f"{path} cannot be read: {error}"))


@click.group()
def dataset() -> None:
    """Make of imported messages what a model learns from, and look at it."""


@dataset.command("speakers")
@click.argument("directory", type=_DIRECTORY)
def list_speakers(directory: Path) -> None:
    """List who speaks in what was imported: whom --speaker can name."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from botdaemon import app

    table = Table("name", "account", box=None, pad_edge=False)
    for heading in ("messages", "conversations"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("from", no_wrap=True)
    table.add_column("to", no_wrap=True)
    try:
        for speaker in app.speakers(directory):
            table.add_row(
                escape(speaker.name),
                escape(f"{speaker.source}:{speaker.id}"),
                *(f"{count:,}" for count in (speaker.messages, speaker.conversations)),
                *(str(datetime.fromtimestamp(at, UTC).date())
                  for at in (speaker.first, speaker.last)),
            )  # fmt: skip
    except BotdaemonError as error:
        fail(error)
    Console().print(table)


@dataset.command("build")
@click.argument("directory", type=_DIRECTORY)
@click.option("--speaker", multiple=True, help="Whose voice it is, by name or account. Repeatable.")
@click.option(
    "--consent",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file that says it, instead of --speaker.",
)
@click.option("--pseudonyms", is_flag=True, help="Everybody else gets a pseudonym.")
@click.option("--name", default="", help="The dataset's name; by default its directory's.")
@click.option(
    "--block",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of words to replace wherever they stand, one a line.",
)
@click.option("--region", multiple=True, help="A country whose phone numbers occur, such as DE.")
@click.option("--validation", type=click.FloatRange(0.01, 0.4), default=0.1, show_default=True)
@click.option("--test", type=click.FloatRange(0.01, 0.4), default=0.1, show_default=True)
@click.option("--plant", is_flag=True, help="Plant invented secrets, to measure what leaks.")
@click.option("--seed", default=0, show_default=True)
@click.option("--show", default=0, metavar="N", help="Show N sessions, too.")
def build_dataset(
    directory: Path,
    speaker: tuple[str, ...],
    consent: Path | None,
    pseudonyms: bool,
    name: str,
    block: Path | None,
    region: tuple[str, ...],
    validation: float,
    test: float,
    plant: bool,
    seed: int,
    show: int,
) -> None:
    """Make the dataset of what was imported into DIRECTORY.

    Only those who are named, by --speaker or in a consent file, become voices.
    """
    from botdaemon import app

    words = block.read_text(encoding="utf-8").split("\n") if block else []
    choices = {"regions": region} if region else {}
    try:
        with bar("messages", bytes=False) as progress:
            app.build(
                directory,
                progress,
                speakers=speaker,
                consent=consent,
                context="pseudonyms" if pseudonyms else "names",
                name=name,
                blocked=tuple(filter(None, map(str.strip, words))),
                validation=validation,
                test=test,
                plant=plant,
                seed=seed,
                **choices,
            )
        click.echo(app.statistics(directory))
        for example in app.examples(directory, "train", show, None) if show else ():
            click.echo(f"\n{example}")
    except BotdaemonError as error:
        fail(error)


@dataset.command("show")
@click.argument("directory", type=_DIRECTORY)
@click.option("--split", type=click.Choice(_SPLITS), default="train", show_default=True)
@click.option("--show", default=5, show_default=True, metavar="N", help="So many sessions.")
@click.option("--model", type=_DIRECTORY, help="As this model reads them, sample by sample.")
def show_dataset(directory: Path, split: str, show: int, model: Path | None) -> None:
    """Say what is in a dataset, and show some of it."""
    from botdaemon import app

    try:
        click.echo(app.statistics(directory))
        for example in app.examples(directory, split, show, model):
            click.echo(f"\n{example}")
    except BotdaemonError as error:
        fail(error)


@click.command()
@with_config
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
def ratings(path: Path | None, out: Path) -> None:
    """Write what people thought of the bots' answers into the JSON Lines file OUT, as a dataset for
    the next round: thumbs, answers that were asked for again, edited or stopped."""
    from botdaemon import app

    try:
        number = app.rate(loaded(path).daemon.data_dir, out)
    except BotdaemonError as error:
        fail(error)
    except OSError as error:
        fail(ExportUnusable(f"{out} cannot be written: {error.strerror}"))
    click.echo(f"{number:,} ratings in {out}")


@click.command()
@with_config
@click.argument("who", nargs=-1, required=True)
@click.option("--dataset", multiple=True, type=_DIRECTORY, help="A dataset to look in. Repeatable.")
@click.option(
    "--voices", multiple=True, type=_DIRECTORY, help="A voice's home, or a run. Repeatable."
)
@click.option("--threads/--no-threads", default=True, help="Whether to look in the daemon's own.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
def forget(
    path: Path | None,
    who: tuple[str, ...],
    dataset: tuple[Path, ...],
    voices: tuple[Path, ...],
    threads: bool,
    yes: bool,
) -> None:
    """Forget a person for good: in the daemon's threads, in datasets, and in models.

    WHO is a name, ADAPTER:ACCOUNT, or SOURCE:ID as in `dataset speakers`; name all accounts of the
    one person. Stop the daemon first. Models that learned to speak like them never go live again.
    """
    from botdaemon import app

    if not yes:
        click.confirm(f"Forget {', '.join(who)} for good?", abort=True)
    config = loaded(path)
    data = config.daemon.data_dir if threads else None

    async def go() -> None:
        gone, undone = await app.forget(data, who, dataset, voices)
        for one in gone:
            click.echo(
                f"threads: {one.messages:,} messages, {one.files:,} files,"
                f" {one.letters:,} letters not sent yet, {one.ratings:,} ratings,"
                f" {one.facts:,} facts, {one.summaries:,} summaries are gone"
            )
            if one.rows:
                each = ", ".join(f"{count:,} {table}" for table, count in one.rows.items())
                click.echo(f"  rows about them that are gone or say nothing any more: {each}")
            for backup in (*one.backups, *app.backups_of(config)):
                click.echo(f"  they still are in {backup}: delete it")
        if gone and config.records.directory is not None:
            click.echo(f"  what was written along of them still is in {config.records.directory}")
        click.echo(f"datasets: {undone.messages:,} messages are gone")
        for directory in undone.datasets:
            click.echo(f"  build it again: botdaemon dataset build {directory}")
        for run in undone.trained:
            click.echo(f"  {run} learned to speak like them: it never goes live again")
        for run in undone.unknown:
            click.echo(f"  nothing says whom {run} was trained on")
        for run in undone.quoted:
            click.echo(f"  the evaluation of {run} quotes nobody any more")

    run_to_end(go())
