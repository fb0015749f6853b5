"""Writes the expected texts anew: `python tests/golden/renew.py`, then read every line of the diff.

Each NAME.md is an answer of a bot; NAME.DIALECT.txt beside it is what a platform is sent for it.
"""

from __future__ import annotations

from pathlib import Path

from botdaemon.ports import Traits
from botdaemon.render import split

HERE = Path(__file__).parent
#: as the adapters say it of themselves
PLATFORMS = (
    Traits(dialect="discord", text_limit=1960),
    Traits(dialect="mrkdwn", text_limit=3900),
    Traits(dialect="telegram", text_limit=4000, text_unit="utf-16"),
)


def answers() -> dict[str, str]:
    """The Markdown of every answer, by name, with the line ends it was written with."""
    return {path.stem: path.read_bytes().decode() for path in sorted(HERE.glob("*.md"))}


def expected(name: str, platform: Traits) -> Path:
    return HERE / f"{name}.{platform.dialect}.txt"


def pages(answer: str, platform: Traits) -> str:
    """The parts of an answer as one text."""
    result = split(answer, platform)
    count = len(result.parts)
    found = [
        f"======== part {number} of {count} ========\n{part.text}\n"
        for number, part in enumerate(result.parts, 1)
    ]
    if result.rest:
        found.append("======== and all of it in reply.md ========\n")
    return "".join(found)


def main() -> None:
    for name, answer in answers().items():
        for platform in PLATFORMS:
            expected(name, platform).write_bytes(pages(answer, platform).encode())


if __name__ == "__main__":
    main()
