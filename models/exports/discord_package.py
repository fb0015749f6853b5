"""Reads the data package that Discord sends to people who ask for their data. Knows nothing of what
becomes of it.

What is known of its form is known from packages: `Messages/index.json` maps channels to labels, and
`Messages/c<ID>/` has `channel.json` and `messages.json` (`messages.csv` before March 2024). The `c`
came in 2021. Since June 2025 the folders have capitals and are named in the owner's language, so
that only the names of files can be relied on. It has what its owner wrote and nothing else.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botdaemon.errors import ExportUnusable, Refused
from models.exports.discord_text import Names, placeholder, readable
from models.exports.files import read_json
from models.exports.neutral import Said
from models.exports.streaming import called, each_file, table, tables, text, values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from models.exports.files import Files
    from models.exports.neutral import Options, Tally

_CHANNEL = re.compile(r"(?P<folder>(?P<messages>(?:.*/)?)c?(?P<id>\d+)/)channel\.json")
_MESSAGES = ("messages.json", "messages.csv")
#: the type of a channel between two people, in old and in new packages
_DIRECT = (1, "DM")


@dataclass(frozen=True, slots=True)
class _Owner:
    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Channel:
    id: str
    title: str
    direct: bool


def is_package(files: Files) -> bool:
    """Whether it is one, packed or unpacked; its folder of messages alone is one, too."""
    return any(_CHANNEL.fullmatch(name) for name in files.names())


def read(files: Files, tally: Tally, options: Options) -> Iterator[Said]:
    """All that the owner of the package wrote. Raises `Refused` when nothing says who that is."""
    owner, names = _owner(files, options)
    tally.note(
        f"A data package has only what {owner.name} wrote: it shows how {owner.name} writes, but"
        " not what is answered to whom; for that, export the channels with DiscordChatExporter."
    )
    there = set(files.names())
    found = [match for name in files.names() if (match := _CHANNEL.fullmatch(name))]
    labels: dict[str, str] = {}
    for name in {f"{match['messages']}index.json" for match in found} & there:
        index = read_json(files, name)
        labels |= {id_: text(index, id_) for id_ in index} if isinstance(index, dict) else {}
        known = labels.keys() & {match["id"] for match in found}
        tally.promised[f"channels in {name}"] = (len(labels), len(known))
    about: dict[str, re.Match[str]] = {}
    without = 0
    for match in found:
        full = [name for last in _MESSAGES if (name := match["folder"] + last) in there]
        about |= dict.fromkeys(full, match)
        without += not full
    if without:
        tally.note(f"{without} channels have no file of messages; ask Discord for another package.")

    def read_one(name: str, progress: Callable[[int], None]) -> Iterator[Said]:
        channel = _channel(files, about[name], labels)
        as_csv = name.endswith(".csv")
        rows = _csv_rows(files, name) if as_csv else _json_rows(files, name, progress)
        for row in rows:
            said = _said(row, channel, owner, names, tally)
            if said:
                yield said

    yield from each_file(files, list(about), tally, read_one)


def _owner(files: Files, options: Options) -> tuple[_Owner, Names]:
    """Whose package it is, and the names of those whom they know."""
    for name in files.names():
        if name.rpartition("/")[2] == "user.json":
            account = read_json(files, name)
            if isinstance(account, dict) and (id_ := text(account, "id")):
                called = options.me or text(account, "global_name") or text(account, "username")
                friends = [table(each, "user") for each in tables(account, "relationships")]
                people = {text(user, "id"): text(user, "username") for user in friends}
                return _Owner(id_, called or id_), Names(people | {id_: called or id_})
    if not options.me:
        raise Refused(
            f"{files.path} does not say whose data package it is (there is no user.json); give the"
            " whole package, or the name with --me"
        )
    return _Owner(options.me, options.me), Names()


def _channel(files: Files, match: re.Match[str], labels: dict[str, str]) -> _Channel:
    about = read_json(files, match[0])
    about = about if isinstance(about, dict) else {}
    titles = (text(table(about, "guild"), "name"), text(about, "name"))
    return _Channel(
        id=match["id"],
        title=" / ".join(filter(None, titles)) or labels.get(match["id"], ""),
        direct=about.get("type") in _DIRECT,
    )


def _json_rows(files: Files, name: str, progress: Callable[[int], None]) -> Iterator[Any]:
    where = called(files, name)
    with files.open(name) as stream:
        for place, value in values(stream, where, {"item"}, progress=progress):
            if place == "item":
                yield value


def _csv_rows(files: Files, name: str) -> Iterator[Any]:
    """Raises `ExportUnusable`, with the line."""
    where = called(files, name)
    with io.TextIOWrapper(files.open(name), encoding="utf-8-sig", newline="") as lines:
        rows = csv.DictReader(lines, strict=True)
        try:
            if not set(rows.fieldnames or ()) >= {"ID", "Timestamp", "Contents"}:
                raise ExportUnusable(f"{where} has no columns ID, Timestamp and Contents")
            for row in rows:
                if None in row.values():
                    raise ExportUnusable(
                        f"{where} ends in the middle of line {rows.reader.line_num}"
                    )
                yield row
        except csv.Error as error:  # also for a quotation that does not end
            raise ExportUnusable(f"{where}, line {rows.reader.line_num}: {error}") from error
        except UnicodeDecodeError as error:
            raise ExportUnusable(
                f"{where} is not UTF-8 after line {rows.reader.line_num}"
            ) from error


def _said(row: Any, channel: _Channel, owner: _Owner, names: Names, tally: Tally) -> Said | None:
    try:
        when = datetime.fromisoformat(row["Timestamp"])
        id_, contents = str(int(row["ID"])), row["Contents"]
        attachments = row.get("Attachments") or ""
        if not isinstance(contents, str) or not isinstance(attachments, str):
            raise TypeError
        attached = [placeholder(urlsplit(url).path) for url in attachments.split()]
    except (KeyError, TypeError, ValueError):
        tally.leave("damaged message")
        return None
    content = readable(contents, names)
    full = "\n".join(filter(None, (content.text, *attached)))
    if not full:
        tally.leave("only a quote" if "quote removed" in content.changes else "no text")
        return None
    for change in content.changes:
        tally.change(change)
    if attached:
        tally.change("attachments as placeholders")
    return Said(
        conversation=channel.id,
        id=id_,
        # Those without an offset are in UTC: they agree with the times in the ids.
        at=(when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp(),
        speaker=owner.id,
        name=owner.name,
        text=full,
        title=channel.title,
        direct=channel.direct,
    )
