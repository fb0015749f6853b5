"""What people write in Slack as CommonMark. Knows no channel and asks nobody: names are given.

Slack's mrkdwn has `*bold*`, `_italic_`, `~strike~`, code, quotes, and everything else between `<`
and `>`: `<@U1>`, `<#C1|name>`, `<!here>`, `<https://...|label>`. `&`, `<` and `>` come as
entities themselves, so nothing a person types can pass for one of those.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from adapters.slack import emoji

if TYPE_CHECKING:
    from collections.abc import Mapping

_CODE = re.compile(r"(```.*?```|`[^`\n]+`)", re.DOTALL)
_TOKEN = re.compile(r"<([^<>\n]+)>")
_MENTION = re.compile(r"<([@#])(\w+)(?:\|[^<>\n]*)?>")
_BOLD = re.compile(r"(?<![\w*])\*(?=[^\s*])([^*\n]*[^\s*])\*(?![\w*])")
_STRIKE = re.compile(r"(?<![\w~])~(?=[^\s~])([^~\n]*[^\s~])~(?![\w~])")
_BULLET = re.compile(r"^([ \t]*)[\u2022\u25e6\u25aa]\s+", re.MULTILINE)
# Characters of private use keep the place of what is already translated.
_PLACE = re.compile("\ue000(\\d+)\ue001")
_RESERVED = str.maketrans("", "", "\ue000\ue001")


def mentioned(text: str) -> tuple[set[str], set[str]]:
    """The ids of people and of channels whose names are needed to translate the text."""
    found = _MENTION.findall(text)
    return {id for sign, id in found if sign == "@"}, {id for sign, id in found if sign == "#"}


def opening(text: str) -> str:
    """The id of whom a text mentions first of all, "" when it opens otherwise."""
    found = _MENTION.match(text.lstrip())
    return found[2] if found and found[1] == "@" else ""


def without_opening(text: str, account: str) -> str:
    """The text without the mention of this account that it opens with."""
    if opening(text) != account:
        return text
    return re.sub(r"\s*<@\w+(?:\|[^<>\n]*)?>[,:]?\s*", "", text, count=1)


def to_commonmark(text: str, names: Mapping[str, str]) -> str:
    """Slack's text as CommonMark; `names` are those of the people and channels in it."""
    parts = _CODE.split(text.translate(_RESERVED))
    done: list[str] = []
    for index, part in enumerate(parts):
        if index % 2 == 0:
            done.append(_prose(part, names))
        elif part.startswith("```"):
            if done and done[-1].strip() and not done[-1].endswith("\n"):
                done.append("\n")
            done.append(_fence(part[3:-3], names))
            if parts[index + 1].strip() and not parts[index + 1].startswith("\n"):
                done.append("\n")
        else:
            done.append(f"`{_literal(part[1:-1], names)}`")
    return "".join(done).strip()


def _fence(code: str, names: Mapping[str, str]) -> str:
    body = _literal(code, names).strip("\n")
    return f"```\n{body}\n```"


def _literal(code: str, names: Mapping[str, str]) -> str:
    """Code, where Slack writes addresses and mentions in its own way as well."""
    return _unescape(_TOKEN.sub(lambda found: _plain(found[1], names), code))


def _prose(text: str, names: Mapping[str, str]) -> str:
    tokens: list[str] = []

    def put_by(found: re.Match[str]) -> str:
        tokens.append(_token(found[1], names))
        return f"\ue000{len(tokens) - 1}\ue001"

    text = _TOKEN.sub(put_by, text)
    text = _BOLD.sub(r"**\1**", text)
    text = _STRIKE.sub(r"~~\1~~", text)
    text = _BULLET.sub(r"\1- ", text)
    text = emoji.in_text(_unescape(_quoted(text)))
    return _PLACE.sub(lambda found: tokens[int(found[1])], text)


def _quoted(text: str) -> str:
    """Quotes as CommonMark has them: with a blank line behind, else what follows would join in."""
    lines: list[str] = []
    quoting = to_the_end = False
    for line in text.split("\n"):
        if line.startswith("&gt;&gt;&gt;"):
            to_the_end, line = True, "&gt;" + line[12:]
        elif to_the_end:
            line = f"&gt; {line}"
        is_quote = line.startswith("&gt;")
        if quoting and not is_quote and line.strip():
            lines.append("")
        quoting = is_quote
        lines.append("> " + line[4:].lstrip() if is_quote else line)
    return "\n".join(lines)


def _token(inside: str, names: Mapping[str, str]) -> str:
    target, _, label = inside.partition("|")
    if target.startswith(("@", "#", "!", "mailto:", "tel:")):
        return _plain(inside, names)
    url, label = _unescape(target), _unescape(label)
    if "://" not in url:
        return f"<{_unescape(inside)}>"
    if not label or label == url or label == url.split("://", 1)[1].rstrip("/"):
        return url
    goal = f"<{url}>" if re.search(r"[()\s]", url) else url
    label = re.sub(r"([\[\]])", r"\\\1", label)
    return f"[{label}]({goal})"


def _plain(inside: str, names: Mapping[str, str]) -> str:
    """What a person reads in the place of `<inside>`."""
    target, _, label = inside.partition("|")
    label = _unescape(label)
    if target[:1] in ("@", "#"):
        return f"{target[0]}{names.get(target[1:]) or label.lstrip('@#') or target[1:]}"
    if target.startswith("!subteam^"):
        return "@" + (label.lstrip("@") or target[9:])
    if target.startswith("!date^"):
        return label or target[1:]
    if target.startswith("!"):
        return "@" + (label.lstrip("@") or target[1:])
    if target.startswith(("mailto:", "tel:")):
        return label or target.partition(":")[2]
    return _unescape(target)


def _unescape(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
