"""Reads Telegram Desktop's result.json, of one chat or of a whole account. Knows nothing of what
becomes of it.

The form: Telegram Desktop's `export_output_json.cpp`, from 2018 on. The export does not say who is
a bot, other than by the kind of a chat.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any

from botdaemon.errors import ExportUnusable
from models.exports.files import opened
from models.exports.neutral import Said
from models.exports.streaming import OPEN, called, each_file, text, values, word
from models.exports.telegram_escapes import Mended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from models.exports.files import Files
    from models.exports.neutral import Options, Tally
    from models.exports.streaming import Source

#: where chats are: the document itself when it is of one chat, else these lists
_LISTS = ("chats.list.item", "left_chats.list.item")
_CHATS = ("", *_LISTS)
_MESSAGES = {"messages.item", *(f"{chat}.messages.item" for chat in _LISTS)}
_ABOUT = {f"{chat}.{key}".lstrip(".") for chat in _CHATS for key in ("name", "type", "id")}
#: what only this kind of file has
_KNOWN_BY = {"messages", "chats", "left_chats"}

#: nobody talks with somebody there
_NO_TALK = {
    "saved_messages": "in the saved messages",
    "replies": "in the list of replies",
}
_PRIVATE = {"email", "phone", "bank_card"}
_MEDIA = {
    "sticker": "[sticker]",
    "video_message": "[video]",
    "voice_message": "[voice]",
    "animation": "[video]",
    "video_file": "[video]",
    "audio_file": "[audio]",
}
_OTHER = {
    "photo": "[picture]",
    "contact_information": "[contact]",
    "place_name": "[place]",
    "location_information": "[place]",
    "poll": "[poll]",
}


@dataclass(slots=True)
class _Chat:
    """What is known of the chat whose messages are being read."""

    #: which one of the export it is
    number: int = 0
    #: "name", "type" and "id" as they stand there
    about: dict[str, Any] = field(default_factory=dict)
    #: messages met
    met: int = 0
    #: message -> the one that opened its topic; empty where a group has no topics
    topics: dict[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        return text(self.about, "type")

    @property
    def id(self) -> str:
        """As `from_id` would write it: users, groups and channels have their own ranges of ids."""
        id_ = self.about.get("id")
        if not isinstance(id_, int):
            return text(self.about, "name") or f"chat {self.number}"
        if self.kind in ("personal_chat", "bot_chat", "saved_messages", "replies"):
            return f"user{id_}"
        return f"chat{id_}" if self.kind == "private_group" else f"channel{id_}"


def read(path: Path, tally: Tally, options: Options) -> Iterator[Said]:
    """A `Reader` for the file, or for a folder or zip with any number of them."""
    zone = options.zone()
    with opened(path) as files:
        yield from each_file(
            files,
            _results(files),
            tally,
            lambda name, progress: _read_file(files, name, tally, options, zone, progress),
        )


def _results(files: Files) -> list[str]:
    """The files to read: those with Telegram's name for it, else whatever is JSON."""
    names = [name for name in files.names() if name.lower().endswith(".json")]
    results = [name for name in names if name.rpartition("/")[2].startswith("result")]
    if not names:
        for_people = any(name.endswith(".html") for name in files.names())
        what = "is the export for people (HTML)" if for_people else "has no result.json"
        raise ExportUnusable(
            f'{files.path} {what}; export from Telegram Desktop as "machine-readable JSON"'
        )
    return results or names


def _read_file(
    files: Files,
    name: str,
    tally: Tally,
    options: Options,
    zone: tzinfo | None,
    progress: Callable[[int], None],
) -> Iterator[Said]:
    where = called(files, name)
    chat = _Chat()
    known = False

    def mend(source: Source) -> Source:
        return Mended(source, tally)

    with files.open(name) as stream:
        for place, value in values(stream, where, _MESSAGES, progress=progress, mend=mend):
            if place in _MESSAGES:
                chat.met += 1
                said = _said(value, chat, tally, options, zone)
                if said:
                    yield said
            elif place in _LISTS and value is OPEN:
                chat = _Chat(chat.number + 1)
            elif place in _ABOUT:
                chat.about[place.rpartition(".")[2]] = value
            known = known or place in _KNOWN_BY
    if not known:
        raise ExportUnusable(
            f'{where} is not Telegram Desktop\'s: it has neither "messages" nor "chats"'
        )


