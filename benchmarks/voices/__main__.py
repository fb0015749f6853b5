"""Goes the road of a trained voice and keeps its figures: `python -m benchmarks.voices`."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks.report import report
from benchmarks.voices import course
from benchmarks.voices.operator import TRANSCRIPT
from botdaemon.errors import Refused

_DIRECTORY = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.option("--corpora", type=_DIRECTORY, required=True, help="Where the small talk is.")
@click.option("--out", type=_DIRECTORY, required=True, help="A new folder for all that is made.")
def main(corpora: Path, out: Path) -> None:
    """From a chat export to a bot that answers, with figures before and after."""
    if out.exists() and any(out.iterdir()):
        raise click.ClickException(f"{out} is not empty; name a new folder")
    out.mkdir(parents=True, exist_ok=True)
    try:
        found = course.run(corpora.absolute(), out.absolute())
    except Refused as refused:
        raise click.ClickException(str(refused)) from refused
    click.echo((out / TRANSCRIPT).read_text(encoding="utf-8"))
    report("voices", found)


if __name__ == "__main__":
    main()
