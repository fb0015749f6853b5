"""Commands about trained voices: training, evaluating, and which version is live."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from botdaemon.cli.plumbing import fail
from botdaemon.errors import BotdaemonError, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DIRECTORY = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.argument("dataset", type=_DIRECTORY)
@click.option("--out", type=_DIRECTORY, required=True, help="Where the model or adapter goes.")
@click.option("--base", type=_DIRECTORY, help="The directory of the model to begin with.")
@click.option(
    "--method",
    type=click.Choice(["full", "scratch", "lora", "qlora"]),
    help="By default full with a base, and scratch without one.",
)
@click.option("--speaker", default="", help="Learn only this voice of the dataset.")
@click.option("--base-name", default="", help="What an adapter calls its base.")
@click.option("--style-only", is_flag=True, help="For one side of conversations: learn all of it.")
@click.option("--replay", type=click.Path(path_type=Path), help="Other sessions to mix in.")
@click.option("--replay-share", default=0.4, show_default=True, help="Their part.")
@click.option("--context", type=int, help="Tokens of a sample.")
@click.option("--epochs", type=int, help="By default by the amount of data.")
@click.option("--rate", type=float, help="The learning rate; by default by the model's size.")
@click.option("--batch", type=int, help="Samples of an update.")
@click.option("--rank", default=16, show_default=True, help="Of an adapter.")
@click.option("--alpha", default=32, show_default=True, help="Of an adapter.")
@click.option("--dropout", default=0.05, show_default=True, help="Of an adapter.")
@click.option("--patience", default=4, show_default=True, help="Looks without improvement.")
@click.option("--seed", default=1, show_default=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda:N.")
@click.option("--memory-gigabytes", type=float, help="What it may take; by default what is free.")
@click.option("--wait-minutes", default=0.0, help="How long it may wait for memory.")
@click.option("--vocabulary", default=4096, show_default=True, help="From scratch: tokens.")
@click.option("--layers", default=4, show_default=True, help="From scratch.")
@click.option("--width", default=256, show_default=True, help="From scratch.")
@click.option("--heads", default=4, show_default=True, help="From scratch.")
def train(
    dataset: Path,
    out: Path,
    base: Path | None,
    method: str | None,
    memory_gigabytes: float | None,
    wait_minutes: float,
    vocabulary: int,
    layers: int,
    width: int,
    heads: int,
    **plan: Any,
) -> None:
    """Train a voice on a DATASET. Called again after an interruption, it goes on."""
    from botdaemon import app

    try:
        with _course() as progress:
            card = app.train(
                dataset,
                out,
                progress,
                {"vocabulary": vocabulary, "layers": layers, "width": width, "heads": heads},
                method=method or ("full" if base else "scratch"),
                base=base,
                memory=int(memory_gigabytes * 2**30) if memory_gigabytes else None,
                wait_seconds=60 * wait_minutes,
                **plan,
            )
    except BotdaemonError as error:
        fail(error)
    click.echo(f"{out} is trained: {out / 'README.md'} says how.")
    if card.before is not None and card.best is not None:
        click.echo(f"Loss on held-out conversations: {card.before:.3f} before, {card.best:.3f} now")
    for note in card.notes:
        click.echo(f"note: {note}")
    click.echo(f"Next: botdaemon evaluate {out} --dataset {dataset} --before {base or 'MODEL'}")


@contextmanager
def _course() -> Iterator[Callable[[Any], None]]:
    """A bar for updates, with losses and the time left; lines where there is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} updates"),
        TextColumn("{task.fields[state]}"),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as shown:
        task = shown.add_task("training", total=None, state="")
        before: tuple[Any, ...] = ()

        def told(progress: Any) -> None:
            nonlocal before
            news = (progress.doing, progress.held_out)
            if news != before and not console.is_terminal:
                doing = progress.doing or f"{progress.done} of {progress.total} updates"
                click.echo(", ".join(filter(None, (doing, _state(progress)))), err=True)
            before = news
            shown.update(
                task,
                description=progress.doing or "training",
                completed=progress.done,
                total=progress.total or None,
                state=_state(progress),
            )

        yield told


def _state(progress: Any) -> str:
    parts = []
    if progress.loss is not None:
        parts.append(f"loss {progress.loss:.3f}")
    if progress.held_out is not None:
        parts.append(f"held out {progress.held_out:.3f}")
    if progress.speed:
        parts.append(f"{progress.speed:,.0f} tokens/s")
    if progress.seconds_left is not None:
        minutes, seconds = divmod(round(progress.seconds_left), 60)
        parts.append(f"{minutes}:{seconds:02} left")
    return ", ".join(parts)


