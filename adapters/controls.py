"""The buttons under answers as all chat platforms name and arrange them. Knows no platform, and not
what the buttons do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdaemon.types import Control

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LABELS: Mapping[Control, str] = {
    Control.STOP: "Stop",
    Control.RETRY: "Regenerate",
    Control.GOOD: "\N{THUMBS UP SIGN}",
    Control.BAD: "\N{THUMBS DOWN SIGN}",
    Control.REROLL: "Re-roll",
    Control.VARY: "Vary",
    Control.UPSCALE: "Upscale",
    Control.EDIT: "Edit prompt",
    Control.SETTINGS: "Settings",
    Control.DELETE: "Delete",
}
#: what a button of ours says, before the name of its control: it works for as long as its message
#: stands, whoever has restarted since
MARK = "botdaemon:"
#: buttons side by side; a telephone shows no more whole, and every platform takes as many
ROW = 3


def rows(controls: Sequence[Control]) -> list[Sequence[Control]]:
    """Controls as rows of buttons."""
    return [controls[at : at + ROW] for at in range(0, len(controls), ROW)]


def control_of(data: str) -> Control | None:
    """The control of a button by what it says; None for anybody else's."""
    name = data.removeprefix(MARK)
    return Control(name) if data.startswith(MARK) and name in list(Control) else None
