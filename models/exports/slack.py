"""Reads Slack exports: a zip, or the folder that it unpacks to. Knows nothing of where it goes.

Documented at slack.com/help/articles/220556107 and docs.slack.dev/reference/events/message. A
conversation is a folder with a file for each day.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from botdaemon.errors import ExportUnusable
from models.exports import slack_index
from models.exports.files import opened, read_json
from models.exports.neutral import Said
from models.exports.slack_text import Words, emoji_of, of_blocks, placeholders, plain
from models.exports.streaming import each_file, table, tables, text, word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from models.exports.files import Files
    from models.exports.neutral import Options, Tally
    from models.exports.slack_index import Index, Place
    from models.exports.slack_text import JSON

#: subtypes of messages that say something; all others are Slack's own news
SAYING = ("", "me_message", "thread_broadcast", "file_share", "file_comment", "bot_message")

_DAY = re.compile(r"\d{4}-\d\d-\d\d\.json")
_TS = re.compile(r"\d{1,11}(\.\d{1,9})?")
# Until 2018 Slack wrote this into the text itself.
_UPLOADED = re.compile(
    r"<@[^>]+> (?:uploaded|shared) an? [^<:]*: <[^>]+>(?: and commented: (?P<comment>[\s\S]*))?"
)


def read(path: Path, tally: Tally, options: Options) -> Iterator[Said]:
    """Of `options` it looks at `bots`.

    A day whose file is damaged is left out; the others are read, and `ExportUnusable` names it at
    the end.
    """
    with opened(path) as files:
        index = slack_index.read(files)
        readers: dict[str, _Conversation] = {}

        def read_day(day: str, progress: Callable[[int], None]) -> Iterator[Said]:
            folder = posixpath.dirname(day)
            if folder not in readers:
                for before in readers.values():
                    before.check_threads()
                place = _place(index, folder, tally)
                readers[folder] = _Conversation(index, place, tally, bots=options.bots)
            return readers[folder].said(_messages(files, day))

        try:
            days = [name for name in files.names() if _is_day(name)]
            yield from each_file(files, days, tally, read_day)
        finally:
            for reader in readers.values():
                reader.check_threads()
            _check(index, {reader.place.id for reader in readers.values()}, tally)
            _name_the_rest(files, tally)


def _is_day(name: str) -> bool:
    folder, file = posixpath.split(name)
    return bool(folder and _DAY.fullmatch(file))


def _place(index: Index, folder: str, tally: Tally) -> Place:
    root, name = posixpath.split(folder)
    if place := index.places.get((root, name)):
        return place
    tally.note(f"the folder {folder} is not in the export's index; it is read all the same")
    return slack_index.Place(name, name, direct=name.startswith("D") and name.isupper())


def _messages(files: Files, day: str) -> list[object]:
    data = read_json(files, day)
    if not isinstance(data, list):
        raise ExportUnusable(f"{files.path}: {day} is no list of messages")
    return sorted(data, key=lambda item: _time(item) if isinstance(item, dict) else 0.0)


def _check(index: Index, met: set[str], tally: Tally) -> None:
    places = {place.id: place for place in index.places.values()}
    tally.promised["conversations"] = (len(places), len(met & places.keys()))
    silent = [place for id, place in sorted(places.items()) if id not in met]
    if silent:  # those between people by their ids: nobody's name is to stay behind in a report
        channels = [f"#{index.names[place.id]}" for place in silent if place.id in index.names]
        others = [place.id for place in silent if place.id not in index.names]
        tally.note(f"nothing was said, or is exported, in: {', '.join(channels + others)}")


def _name_the_rest(files: Files, tally: Tally) -> None:
    known = slack_index.PEOPLE + slack_index.CONVERSATIONS + slack_index.OTHERS
    for name in files.names():
        if name.endswith(".json") and not _is_day(name) and posixpath.basename(name) not in known:
            tally.note(f"{name} is not read; no messages are known to lie there")


def _time(message: JSON) -> float:
    ts = text(message, "ts")
    return float(ts) if _TS.fullmatch(ts) else 0.0


class _Conversation:
    """Reads the messages of one conversation."""

    def __init__(self, index: Index, place: Place, tally: Tally, *, bots: bool) -> None:
        self._index = index
        self.place = place
        self._tally = tally
        self._bots = bots
        # Of threads, by the ts of their first message: the replies that there should be, and are.
        self._promised: dict[str, int] = {}
        self._replies: Counter[str] = Counter()

    def said(self, messages: list[object]) -> Iterator[Said]:
        """What is kept of a day, in the order of time."""
        for message in messages:
            if not isinstance(message, dict) or not _time(message):
                self._tally.leave("damaged message")
                continue
            self._count_thread(message)
            if reason := self._reason_to_leave(message):
                self._tally.leave(reason)
                continue
            words = self._words(message)
            if not words.text:
                self._tally.leave("only a quote" if words.quoted else "no text")
                continue
            self._note_changes(message, words)
            ts, thread = text(message, "ts"), text(message, "thread_ts")
            speaker, name = self._speaker(message)
            yield Said(
                conversation=self.place.id,
                id=ts,
                at=float(ts),
                speaker=speaker,
                name=name,
                text=words.text,
                reply_to=thread if thread != ts else "",
                thread=thread,
                title=self.place.title,
                direct=self.place.direct,
                edited=isinstance(message.get("edited"), dict),
                private=words.private,
            )

    def _reason_to_leave(self, message: JSON) -> str:
        subtype = text(message, "subtype")
        if subtype == "tombstone":
            return "deleted"
        if text(message, "type") not in ("message", "") or subtype not in SAYING:
            return f"Slack's own news ({word(subtype or message.get('type'))})"
        if message.get("hidden") is True:
            return "hidden"
        if not self._speaker(message)[0]:
            return "of nobody"
        if not self._bots and self._by_bot(message):
            return "by a bot"
        return ""

    def _by_bot(self, message: JSON) -> bool:
        user = text(message, "user")
        if text(message, "subtype") == "bot_message" or user in self._index.bots:
            return True
        # What a person posts by an app has a bot's id as well.
        return bool(text(message, "bot_id")) and user not in self._index.names

    def _speaker(self, message: JSON) -> tuple[str, str]:
        """Id and name; both are empty when the message does not say whose it is."""
        user = text(message, "user") or text(table(message, "comment"), "user")
        if user:
            profile = table(message, "user_profile")
            # Guests of shared channels are not in the index; their messages say who they are.
            name = self._index.names.get(user) or slack_index.name_of(profile)
            if name:
                self._index.names.setdefault(user, name)
            return user, name or text(message, "username") or user
        bot = text(message, "bot_id")
        name = text(message, "username") or text(table(message, "bot_profile"), "name")
        return bot or name, name or bot

    def _words(self, message: JSON) -> Words:
        names = self._index.names
        comment = text(message, "subtype") == "file_comment"
        written = text(table(message, "comment"), "comment") if comment else text(message, "text")
        if uploaded := _UPLOADED.fullmatch(written):
            written = uploaded["comment"] or ""
        blocks = tables(message, "blocks")
        words = plain(written, names, emoji_of(blocks)) if written else of_blocks(blocks, names)
        if not words.text and self._by_bot(message):  # bots put everything into attachments
            parts = tables(message, "attachments")
            lines = [text(part, "text") or text(part, "fallback") for part in parts]
            words = plain("\n".join(lines), names, {})
        if comment:  # its file was sent before
            return words
        files = [*tables(message, "files"), table(message, "file")]
        shown = " ".join(placeholders(filter(None, files)))
        return replace(words, text="\n".join(filter(None, [words.text, shown])))

    def _note_changes(self, message: JSON, words: Words) -> None:
        speaker, name = self._speaker(message)
        changed = {
            "edited": isinstance(message.get("edited"), dict),
            "quote removed": words.quoted,
            "reactions ignored": bool(message.get("reactions")),
            "link previews ignored": bool(message.get("attachments")) and not self._by_bot(message),
            "files named only": bool(message.get("files") or message.get("file")),
            "name unknown": speaker == name,
        }
        for what in (what for what, is_so in changed.items() if is_so):
            self._tally.change(what)

    def _count_thread(self, message: JSON) -> None:
        ts, thread = text(message, "ts"), text(message, "thread_ts")
        count = message.get("reply_count")
        if thread and thread != ts:
            self._replies[thread] += 1
        elif isinstance(count, int):
            self._promised[ts] = count

    def check_threads(self) -> None:
        """Compare what was found with what the first messages of threads say, since last asked."""
        if self._promised:
            said, found = self._tally.promised.get("replies in threads", (0, 0))
            said += sum(self._promised.values())
            found += sum(self._replies[ts] for ts in self._promised)
            self._tally.promised["replies in threads"] = (said, found)
        self._promised.clear()
        self._replies.clear()
