"""The plan as a picture: for the terminal, with and without colours and Unicode, and as SVG."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.console import Console

from models.devices import Device
from models.ledger import Footprint, Need
from models.placement import Plan, place
from models.plan import Picture, bar, demand
from models.plan_svg import svg

if TYPE_CHECKING:
    from models.plan import Block

GIB = 2**30
CARD = Device(name="cuda:0", title="A card", memory=24 * GIB, free=24 * GIB)
RAM = Device(name="cpu", title="RAM, 8 cores", memory=64 * GIB, free=60 * GIB)


def need(name: str, load: float, peak: float = 0, *, measured: bool = True, **more: object) -> Need:
    footprint = Footprint(load=int(load * GIB), peak=int(peak * GIB), measured=measured)
    return Need(name=name, footprint=footprint, **more)  # type: ignore[arg-type]  # the fields of Need


def a_plan() -> Plan:
    return place(
        [
            need("ada", 6, 0.5, pinned=True),
            need("bob", 8, 1, measured=False, idle_seconds=600.0),
            need("painter", 5, 2, load_at_start=False, offload=5 * GIB),
            need("sketch", 1, 1, load_at_start=False),
            need("flux", 0, 9, offload=20 * GIB, part_by_part=True, load_at_start=False),
            need("tiny", 0.01, 0.01, device="cpu"),
            need("huge", 40, 2),
        ],
        [CARD, RAM],
        {"cuda:0": 20 * GIB},
    )


def printed(plan: Plan, *, width: int = 80, colours: bool = False, encoding: str = "utf-8") -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    Console(file=file, width=width, force_terminal=colours, no_color=not colours).print(
        Picture(plan)
    )
    file.seek(0)
    return file.read()


def test_every_model_has_its_block_and_its_line() -> None:
    lines = printed(a_plan()).splitlines()
    assert lines[0] == "cuda:0  A card, 24.0 GiB, of which 4.4 GiB free"
    assert re.fullmatch(r"▕▪+A█+B█+░+ +·+▏", lines[1])
    assert re.fullmatch(r" +C▒+░+", lines[2])
    words = re.sub(r" +", " ", printed(a_plan(), width=120)).replace(" \n", "\n")
    assert "A█ ada 6.0 GiB + 512 MiB at work measured, pinned" in words
    assert "B█ bob 8.0 GiB + 1.0 GiB at work estimated, leaves after 10 min" in words
    assert "C▒ painter 5.0 GiB + 2.0 GiB at work measured, on demand, others make way" in words
    assert "D▒ sketch 1.0 GiB + 1.0 GiB at work measured, on demand\n" in words
    assert "▚▚ models off their cards 25.0 GiB" in words
    assert '! model "huge" needs 40.0 GiB + 2.0 GiB while it works, but cuda:0' in words


def test_a_bar_is_as_wide_as_the_terminal_and_proportional() -> None:
    plan = place([need("half", 12, 0)], [CARD, RAM])
    for width in (60, 80, 120):
        line = printed(plan, width=width).splitlines()[1]
        assert len(line) == width
        assert line.count("█") + 1 == pytest.approx((width - 2) / 2, abs=1)


def test_colours_are_used_where_there_are_some() -> None:
    assert "\x1b[" in printed(a_plan(), colours=True)
    assert "\x1b[" not in printed(a_plan())


def test_it_reads_on_a_terminal_without_unicode() -> None:
    text = printed(a_plan(), encoding="ascii")
    assert text.isascii()
    assert re.search(r"^\|=+A#+B#+-+ +\.+\|$", text, re.MULTILINE)


def test_a_small_model_is_never_left_out_of_the_bar() -> None:
    plan = place([need("dot", 0.001), need("large", 20)], [CARD, RAM])
    assert "A" in printed(plan, width=60).splitlines()[1]


@settings(deadline=None)
@example(models=[(0, 2, True), (11, 0, False)], budget=12, width=20)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3), st.booleans()), max_size=8),
    st.integers(1, 24),
    st.integers(20, 200),
)
def test_blocks_fill_the_device_and_nothing_leaves_it(
    models: list[tuple[int, int, bool]], budget: int, width: int
) -> None:
    needs = [
        need(f"m{at}", load, peak, load_at_start=eager)
        for at, (load, peak, eager) in enumerate(models)
    ]
    plan = place(needs, [CARD, RAM], {"cuda:0": budget * GIB})
    for share in plan.shares:
        end = 0
        for block in bar(share):
            assert block.begin == end
            end += block.size
        assert end == share.device.memory
        for pair in demand(share):
            assert all(block.begin + block.size <= share.allowed for block in pair)
    assert all(len(line) <= width for line in printed(plan, width=width).splitlines())
    ElementTree.fromstring(svg(plan))


def test_the_svg_shows_the_same_blocks_to_scale() -> None:
    plan = a_plan()
    root = ElementTree.fromstring(svg(plan))
    space = "{http://www.w3.org/2000/svg}"
    rects = {
        title.text: float(rect.get("width", 0))
        for rect in root.iter(f"{space}rect")
        for title in rect.iter(f"{space}title")
    }
    assert rects["bob: 8.0 GiB"] == pytest.approx(rects["painter: 5.0 GiB"] * 8 / 5, abs=0.2)
    texts = [text.text for text in root.iter(f"{space}text")]
    assert "cuda:0  A card, 24.0 GiB, of which 4.4 GiB free" in texts
    assert any(text and text.startswith('! model "huge"') for text in texts)


def test_names_are_escaped_in_the_svg() -> None:
    odd = Device(name="cuda:0", title='<b>"&', memory=24 * GIB, free=0)
    root = ElementTree.fromstring(svg(place([need("a", 1)], [odd, RAM])))
    assert any("<b>" in (text or "") for text in root.itertext())


def _blocks(blocks: list[Block]) -> list[tuple[str, int]]:
    return [(block.what, block.size // GIB) for block in blocks]


def test_a_model_on_demand_lies_where_those_that_may_leave_are() -> None:
    needs = [need("stays", 4, 1, pinned=True), need("goes", 8), need("comes", 9, 1)]
    needs[2] = need("comes", 9, 1, load_at_start=False)
    [share, _] = place(needs, [CARD, RAM], {"cuda:0": 16 * GIB}).shares
    [(block, peak)] = demand(share)
    assert block.begin >= share.processes + 4 * GIB  # after the pinned one
    assert block.begin < share.processes + 12 * GIB  # in the place of the other
    assert peak.begin + peak.size == share.allowed
