"""Styled text in the dialect of a platform. Knows no limits and no Markdown parser.

Escaping is done here and nowhere else: text without a style must not become markup, and above all
no control sequence of a platform (`<!channel>`, `<@U1>`, a tag) may come out of somebody's text.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from botdaemon.render.flow import Kind, Run, Stack, clean
from botdaemon.render.layout import layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdaemon.ports import Dialect

# Keeps two marks, or a mark and a letter, from being read as one; it takes no room on the screen.
_ZERO = "\u200b"
_GRAVE = "\u02cb"  # looks like a backtick


def render(text: str, dialect: Dialect) -> str:
    """The whole of a Markdown text in a dialect. CommonMark stays as it was written."""
    return clean(text) if dialect == "commonmark" else paint(layout(text).runs, dialect)


def paint(runs: Sequence[Run], dialect: Dialect) -> str:
    """Write styled text in a dialect. Whatever is opened is closed."""
    return _DIALECTS[dialect]().paint(runs)


class _Mark(NamedTuple):
    open: str
    close: str
    #: stands on a line of its own
    block: bool = False


class _Plain:
    """No markup at all; also the walk that the other dialects share."""

    #: what a line of a quote begins with, for each level up to `levels`
    quote = "> "
    levels = 3
    #: marks are characters that could also be text, so neighbours must be kept apart
    delimited = False
    #: a letter right outside a mark turns the mark into text
    words_only = False

    def __init__(self) -> None:
        self.out: list[str] = []
        self.open: list[_Mark] = []
        self.prefix = ""
        #: nothing is on this line yet, not even the prefix
        self.empty = True
        #: only a prefix, blanks and list markers are on this line
        self.start = True
        #: the last character of text on this line
        self.before = ""
        #: the end of an inline mark was written last
        self.ended = False

    # -- what a dialect defines --

    def shown(self, stack: Stack) -> Stack:
        """The styles that can be shown together."""
        return stack

    def marks(self, stack: Stack) -> list[_Mark]:
        """The marks of these styles, outermost first."""
        return [_Mark("", f" ({style.arg})") for style in stack if style.kind == "link"]

    def escape(self, text: str, kind: Kind | None, after: str) -> str:
        """One line's text under a style; `after` is the character that follows it."""
        return text

    # -- the walk --

    def paint(self, runs: Sequence[Run]) -> str:
        for at, run in enumerate(runs):
            stack = self.shown(run.stack)
            depth = min(self.levels, sum(style.kind == "quote" for style in stack))
            self.turn(self.marks(stack), self.quote * depth)
            kind = stack[-1].kind if stack else None
            lines = run.text.split("\n")
            for number, line in enumerate(lines):
                if number:
                    self.newline()
                if line:
                    last = number == len(lines) - 1
                    after = runs[at + 1].text[0] if last and at + 1 < len(runs) else ""
                    self.line(line, kind, after)
        self.turn([], "")
        return "".join(self.out)

    def line(self, line: str, kind: Kind | None, after: str) -> None:
        if self.words_only and self.ended and line[0].isalnum():
            self.write(_ZERO)
        self.write(self.escape(line, kind, after))
        self.before = line[-1]
        self.start = self.start and (kind == "marker" or line.isspace())

    def turn(self, marks: list[_Mark], prefix: str) -> None:
        """Close and open marks until just these are open."""
        keep = 0
        while keep < min(len(marks), len(self.open)) and marks[keep] == self.open[keep]:
            keep += 1
        for mark in reversed(self.open[keep:]):
            if mark.block:
                self.newline()
            self.write(mark.close)
            self.ended = self.delimited
        self.prefix = prefix
        for mark in marks[keep:]:
            if mark.block:
                if not self.empty:
                    self.newline()
                self.write(mark.open)
                self.newline()
                continue
            if self.ended or (self.words_only and self.before.isalnum()):
                self.write(_ZERO)
            self.write(mark.open)
            self.start = False
        self.open = marks

    def write(self, text: str) -> None:
        if self.empty:
            self.out.append(self.prefix)
            self.empty = False
        self.out.append(text)
        self.ended = False

    def newline(self) -> None:
        if self.empty:
            self.out.append(self.prefix.rstrip())
        self.out.append("\n")
        self.empty = self.start = True
        self.before, self.ended = "", False


class _Markdown(_Plain):
    """CommonMark, for texts that have to be cut; Discord's dialect differs in little."""

    delimited = True
    headings = 6
    emphasis: ClassVar[dict[str, str]] = {"bold": "**", "italic": "*", "strike": "~~"}

    def shown(self, stack: Stack) -> Stack:
        large = {s.kind for s in stack if s.kind == "heading" and int(s.arg) > self.headings}
        return _once(stack, without={"bold"} if large else set())

    def marks(self, stack: Stack) -> list[_Mark]:
        found = []
        for kind, arg in stack:
            match kind:
                case "heading" if int(arg) > self.headings:
                    found.append(_Mark("**", "**"))
                case "heading":
                    found.append(_Mark("#" * int(arg) + " ", ""))
                case "bold" | "italic" | "strike":
                    found.append(_Mark(self.emphasis[kind], self.emphasis[kind]))
                case "link":
                    found.append(_Mark("[", f"](<{arg}>)"))
                case "pre":
                    found.append(_Mark(f"```{arg}", "```", block=True))
        return found

    def escape(self, text: str, kind: Kind | None, after: str) -> str:
        match kind:
            case "marker":
                return text.replace("\u2022", "-")
            case "pre":
                return _fenced(text)
            case "code":
                return _code_span(text)
            case "url" if text.startswith("http"):
                # In brackets, so that nothing in it is markup; Discord then shows no preview, for
                # which it would fetch an address that a model made up.
                return f"<{text}>"
        return self.text(text, after)

    def text(self, text: str, after: str) -> str:
        """Escape what would be read as markup, and as little else as possible."""
        around = (self.before or " ") + text + (after or " ")

        def escaped(found: re.Match[str]) -> str:
            char, at = found[0], found.start() + 1
            left, right = around[at - 1], around[at + 1]
            match char:
                case "_":
                    needed = not (left.isalnum() and right.isalnum())
                case "*":
                    needed = not (left.isspace() and right.isspace())
                case "~" | "|":
                    needed = char in (left, right)
                case "<" | "&":
                    needed = not right.isspace() and right != "="
                case _:
                    needed = True
            return "\\" + char if needed else char

        line = re.sub(r"[\\`*_~\[\]<&|]", escaped, text)
        if self.start:  # what would be a heading, a list, a quote, a rule or small print
            line = re.sub(r"^( *)(#{1,6}(?= |$)|-(?=[ #-]|$)|\+(?= |$)|>|=)", r"\1\\\2", line)
            line = re.sub(r"^( *\d{1,9})([.)])(?= |$)", r"\1\\\2", line)
        return line


