"""Markdown into styled text: one string in runs that carry their styles. Knows no dialect.

All that a reader must see is in the text (list markers, table columns, line breaks); what a
platform may show in its own way (emphasis, links, quotes, code) is in the styles.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal, NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

from botdaemon.render.flow import Flow, Kind, Run, Style, clean
from botdaemon.render.table import aligned, width

if TYPE_CHECKING:
    from collections.abc import Sequence

# The parser's time does not grow in proportion with the text, and it runs on the event loop. What
# goes beyond these numbers is no message written to be read, so it may lose its looks (never its
# text) to stay within a fraction of a second: seconds, without them, for lines in deep quotes,
# brackets that are never closed, or tables that are wider than long.
PARSE_LIMIT = 50_000
_LINE_LIMIT = 2_000
_BRACKET_LIMIT = 200
_COLUMN_LIMIT = 60
# The parser drops what is nested deeper than this; `layout` falls back before it does.
_NESTING = 20


@cache
def _parser(*without: str) -> MarkdownIt:
    # No raw HTML (it is text here). No reference definitions: they would vanish from the text.
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": _NESTING})
    return parser.enable(["strikethrough", "table"]).disable(["reference", *without])


_BARE_URL = re.compile(r"https?://[^\s<>\"`|\\^{}\[\]]*[^\s<>\"`|\\^{}\[\].,;:!?'*_~]")
_ADDRESS = re.compile(r"https?://|\bwww\.", re.IGNORECASE)
_INLINE: dict[str, Kind] = {"strong": "bold", "em": "italic", "s": "strike"}
_TABLE = 80  # columns of text; a wider table would be broken within its lines


def layout(text: str) -> Flow:
    """Lay out Markdown. Whatever the text is, everything in it is in the result."""
    text = clean(text)
    if not text.strip():
        return Flow(())
    lines = text.split("\n")
    if len(text) > PARSE_LIMIT or len(lines) > _LINE_LIMIT:
        return _literal(text)
    without = []
    if text.count("[") > _BRACKET_LIMIT:
        without += ["link", "image"]
    if any(line.count("|") > _COLUMN_LIMIT for line in lines):
        without += ["table"]
    try:
        tokens = _parser(*without).parse(text)
    except RecursionError:  # images within images
        return _literal(text)
    if any(token.level >= _NESTING - 1 for token in tokens):
        return _literal(text)
    flow = Flow(_Layout(lines).lay(tokens))
    return flow if flow.text.strip() else _literal(text)  # "#" alone is an empty heading


def _literal(text: str) -> Flow:
    """The text as it is written."""
    layout = _Layout()
    layout.words(text.strip("\n"))
    return Flow(layout.runs)


@dataclass
class _List:
    """A list that is open. Its items are written at `outer`, what belongs to them at `indent`."""

    number: int | None
    outer: int
    indent: int = 0
    items: int = 0


class _Layout:
    """Walks the parser's tokens once."""

    def __init__(self, lines: Sequence[str] = ()) -> None:
        #: of the Markdown
        self.lines = lines
        self.runs: list[Run] = []
        #: quotes and headings that are open, then the inline styles
        self.stack: list[Style] = []
        self.lists: list[_List] = []
        #: the lists around each quote that is open
        self.around: list[list[_List]] = []
        #: how much of the stack was open all the time since the last block: the styles of a gap
        self.floor = 0
        #: what the last block was; "marker": the next block goes on the marker's line
        self.last: Literal["", "paragraph", "item", "pre", "marker"] = ""

    def lay(self, tokens: list[Token]) -> list[Run]:
        at = 0
        while at < len(tokens):
            token = tokens[at]
            match token.type:
                case "blockquote_open":
                    self.quote()
                case "blockquote_close":
                    self.pop()
                    self.lists = self.around.pop()
                case "heading_open":
                    self.stack.append(Style("heading", token.tag[1:]))
                case "heading_close":
                    self.pop()
                case "bullet_list_open":
                    self.lists.append(_List(None, self.indent))
                case "ordered_list_open":
                    self.lists.append(_List(int(token.attrs.get("start", 1)), self.indent))
                case "bullet_list_close" | "ordered_list_close":
                    self.lists.pop()
                case "list_item_open":
                    self.item()
                case "list_item_close" if self.last == "marker":
                    self.last = "item"
                case "fence" | "code_block":
                    self.pre(token.content.removesuffix("\n"), token.info)
                case "hr":
                    self.gap("paragraph")
                    self.put("\u2014\u2014\u2014", _MARKER)
                case "table_open":
                    end = next(i for i in range(at, len(tokens)) if tokens[i].type == "table_close")
                    self.table(tokens[at:end])
                    at = end
                case "inline" if token.content:
                    self.gap("paragraph")
                    self.inline(token.children or [])
            at += 1
        return self.runs

    @property
    def indent(self) -> int:
        return self.lists[-1].indent if self.lists else 0

    def put(self, text: str, *styles: Style) -> None:
        if text:
            self.runs.append(Run(text, (*self.stack, *styles)))

    def pop(self) -> None:
        self.stack.pop()
        self.floor = min(self.floor, len(self.stack))

    def gap(self, block: Literal["paragraph", "item", "pre"]) -> None:
        """Write what stands between the last block and this one."""
        if self.last and self.last != "marker":
            if block == "item":
                wide = self.lists[-1].items == 0 and len(self.lists) == 1
                indent = self.lists[-1].outer
            else:
                wide = not self.lists or block == self.last == "paragraph"
                indent = self.indent if block != "pre" else 0
            newlines = "\n\n" if wide else "\n"
            self.runs.append(Run(newlines + " " * indent, tuple(self.stack[: self.floor])))
        self.last = block
        self.floor = len(self.stack)

    def quote(self) -> None:
        # Never within the list it stands in: no platform shows that.
        self.stack.append(Style("quote"))
        self.around.append(self.lists)
        self.lists = []
        if self.last == "marker":
            self.last = "item"

    def item(self) -> None:
        top = self.lists[-1]
        self.gap("item")
        marker = "\u2022 " if top.number is None else f"{top.number + top.items}. "
        self.put(marker, _MARKER)
        top.items += 1
        top.indent = top.outer + len(marker)
        self.last = "marker"

    def pre(self, code: str, info: str = "") -> None:
        # Code is never indented by the list it stands in: people copy it.
        self.gap("pre")
        language = re.match(r"[\w+#.-]{0,20}", info.strip(), re.ASCII)
        self.put(code, Style("pre", language[0] if language else ""))

    def table(self, tokens: list[Token]) -> None:
        """Columns if they fit on a line, else a list of the rows."""
        rows = _rows(tokens, self.lines)
        texts = [[_flat(cell.content) for cell in row] for row in rows]
        columns = aligned(texts, [cell.right for cell in rows[0]])
        if len(rows) == 1 or max(map(width, columns)) <= _TABLE:
            self.pre("\n".join(columns))
            return
        self.lists.append(_List(None, self.indent))
        for row in rows[1:]:
            self.item()
            for head, cell in zip(texts[0], row, strict=True):
                if head or cell.content:
                    if self.last == "marker":
                        self.gap("item")
                    else:
                        self.newline()
                    self.put(f"{head}: " if head else "")
                    self.inline(cell.content)
            self.last = "item"
        self.lists.pop()

    def inline(self, children: list[Token]) -> None:
        links: list[tuple[str, int]] = []
        for token in children:
            match token.type:
                case "text" | "text_special":
                    self.words(token.content)
                case "code_inline":
                    self.put(token.content, Style("code"))
                case "softbreak" | "hardbreak":
                    self.newline()
                case "link_open":
                    links.append((str(token.attrs.get("href", "")), len(self.runs)))
                    self.stack.append(Style("link", links[-1][0]))
                case "link_close":
                    self.stack.pop()
                    self.link(*links.pop(), auto=token.info == "auto")
                case "image":
                    self.image(_flat(token.children or []), str(token.attrs.get("src", "")))
                case kind if kind.endswith("_open"):
                    self.stack.append(Style(_INLINE[kind.removesuffix("_open")]))
                case kind if kind.endswith("_close"):
                    self.stack.pop()
                case _:
                    self.put(token.content)

    def newline(self) -> None:
        kinds = {style.kind for style in self.stack}
        if "link" in kinds or "heading" in kinds:
            self.put(" ")
        else:  # no inline style runs on across a line: not every dialect lets it
            stack = tuple(style for style in self.stack if style.kind == "quote")
            self.runs.append(Run("\n" + " " * self.indent, stack))

    def words(self, text: str) -> None:
        """Put text, with the addresses that are written out in it marked as such."""
        at = 0
        if not any(style.kind == "link" for style in self.stack):
            for match in _BARE_URL.finditer(text):
                url = match[0]
                extra = max(0, url.count(")") - url.count("("))
                trailing = len(url) - len(url.rstrip(")"))
                url = url[: len(url) - min(extra, trailing)]
                self.put(text[at : match.start()])
                self.put(url, Style("url"))
                at = match.start() + len(url)
        self.put(text[at:])

    def image(self, label: str, source: str) -> None:
        """No platform shows an image within a text: it becomes a link."""
        if any(style.kind == "link" for style in self.stack):
            self.put(f"{label} ({source})" if label else source)
        else:
            at = len(self.runs)
            self.put(label, Style("link", source))
            self.link(source, at)

    def link(self, target: str, at: int, *, auto: bool = False) -> None:
        """Finish the link whose label are the runs from `at`."""
        label = "".join(run.text for run in self.runs[at:])
        web = target.startswith(("http://", "https://"))
        if web and (auto or not label.strip() or label == target):
            del self.runs[at:]
            self.put(target, Style("url"))
        elif auto:  # an address of mail, or just text in angle brackets
            del self.runs[at:]
            self.put(f"<{label}>")
        elif web and _ADDRESS.search(label):  # it would pretend to lead somewhere else
            del self.runs[at:]
            self.words(f"{label} ({target})")
        elif not web:  # nothing a platform would open, so its target is shown
            self.runs[at:] = [
                Run(run.text, tuple(style for style in run.stack if style.kind != "link"))
                for run in self.runs[at:]
            ]
            if target:
                self.put(f" ({target})" if label.strip() else target)