@click.command()
@click.argument("run", type=_DIRECTORY)
@click.option("--dataset", type=_DIRECTORY, required=True, help="The dataset it was trained on.")
@click.option("--before", type=_DIRECTORY, help="The model to compare it with: its base.")
@click.option("--speaker", default="", help="Only this voice of the dataset.")
@click.option("--answers", default=200, show_default=True, help="Places that are answered.")
@click.option("--conversations", default=1000, show_default=True, help="Conversations read.")
@click.option("--extractions", default=100, show_default=True, help="Training messages asked for.")
@click.option("--rounds", default=20, show_default=True, help="On the page for friends.")
@click.option("--greedy", is_flag=True, help="Always the likeliest word, not as it is served.")
@click.option("--seed", default=1, show_default=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda:N.")
def evaluate(
    run: Path, dataset: Path, before: Path | None, device: str, greedy: bool, **choices: Any
) -> None:
    """Say whether the model or adapter in RUN is better than before, and what it gives away.

    Writes evaluation.md, evaluation.json, plots, and blind.html into RUN. Ends with 1 when it
    should not go live.
    """
    from botdaemon import app

    try:
        with _steps() as progress:
            reasons, evaluation = app.evaluate(
                run, dataset, before, progress, device=device, greedy=greedy, **choices
            )
    except BotdaemonError as error:
        fail(error)
    if evaluation.before:
        old, new = (one.likelihood for one in (evaluation.before, evaluation.after))
        click.echo(
            f"bits per byte of what was really said: {old.bits_per_byte:.3f} before,"
            f" {new.bits_per_byte:.3f} now"
        )
    click.echo(f"Read {run / 'evaluation.md'}; let friends guess with {run / 'blind.html'}.")
    for reason in reasons:
        click.echo(f"it should not go live: {reason}")
    sys.exit(Refused.exit_code if reasons else 0)


@contextmanager
def _steps() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each thing that is done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as shown:
        tasks: dict[str, TaskID] = {}

        def told(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = shown.add_task(what, total=total)
            shown.update(tasks[what], completed=done, total=total)

        yield told


@click.command()
@click.argument("run", type=_DIRECTORY)
@click.argument("home", type=_DIRECTORY)
@click.option("--name", default="", help="Of the version; by default the day.")
@click.option("--force", is_flag=True, help="Whatever speaks against it; the history will say so.")
@click.option("--copied", type=float, help="Bound: share of answers with a copied passage.")
@click.option("--extracted", type=float, help="Bound: share of training messages that come out.")
@click.option("--canaries", type=int, help="Bound: planted secrets that come out.")
def promote(run: Path, home: Path, name: str, force: bool, **bounds: Any) -> None:
    """Let the model or adapter in RUN go live in the voice's HOME, such as voices/ada.

    The configuration names HOME/live; a running daemon switches by itself.
    """
    from botdaemon import app

    asked = {key: value for key, value in bounds.items() if value is not None}
    try:
        entry = app.promote(run, home, name=name, force=force, **asked)
    except BotdaemonError as error:
        fail(error)
    instead = f" instead of {entry.before}" if entry.before else ""
    click.echo(f"{home / 'live'} is {entry.version} now{instead}")
    for reason in entry.despite:
        click.echo(f"despite: {reason}")


@click.command()
@click.argument("home", type=_DIRECTORY)
def rollback(home: Path) -> None:
    """Let the version go live again that was live before in a voice's HOME."""
    from botdaemon import app

    try:
        entry = app.rollback(home)
    except BotdaemonError as error:
        fail(error)
    click.echo(f"{home / 'live'} is {entry.version} again, instead of {entry.before}")


@click.command()
@click.argument("home", type=_DIRECTORY)
@click.option(
    "--prune", type=click.IntRange(0), metavar="KEEP", help="Delete all but so many old ones."
)
def versions(home: Path, prune: int | None) -> None:
    """List the versions in a voice's HOME."""
    from rich.console import Console
    from rich.table import Table

    from botdaemon import app

    table = Table(box=None, pad_edge=False)
    for heading in ("", "version", "went live", "bits per byte", "forgotten"):
        table.add_column(heading)
    try:
        gone = app.prune(home, prune) if prune is not None else ()
        found = app.versions(home)
    except BotdaemonError as error:
        fail(error)
    for name in gone:
        click.echo(f"deleted {name}")
    for version in found:
        table.add_row(
            "live" if version.live else "",
            version.name,
            version.went_live,
            "" if version.bits_per_byte is None else f"{version.bits_per_byte:.3f}",
            ", ".join(version.forgotten),
        )
    Console().print(table)
