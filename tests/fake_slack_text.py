"""How text looks in the fake Slack: as typed, on the wire, as read, and whom it pings. Knows no
channels and no network."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_WIRE = re.compile(r"(<(?:[@#!][^<>\n]+|(?:https?|mailto|tel):[^<>\n]+)>)")
_URL = re.compile(r"https?://[^\s<>|`]+")
_ENTITY = re.compile(r"&(?!amp;|lt;|gt;)")
_BROADCAST = ("channel", "here", "everyone")
# Slack writes emoji as names, in events and in histories. These are enough to notice.
_EMOJI = {"👍": ":+1:", "👋": ":wave:", "🎉": ":tada:", "😀": ":grinning:", "🚀": ":rocket:"}


def sent(text: str) -> str:
    """Text as Slack stores it: stray control characters escaped, addresses linked."""
    return "".join(
        part if index % 2 else _plain(part) for index, part in enumerate(_WIRE.split(text))
    )


def typed(text: str, names: Mapping[str, str]) -> str:
    """What a person typed: @names picked from the list become mentions, then it is stored.
    Mentions that are in wire form already stay."""
    return sent(linked(text, names))


def linked(text: str, names: Mapping[str, str]) -> str:
    """`@name` and `@channel` as mentions, as with link_names."""

    def mention(match: re.Match[str]) -> str:
        name = match[1]
        if name in _BROADCAST:
            return f"<!{name}>"
        return f"<@{names[name]}>" if name in names else match[0]

    parts = _WIRE.split(text)
    parts[::2] = [re.sub(r"(?<!\w)@([\w.-]*\w)", mention, part) for part in parts[::2]]
    return "".join(parts)


def _plain(text: str) -> str:
    text = _ENTITY.sub("&amp;", text).replace("<", "&lt;").replace(">", "&gt;")
    for emoji, name in _EMOJI.items():
        text = text.replace(emoji, name)
    return _URL.sub(r"<\g<0>>", text)


def read(text: str, names: Mapping[str, str]) -> str:
    """Stored text as a person reads it. Signs of style stay."""

    def show(match: re.Match[str]) -> str:
        target, _, label = match[1][1:-1].partition("|")
        if target[0] == "@":
            return f"@{names.get(target[1:], target[1:])}"
        if target[0] == "#":
            return f"#{label or target[1:]}"
        if target[0] == "!":
            return label or f"@{target[1:]}"
        return label or target

    text = _WIRE.sub(show, text)
    for emoji, name in _EMOJI.items():
        text = text.replace(name, emoji)
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def emoji_name(emoji: str) -> str:
    """How reactions call an emoji."""
    return _EMOJI.get(emoji, emoji).strip(":")


def rich(text: str) -> list[dict[str, Any]]:
    """The rich_text block that comes with everything a person writes."""
    elements: list[dict[str, Any]] = []
    for part in filter(None, _WIRE.split(text)):
        target = part[1:-1].partition("|")[0] if _WIRE.fullmatch(part) else ""
        if target.startswith("@"):
            elements.append({"type": "user", "user_id": target[1:]})
        elif target.startswith("#"):
            elements.append({"type": "channel", "channel_id": target[1:]})
        elif target.startswith("!"):
            elements.append({"type": "broadcast", "range": target[1:]})
        elif target:
            elements.append({"type": "link", "url": target})
        else:
            elements.append({"type": "text", "text": read(part, {})})
    section = {"type": "rich_text_section", "elements": elements}
    return [{"type": "rich_text", "block_id": "rich0", "elements": [section]}]


def visible(raw: Mapping[str, Any]) -> str:
    """The stored text that clients show: that of the blocks, where an app gave some."""
    blocks = [block for block in raw.get("blocks", ()) if block["type"] != "rich_text"]
    texts = [text["text"] for block in blocks for text in _texts(block)]
    return "\n".join(texts) if texts else str(raw.get("text", ""))


def pings(raw: Mapping[str, Any]) -> list[str]:
    """Whom a message notifies: ids, and "channel", "here" or "everyone". Both the text and the
    blocks count, since the text is what notifications are made of."""
    texts = [str(raw.get("text", ""))]
    texts += [
        text["text"]
        for block in raw.get("blocks", ())
        for text in _texts(block)
        if text["type"] != "plain_text"
    ]
    found: list[str] = []
    for text in texts:
        for match in re.finditer(r"<(?:@([UW]\w+)|!(\w+)(?:\^(\w+))?)(?:\|[^>]*)?>", text):
            user, word, group = match.groups()
            whom = user or group or (word if word in _BROADCAST else "")
            if whom and whom not in found:
                found.append(whom)
    return found


def buttons(raw: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """The buttons of a message, each with its block."""
    for block in raw.get("blocks", ()):
        for element in [*block.get("elements", ()), block.get("accessory", {})]:
            if element.get("type") == "button":
                yield block, element


def _texts(block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if block["type"] == "markdown":
        yield {"type": "markdown", "text": block["text"]}
    elif block["type"] == "context":
        yield from (element for element in block["elements"] if "text" in element)
    else:
        if isinstance(block.get("text"), dict):
            yield block["text"]
        yield from block.get("fields", ())