_MARKER = Style("marker")


def _flat(children: list[Token]) -> str:
    """Inline content without styles, for where there can be none."""
    layout = _Layout()
    layout.inline(children)
    parts = []
    for run in layout.runs:
        target = next((style.arg for style in run.stack if style.kind == "link"), "")
        parts.append(f"{run.text} ({target})" if target else run.text)
    return "".join(parts).replace("\n", " ")


class _Cell(NamedTuple):
    content: list[Token]
    #: its column stands to the right
    right: bool


def _rows(tokens: list[Token], lines: Sequence[str]) -> list[list[_Cell]]:
    """The rows of a table, its head first. Cells that go beyond the head's, which the parser drops,
    are kept in the last one."""
    rows: list[list[_Cell]] = []
    cells: list[str] = []
    right = False
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
            source = re.sub(r"^[\s>]*\|?|\|?\s*$", "", lines[token.map[0]] if token.map else "")
            cells = re.split(r"(?<!\\)\|", source)
        elif token.type in ("th_open", "td_open"):
            right = "right" in str(token.attrs.get("style", ""))
        elif token.type == "inline":
            rows[-1].append(_Cell(token.children or [], right))
        elif token.type == "tr_close" and (extra := cells[len(rows[0]) :]):
            text = " | ".join(["", *map(str.strip, extra)])
            rows[-1][-1].content.append(Token("text", "", 0, content=text))
    return rows
