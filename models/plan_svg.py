"""A plan as an SVG picture, in the same shape as `models.plan` prints. Knows no device."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from models.ledger import size
from models.plan import Block, bar, demand, heading, keys, remarks, words

if TYPE_CHECKING:
    from models.placement import Plan, Share

_WIDTH, _MARGIN = 820, 24
_BAR, _ROW, _LINE = 40, 22, 24
#: about the width of a letter, to know whether a name fits into its block
_LETTER = 7.5
#: readable under white letters, and apart for the colour-blind (Okabe and Ito, darkened)
_COLOURS = ("#0067a3", "#b34700", "#007a5c", "#9c4a82", "#7a6200", "#4a5568")
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.device { font-weight: 600; font-size: 15px }
.faint { fill: #59636e }
.in { fill: #fff; font-weight: 600 }
.ground { fill: #fff }
.left { fill: #f0f2f4 }
.outside { fill: #d0d7de }
.processes { fill: #6e7781 }
.offloaded { fill: #a3adb8 }
.peak { fill: #f2d7a6 }
.frame { fill: none; stroke: #8b949e }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .faint { fill: #9198a1 }
  .ground { fill: #0d1117 }
  .left { fill: #1b222b }
  .outside { fill: #343b44 }
  .processes { fill: #6e7781 }
  .offloaded { fill: #565f6a }
  .peak { fill: #6b4f1d }
}
"""


def svg(plan: Plan) -> str:
    """A standalone picture that follows the reader's light or dark mode."""
    return _Drawing(plan).text()


Value = str | float


class _Drawing:
    def __init__(self, plan: Plan) -> None:
        self._keys = keys(plan)
        self._colours = {name: _COLOURS[at % len(_COLOURS)] for at, name in enumerate(self._keys)}
        self._root = ElementTree.Element("svg", xmlns="http://www.w3.org/2000/svg", role="img")
        self._add("title", "Which models lie on which device")
        self._add("style", _STYLE)
        self._hatches()
        ground = self._add("rect", x=0, y=0, width=_WIDTH)
        ground.set("class", "ground")
        self._y = float(_MARGIN)
        for share in plan.shares:
            self._share(share)
        for sentence in (*plan.problems.values(), *plan.notes):
            self._paragraph(f"! {sentence}")
        height = f"{self._y:.0f}"
        ground.set("height", height)
        self._root.set("width", str(_WIDTH))
        self._root.set("height", height)
        self._root.set("viewBox", f"0 0 {_WIDTH} {height}")

    def text(self) -> str:
        return ElementTree.tostring(self._root, encoding="unicode") + "\n"

    def _add(
        self, tag: str, text: str = "", within: ElementTree.Element | None = None, **more: Value
    ) -> ElementTree.Element:
        """`more` are attributes, `style` their class."""
        element = ElementTree.SubElement(self._root if within is None else within, tag)
        for name, value in more.items():
            shown = value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
            element.set("class" if name == "style" else name.replace("_", "-"), shown)
        element.text = text or None
        return element

    def _hatches(self) -> None:
        """A hatched pattern in the colour of each model."""
        definitions = self._add("defs")
        for key, colour in zip(self._keys.values(), self._colours.values(), strict=True):
            pattern = self._add(
                "pattern",
                within=definitions,
                id=f"hatch-{key}",
                width=8,
                height=8,
                patternUnits="userSpaceOnUse",
                patternTransform="rotate(45)",
            )
            self._add("rect", within=pattern, width=8, height=8, fill=colour, fill_opacity=0.35)
            self._add("rect", within=pattern, width=4, height=8, fill=colour)

    def _share(self, share: Share) -> None:
        self._y += 14
        self._add("text", heading(share), x=_MARGIN, y=self._y, style="device")
        self._y += 12
        scale = (_WIDTH - 2 * _MARGIN) / share.device.memory
        for block in bar(share):
            self._block(block, scale, _BAR)
        width = _WIDTH - 2 * _MARGIN
        self._add("rect", x=_MARGIN, y=self._y, width=width, height=_BAR, style="frame")
        self._y += _BAR + 4
        for model, peak in demand(share):
            key = self._keys[model.need.name] if model.need else ""
            x = _MARGIN + model.begin * scale - 4
            self._add("text", key, x=x, y=self._y + 14, text_anchor="end")
            self._block(model, scale, _ROW - 4)
            self._block(peak, scale, _ROW - 4)
            self._y += _ROW
        self._legend(share)
        self._y += _MARGIN

    def _block(self, block: Block, scale: float, height: float) -> None:
        x, width = _MARGIN + block.begin * scale, max(2.0, block.size * scale)
        element = self._add("rect", x=x, y=self._y, width=width, height=height)
        element.set(*self._paint(block))
        about = block.need.name if block.need else words(block.what)
        self._add("title", f"{about}: {size(block.size)}", within=element)
        if block.need and block.what == "resident":
            self._label(about, x, width, height)

    def _paint(self, block: Block) -> tuple[str, str]:
        """The attribute that gives it its colour."""
        if block.need is None:
            return ("class", block.what)
        name = block.need.name
        hatched = block.what == "demand"
        return ("fill", f"url(#hatch-{self._keys[name]})" if hatched else self._colours[name])

    def _label(self, name: str, x: float, width: float, height: float) -> None:
        label = name if len(name) * _LETTER < width - 8 else self._keys[name]
        if len(label) * _LETTER < width:
            y = self._y + height / 2 + 4.5
            self._add("text", label, x=x + width / 2, y=y, text_anchor="middle", style="in")

    def _legend(self, share: Share) -> None:
        for place in share.places:
            need = place.need
            self._row(
                Block(what=place.state, begin=0, size=need.resident, need=need),
                f"{self._keys[need.name]}  {need.name}",
                f"+ {size(need.footprint.peak)} at work",
                remarks(place, share),
            )
        for block in bar(share):
            if block.need is None:
                self._row(block, words(block.what))

    def _row(self, block: Block, name: str, at_work: str = "", remark: str = "") -> None:
        swatch = self._add("rect", x=_MARGIN, y=self._y + 6, width=14, height=14)
        swatch.set(*self._paint(block))
        self._y += 18
        self._add("text", name, x=_MARGIN + 24, y=self._y)
        self._add("text", size(block.size), x=_MARGIN + 320, y=self._y, text_anchor="end")
        self._add("text", at_work, x=_MARGIN + 336, y=self._y, style="faint")
        self._add("text", remark, x=_MARGIN + 470, y=self._y, style="faint")
        self._y += _LINE - 18

    def _paragraph(self, sentence: str) -> None:
        """Wrapped by hand, since SVG does not."""
        for line in textwrap.wrap(sentence, int((_WIDTH - 2 * _MARGIN) / _LETTER * 1.1)):
            self._y += 18
            self._add("text", line, x=_MARGIN, y=self._y)
        self._y += _MARGIN
