"""Styled text in the dialect of a platform. Knows no limits and no Markdown parser.

Escaping is done here and nowhere else: text without a style must not become markup, and above all
no control sequence of a platform (`<!channel>`, `<@U1>`, a tag) may come out of somebody's text.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, ClassVar

from botdaemon.render.flow import Kind, Run, Stack, clean
from botdaemon.render.layout import layout
from botdaemon.render.walk import ZERO, Mark, Plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from botdaemon.ports import Dialect

_GRAVE = "\u02cb"  # looks like a backtick
# One that could end what another began.
_UNDERSCORE = re.compile("_(?![A-Za-z0-9_])")


def render(text: str, dialect: Dialect) -> str:
    """The whole of a Markdown text in a dialect. CommonMark stays as it was written."""
    return clean(text) if dialect == "commonmark" else paint(layout(text).runs, dialect)


def paint(runs: Sequence[Run], dialect: Dialect) -> str:
    """Write styled text in a dialect. Whatever is opened is closed."""
    return _DIALECTS[dialect]().paint(runs)


class _Markdown(Plain):
    """CommonMark, for texts that have to be cut; Discord's dialect differs in little."""

    delimited = True
    headings = 6
    #: an underscore is never safe, not even within a word
    wary = False
    emphasis: ClassVar[dict[str, str]] = {"bold": "**", "italic": "*", "strike": "~~"}

    def shown(self, stack: Stack) -> Stack:
        large = {s.kind for s in stack if s.kind == "heading" and int(s.arg) > self.headings}
        return _once(stack, without={"bold"} if large else set())

    def marks(self, stack: Stack) -> list[Mark]:
        found = []
        for kind, arg in stack:
            match kind:
                case "heading" if int(arg) > self.headings:
                    found.append(Mark("**", "**"))
                case "heading":
                    found.append(Mark("#" * int(arg) + " ", ""))
                case "bold" | "italic" | "strike":
                    found.append(Mark(self.emphasis[kind], self.emphasis[kind]))
                case "link":
                    found.append(Mark("[", f"](<{self.target(arg)}>)"))
                case "pre":
                    found.append(Mark(f"```{arg}", "```", block=True))
        return found

    def escape(self, text: str, kind: Kind | None, after: str) -> str:
        match kind:
            case "marker":
                return text.replace("\u2022", "-")
            case "pre":
                return _fenced(text)
            case "code":
                return self.code(text)
            case "url" if text.startswith("http"):
                # In brackets, so that nothing in it is markup; Discord then shows no preview, for
                # which it would fetch an address that a model made up.
                return f"<{text}>"
        return self.text(text, after)

    def target(self, address: str) -> str:
        return address

    def code(self, text: str) -> str:
        text = re.sub("`(?=`)", f"`{ZERO}", text)
        if "`" in text:
            return f"`` {text} ``"
        # One blank on either side belongs to the marks.
        return f"` {text} `" if text.strip() and text[0] == text[-1] == " " else f"`{text}`"

    def text(self, text: str, after: str) -> str:
        """Escape what would be read as markup, and as little else as possible."""
        around = (self.before or " ") + text + (after or " ")

        def escaped(found: re.Match[str]) -> str:
            char, at = found[0], found.start() + 1
            left, right = around[at - 1], around[at + 1]
            match char:
                case "_":  # not within a word; of letters, Discord knows those of ASCII
                    word = found.string[max(0, at - 2) : at + 1]
                    needed = self.wary or not re.fullmatch("[A-Za-z0-9]_[A-Za-z0-9]", word)
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
            line = re.sub(r"^( *)(#{1,6}(?= |$)|-(?=[ #-]|$)|[+*](?= |$)|>|=)", r"\1\\\2", line)
            line = re.sub(r"^( *\d{1,9})([.)])(?= |$)", r"\1\\\2", line)
        return line


class _Discord(_Markdown):
    """Discord: three sizes of heading, one level of quote, and marks found by patterns that do not
    know of each other."""

    levels = 1
    headings = 3
    calls = re.compile("@(?=everyone|here)")

    def blank(self, prefix: str) -> str:
        return prefix  # a line with ">" alone would end the quote

    def paint(self, runs: Sequence[Run]) -> str:
        self.wary = any(_UNDERSCORE.search(text) for run in runs for text in _raw(run))
        free = [_freed(run, self.emphasis) for run in runs]
        if free != list(runs):  # emphasis then ends beside the blank before that code
            free = [part for run in free for part in _edges(run)]
        return super().paint(free)

    def target(self, address: str) -> str:
        if address.count("(") == address.count(")"):
            return address
        return address.replace("(", "%28").replace(")", "%29")

    def code(self, text: str) -> str:
        text = re.sub("`(?=`)", f"`{ZERO}", text)
        if "`" not in text:
            return f"`{text}`"
        # A blank belongs to the marks only beside a backtick.
        left = " " if text.lstrip(" ").startswith("`") else ""
        right = " " if text.rstrip(" ").endswith("`") else ""
        return f"``{left}{text}{right}``"

    def text(self, text: str, after: str) -> str:
        # What is left of addresses, which would be opened for a preview.
        line = re.sub("(https?|steam):(?=//)", r"\1\\:", super().text(text, after))
        if line.endswith("#") and after in ("", "\n") and self.open and self.open[0].open[0] == "#":
            line += ZERO  # else it would be taken for the end of a heading
        return line


