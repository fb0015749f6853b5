"""How Discord's clients read a message: its dialect of Markdown, mentions, addresses. Knows no
channels.

Written after the rules of simple-markdown, on which the clients are built, with Discord's own.
Lists are left as they are written; only what stands in their lines is read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

Styles = tuple[str, ...]


class Piece(NamedTuple):
    """Text as it is shown, and what it is shown as, outermost first."""

    text: str
    styles: Styles = ()


_ESCAPED = r"\\[\s\S]"
_INSIDE = r"(?:\[[^\]]*\]|[^\[\]]|\](?=[^\[]*\]))*"
_TARGET = r"\s*<?((?:\([^)]*\)|[^\s\\]|\\.)*?)>?(?:\s+['\"][\s\S]*?['\"])?\s*"
_STYLED = {
    "em": re.compile(
        rf"_((?:__|{_ESCAPED}|[^\\_])+?)_(?![A-Za-z0-9_])"
        rf"|\*(?=\S)((?:\*\*|{_ESCAPED}|\s+(?:{_ESCAPED}|[^\s*\\]|\*\*)|[^\s*\\])+?)\*(?!\*)"
    ),
    "strong": re.compile(rf"\*\*((?:{_ESCAPED}|[^\\])+?)\*\*(?!\*)"),
    "u": re.compile(rf"__((?:{_ESCAPED}|[^\\])+?)__(?!_)"),
}
_STRIKE = re.compile(r"~~([\s\S]+?)~~(?!_)")
_SPOILER = re.compile(r"\|\|([\s\S]+?)\|\|")
_FENCE = re.compile(r"```(?:([a-z0-9_+\-.#]+?)\n)?\n*([^\n][\s\S]*?)\n*```", re.IGNORECASE)
_CODE = re.compile(r"(`+)([\s\S]*?[^`])\1(?!`)")
_QUOTE = re.compile(r" *>>> +([\s\S]*)| *>(?!>>) +[^\n]*(?:\n *>(?!>>) +[^\n]*)*\n?")
_HEADING = re.compile(r" *(#{1,3}|-#)[ \t]+([^\n]+?)#*[ \t]*(?:\n|$)")
_ESCAPE = re.compile(r"\\([^0-9A-Za-z\s])")
_AUTOLINK = re.compile(r"<([^: >]+:/[^ >]+)>")
_URL = re.compile(r"(?:https?|steam)://[^\s<]+[^<.,:;\"'\]\s]")
_LINK = re.compile(rf"\[({_INSIDE})\]\({_TARGET}\)")
_MENTION = re.compile(
    r"<(?:@[!&]?\d+|#\d+|a?:\w+:\d+|t:-?\d+(?::[tTdDfFR])?|/[^<>]+:\d+|id:\w+)>|@everyone|@here",
    re.ASCII,
)
_TEXT = re.compile(r"[\s\S]+?(?=[^0-9A-Za-z\s\u00c0-\uffff]|\n|[A-Za-z0-9_]+:\S|$)")


def read(source: str) -> list[Piece]:
    """A message as it is shown. Mentions and what gets a preview are styles, too: "mention" and
    "url"; a masked link shows its target behind its label, as hovering over it does."""
    return list(_read(source, (), ""))


def shown(source: str) -> str:
    return "".join(piece.text for piece in read(source))


def _read(source: str, styles: Styles, before: str) -> Iterator[Piece]:
    at = 0
    while at < len(source):
        begins = not re.search(r"\S[^\n]*\Z", before) if at == 0 else _begins(source[:at])
        pieces, end = _next(source, at, styles, begins=begins)
        yield from pieces
        at = end


def _begins(before: str) -> bool:
    return not before.rpartition("\n")[2].strip(" ")


def _next(source: str, at: int, styles: Styles, *, begins: bool) -> tuple[list[Piece], int]:
    """What stands at a place, and where it ends."""

    def within(style: str, text: str) -> list[Piece]:
        return list(_read(text, (*styles, style), "x" if style != "quote" else ""))

    if begins and "quote" not in styles and (found := _QUOTE.match(source, at)):
        text = found[1] or re.sub(r"^ *> ?", "", found[0], flags=re.MULTILINE)
        return within("quote", text), found.end()
    if begins and (found := _HEADING.match(source, at)):
        return [*within("heading", found[2]), Piece("\n", styles)], found.end()
    if found := _FENCE.match(source, at):
        return [Piece(found[2], (*styles, "pre"))], found.end()
    if found := _ESCAPE.match(source, at):
        return [Piece(found[1], styles)], found.end()
    if found := _MENTION.match(source, at):
        return [Piece(found[0], (*styles, "mention"))], found.end()
    if found := _AUTOLINK.match(source, at):
        return [Piece(found[1], (*styles, "autolink"))], found.end()
    if found := _URL.match(source, at):
        return [Piece(found[0], (*styles, "url"))], found.end()
    found = _LINK.match(source, at)
    if found and found[2].startswith(("http://", "https://")) and not _URL.search(found[1]):
        quiet = source[found.start(2) - 1] == "<"  # else the target gets a preview
        target = Piece(f" ({found[2]})", styles if quiet else (*styles, "url"))
        return [*within("link", found[1]), target], found.end()
    matches = {name: rule.match(source, at) for name, rule in _STYLED.items()}
    longest = max(matches, key=lambda name: _end(matches[name]))  # the first of equals
    if found := matches[longest]:
        return within(longest, found[found.lastindex or 0]), found.end()
    for name, rule in (("strike", _STRIKE), ("spoiler", _SPOILER)):
        if found := rule.match(source, at):
            return within(name, found[1]), found.end()
    if found := _CODE.match(source, at):
        code = re.sub(r"^ (?= *`)|(?<=`) $", "", found[2])
        return [Piece(code, (*styles, "code"))], found.end()
    found = _TEXT.match(source, at)
    end = found.end() if found else at + 1
    return [Piece(source[at:end], styles)], end


def _end(match: re.Match[str] | None) -> int:
    return match.end() if match else 0
