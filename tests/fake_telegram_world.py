"""What the fake Telegram consists of: people, chats, messages, files. Knows no requests."""

from __future__ import annotations

import itertools
import mimetypes
import struct
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fake_telegram_text import Marked

Json = dict[str, Any]


class Refused(Exception):
    """What a method says instead of a result."""

    def __init__(self, code: int, description: str, **parameters: Any) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.parameters = parameters


@dataclass(slots=True)
class Person:
    """An account: a person's, the bot's, or another bot's."""

    id: int
    name: str
    is_bot: bool = False
    started: bool = False
    """Whether the bot may write to this person: only who wrote first can be written to."""

    def json(self) -> Json:
        username = self.name if self.is_bot else f"{self.name}_tg"
        user = {"id": self.id, "is_bot": self.is_bot, "first_name": self.name}
        return user | {"username": username} | ({} if self.is_bot else {"language_code": "en"})


@dataclass(slots=True)
class File:
    """A file that was sent. It can be sent again and downloaded by its id."""

    id: str
    name: str
    data: bytes
    path: str

    def json(self) -> Json:
        unique = f"AQAD{self.id[-8:]}"
        return {"file_id": self.id, "file_unique_id": unique, "file_size": len(self.data)}


@dataclass(slots=True)
class Kept:
    """A message as the platform keeps it."""

    chat: Chat
    raw: Json
    """As a bot is told of it."""
    versions: list[str]
    files: list[File] = field(default_factory=list)
    gone: bool = False
    thread: int = 0
    """The topic it is in; 0 where there is none, and in General."""
    answers: int = 0
    """The message it was said to be an answer to."""
    reactions: dict[str, list[str]] = field(default_factory=dict)

    @property
    def number(self) -> int:
        return int(self.raw["message_id"])

    @property
    def id(self) -> str:
        """Numbers alone are not unique: every supergroup counts for itself."""
        return f"{self.chat.id}/{self.number}"

    @property
    def text(self) -> str:
        return str(self.raw.get("text", self.raw.get("caption", "")))


@dataclass(slots=True)
class Chat:
    """A private chat, a group, a supergroup or a channel."""

    id: int
    name: str
    kind: str
    numbers: Iterator[int]
    person: Person | None = None
    forum: bool = False
    topics: dict[int, str] = field(default_factory=dict)
    messages: dict[int, Kept] = field(default_factory=dict)
    status: str = "member"
    """Of the bot: member, administrator or kicked, which in a private chat is blocked."""
    migrated_to: int = 0
    forbidden: set[str] = field(default_factory=set)
    """What members may not send there: "photos", "documents", "voice notes"."""

    def json(self) -> Json:
        if self.person is not None:
            user = self.person.json()
            names = {"first_name": user["first_name"], "username": user["username"]}
            return {"id": self.id, **names, "type": "private"}
        forum = {"is_forum": True} if self.forum else {}
        return {"id": self.id, "title": self.name, **forum, "type": self.kind}

    def topic_name(self, thread: int) -> str:
        return self.topics.get(thread, "")


