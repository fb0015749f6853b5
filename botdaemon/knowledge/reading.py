"""From a file's bytes to blocks of text. Knows the formats; runs in the worker, since files are
hostile input.

Raises `Unreadable` with a sentence for what cannot be read. Whatever a library raises besides, or
how much it takes, is the worker's affair.
"""

from __future__ import annotations

import re
from io import BytesIO
from typing import TYPE_CHECKING, Any

from botdaemon.knowledge.cutting import Block

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: characters of text of one file at most
MOST_CHARACTERS = 10_000_000

_PARAGRAPH = re.compile(r"\n[ \t]*\n\s*")
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n.*?\n(?:---|\.\.\.)[ \t]*\n", re.DOTALL)
#: of HTML: what no one reads, or what stands on every page
_LEFT_OUT = frozenset(
    {
        *("head", "script", "style", "template", "noscript", "svg", "math", "iframe", "object"),
        *("nav", "footer", "aside", "form", "button", "select"),
    }
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
#: of HTML: what begins a line of its own
_BLOCKS = frozenset(
    {
        *("address", "article", "blockquote", "body", "caption", "dd", "details", "div", "dl"),
        *("dt", "fieldset", "figcaption", "figure", "header", "hr", "li", "main", "ol", "p"),
        *("pre", "section", "summary", "table", "tbody", "thead", "tfoot", "tr", "ul"),
    }
)


class Unreadable(Exception):
    """A file cannot be read; says why."""


def blocks(kind: str, content: bytes) -> Iterator[Block]:
    """The text of a file in blocks, by one of `folders.KINDS`."""
    characters = 0
    for block in _READERS[kind](content):
        characters += len(block.text)
        if characters > MOST_CHARACTERS:
            raise Unreadable(f"it has more than {MOST_CHARACTERS:,} characters of text; split it")
        yield block


def decoded(content: bytes) -> str:
    """Bytes as text: UTF-8, what a byte order mark says, or else what is likely."""
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if content.startswith(mark):
            return content.decode(encoding, "replace")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        from charset_normalizer import from_bytes

        best = from_bytes(content).best()
        if best is None:
            raise Unreadable("it is no text, or in an encoding that cannot be told") from None
        text = str(best)
    if "\0" in text:
        raise Unreadable("it is no text: it has zero bytes")
    return text


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _text(content: bytes) -> Iterator[Block]:
    text = _lines(decoded(content))
    start, line = 0, 1
    for gap in (*_PARAGRAPH.finditer(text), None):
        end = gap.start() if gap else len(text)
        paragraph = text[start:end]
        if paragraph.strip():
            blank = len(paragraph) - len(paragraph.lstrip())
            yield Block(text=paragraph, line=line + paragraph.count("\n", 0, blank))
        if gap:
            line += text.count("\n", start, gap.end())
            start = gap.end()


def _markdown(content: bytes) -> Iterator[Block]:
    from markdown_it import MarkdownIt

    text = _lines(decoded(content))
    if front := _FRONT_MATTER.match(text):  # its lines still count
        text = "\n" * front.group().count("\n") + text[front.end() :]
    lines = text.split("\n")
    headings: dict[int, str] = {}
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    for at, token in enumerate(tokens):
        if token.level or token.map is None:
            continue
        begin, end = token.map
        if token.type == "heading_open":
            level = int(token.tag[1:])
            headings = {above: name for above, name in headings.items() if above < level}
            headings[level] = tokens[at + 1].content
        elif token.nesting >= 0:
            yield Block(
                text="\n".join(lines[begin:end]),
                headings=tuple(headings.values()),
                line=begin + 1,
            )


def _html(content: bytes) -> Iterator[Block]:
    from lxml import etree  # type: ignore[import-untyped]  # it comes without types

    # Bytes, so that libxml2 finds the encoding that the page itself declares.
    try:
        content.decode("utf-8")
        encoding = "utf-8"
    except UnicodeDecodeError:
        encoding = None
    parser = etree.HTMLParser(
        encoding=encoding, no_network=True, remove_comments=True, remove_pis=True
    )
    root = etree.parse(BytesIO(content), parser).getroot()
    if root is not None:
        yield from _Page().blocks(root)


class _Page:
    """The text of a page as it is walked through."""

    def __init__(self) -> None:
        self._headings: dict[int, str] = {}
        self._parts: list[str] = []
        self._line = 0

    def blocks(self, root: Any) -> Iterator[Block]:
        from lxml import etree

        walk = etree.iterwalk(root, events=("start", "end"))
        for event, element in walk:
            tag = element.tag if isinstance(element.tag, str) else ""
            if event == "start":
                if tag in _LEFT_OUT or _is_hidden(element):
                    walk.skip_subtree()
                    continue
                if tag in _BLOCKS or tag in _HEADINGS:
                    yield from self._flush(element.sourceline or 0)
                elif tag == "br":
                    self._parts.append("\n")
                self._parts.append(_flowing(element.text, tag))
                continue
            if tag not in _LEFT_OUT and not _is_hidden(element):
                if tag in _HEADINGS:
                    self._head(_HEADINGS[tag])
                elif tag in _BLOCKS:
                    yield from self._flush(element.sourceline or 0)
                elif tag in ("td", "th"):
                    self._parts.append(" | ")
            self._parts.append(_flowing(element.tail, ""))
        yield from self._flush(0)

    def _head(self, level: int) -> None:
        name = " ".join("".join(self._parts).split())
        self._parts.clear()
        self._headings = {above: it for above, it in self._headings.items() if above < level}
        self._headings[level] = name

    def _flush(self, line: int) -> Iterator[Block]:
        text = "".join(self._parts).strip(" |\n\t")
        self._parts.clear()
        if text:
            yield Block(text=text, headings=tuple(self._headings.values()), line=self._line or line)
        self._line = line


def _is_hidden(element: Any) -> bool:
    return element.get("hidden") is not None or element.get("aria-hidden") == "true"


def _flowing(text: str | None, tag: str) -> str:
    if not text or tag == "pre":
        return text or ""
    return re.sub(r"\s+", " ", text)


def _pdf(content: bytes) -> Iterator[Block]:
    from pypdf import PdfReader

    pdf = PdfReader(BytesIO(content))
    if pdf.is_encrypted and not pdf.decrypt(""):
        raise Unreadable("it is locked with a password; save it without one")
    some = False
    for number, page in enumerate(pdf.pages, 1):
        text = _lines(page.extract_text()).replace("\0", "")
        for paragraph in _PARAGRAPH.split(text):
            if paragraph.strip():
                some = True
                yield Block(text=paragraph, page=number)
    if not some:
        raise Unreadable("it has no text, only pictures of pages; recognise its text first (OCR)")


_READERS: dict[str, Callable[[bytes], Iterator[Block]]] = {
    "text": _text,
    "markdown": _markdown,
    "html": _html,
    "pdf": _pdf,
}
