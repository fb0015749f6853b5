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
            letters += write(address, parts, files=said.files)
    return letters


def write(
    address: Address,
    parts: Sequence[Part],
    *,
    files: Sequence[File] = (),
    speaker: str = "",
    reply_to: str = "",
    only_for: str = "",
    controls: tuple[Control, ...] = (),
) -> list[Letter]:
    """The letters for one address: the reply reference on the first, the controls on the last."""
    parts = [*parts, *(Part(file=file) for file in files)]
    return [
        Letter(
            id=0,
            key="",
            address=address,
            speaker=speaker,
            part=part,
            number=number,
            reply_to=reply_to if number == 0 else "",
            only_for=only_for,
            controls=controls if number == len(parts) - 1 else (),
        )
        for number, part in enumerate(parts)
    ]