class World:
    """Everybody and everything."""

    def __init__(self, bot: Person) -> None:
        self.bot = bot
        self.people: dict[str, Person] = {bot.name: bot}
        self.chats: dict[int, Chat] = {}
        self.files: dict[str, File] = {}
        self._people_ids = itertools.count(5_100_000_001, 7)
        self._chat_ids = itertools.count(1_900_000_001, 13)
        self._file_ids = itertools.count(1)
        # Private chats and basic groups count together, as the account's own mailbox does.
        self._mailbox = itertools.count(1)

    def person(self, name: str, *, is_bot: bool = False) -> Person:
        if name not in self.people:
            self.people[name] = Person(next(self._people_ids), name, is_bot)
        return self.people[name]

    def make(self, name: str, kind: str = "supergroup", *, forum: bool = False) -> Chat:
        """A chat that was there before. `@ann` is the private chat with ann."""
        if name.startswith("@"):
            person = self.person(name[1:])
            chat = Chat(person.id, name, "private", self._mailbox, person, forum)
        elif kind == "group":
            chat = Chat(-next(self._chat_ids), name, kind, self._mailbox)
        else:
            # Supergroups and channels are the ones whose ids begin with -100.
            id = -1_000_000_000_000 - next(self._chat_ids)
            chat = Chat(id, name, kind, itertools.count(1), None, forum)
            if forum:
                next(chat.numbers)  # the number of General, which was there first
        self.chats[chat.id] = chat
        return chat

    def chat(self, name: str) -> Chat:
        """By its name or its id; one that has moved is found where it is now."""
        for chat in self.chats.values():
            if name == str(chat.id) or (name == chat.name and not chat.migrated_to):
                return chat
        raise KeyError(name)

    def find(self, id: str, channel: str = "") -> Kept:
        """A message by what `say` returned, or by its number in a channel."""
        chat, _, number = id.rpartition("/")
        return self.chat(chat or channel).messages[int(number)]

    def open_topic(self, chat: Chat, name: str, by: Person) -> Kept:
        """A topic is known by the number of the notice that opened it."""
        notice = {"forum_topic_created": {"name": name, "icon_color": 7322096}}
        opened = self.keep(chat, by, notice)
        opened.thread = opened.number
        opened.raw |= {"message_thread_id": opened.number, "is_topic_message": True}
        chat.topics[opened.number] = name
        return opened

    def keep(
        self,
        chat: Chat,
        by: Person,
        content: Json,
        *,
        thread: int = 0,
        answers: Kept | None = None,
        files: list[File] | None = None,
    ) -> Kept:
        """A message joins a chat."""
        raw: Json = {"message_id": next(chat.numbers)}
        if chat.kind == "channel":
            raw["sender_chat"] = chat.json()
        else:
            raw["from"] = by.json()
        raw |= {"chat": chat.json(), "date": int(time.time())}
        if answers is not None and answers.thread:
            thread = answers.thread
        if thread:
            raw |= {"message_thread_id": thread, "is_topic_message": True}
        if answers is not None:
            if not thread and chat.kind == "supergroup":
                # A chain of answers has a thread id as well, and is not a topic.
                root = answers.raw.get("message_thread_id", answers.number)
                raw["message_thread_id"] = root
            raw["reply_to_message"] = _quoted(answers)
        elif thread and thread in chat.messages:
            # What is said in a topic "answers" the notice that opened it.
            raw["reply_to_message"] = _quoted(chat.messages[thread])
        kept = Kept(chat, raw | content, [], files or [], False, thread)
        kept.answers = answers.number if answers is not None else 0
        kept.versions.append(kept.text)
        chat.messages[kept.number] = kept
        return kept

    def rewrite(self, kept: Kept, content: Json, files: list[File] | None = None) -> None:
        """A message says something else now, perhaps with other files."""
        old = {"text", "caption", "entities", "caption_entities", "link_preview_options"}
        if files is not None:
            old |= {"photo", "document", "has_media_spoiler"}
            kept.files = files
        for key in old:
            kept.raw.pop(key, None)
        kept.raw |= content
        kept.raw["edit_date"] = int(time.time())
        kept.versions.append(kept.text)

    def said(self, marked: Marked, *, caption: bool) -> Json:
        """Text as a message carries it. Who is mentioned by id is named, or not mentioned."""
        known = {person.id: person.json() for person in self.people.values()}
        entities = [
            entity | ({"user": known[entity["user"]["id"]]} if "user" in entity else {})
            for entity in marked.entities
            if "user" not in entity or entity["user"]["id"] in known
        ]
        text, about = ("caption", "caption_entities") if caption else ("text", "entities")
        content: Json = {} if caption and not marked.text else {text: marked.text}
        return content | ({about: entities} if entities else {})

    def store(self, name: str, data: bytes, folder: str) -> File:
        number = next(self._file_ids)
        ending = f".{name.rpartition('.')[2]}" if "." in name else ""
        id = f"BQACAgIAAxk{number:08}"
        self.files[id] = File(id, name, data, f"{folder}/file_{number}{ending}")
        return self.files[id]

    def media(self, name: str, data: bytes, kind: str) -> tuple[Json, File]:
        """What a message says of a file it carries."""
        if kind == "photo":
            width, height = size_of(data)
            small = self.store(name, data, "thumbnails")
            large = self.store(name, data, "photos")
            sizes = [
                small.json() | {"width": 90, "height": max(1, 90 * height // width)},
                large.json() | {"width": width, "height": height},
            ]
            return {"photo": sizes}, large
        if kind == "voice" and is_voice(data):
            file = self.store(name, data, "voice")
            mime = "audio/ogg" if data.startswith(b"OggS") else "audio/mpeg"
            return {"voice": file.json() | {"duration": 0, "mime_type": mime}}, file
        file = self.store(name, data, "documents")
        mime = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return {"document": file.json() | {"file_name": name, "mime_type": mime}}, file


def is_picture(data: bytes) -> bool:
    return data.startswith((b"\x89PNG\r\n", b"\xff\xd8\xff", b"RIFF"))


def is_voice(data: bytes) -> bool:
    opus = data.startswith(b"OggS") and b"OpusHead" in data[:64]
    return opus or data.startswith((b"ID3", b"\xff\xfb")) or data[4:8] == b"ftyp"


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height; those of pictures other than PNG are made up."""
    if data.startswith(b"\x89PNG") and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return max(1, width), max(1, height)
    return 1280, 720


def _quoted(kept: Kept) -> Json:
    """A message as another one quotes it: without what it answers itself."""
    return {key: value for key, value in kept.raw.items() if key != "reply_to_message"}
