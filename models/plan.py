"""A plan as a picture for the terminal: a bar for each device, a block for each model. Knows no
device and decides nothing (`models.placement`).

Under the bar of what is there from the start, each model that is loaded on demand has a line of its
own, in the place that it would take. It reads without colours, and without Unicode.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rich.table import Table
from rich.text import Text

from models.ledger import size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console, ConsoleOptions, RenderResult

    from models.ledger import Need
    from models.placement import Place, Plan, Share

What = Literal["processes", "offloaded", "resident", "demand", "peak", "left", "outside"]

#: of each: its sign, its sign in ASCII, and its words
_SIGNS: dict[What, tuple[str, str, str]] = {
    "resident": ("█", "#", "loaded from the start"),
    "demand": ("▒", "/", "loaded on demand"),
    "peak": ("░", "-", "for the one that works"),
    "processes": ("▪", "=", "model process"),
    "offloaded": ("▚", "%", "models off their cards"),
    "left": (" ", " ", "free"),
    "outside": ("·", ".", "not for models"),
}
_COLOURS = ("cyan", "magenta", "yellow", "green", "blue", "red")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A stretch of a device's memory, bytes."""

    what: What
    begin: int
    size: int
    need: Need | None = None


def bar(share: Share) -> list[Block]:
    """The memory of a device from end to end, with what is there from the start."""
    stretches: list[tuple[What, int, Need | None]] = [
        ("processes", share.processes, None),
        ("offloaded", share.offloaded, None),
        *(("resident", need.resident, need) for need in _ordered(share)),
        ("peak", share.peak, None),
        ("left", share.left, None),
        ("outside", share.device.memory - share.allowed, None),
    ]
    blocks: list[Block] = []
    begin = 0
    for what, length, need in stretches:
        if length > 0:
            blocks.append(Block(what=what, begin=begin, size=length, need=need))
            begin += length
    return blocks


def demand(share: Share) -> list[tuple[Block, Block]]:
    """Where models would go that are loaded when they are needed, and what they take at work:
    beside those that are there from the start, or in the place of some of them."""
    beside = share.allowed - share.left - share.peak
    pairs: list[tuple[Block, Block]] = []
    for need in (place.need for place in share.places if place.state == "demand"):
        peak = max(need.footprint.peak, share.peak)
        if need.resident + peak > share.budget:  # those with the larger peak make way, too
            peak = need.footprint.peak
        begin = max(0, min(beside, share.allowed - peak - need.resident))
        block = Block(what="demand", begin=begin, size=need.resident, need=need)
        pairs.append((block, Block(what="peak", begin=begin + need.resident, size=peak)))
    return pairs


def keys(plan: Plan) -> dict[str, str]:
    """A letter for each model."""
    names = [place.need.name for share in plan.shares for place in share.places]
    return dict(zip(names, string.ascii_uppercase + string.ascii_lowercase, strict=False))


def remarks(place: Place, share: Share) -> str:
    """What is said of a model besides its sizes."""
    need = place.need
    said = ["measured" if need.footprint.measured else "estimated"]
    if place.state == "demand":
        fits = share.left - need.resident - max(0, need.footprint.peak - share.peak) >= 0
        said.append("on demand" if fits else "on demand, others make way")
    if need.pinned:
        said.append("pinned")
    if need.idle_seconds:
        said.append(f"leaves after {need.idle_seconds / 60:g} min")
    if need.part_by_part:
        said.append("part by part from RAM")
    elif need.offload and share.device.name != "cpu":
        said.append("waits in RAM")
    return ", ".join(said)


def heading(share: Share) -> str:
    device = share.device
    return f"{device.name}  {device.title}, {size(device.memory)}, of which {size(share.left)} free"


def words(what: What) -> str:
    return _SIGNS[what][2]


def _ordered(share: Share) -> list[Need]:
    """The pinned first, so that those that may make way lie at the end."""
    return sorted(share.residents, key=lambda need: not need.pinned)


# --- for the terminal -------------------------------------------------------------------------


class Picture:
    """The plan as rich prints it."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._keys = keys(plan)
        self._styles = {name: _COLOURS[at % len(_COLOURS)] for at, name in enumerate(self._keys)}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        ascii_only = options.ascii_only
        for share in self._plan.shares:
            yield Text(heading(share), style="bold")
            yield self._bar(share, options.max_width, ascii_only)
            yield from self._demand(share, options.max_width, ascii_only)
            yield self._legend(share, ascii_only)
        for sentence in (*self._plan.problems.values(), *self._plan.notes):
            yield Text(f"! {sentence}")

    def _bar(self, share: Share, width: int, ascii_only: bool) -> Text:
        blocks = bar(share)
        line = Text("|" if ascii_only else "▕")
        for block, cells in zip(blocks, _cells(blocks, width - 2), strict=True):
            line.append_text(self._block(block, cells, ascii_only))
        return line.append("|" if ascii_only else "▏")

    def _demand(self, share: Share, width: int, ascii_only: bool) -> Iterator[Text]:
        scale = (width - 2) / share.device.memory
        for block, peak in demand(share):
            begin, middle, end = (
                round(at * scale) for at in (block.begin, peak.begin, peak.begin + peak.size)
            )
            line = Text(" " * (1 + min(begin, width - 3)))
            line.append_text(self._block(block, max(1, middle - begin), ascii_only))
            yield line.append_text(
                self._block(peak, max(0, end - max(middle, begin + 1)), ascii_only)
            )

    def _block(self, block: Block, cells: int, ascii_only: bool) -> Text:
        sign = _SIGNS[block.what][ascii_only] * cells
        if block.need is None:
            return Text(sign, style="dim")
        name = block.need.name
        style = self._styles.get(name, "")
        key = self._keys.get(name, "?")
        return Text.assemble((key, f"reverse {style}"), (sign[1:], style))

    def _legend(self, share: Share, ascii_only: bool) -> Table:
        grid = Table.grid(padding=(0, 2))
        grid.add_column()
        grid.add_column(no_wrap=True)
        grid.add_column(justify="right", no_wrap=True)
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        for place in share.places:
            need = place.need
            grid.add_row(
                self._block(Block(what=place.state, begin=0, size=1, need=need), 2, ascii_only),
                need.name,
                size(need.resident),
                f"+ {size(need.footprint.peak)} at work",
                remarks(place, share),
            )
        for block in bar(share):
            if block.need is None:
                sign = 2 * _SIGNS[block.what][ascii_only]
                grid.add_row(sign, words(block.what), size(block.size))
        return grid


def _cells(blocks: Sequence[Block], width: int) -> list[int]:
    """The width of each block, at least one cell, all together exactly as many as there are."""
    total = sum(block.size for block in blocks)
    cells = [max(1, round(block.size * width / total)) for block in blocks]
    while (more := width - sum(cells)) and max(cells) > 1:
        cells[cells.index(max(cells))] += 1 if more > 0 else -1
    return cells