def _said(
    message: Any, chat: _Chat, tally: Tally, options: Options, zone: tzinfo | None
) -> Said | None:
    if not isinstance(message, dict):
        tally.leave("damaged message")
        return None
    id_ = _number(message.get("id")) or f"#{chat.met}"
    answers = _number(message.get("reply_to_message_id"))
    if message.get("action") == "topic_created":
        chat.topics[id_] = id_
    elif answers in chat.topics:
        chat.topics[id_] = chat.topics[answers]
    if reason := _reason(message, chat, options):
        tally.leave(reason)
        return None
    at = _seconds(message, tally, zone)
    name = text(message, "from")
    speaker = _peer(message.get("from_id")) or name
    if at is None or not speaker:
        tally.leave("damaged message")
        return None
    written, private, quoted = _text(message)
    shown = _placeholder(message)
    full = "\n".join(filter(None, (shown, written)))
    if not full:
        tally.leave("only a quote" if quoted else "no text")
        return None
    edited = _is_edited(message)
    for what, happened in (
        ("quote removed", quoted),
        ("edited", edited),
        ("media as placeholders", bool(shown)),
        ("reactions ignored", bool(message.get("reactions"))),
        ("by somebody who has left Telegram", not name),
    ):
        if happened:
            tally.change(what)
    thread = chat.topics.get(id_, "")
    # An answer to another chat's message answers nothing here, and who writes in a topic seems to
    # answer the message that opened it.
    elsewhere = "reply_to_peer_id" in message or answers == thread
    return Said(
        conversation=chat.id,
        id=id_,
        at=at,
        speaker=speaker,
        name=name or f"Deleted Account {speaker[-4:]}",
        text=full,
        reply_to="" if elsewhere else answers,
        thread=thread,
        title=text(chat.about, "name"),
        direct=chat.kind == "personal_chat",
        edited=edited,
        private=private,
    )


def _reason(message: dict[str, Any], chat: _Chat, options: Options) -> str:
    """Why a message is left out; empty when it is kept."""
    kind = message.get("type", "message")
    if kind == "service":
        return f"service message ({word(message.get('action'))})"
    if kind != "message":
        return f"of the kind {word(kind)}"
    if chat.kind in _NO_TALK:
        return _NO_TALK[chat.kind]
    if chat.kind == "bot_chat" and not options.bots:
        return "in a chat with a bot"
    if "forwarded_from" in message or "forwarded_from_id" in message:
        return "forwarded"
    if "via_bot" in message:
        return "made by a bot"
    return ""


def _number(id_: Any) -> str:
    return str(id_) if isinstance(id_, int) else ""


def _peer(id_: Any) -> str:
    """ "user123", "chat123" or "channel123"; empty for none. Old exports have integers: a user's
    bare id, or in the bits above the 32nd 1 for users and 2 for everything else
    (`export_data_types.cpp`)."""
    if isinstance(id_, int):
        return f"{'channel' if id_ >> 32 == 2 else 'user'}{id_ & 0xFFFFFFFF}"
    return id_ if isinstance(id_, str) else ""


def _seconds(message: dict[str, Any], tally: Tally, zone: tzinfo | None) -> float | None:
    """Old exports have the exporter's own time and no zone. None when there is no time."""
    try:
        if "date_unixtime" in message:
            return float(int(message["date_unixtime"]))
        when = datetime.fromisoformat(message["date"])
        if zone is None:
            tally.note("Times have no zone and were taken as this machine's; --timezone says it.")
        return (when.replace(tzinfo=zone) if zone else when).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return None


def _text(message: dict[str, Any]) -> tuple[str, tuple[str, ...], bool]:
    """What is written, which parts of it are private, and whether quotes were left out."""
    parts = message.get("text_entities") or message.get("text")
    if isinstance(parts, str):
        return parts.strip(), (), False
    written, private, quoted = [], [], False
    for part in parts if isinstance(parts, list) else []:
        entity = {"text": part} if isinstance(part, str) else part if isinstance(part, dict) else {}
        if entity.get("type") == "blockquote":
            quoted = True
            continue
        written.append(text(entity, "text"))
        if entity.get("type") in _PRIVATE:
            private.append(text(entity, "text"))
    return "".join(written).strip(), tuple(private), quoted


def _placeholder(message: dict[str, Any]) -> str:
    if found := _MEDIA.get(text(message, "media_type")):
        return found
    for key, found in _OTHER.items():
        if message.get(key) is not None:
            return found
    if "file" not in message:
        return ""
    return "[picture]" if text(message, "mime_type").startswith("image/") else "[file]"


def _is_edited(message: dict[str, Any]) -> bool:
    """Old exports say that a message was edited in 1970 when it never was."""
    return bool(message.get("edited")) and not text(message, "edited").startswith(("1970", "1969"))
