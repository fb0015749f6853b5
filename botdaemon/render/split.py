"""One text as the messages a platform takes. Knows limits and boundaries, no dialect's rules."""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from botdaemon.render.flow import Flow, Run, clean
from botdaemon.render.layout import PARSE_LIMIT, layout
from botdaemon.render.paint import paint
from botdaemon.types import Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdaemon.ports import Traits

#: what the last part ends with when the text goes on in a file
CONTINUES = "(continues in the attached file)"

# In the map of a text (`_Cuttable.map`): the end of a line of code, and a blank within code.
_CODE_LINE, _CODE_BLANK = "\v", "\ue000"

# Links and code in a line are cut only if they are longer.
_UNBROKEN = 200

# One line without a character that means anything to the parser or to a dialect: most of what bots
# say. "/" may be an address; at the start, anything but a letter may be a list, a quote, a heading.
_PROSE = re.compile(r"[^\W\d_](?:[^\n\\`*_~\[\]<>&|/@]*[^\s\\`*_~\[\]<>&|/@])?")

# Where to cut, best first. Each matches at the cut.
_WORD = re.compile(rf"[\s{_CODE_BLANK}]")
_BOUNDARIES = (
    re.compile(r"\n\s*\n"),
    re.compile(rf"[\n{_CODE_LINE}]"),
    re.compile(
        "(?<=[.!?\u2026])(?=\\s)|(?<=[.!?\u2026][\"')\\]\u201d\u00bb])(?=\\s)|(?<=[\u3002\uff01\uff1f])"
    ),
    _WORD,
)


@dataclass(frozen=True, slots=True)
class Split:
    """A text as a platform takes it."""

    parts: tuple[Part, ...]
    #: the whole text as Markdown when it did not fit into `parts`, to be sent as a file; else
    #: empty. The whole and not just the tail: a file that begins in the middle of a sentence, a
    #: list or a code block is of little use to whoever opens it later.
    rest: str = ""


def split(text: str, traits: Traits) -> Split:
    """Cut a Markdown text into parts that fit the platform; nothing of it is lost."""
    text = clean(text)
    if _PROSE.fullmatch(text) and _size(text, traits) <= traits.text_limit:
        return Split((Part(text=text, plain=text),))  # 3 µs instead of 90
    most = max(1, traits.parts_limit)
    capacity = most * traits.text_limit
    # What is certainly too long is not parsed whole. Markup takes room in the source that it does
    # not take on the screen, hence the factor.
    reads = min(2 * capacity, PARSE_LIMIT) if capacity < PARSE_LIMIT else len(text)
    over = len(text) > reads
    flow = _Cuttable(layout(text.lstrip()[:reads] if over else text), traits)
    if traits.dialect == "commonmark" and _is_visible(flow.text):
        whole = Part(text=text, plain=paint(flow.runs, "plain"))
        if flow.fits(whole):
            return Split((whole,))
    parts: list[Part] = []
    at = 0
    while at < len(flow.text):
        part, end = flow.part(at)
        more = end < len(flow.text)
        if (more and len(parts) + 1 == most) or (over and not more):
            part, _ = flow.part(at, "\n\n" + CONTINUES)
            return Split((*parts, part), text)
        if _is_visible(part.plain):  # else it would be refused as an empty message
            parts.append(part)
        at = end
    return Split(tuple(parts))


def draft(text: str, traits: Traits) -> Part:
    """The beginning of a text that is still being written, as one part. Markup that is not closed
    yet is shown as if it were."""
    head = clean(text[: 2 * traits.text_limit])
    cut = len(text) > len(head)
    if traits.dialect == "commonmark" and not cut and _size(head, traits) <= traits.text_limit:
        return Part(text=head, plain=head)  # its reader does the rest, for every word anew
    flow = _Cuttable(layout(_mend(head)), traits)
    if not _is_visible(flow.text):
        return Part()
    part, end = flow.part(0)
    if end < len(flow.text) or cut:
        part, _ = flow.part(0, "\u2026", (_WORD,))
    return part


