"""Writing letters: one text, for every address, in each platform's dialect. Knows no turn."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from botdaemon import render
from botdaemon.types import Address, Control, File, Letter, Message, Part

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from botdaemon.ports import Traits

#: buttons under a finished answer
CONTROLS = (Control.RETRY, Control.GOOD, Control.BAD)


_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
#: parts of a relayed message; far more than any message has, since nothing of it may be cut
_ALL = 1000


def relay(
    said: Message, addresses: Iterable[Address], couriers: Mapping[str, Traits]
) -> list[Letter]:
    """What was said at one address of a thread, for the others, with the speaker named."""
    speaker = _PUNCTUATION.sub(r"\\\1", said.speaker)  # a name is no markup
    letters = []
    for address in addresses:
        if (traits := couriers.get(address.adapter)) is not None:
            parts = render.split(
                f"**{speaker}:** {said.text}", replace(traits, parts_limit=_ALL)
            ).parts
            letters += write(address, _with_files(parts, said.files, traits))
    return letters


def answer(
    address: Address,
    parts: Sequence[Part],
    files: Sequence[File],
    traits: Traits,
    *,
    speaker: str,
    reply_to: str,
    controls: tuple[Control, ...],
) -> list[Letter]:
    """An answer's letters for one address: the reply reference on the first, the controls on the
    last that has text (not every platform has buttons under a file)."""
    letters = write(address, _with_files(parts, files, traits), speaker=speaker)
    if not letters:
        return []
    letters[0] = replace(letters[0], reply_to=reply_to)
    last = max(len(parts), 1) - 1
    letters[last] = replace(letters[last], controls=controls)
    return letters


def write(
    address: Address, parts: Sequence[Part], *, speaker: str = "", only_for: str = ""
) -> list[Letter]:
    """Parts as letters for one address."""
    return [
        Letter(
            id=0,
            key="",
            address=address,
            speaker=speaker,
            part=part,
            number=number,
            only_for=only_for,
        )
        for number, part in enumerate(parts)
    ]


def _with_files(parts: Sequence[Part], files: Sequence[File], traits: Traits) -> list[Part]:
    return [*parts, *(_file_part(file, traits) for file in files)]


def _file_part(file: File, traits: Traits) -> Part:
    """A file as a part, or words in its place when the platform does not take it."""
    if file.size <= traits.file_limit:
        return Part(file=file)
    most = f"{traits.file_limit / 1e6:.0f} MB"
    takes = f"files of at most {most}" if traits.file_limit else "no files"
    name = _PUNCTUATION.sub(r"\\\1", file.name)
    words = f"*{name} has {file.size / 1e6:.1f} MB, and this platform takes {takes}*"
    return render.split(words, traits).parts[0]