class _Mrkdwn(_Markdown):
    """Slack. It has no escape character: `&`, `<` and `>` are entities, and a mark that is meant
    as text is kept from its word by a space of no width."""

    words_only = True
    levels = 1
    headings = 0
    calls = re.compile("@(?=everyone|here|channel)")
    emphasis: ClassVar[dict[str, str]] = {"bold": "*", "italic": "_", "strike": "~"}

    def shown(self, stack: Stack) -> Stack:
        kinds = [style.kind for style in stack]
        if "pre" in kinds:  # a fence cannot stand in a quote
            return stack[kinds.index("pre") :]
        if "link" in kinds:  # a label cannot be styled
            stack = stack[: kinds.index("link") + 1]
        return super().shown(stack)

    def paint(self, runs: Sequence[Run]) -> str:
        # Where a fence has left its quote, nothing of the quote stays around it.
        return re.sub(r"(?m)^>$(?=\n```)|(?<=^```\n)>$", "", super().paint(runs))

    def marks(self, stack: Stack) -> list[Mark]:
        found = []
        for kind, arg in stack:
            match kind:
                case "heading":
                    found.append(Mark("*", "*"))
                case "bold" | "italic" | "strike":
                    found.append(Mark(self.emphasis[kind], self.emphasis[kind]))
                case "link":
                    found.append(Mark(f"<{_entities(arg).replace('|', '%7C')}|", ">"))
                case "code":
                    found.append(Mark("`", "`"))
                case "pre":
                    found.append(Mark("```", "```", block=True))
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
        safe = re.sub(r"(?<=[\W_])([*_~])(?=[^\s\ufe0f])", rf"\1{ZERO}", around)[1:-1]
        return ZERO + safe if self.start and text.lstrip().startswith(">") else safe


class _Telegram(Plain):
    """The HTML of Telegram's Bot API: few tags, and few of them within each other."""

    quote = ""
    calls = re.compile(r"(?<![A-Za-z0-9_])@(?=[A-Za-z0-9_])")
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

    def marks(self, stack: Stack) -> list[Mark]:
        found = []
        for kind, arg in stack:
            match kind:
                case "link":
                    found.append(Mark(f'<a href="{html.escape(arg)}">', "</a>"))
                case "pre" if arg:
                    language = f'<pre><code class="language-{html.escape(arg)}">'
                    found.append(Mark(language, "</code></pre>"))
                case "pre":
                    found.append(Mark("<pre>", "</pre>"))
                case _:
                    found.append(Mark(f"<{self.tags[kind]}>", f"</{self.tags[kind]}>"))
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


def _raw(run: Run) -> list[str]:
    """What of it is written as it is, without escapes."""
    kinds = {style.kind for style in run.stack}
    targets = [style.arg for style in run.stack if style.kind == "link"]
    return [*targets, run.text] if kinds & {"code", "pre", "url"} else targets


def _freed(run: Run, emphasis: Mapping[str, str]) -> Run:
    """Code and addresses as Discord can read them: without emphasis whose mark is in them, since it
    would end there; and a block of code with something in it, since else it would be none."""
    kind = run.stack[-1].kind if run.stack else ""
    if kind == "pre" and not run.text.strip("\n"):
        return Run(ZERO, run.stack)
    if kind not in ("code", "url"):
        return run
    stack = [style for style in run.stack if emphasis.get(style.kind, "\n") not in run.text]
    return Run(run.text, tuple(stack))


def _edges(run: Run) -> list[Run]:
    """The run with the blanks around it on their own, without emphasis."""
    bare = tuple(style for style in run.stack if style.kind in ("quote", "heading", "link"))
    core = run.text.strip(" ")
    if bare == run.stack or not core or run.stack[-1].kind in ("code", "pre", "marker"):
        return [run]
    left, _, right = run.text.partition(core)
    parts = [Run(left, bare), Run(core, run.stack), Run(right, bare)]
    return [part for part in parts if part.text]


def _entities(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _fenced(text: str) -> str:
    """Code without what would end its fence."""
    return re.sub("``(?=`)", f"``{ZERO}", text)


_DIALECTS: dict[Dialect, type[Plain]] = {
    "plain": Plain,
    "commonmark": _Markdown,
    "discord": _Discord,
    "mrkdwn": _Mrkdwn,
    "telegram": _Telegram,
}
