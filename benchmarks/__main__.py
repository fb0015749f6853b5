"""Runs benchmarks, prints their figures and keeps each in ``benchmarks/out/NAME.json``.

Knows nothing of what is measured: a benchmark is a module with ``measure() -> dict``.
"""

from __future__ import annotations

import importlib
import json
import os
import platform

import click
from rich.console import Console
from rich.table import Table

from benchmarks import OUT

BENCHMARKS = ("road", "soak")


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(BENCHMARKS))
def main(names: tuple[str, ...]) -> None:
    """Run the benchmarks NAMES, by default all."""
    OUT.mkdir(exist_ok=True)
    for name in names or BENCHMARKS:
        figures: dict[str, float] = importlib.import_module(f"benchmarks.{name}").measure()
        table = Table("figure", "value", title=f"{name} on {_machine()}")
        for figure, value in figures.items():
            table.add_row(figure, f"{value:,.1f}")
        Console().print(table)
        (OUT / f"{name}.json").write_text(json.dumps(figures, indent=2) + "\n")


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"


if __name__ == "__main__":
    main()
