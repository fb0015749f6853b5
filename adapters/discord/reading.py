"""Discord's messages into the house's: text into neutral Markdown, the rest into fields. Pure:
knows the directory, asks nobody and keeps nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from adapters.discord.wire import JSON, time_of
from botdaemon.types import Identity, Message, Posted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from adapters.discord.directory import Directory, Place

DEFAULT, REPLY, COMMAND_ANSWER, MENU_ANSWER = 0, 19, 20, 23
#: types of messages in which somebody says something
SAID = (DEFAULT, REPLY, COMMAND_ANSWER, MENU_ANSWER)
#: a `message_reference` of this type is no answer but a forwarded message
FORWARD = 1

# What Discord shows as it stands.
_CODE = re.compile(r"(```.*?```|``.+?``|`[^`\n]+`)", re.DOTALL)
_MARK = re.compile(
    r"<(?:(?P<kind>@[!&]?|\#)(?P<id>\d{1,20})"
    r"|a?:(?P<emoji>\w{1,64}):\d{1,20}"
    r"|t:(?P<time>-?\d{1,12})(?::[tTdDfFRsS])?"
    r"|/(?P<command>[^<>:\n]{1,100}):\d{1,20})>"
)
_OPENING = re.compile(r"\s*<@([!&]?)(\d{1,20})>[\s,:]*")


class Unreadable(ValueError):
    """An event without what makes it one."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A message as far as it is text."""

    event: Posted
    #: its files as Discord describes them
    attachments: tuple[JSON, ...] = ()


class Reader:
    """Reads for one account, which speaks for `bots`, the default first."""

    def __init__(self, adapter: str, bots: Collection[str], directory: Directory) -> None:
        self._adapter = adapter
        self._bots = bots
        self._first = next(iter(bots))
        self._directory = directory

    # --- messages ------------------------------------------------------------------------------

    def read(self, data: JSON, place: Place, *, topic: str = "") -> Reading | None:
        """A message that somebody else said; None for anything else. `topic`: the thread that is
        made for it."""
        if self.is_own(data) or data.get("type", DEFAULT) not in SAID:
            return None
        id = snowflake_in(data, "id")
        attachments = tuple(_dicts([*_list(data, "attachments"), *_forwarded_files(data)]))
        text = self.text(data, place)
        if not text and not attachments:
            return None  # blanked, because the account may not read it
        content = str(data.get("content") or "")
        address = self._directory.address(place)
        if topic:
            address = type(address)(address.adapter, address.channel, topic)
        message = Message(
            address=address,
            text=text,
            sent_at=time_of(id),
            author=self.author(data),
            platform_id=id,
            reply_to=_answered(data),
        )
        event = Posted(
            key=f"{address.channel}:{id}",
            message=message,
            direct=not place.server,
            mentioned=self.mentions_us(content),
            to_others=self._opens_elsewhere(content),
            server=place.server,
            roles=roles_in(data),
        )
        return Reading(event, attachments)

    def read_past(self, data: JSON, place: Place, *, starter: bool = False) -> Posted | None:
        """A message from before, our own as what the bot said; files by their names only. A
        thread's `starter` stands in the channel above, and counts there under its own id."""
        lines = [f"[{a.get('filename') or 'file'}]" for a in _dicts(_list(data, "attachments"))]
        author, bot = None, ""
        if self.is_own(data):
            bot, text = self._as_bot(data)
        else:
            reading = self.read(data, place)
            if reading is None:
                return None
            author, text = reading.event.message.author, reading.event.message.text
        text = "\n".join(filter(None, (text, *lines)))
        if not text:
            return None
        id = snowflake_in(data, "id")
        address = self._directory.address(place)
        key = f"{address.channel}:{id}"
        return Posted(
            key=f"{key}:{place.id}" if starter else key,
            message=Message(
                address=address,
                text=text,
                sent_at=time_of(id),
                author=author,
                bot=bot,
                platform_id="" if starter else id,
                reply_to=_answered(data),
            ),
            direct=not place.server,
            server=place.server,
            roles=roles_in(data),
            past=True,
        )

    def is_own(self, data: JSON) -> bool:
        """Whether the account said it, itself or through a webhook of its application."""
        author = data.get("author") or {}
        if str(author.get("id")) == self._directory.account:
            return True
        through = str(data.get("application_id") or "")
        return bool(data.get("webhook_id")) and through == self._directory.application

    def _as_bot(self, data: JSON) -> tuple[str, str]:
        text = self.plain(str(data.get("content") or ""), data)
        name = str((data.get("author") or {}).get("username") or "")
        if data.get("webhook_id") and name in self._bots:
            return name, text
        for bot in self._bots:
            if bot != self._first and text.startswith(prefix(bot)):
                return bot, text.removeprefix(prefix(bot))
        return self._first, text

    def author(self, data: JSON) -> Identity:
        """Who said it. A webhook is a bot, as it has no person to answer."""
        user = data["author"]
        return self.identity(user, data.get("member"), is_bot=bool(data.get("webhook_id")))

    def identity(self, user: JSON, member: JSON | None = None, *, is_bot: bool = False) -> Identity:
        """An account, by the name it has in this place."""
        id = snowflake_in(user, "id")
        name = str((member or {}).get("nick") or user.get("global_name") or user.get("username"))
        self._directory.meet(id, name)
        return Identity(
            adapter=self._adapter,
            account=id,
            name=_one_line(name),
            is_bot=is_bot or bool(user.get("bot")),
        )

    # --- text ----------------------------------------------------------------------------------

    def text(self, data: JSON, place: Place) -> str:
        """What a message says, as neutral Markdown."""
        content = data.get("content") or ""
        if not isinstance(content, str):
            raise Unreadable("the content of a message is no text")
        text = self.plain(self._without_hail(content), data)
        if not text and content.strip():
            text = f"@{self._first}"  # the mention was all there was
        lines = [text, *_forwarded(data), *_extras(data)]
        if not any(lines) and not _list(data, "attachments"):
            lines = [f"[embed: {title}]" for title in map(_title, _dicts(_list(data, "embeds")))]
        said = "\n".join(filter(None, lines)).strip()
        begins = str(data.get("id")) == str(data.get("channel_id")) == place.id
        if begins and place.name and (said or _list(data, "attachments")):
            return f"**{_one_line(place.name)}**\n\n{said}".strip()  # a post in a forum
        return said

    def plain(self, content: str, data: JSON) -> str:
        """A text with everything that only Discord understands written out, except in code."""
        people = {
            str(user.get("id")): str(
                (user.get("member") or {}).get("nick")
                or user.get("global_name")
                or user.get("username")
            )
            for user in _dicts(_list(data, "mentions"))
        }

        def written_out(match: re.Match[str]) -> str:
            found = match.groupdict()
            if found["emoji"]:
                return f":{found['emoji']}:"
            if found["time"]:
                return _time(int(found["time"]))
            if found["command"]:
                return f"/{found['command']}"
            return self._named(found["kind"], found["id"], people) or match[0]

        parts = _CODE.split(content)
        parts[::2] = [_MARK.sub(written_out, part) for part in parts[::2]]
        return "".join(parts).strip()

    def _named(self, kind: str, id: str, people: dict[str, str]) -> str:
        if kind == "#":
            place = self._directory.places.get(id)
            return f"#{_one_line(place.name)}" if place else ""
        if kind == "@&":
            role = self._directory.roles.get(id, "")
            name = self._first if id in self._directory.own_roles else role
        else:
            ours = id == self._directory.account
            name = self._first if ours else people.get(id) or self._directory.known_name(id)
        return f"@{_one_line(name)}" if name else ""

    def _means_us(self, kind: str, id: str) -> bool:
        return id in self._directory.own_roles if kind == "&" else id == self._directory.account

    def mentions_us(self, content: str) -> bool:
        """Whether the text, code apart, mentions the account."""
        marks = (mark for part in _CODE.split(content)[::2] for mark in _MARK.finditer(part))
        return any(
            mark["id"] and mark["kind"] != "#" and self._means_us(mark["kind"][1:], mark["id"])
            for mark in marks
        )

    def _without_hail(self, content: str) -> str:
        while (match := _OPENING.match(content)) and self._means_us(*match.groups()):
            content = content[match.end() :]
        return content

    def _opens_elsewhere(self, content: str) -> bool:
        match = _OPENING.match(content)
        return match is not None and not self._means_us(*match.groups())


