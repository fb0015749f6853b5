"""Reads what DiscordChatExporter writes as JSON (and finds out that something is Discord's own data
package instead). Knows nothing of what becomes of it.

The form: DiscordChatExporter's `JsonMessageWriter.cs`, as of version 2.46 and older. One file is a
channel or a thread, or a part of one; the parts of one are told apart by nothing but their names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botdaemon.errors import ExportUnusable
from models.exports import discord_package
from models.exports.discord_text import Names, placeholder, readable
from models.exports.files import opened
from models.exports.neutral import Said
from models.exports.streaming import called, each_file, table, tables, text, values, word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from models.exports.files import Files
    from models.exports.neutral import Options, Tally

#: messages that people wrote; the text of all others is Discord's or DiscordChatExporter's
WRITTEN = ("Default", "Reply")
#: how its files begin; there may be others beside them, such as downloaded attachments
_BEGIN = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*"(?:guild|channel|dateRange|messages)"')
_MESSAGE = "messages.item"
#: Discord gives this name to everyone who has left it
_DELETED = "Deleted User"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Channel:
    conversation: str
    #: the channel's id when it is a thread; that is also the id of the message it began with
    thread: str
    title: str
    direct: bool


def read(path: Path, tally: Tally, options: Options) -> Iterator[Said]:
    """A `Reader` for a file, or for a folder or zip with any number of them."""
    with opened(path) as files:
        if discord_package.is_package(files):
            yield from discord_package.read(files, tally, options)
        else:
            yield from _read_files(files, tally, options)


def _read_files(files: Files, tally: Tally, options: Options) -> Iterator[Said]:
    ours: list[str] = []
    others: list[str] = []
    for name in files.names():
        if name.lower().endswith(".json"):
            with files.open(name) as stream:
                begin = stream.read(1024)
            (ours if _BEGIN.match(begin) else others).append(name)
    if others:
        tally.note(f"{len(others)} JSON files are not DiscordChatExporter's, such as {others[0]}")
    if not ours:
        raise ExportUnusable(
            f"{files.path} has neither JSON of DiscordChatExporter nor a data package of Discord;"
            " export with --format Json"
        )
    names = Names()
    yield from each_file(
        files,
        ours,
        tally,
        lambda name, progress: _read_file(files, name, names, tally, options, progress),
    )


def _read_file(
    files: Files,
    name: str,
    names: Names,
    tally: Tally,
    options: Options,
    progress: Callable[[int], None],
) -> Iterator[Said]:
    head: dict[str, Any] = {}
    channel: _Channel | None = None
    found = 0
    with files.open(name) as stream:
        where = called(files, name)
        for place, value in values(stream, where, {_MESSAGE}, progress=progress):
            if place != _MESSAGE:
                head[place] = value
                continue
            channel = channel or _channel(head, where, names)
            found += 1
            said = _said(value, channel, names, tally, options)
            if said:
                yield said
    promised = head.get("messageCount")
    if isinstance(promised, int):
        tally.promised[f"messages in {name}"] = (promised, found)


def _channel(head: dict[str, Any], where: str, names: Names) -> _Channel:
    id_, kind, name = (text(head, f"channel.{key}") for key in ("id", "type", "name"))
    if not id_:
        raise ExportUnusable(f"{where} does not say which channel it is; export it again")
    names.channels[id_] = name
    direct = kind.startswith("Direct")
    # The category of a thread is the channel it is in: DiscordChatExporter's form is older than
    # threads are.
    parent = text(head, "channel.categoryId") if "Thread" in kind else ""
    title = text(head, "channel.category") if parent else name
    guild = "" if direct else text(head, "guild.name")
    return _Channel(
        conversation=parent or id_,
        thread=id_ if parent else "",
        title=" / ".join(filter(None, (guild, title))),
        direct=kind == "DirectTextChat",
    )


def _said(
    message: Any, channel: _Channel, names: Names, tally: Tally, options: Options
) -> Said | None:
    try:
        at = _seconds(message["timestamp"])
        id_, author = message["id"], message["author"]
        speaker = _person(author)
        if not isinstance(id_, str) or not speaker:
            raise TypeError
    except (KeyError, TypeError, ValueError, AttributeError):
        tally.leave("damaged message")
        return None
    _meet(message, names)
    if reason := _reason(message, options):
        tally.leave(reason)
        return None
    content = readable(text(message, "content"), names)
    attached = [placeholder(text(file, "fileName")) for file in tables(message, "attachments")]
    attached += ["[sticker]"] * len(tables(message, "stickers"))
    full = "\n".join(filter(None, (content.text, *attached)))
    if not full:
        tally.leave("only a quote" if "quote removed" in content.changes else "no text")
        return None
    edited = bool(message.get("timestampEdited"))
    for what, happened in (
        *((change, True) for change in content.changes),
        ("edited", edited),
        ("attachments as placeholders", bool(attached)),
        ("reactions ignored", bool(message.get("reactions"))),
        ("previews ignored", bool(message.get("embeds"))),
        ("by somebody who has left Discord", text(author, "name") == _DELETED),
    ):
        if happened:
            tally.change(what)
    is_reply = message.get("type") == "Reply"
    return Said(
        conversation=channel.conversation,
        id=id_,
        at=at,
        speaker=speaker,
        name=names.people[speaker],
        text=full,
        reply_to=text(table(message, "reference"), "messageId") if is_reply else "",
        thread=channel.thread,
        title=channel.title,
        direct=channel.direct,
        edited=edited,
    )


def _reason(message: dict[str, Any], options: Options) -> str:
    """Why a message is left out; empty when it is kept."""
    kind = message.get("type", "Default")
    if kind not in WRITTEN:
        return f"written by Discord ({word(kind)})"
    if table(message, "interaction"):
        return "answer to a command"
    if message["author"].get("isBot") is True and not options.bots:
        return "by a bot"
    if message.get("forwardedMessage") or table(message, "reference").get("type") == "Forward":
        return "forwarded"
    return ""


def _seconds(timestamp: str) -> float:
    """Of ISO 8601 with an offset; very old exports have none, and then it is taken as UTC."""
    when = datetime.fromisoformat(timestamp)
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _person(user: dict[str, Any]) -> str:
    """Their id. Other programs that write this form may know only names."""
    return text(user, "id") or text(user, "name")


def _meet(message: dict[str, Any], names: Names) -> None:
    """Remember everyone whom a message names."""
    for person in (message["author"], *tables(message, "mentions")):
        id_ = _person(person)
        name = text(person, "nickname") or text(person, "name") or id_
        if text(person, "name") == _DELETED:
            name = f"{_DELETED} {id_[-4:]}"  # otherwise they would all be one
        names.people[id_] = name
        for role in tables(person, "roles"):
            names.roles[text(role, "id")] = text(role, "name")
