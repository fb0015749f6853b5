"""Writing letters: one text, for every address, in each platform's dialect. Knows no turn."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from botdaemon import render
from botdaemon.types import Address, Control, File, Letter, Message, Obligation, Part

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from botdaemon.ports import Traits

#: buttons under a finished answer
CONTROLS = (Control.RETRY, Control.GOOD, Control.BAD)


_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
#: parts of a relayed message; far more than any message has, since nothing of it may be cut
_ALL = 1000


def home_of(obligation: Obligation) -> Address:
    """The address that an answer is filed under: where the question came from."""
    if obligation.reply_to is not None:
        return obligation.reply_to[0]
    return obligation.addresses[0]


def relay(
    said: Message, addresses: Iterable[Address], couriers: Mapping[str, Traits]
) -> list[Letter]:
    """What was said at one address of a thread, for the others, with the speaker named."""
    speaker = plain(said.speaker)
    letters = []
    for address in addresses:
        if (traits := couriers.get(address.adapter)) is not None:
            parts = render.split(
                f"**{speaker}:** {said.text}", replace(traits, parts_limit=_ALL)
            ).parts
            letters += write(address, _with_files(parts, said.files, traits))
    return letters


def plain(name: str) -> str:
    """A name in Markdown: it is no markup."""
    return _PUNCTUATION.sub(r"\\\1", name)


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
    last that has text (not every platform has buttons under a file). A first part with a file (see
    `captioned`) is text and picture in one."""
    letters = write(address, _with_files(parts, files, traits), speaker=speaker)
    if not letters:
        return []
    letters[0] = replace(letters[0], reply_to=reply_to)
    last = max(len(parts), 1) - 1
    letters[last] = replace(letters[last], controls=controls)
    return letters


def captioned(text: str, files: Sequence[File], traits: Traits) -> Part | None:
    """The text and the first file as one part, where the platform shows them in one message and
    both fit; else None. A voice note stands alone: Discord allows no text in one, and Telegram
    cannot make one of a text that has been growing."""
    if files and files[0].is_spoken:
        return None
    if not traits.captions or not text.strip() or not files or files[0].size > traits.file_limit:
        return None
    split = render.split(text, replace(traits, text_limit=traits.captions))
    if len(split.parts) != 1 or split.rest:
        return None
    return replace(split.parts[0], file=files[0])


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
    words = f"*{plain(file.name)} has {file.size / 1e6:.1f} MB, and this platform takes {takes}*"
    return render.split(words, traits).parts[0]
