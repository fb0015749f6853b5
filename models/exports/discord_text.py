"""Discord's markup as people read it. Knows no kind of export."""

from __future__ import annotations

import mimetypes
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

#: https://discord.com/developers/docs/reference#message-formatting; quotes stand at a line's begin,
#: and within code nothing else means anything
_MARKUP = re.compile(
    r"""
      (?P<code> ```[\s\S]*?``` | `[^`\n]+` )
    | (?P<quote> ^>>>\ [\s\S]* | ^>\ .*(?:\n|\Z) )
    | <@!?(?P<person>\d+)>
    | <@&(?P<role>\d+)>
    | <\#(?P<channel>\d+)>
    | <a?(?P<emoji>:\w+:)\d+>
    | <t:(?P<time>\d{1,11})(?::[a-zA-Z])?>
    | <(?P<command>/[^:>\n]+):\d+>
    """,
    re.VERBOSE | re.MULTILINE,
)


@dataclass(slots=True)
class Names:
    """What ids are called, as far as it was read yet."""

    people: dict[str, str] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)
    channels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Readable:
    """A text as it would be read out."""

    text: str
    #: what had to be done for it, in the words of `Tally.changed`
    changes: frozenset[str] = frozenset()


def readable(text: str, names: Names) -> Readable:
    """Mentions, emoji, times and commands by their names, without what was quoted."""
    changes: set[str] = set()

    def named(them: dict[str, str], id_: str, otherwise: str) -> str:
        if id_ not in them:
            changes.add("mention of somebody or something unknown")
        return them.get(id_, otherwise)

    def replaced(match: re.Match[str]) -> str:
        value = match[match.lastgroup or 0]
        match match.lastgroup:
            case "quote":
                changes.add("quote removed")
                return ""
            case "person":
                return "@" + named(names.people, value, "someone")
            case "role":
                return "@" + named(names.roles, value, "role")
            case "channel":
                return "#" + named(names.channels, value, "channel")
            case "time":
                return f"{datetime.fromtimestamp(int(value), UTC):%Y-%m-%d %H:%M}"
        return value

    return Readable(_MARKUP.sub(replaced, text).strip(), frozenset(changes))


def placeholder(file_name: str) -> str:
    """What stands in a text for an attached file."""
    if file_name == "voice-message.ogg":  # Discord's own name for them
        return "[voice]"
    kind = (mimetypes.guess_type(file_name, strict=False)[0] or "").partition("/")[0]
    return {"image": "[picture]", "video": "[video]", "audio": "[audio]"}.get(kind, "[file]")
