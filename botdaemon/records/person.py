"""Everything about a person in one zip file, to hand to them. Knows neither the store nor its
tables.

README.txt          what this is
messages.jsonl      a JSON object in each line; one such file for each kind of thing
files/              what they sent, under its SHA-256; message_files.jsonl has the names
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botdaemon.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

_README = """\
This is everything that botdaemon keeps about {who}.

Each .jsonl file has one kind of thing, a JSON object in each line; what is empty is left out:
{kinds}
Times are seconds since 1970-01-01 00:00 UTC. "answers" are what bots answered to them, "told_alone"
what was shown to them alone. What they had deleted is not there any more.

files/ has what they sent, named by its SHA-256; message_files.jsonl says how each was called.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written."""

    who: str
    #: of each kind how many
    rows: Mapping[str, int] = field(default_factory=dict)
    files: int = 0
    #: files that are not there any more
    missing: int = 0


def write(
    out: Path,
    who: str,
    tables: Iterable[tuple[str, Iterator[dict[str, Any]]]],
    files: Iterable[str],
    path_of: Callable[[str], Path],
) -> Exported:
    """Write the zip file `out`, which is there only when it is complete. Raises `Refused` when
    there is one already, and `OSError`."""
    if out.exists():
        raise Refused(f"{out} is there already; give another name")
    partial = out.with_name(f".{out.name}.partial")
    rows: dict[str, int] = {}
    found = missing = 0
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, each in tables:
                if count := _lines(packed, name, each):
                    rows[name] = count
            for sha256 in files:
                path = path_of(sha256)
                if path.is_file():
                    packed.write(path, f"files/{sha256}")
                    found += 1
                else:
                    missing += 1
            kinds = "".join(f"  {name}.jsonl  {count:,}\n" for name, count in rows.items())
            packed.writestr("README.txt", _README.format(who=who, kinds=kinds))
        partial.rename(out)
    finally:
        partial.unlink(missing_ok=True)
    return Exported(who=who, rows=rows, files=found, missing=missing)


def _lines(packed: zipfile.ZipFile, name: str, rows: Iterator[dict[str, Any]]) -> int:
    """One file of the zip, unless there is nothing for it; how many lines."""
    first = next(rows, None)
    if first is None:
        return 0
    count = 0
    with packed.open(f"{name}.jsonl", "w") as handle:
        row: dict[str, Any] | None = first
        while row is not None:
            handle.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
            count += 1
            row = next(rows, None)
    return count
