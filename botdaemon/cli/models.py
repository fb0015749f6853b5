"""Commands about models: what there is, what fits, fetching, and serving them to others."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from botdaemon.cli.plumbing import bar, fail, loaded, run_to_end, with_config
from botdaemon.errors import BotdaemonError, ConfigError, ModelUnusable


@click.group()
def models() -> None:
    """See what models there are, fetch them, and see what fits."""


@models.command("plan")
@with_config
@click.option("--svg", type=click.Path(path_type=Path), help="Write the picture to this file, too.")
def plan_models(path: Path | None, svg: Path | None) -> None:
    """Print which model goes onto which device, before anything is loaded."""
    from rich.console import Console

    from botdaemon import app

    try:
        picture, drawing, fits = app.plan(loaded(path))
    except BotdaemonError as error:
        fail(error)
    Console().print(picture)
    if svg is not None:
        svg.write_text(drawing, encoding="utf-8")
    sys.exit(0 if fits else ModelUnusable.exit_code)


@models.command("list")
@with_config
def list_models(path: Path | None) -> None:
    """List the models of the configuration, and what else lies in the hub's cache."""
    from rich.console import Console
    from rich.table import Table

    from botdaemon import app

    table = Table(box=None, pad_edge=False)
    for heading in ("name", "source", "size", "takes", "state"):
        table.add_column(heading, justify="right" if heading in ("size", "takes") else "left")
    missing = False
    for item in app.listing(loaded(path)):
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
        with bar() as progress:
            app.fetch(offer, progress)
    except BotdaemonError as error:
        fail(error)
    click.echo(f'It is here. In the configuration:\n\nhub = "{repo}"\nrevision = "{offer.commit}"')


@models.command("verify")
@with_config
@click.argument("repo", metavar="OWNER/NAME", required=False)
def verify(path: Path | None, repo: str | None) -> None:
    """Compare the files of hub models with their checksums; by default those of the
    configuration. Needs no network."""
    from botdaemon import app

    states = {"whole": 0, "damaged": 0, "unknown": 0}
    try:
        with bar() as progress:
            found = list(app.verify(loaded(path), repo, progress))
    except BotdaemonError as error:
        fail(error)
    for name, finding in found:
        states[finding.state] += 1
        if finding.state == "damaged":
            click.echo(f"damaged: {finding.file}; mend it with: botdaemon models pull {name}")
        elif finding.state == "unknown":
            click.echo(f"no checksum is known of {finding.file}")
    counts = ", ".join(f"{count} {state}" for state, count in states.items() if count)
    click.echo(counts or "the configuration names no hub model")
    sys.exit(ModelUnusable.exit_code if states["damaged"] else 0)


@click.command("serve-models")
@with_config
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

    config = loaded(path)
    logs.configure(config.daemon.log_level, config.daemon.log_format)
    key = os.environ.get(key_env) if key_env else None
    if key_env and not key:
        fail(ConfigError(f"the environment variable {key_env} is not set"))
    if key:
        logs.redact(key)

    def ready(url: str) -> None:
        click.echo(f"serving models at {url}. Ctrl-C stops.", err=True)

    run_to_end(app.serve_models(config, host, port, key, ready))
