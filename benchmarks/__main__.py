"""Runs benchmarks, prints their figures and keeps each in ``benchmarks/out/NAME.json``.

Knows nothing of what is measured: a benchmark is a module with ``measure()``, which returns its
figures by name and raises when a result is wrong.
"""

from __future__ import annotations

import importlib

import click

from benchmarks.report import report

BENCHMARKS = ("knowledge", "month", "prompts", "road", "soak", "text")


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(BENCHMARKS))
def main(names: tuple[str, ...]) -> None:
    """Run the benchmarks NAMES, by default all."""
    for name in names or BENCHMARKS:
        report(name, importlib.import_module(f"benchmarks.{name}").measure())


if __name__ == "__main__":
    main()
