"""Shows the figures of a benchmark and keeps them. Knows nothing of what is measured."""

from __future__ import annotations

import json
import os
import platform
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from benchmarks import OUT

if TYPE_CHECKING:
    from collections.abc import Mapping


def report(name: str, figures: Mapping[str, float | str]) -> None:
    """Print a table and write ``benchmarks/out/NAME.json``. A text stands where there is no number
    or something to say."""
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    table = Table("figure", "value", title=f"{name} on {machine}")
    for figure, value in figures.items():
        table.add_row(figure, value if isinstance(value, str) else _number(value))
    Console().print(table)
    OUT.mkdir(exist_ok=True)
    (OUT / f"{name}.json").write_text(json.dumps(dict(figures), indent=2) + "\n")


def _number(value: float) -> str:
    """Ratios and seconds are often below one, messages and bytes are not."""
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3g}"
