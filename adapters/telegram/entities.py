"""Telegram's text with entities as Markdown. Knows no message and no bot.

An entity says that a stretch of a text is bold, or a link, in UTF-16 code units. What a person
typed is escaped only where it would vanish: people write Markdown by hand, and a bot should read
"*waves*" as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from telegram import MessageEntity

#: an entity and the text it covers, to what stands there instead; None for what Telegram shows
Named = Callable[["MessageEntity", str], str | None]

_MARKS = {"bold": "**", "italic": "*", "strikethrough": "~~"}
_ADDRESSES = ("url", "email")
_QUOTES = ("blockquote", "expandable_blockquote")


@dataclass(frozen=True, slots=True)
class _Span:
    start: int
    end: int
    entity: MessageEntity


def markdown(text: str, entities: Sequence[MessageEntity], named: Named) -> str:
    """The text as Markdown. Entities that lie outside the text, cross each other or are of
    a kind nobody knows yet change nothing."""
    index = _index(text)
    last = len(index) - 1
    spans = []
    for entity in entities:
        start = index[min(max(entity.offset, 0), last)]
        end = index[min(max(entity.offset + entity.length, 0), last)]
        if start < end:
            spans.append(_Span(start, end, entity))
    # The outer of two that begin together comes first. A quote or code is always outside a style.
    spans.sort(key=lambda span: (span.start, -span.end, span.entity.type in _MARKS))
    return _written(text, 0, len(text), spans, named).strip("\n")


def _index(text: str) -> list[int]:
    """Where each UTF-16 code unit is in the text, and its end."""
    index = []
    for at, char in enumerate(text):
        index += [at] * (2 if ord(char) > 0xFFFF else 1)
    return [*index, len(text)]


def _written(text: str, start: int, end: int, spans: list[_Span], named: Named) -> str:
    out: list[str] = []
    at, left = start, spans
    while left:
        span, *left = left
        inner = [one for one in left if one.start < span.end]
        left = left[len(inner) :]
        stop = min(span.end, end)
        inner = [_Span(one.start, min(one.end, stop), one.entity) for one in inner]
        out.append(_typed(text[at : span.start]))
        before, after = text[: span.start], text[stop:]
        out.append(_marked(text, _Span(span.start, stop, span.entity), inner, named, before, after))
        at = stop
    out.append(_typed(text[at:end]))
    return "".join(out)


def _typed(text: str) -> str:
    """A star within a word (2*3*4) and the arm of a shrug are not meant as markup."""
    text = re.sub(r"\\(?=[!-/:-@\[-`{-~])", r"\\\\", text)
    return re.sub(r"(?<=\w)\*+(?=\w)", lambda stars: "\\*" * len(stars[0]), text)


def _marked(
    text: str, span: _Span, inner: list[_Span], named: Named, before: str, after: str
) -> str:
    covered = text[span.start : span.end]
    kind = span.entity.type
    if kind == "pre" or (kind == "code" and "\n" in covered):
        return _block(_fenced(covered, span.entity.language or ""), before, after)
    if kind == "code":
        return _code(covered)
    if kind in _ADDRESSES:
        return covered
    name = named(span.entity, covered)
    if name is not None:
        return name
    body = _written(text, span.start, span.end, inner, named)
    if kind in _QUOTES:
        quote = "\n".join(f"> {line}".rstrip() for line in body.strip("\n").split("\n"))
        return _block(quote, before, after, blank=True)
    if kind == "text_link" and span.entity.url:
        label = re.sub(r"[\[\]]", r"\\\g<0>", body)
        return _each_line(label, "[", f"]({_target(span.entity.url)})")
    mark = _MARKS.get(kind, "")
    return _each_line(body, mark, mark) if mark else body


def _each_line(body: str, before: str, after: str) -> str:
    """Marks around the words of each line: a mark next to a blank would be text."""
    return re.sub(r"\S(?:.*\S)?", lambda words: f"{before}{words[0]}{after}", body)


def _target(url: str) -> str:
    return f"<{url}>" if re.search(r"[\s()<>]", url) else url


def _block(body: str, before: str, after: str, *, blank: bool = False) -> str:
    """On lines of its own; after a quote a blank one, or what follows would belong to it."""
    opening = "\n" if before and not before.endswith("\n") else ""
    closing = "\n" if after and not after.startswith("\n") else ""
    return f"{opening}{body}{closing}" + ("\n" if blank and after else "")


def _fenced(code: str, language: str) -> str:
    ticks = "`" * max(3, _longest_ticks(code) + 1)
    language = re.sub(r"[\s`]", "", language)
    newline = "" if code.endswith("\n") else "\n"
    return f"{ticks}{language}\n{code}{newline}{ticks}"


def _code(code: str) -> str:
    ticks = "`" * (_longest_ticks(code) + 1)
    room = " " if code[0] in "` " or code[-1] in "` " else ""
    return f"{ticks}{room}{code}{room}{ticks}"


def _longest_ticks(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