class _Discord(_Markdown):
    """Discord: three sizes of heading, one level of quote."""

    levels = 1
    headings = 3


class _Mrkdwn(_Markdown):
    """Slack. It has no escape character: `&`, `<` and `>` are entities, and a mark that is meant
    as text is kept from its word by a space of no width."""

    words_only = True
    levels = 1
    headings = 0
    emphasis: ClassVar[dict[str, str]] = {"bold": "*", "italic": "_", "strike": "~"}

    def shown(self, stack: Stack) -> Stack:
        kinds = [style.kind for style in stack]
        if "pre" in kinds:  # a fence cannot stand in a quote
            return stack[kinds.index("pre") :]
        if "link" in kinds:  # a label cannot be styled
            stack = stack[: kinds.index("link") + 1]
        return super().shown(stack)

    def marks(self, stack: Stack) -> list[_Mark]:
        found = []
        for kind, arg in stack:
            match kind:
                case "heading":
                    found.append(_Mark("*", "*"))
                case "bold" | "italic" | "strike":
                    found.append(_Mark(self.emphasis[kind], self.emphasis[kind]))
                case "link":
                    found.append(_Mark(f"<{_entities(arg).replace('|', '%7C')}|", ">"))
                case "code":
                    found.append(_Mark("`", "`"))
                case "pre":
                    found.append(_Mark("```", "```", block=True))
        return found

    def escape(self, text: str, kind: Kind | None, after: str) -> str:
        safe = _entities(text)
        match kind:
            case "marker":
                return safe
            case "pre":
                return _fenced(safe)
            case "code":
                return safe.replace("`", _GRAVE)
            case "url" if text.startswith("http") and "|" not in text:
                return f"<{safe}>"
        around = (self.before or " ") + safe.replace("`", _GRAVE) + (after or " ")
        safe = re.sub(r"(?<=[\W_])([*_~])(?=\S)", rf"\1{_ZERO}", around)[1:-1]
        return _ZERO + safe if self.start and text.lstrip().startswith(">") else safe


class _Telegram(_Plain):
    """The HTML of Telegram's Bot API: few tags, and few of them within each other."""

    quote = ""
    tags: ClassVar[dict[str, str]] = {
        "quote": "blockquote", "heading": "b", "bold": "b", "italic": "i", "strike": "s",
        "code": "code",
    }  # fmt: skip

    def shown(self, stack: Stack) -> Stack:
        kinds = {style.kind for style in stack}
        without: set[Kind] = {"bold"} if "heading" in kinds else set()
        if "link" in kinds:
            without |= {"code"}
        elif kinds & {"code", "pre"}:
            without |= {"heading", "bold", "italic", "strike"}
        return _once(stack, without=without | {"marker", "url"}, quotes=1)

    def marks(self, stack: Stack) -> list[_Mark]:
        found = []
        for kind, arg in stack:
            match kind:
                case "link":
                    found.append(_Mark(f'<a href="{html.escape(arg)}">', "</a>"))
                case "pre" if arg:
                    language = f'<pre><code class="language-{html.escape(arg)}">'
                    found.append(_Mark(language, "</code></pre>"))
                case "pre":
                    found.append(_Mark("<pre>", "</pre>"))
                case _:
                    found.append(_Mark(f"<{self.tags[kind]}>", f"</{self.tags[kind]}>"))
        return found

    def escape(self, text: str, kind: Kind | None, after: str) -> str:
        return _entities(text)


def _once(stack: Stack, *, without: set[Kind], quotes: int = 99) -> Stack:
    """The stack with each kind of style once (quotes up to `quotes` times)."""
    found: list[Kind] = []
    kept = []
    for style in stack:
        most = quotes if style.kind == "quote" else 1
        if style.kind not in without and found.count(style.kind) < most:
            found.append(style.kind)
            kept.append(style)
    return tuple(kept)


def _entities(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _fenced(text: str) -> str:
    """Code without what would end its fence."""
    return re.sub("``(?=`)", f"``{_ZERO}", text)


def _code_span(text: str) -> str:
    text = re.sub("`(?=`)", f"`{_ZERO}", text)
    if "`" in text:
        return f"`` {text} ``"
    # One blank on either side belongs to the marks.
    return f"` {text} `" if text.strip() and text[0] == text[-1] == " " else f"`{text}`"


_DIALECTS: dict[Dialect, type[_Plain]] = {
    "plain": _Plain,
    "commonmark": _Markdown,
    "discord": _Discord,
    "mrkdwn": _Mrkdwn,
    "telegram": _Telegram,
}
