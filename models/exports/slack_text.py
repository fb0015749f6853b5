"""What Slack writes into a message, as people read it. Knows no export and asks nobody: names are
given.

Slack's mrkdwn (docs.slack.dev/messaging/formatting-message-text) has `*bold*`, `_italic_`,
`~strike~`, code, quotes, and everything else between `<` and `>`; `&`, `<` and `>` themselves come
as entities, so that nothing a person types can pass for one of those.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.emoji import Emoji

from models.exports.streaming import tables, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

JSON = dict[str, Any]
SOMEONE = "someone"
"""Who is mentioned, where the export does not say it."""

_MARKUP = re.compile(
    r"""
      (?P<code> ```[\s\S]*?``` | `[^`\n]+` )
    | (?P<quote> ^&gt;&gt;&gt;[\s\S]* | ^&gt;.*(?:\n|\Z) )
    | <(?P<inside>[^<>\n]+)>
    """,
    re.VERBOSE | re.MULTILINE,
)
_INSIDE = re.compile(r"<([^<>\n]+)>")
_STYLES = [
    re.compile(
        rf"(?<![\w{sign}])\{sign}(?=[^\s{sign}])([^{sign}\n]*[^\s{sign}])\{sign}(?![\w{sign}])"
    )
    for sign in "*_~"
]
_SKIN = re.compile(r"(?<=:):skin-tone-\d:")
_EMOJI = re.compile(r":([\w+'-]+):")
# Characters of private use keep the place of what is already translated.
_PLACE = re.compile("\ue000(\\d+)\ue001")
_RESERVED = str.maketrans("", "", "\ue000\ue001")


@dataclass(frozen=True, slots=True)
class Words:
    """A text as it would be read out."""

    text: str
    #: whether something was left out because somebody else had said it
    quoted: bool = False
    #: addresses and phone numbers that Slack itself marks as such
    private: tuple[str, ...] = ()


def plain(written: str, names: Mapping[str, str], emoji: Mapping[str, str]) -> Words:
    """Words of mrkdwn. `names` are those of people, channels and groups, `emoji` those that the
    message itself explains."""
    put_by: list[str] = []
    private: list[str] = []
    quoted = False

    def replaced(found: re.Match[str]) -> str:
        nonlocal quoted
        if found["quote"]:
            quoted = True
            return ""
        if found["code"]:
            put_by.append(_unescaped(_INSIDE.sub(lambda it: _meant(it[1], names), found["code"])))
        else:
            put_by.append(_unescaped(_meant(found["inside"], names)))
            if found["inside"].startswith(("mailto:", "tel:")):
                private.append(put_by[-1])
        return f"\ue000{len(put_by) - 1}\ue001"

    shown = _MARKUP.sub(replaced, written.translate(_RESERVED))
    for style in _STYLES:
        shown = style.sub(r"\1", shown)
    shown = _EMOJI.sub(lambda it: emoji.get(it[1], it[0]), _SKIN.sub("", shown))
    shown = _unescaped(Emoji.replace(shown))
    shown = _PLACE.sub(lambda it: put_by[int(it[1])], shown)
    return Words(shown.strip(), quoted, tuple(private))


def _meant(inside: str, names: Mapping[str, str]) -> str:
    """What a person reads in the place of `<inside>`."""
    target, _, label = inside.partition("|")
    if target.startswith("!subteam^"):
        target = "@" + target.removeprefix("!subteam^")
    match target[:1]:
        case "@" | "#" as sign:
            return sign + (names.get(target[1:]) or label.lstrip("@#") or SOMEONE)
        case "!" if target.startswith("!date^"):
            return label or target.rpartition("^")[2]
        case "!":  # here, channel, everyone
            return "@" + (label.lstrip("@") or target[1:])
    return label or target.removeprefix("mailto:").removeprefix("tel:")


def _unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def of_blocks(blocks: Iterable[JSON], names: Mapping[str, str]) -> Words:
    """Words of rich text (docs.slack.dev/reference/block-kit/blocks/rich-text-block), which a
    message can have instead of a text."""
    lines: list[str] = []
    quoted = False
    for part in _parts(blocks):
        words = "".join(_element(element, names) for element in tables(part, "elements"))
        match part.get("type"):
            case "rich_text_quote":
                quoted = True
            case "rich_text_preformatted":
                lines.append(f"```{words}```")
            case "rich_text_list":
                for item in tables(part, "elements"):
                    inner = tables(item, "elements")
                    lines.append("- " + "".join(_element(element, names) for element in inner))
            case _:
                lines.append(words)
    return Words("\n".join(lines).strip(), quoted)


def _parts(blocks: Iterable[JSON]) -> Iterator[JSON]:
    for block in blocks:
        if block.get("type") == "rich_text":
            yield from tables(block, "elements")


def _element(element: JSON, names: Mapping[str, str]) -> str:
    match element.get("type"):
        case "text":
            return text(element, "text")
        case "link":
            return text(element, "text") or text(element, "url")
        case "emoji":
            return _picture(element) or f":{text(element, 'name')}:"
        case "user":
            return "@" + names.get(text(element, "user_id"), SOMEONE)
        case "usergroup":
            return "@" + names.get(text(element, "usergroup_id"), SOMEONE)
        case "channel":
            return "#" + names.get(text(element, "channel_id"), "channel")
        case "broadcast":
            return "@" + text(element, "range")
        case "date":
            return text(element, "fallback")
    return ""


def emoji_of(blocks: Iterable[JSON]) -> dict[str, str]:
    """The emoji that blocks explain: name -> characters."""
    found: dict[str, str] = {}
    for part in _parts(blocks):
        for element in tables(part, "elements"):
            if element.get("type") == "emoji" and (picture := _picture(element)):
                found[text(element, "name")] = picture
    return found


def _picture(emoji: JSON) -> str:
    """From code points, as in "1f44f-1f3fd"."""
    try:
        return "".join(chr(int(code, 16)) for code in text(emoji, "unicode").split("-"))
    except (ValueError, OverflowError):
        return ""


def placeholders(files: Iterable[JSON]) -> list[str]:
    """What stands for files that were sent; nothing for those that were taken back."""
    found = []
    for file in files:
        kind = text(file, "mimetype").partition("/")[0]
        if text(file, "mode") == "tombstone":
            continue
        if text(file, "subtype") in ("slack_audio", "slack_video"):
            kind = text(file, "subtype")
        found.append(_PLACEHOLDERS.get(kind, "[file]"))
    return found


_PLACEHOLDERS = {
    "image": "[picture]", "video": "[video]", "audio": "[audio]", "slack_video": "[video]",
    "slack_audio": "[voice]",
}  # fmt: skip
