"""Types commands as an operator would, and keeps all that was typed and printed. Knows no step of
the road."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

ROOT = Path(__file__).resolve().parents[2]
TRANSCRIPT = "transcript.txt"


class Wrong(Exception):
    """Something did not go as it should."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a command printed, and its exit code."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Operator:
    """Sits before a terminal in a directory."""

    place: Path

    @property
    def environment(self) -> dict[str, str]:
        """Of all commands: ours from this checkout, and a wide terminal without colours."""
        return {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "100"}

    def run(self, *words: str | Path, codes: Collection[int] = (0,)) -> Done:
        """Run `botdaemon WORDS` to its end. Raises `Wrong` when it ends with another exit code, or
        shows a traceback."""
        typed = list(map(str, words))
        done = subprocess.run(
            [sys.executable, "-m", "botdaemon", *typed],
            cwd=self.place, env=self.environment, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
        )  # fmt: skip
        self.note(f"$ botdaemon {' '.join(typed)}\n{done.stdout}[exit code {done.returncode}]\n")
        if done.returncode not in codes or "Traceback" in done.stdout:
            raise Wrong(
                f"`botdaemon {' '.join(typed)}` ended with {done.returncode}: {done.stdout}"
            )
        return Done(done.returncode, done.stdout)

    def note(self, text: str) -> None:
        """Add to the transcript."""
        with (self.place / TRANSCRIPT).open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")