class _Cuttable:
    """Styled text under a platform's limits."""

    def __init__(self, flow: Flow, traits: Traits) -> None:
        runs = _written_out(flow.runs, traits.text_limit // 4)
        self.flow = Flow(runs)
        self.runs = runs
        self.text = self.flow.text
        self.traits = traits
        #: the text with everything hidden that is no place for a cut, of the same length
        self.map = "".join(map(_mapped, runs))

    def fits(self, part: Part) -> bool:
        return self.size(part) <= self.traits.text_limit

    def size(self, part: Part) -> int:
        return max(_size(part.text, self.traits), _size(part.plain, self.traits))

    def part(
        self, start: int, end_with: str = "", at: Sequence[re.Pattern[str]] = _BOUNDARIES
    ) -> tuple[Part, int]:
        """A part from `start` that fits, nearly as long as can be, and where the next starts."""
        limit = self.traits.text_limit
        end = min(len(self.text), start + limit)
        while True:
            cut = self.cut(start, end, at) if end < len(self.text) else end
            runs = self.flow.slice(start, cut)
            if end_with:
                runs.append(Run(end_with))
            part = Part(text=paint(runs, self.traits.dialect), plain=paint(runs, "plain"))
            size = self.size(part)
            if size <= limit or cut <= start + 1:
                return part, self.next(cut)
            # The share that fits if markup is spread evenly; never less than one step.
            end = start + max(1, min(cut - start - 1, (cut - start) * limit // size))

    def cut(self, start: int, end: int, at: Sequence[re.Pattern[str]]) -> int:
        """The best place for a cut in `text[start:end]`, late if there is one late."""
        for first in (start + (end - start) // 2, start + 1):
            for boundary in at:
                # One character more: a blank that follows is a boundary, too.
                found = [m.start() for m in boundary.finditer(self.map, first, end + 2)]
                found = [place for place in found if start < place <= end]
                if found:
                    cut = found[-1]
                    while cut > start + 1 and _is_gap(self.map[cut - 1]):
                        cut -= 1
                    return cut
        return _whole_characters(self.text, start, end)

    def next(self, cut: int) -> int:
        """Where to go on after a cut: the blanks there are what the cut replaces, and one line
        end in code."""
        if self.map[cut : cut + 1] == _CODE_LINE:
            return cut + 1
        while cut < len(self.map) and _is_gap(self.map[cut]):
            cut += 1
        return cut


def _size(text: str, traits: Traits) -> int:
    if traits.text_unit == "utf-16":
        return len(text) + sum(map("\uffff".__lt__, text))
    return len(text)


def _is_visible(text: str) -> bool:
    """Whether there is more in it than blanks and signs of no width."""
    return any(unicodedata.category(char) not in ("Cc", "Cf", "Zs", "Zl", "Zp") for char in text)


def _is_gap(char: str) -> bool:
    return char.isspace() and char != _CODE_LINE


def _mapped(run: Run) -> str:
    kinds = {style.kind for style in run.stack}
    if "pre" in kinds:
        blanks = re.sub(r"[^\S\n]", _CODE_BLANK, run.text)
        return blanks.replace("\n", _CODE_LINE)
    if kinds & {"link", "code", "marker"} and len(run.text) < _UNBROKEN:
        return "x" * len(run.text)
    return run.text


def _written_out(runs: Sequence[Run], longest: int) -> list[Run]:
    """The runs, with targets of links that are too long to be hidden behind a label written out:
    they could fill a part alone, and again for each part of the label."""
    found: list[Run] = []
    for at, run in enumerate(runs):
        target = next((style.arg for style in run.stack if style.kind == "link"), "")
        if len(html.escape(target)) <= longest:
            found.append(run)
            continue
        stack = tuple(style for style in run.stack if style.kind != "link")
        found.append(Run(run.text, stack))
        if at + 1 == len(runs) or not any(style.arg == target for style in runs[at + 1].stack):
            found.append(Run(f" ({target})"))
    return found


def _whole_characters(text: str, start: int, end: int) -> int:
    """The last place up to `end` that is not inside of what a reader sees as one character."""
    for cut in range(end, max(start, end - 32), -1):
        if not _joined(text[cut - 1], text[cut]):
            return cut
        if _is_flag(text[cut]) and _is_flag(text[cut - 1]):
            before = sum(1 for _ in takewhile(_is_flag, reversed(text[start:cut])))
            if before % 2 == 0:
                return cut
    return end


def _joined(left: str, right: str) -> bool:
    return (
        unicodedata.category(right) in ("Mn", "Mc", "Me")
        or "\u200d" in (left, right)
        or "\U0001f3fb" <= right <= "\U0001f3ff"  # skin tones
        or "\U000e0020" <= right <= "\U000e007f"  # flags of regions
        or (_is_flag(left) and _is_flag(right))
    )


def _is_flag(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})", re.MULTILINE)
_TAIL_LINK = re.compile(r"!?\[([^\[\]\n]*)(?:\](?:\([^()\s]*)?)?$")
_MARKS = re.compile(r"\\.|(`+|\*+|_+|~~)", re.DOTALL)


def _mend(text: str) -> str:
    """Close the emphasis that the end of a growing text leaves open, so that it is not shown as
    asterisks until the closing ones come. What this guesses wrong is only shown as text."""
    begin = text.rfind("\n\n") + 1
    last = text[begin:].rstrip()
    if len(_FENCE.findall(text)) % 2 or _FENCE.search(last):
        return text  # the parser itself closes a fence
    last = _TAIL_LINK.sub(r"\1", last).rstrip("*_~`").rstrip() if last else last
    opened: list[str] = []
    for found in _MARKS.finditer(last):
        mark = found[1]
        if mark is None or (opened and opened[-1][0] == "`" and mark != opened[-1]):
            continue  # escaped, or within code
        before, after = last[: found.start()][-1:], last[found.end() :][:1]
        if mark in opened:
            del opened[opened.index(mark) :]
        elif (after and not after.isspace() and not before.isalnum()) or mark[0] == "`":
            opened.append(mark)
    return text[:begin] + last + "".join(reversed(opened))