# --- parts of a message ------------------------------------------------------------------------


def prefix(bot: str) -> str:
    """What stands before the words of a bot that speaks through another's account."""
    return f"**{bot}:** "


def snowflake_in(data: JSON, key: str) -> str:
    """An id. Raises `Unreadable` when there is none."""
    value = data.get(key)
    if not isinstance(value, str | int) or not str(value).isdecimal() or int(value) >= 2**63:
        raise Unreadable(f"{key} is no id")
    return str(int(value))


def roles_in(data: JSON) -> tuple[str, ...]:
    """The roles of whoever did it."""
    return tuple(map(str, _list(data.get("member") or {}, "roles")))


def _answered(data: JSON) -> str:
    reference = data.get("message_reference") or {}
    if reference.get("type") == FORWARD or data.get("type") == COMMAND_ANSWER:
        return ""
    return str(reference.get("message_id") or "")


def _list(data: JSON, key: str) -> list[Any]:
    value = data.get(key)
    return value if isinstance(value, list) else []


def _dicts(values: Iterable[Any]) -> Iterator[JSON]:
    return (value for value in values if isinstance(value, dict))


def _snapshots(data: JSON) -> Iterator[JSON]:
    for snapshot in _dicts(_list(data, "message_snapshots")):
        yield from _dicts([snapshot.get("message")])


def _forwarded_files(data: JSON) -> list[Any]:
    return [file for message in _snapshots(data) for file in _list(message, "attachments")]


def _forwarded(data: JSON) -> list[str]:
    texts = (str(message.get("content") or "") for message in _snapshots(data))
    return ["\n".join(f"> {line}" for line in text.splitlines()) for text in texts]


def _extras(data: JSON) -> list[str]:
    """What is no text, said in words."""
    lines = [
        f"[sticker: {s.get('name') or 'unnamed'}]" for s in _dicts(_list(data, "sticker_items"))
    ]
    poll = data.get("poll")
    if isinstance(poll, dict):
        lines.append(f"[poll: {_one_line(str((poll.get('question') or {}).get('text') or ''))}]")
    return lines


def _title(embed: JSON) -> str:
    return _one_line(
        str(embed.get("title") or embed.get("description") or embed.get("url") or "untitled")
    )[:200]


def _time(seconds: int) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
    except (OverflowError, ValueError, OSError):
        return str(seconds)


def _one_line(text: str) -> str:
    return " ".join(text.split())
