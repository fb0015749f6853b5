"""What the fake Discord is made of: ids, accounts, channels, messages, refusals. Knows no rules."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

JSON = dict[str, Any]

EPOCH_MS = 1_420_070_400_000

TEXT, DM, CATEGORY, PUBLIC_THREAD, PRIVATE_THREAD, FORUM = 0, 1, 4, 11, 12, 15
THREADS = (PUBLIC_THREAD, PRIVATE_THREAD)

PERMISSIONS = {
    "ADMINISTRATOR": 1 << 3,
    "MANAGE_CHANNELS": 1 << 4,
    "ADD_REACTIONS": 1 << 6,
    "VIEW_CHANNEL": 1 << 10,
    "SEND_MESSAGES": 1 << 11,
    "MANAGE_MESSAGES": 1 << 13,
    "EMBED_LINKS": 1 << 14,
    "ATTACH_FILES": 1 << 15,
    "READ_MESSAGE_HISTORY": 1 << 16,
    "MENTION_EVERYONE": 1 << 17,
    "MANAGE_WEBHOOKS": 1 << 29,
    "USE_APPLICATION_COMMANDS": 1 << 31,
    "MANAGE_THREADS": 1 << 34,
    "CREATE_PUBLIC_THREADS": 1 << 35,
    "CREATE_PRIVATE_THREADS": 1 << 36,
    "SEND_MESSAGES_IN_THREADS": 1 << 38,
    "SEND_VOICE_MESSAGES": 1 << 46,
}
# What a bot needs that answers, threads, uploads and bridges; no more was granted.
GRANTED = sum(
    PERMISSIONS[name]
    for name in (
        "ADD_REACTIONS",
        "VIEW_CHANNEL",
        "SEND_MESSAGES",
        "EMBED_LINKS",
        "ATTACH_FILES",
        "SEND_VOICE_MESSAGES",
        "READ_MESSAGE_HISTORY",
        "MANAGE_WEBHOOKS",
        "USE_APPLICATION_COMMANDS",
        "CREATE_PUBLIC_THREADS",
        "SEND_MESSAGES_IN_THREADS",
    )
)
# @everyone may do everything that a person does who talks, mentioning everyone included.
EVERYONE = GRANTED - PERMISSIONS["MANAGE_WEBHOOKS"] + PERMISSIONS["MENTION_EVERYONE"]


class Refusal(Exception):
    """An error in the platform's own form."""

    def __init__(self, status: int, code: int, message: str, errors: JSON | None = None) -> None:
        super().__init__(f"{status} {code} {message}")
        self.status = status
        self.body: JSON = {"message": message, "code": code}
        if errors is not None:
            self.body["errors"] = errors


def invalid(field_name: str, code: str, message: str) -> Refusal:
    """400 with the name of the field that is wrong."""
    errors: JSON = {"_errors": [{"code": code, "message": message}]}
    for part in reversed(field_name.split(".")):
        errors = {part: errors}
    return Refusal(400, 50035, "Invalid Form Body", errors)


def missing_access() -> Refusal:
    return Refusal(403, 50001, "Missing Access")


def missing_permissions() -> Refusal:
    return Refusal(403, 50013, "Missing Permissions")


def unknown(what: str) -> Refusal:
    codes = {
        "Channel": 10003,
        "Guild": 10004,
        "Member": 10007,
        "Message": 10008,
        "User": 10013,
        "Emoji": 10014,
        "Webhook": 10015,
        "interaction": 10062,
        "application command": 10063,
    }
    return Refusal(404, codes[what], f"Unknown {what}")


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


class Snowflakes:
    """Ids with the time in them, each larger than the one before."""

    def __init__(self) -> None:
        self._last = 0

    def __call__(self, at: float | None = None) -> str:
        milliseconds = int((time.time() if at is None else at) * 1000) - EPOCH_MS
        self._last = max(self._last + 1, milliseconds << 22)
        return str(self._last)


@dataclass(slots=True)
class Person:
    """An account. Webhooks and bots of others are accounts, too."""

    id: str
    name: str
    bot: bool = False
    roles: list[str] = field(default_factory=list)

    def user(self) -> JSON:
        return {
            "id": self.id,
            "username": self.name,
            "global_name": None if self.bot else self.name.capitalize(),
            "discriminator": "4242" if self.bot else "0",
            "avatar": None,
            "bot": self.bot,
            "public_flags": 0,
        }

    def member(self) -> JSON:
        return {
            "nick": None,
            "avatar": None,
            "roles": list(self.roles),
            "joined_at": iso(1_700_000_000),
            "premium_since": None,
            "deaf": False,
            "mute": False,
            "pending": False,
            "flags": 0,
            "communication_disabled_until": None,
        }


@dataclass(slots=True)
class Post:
    """A message: its JSON without what depends on who looks, and what it has been."""

    json: JSON
    versions: list[str]
    pings: list[str] = field(default_factory=list)
    """Who was notified: names of people and roles, "everyone", "here"."""
    reactions: dict[str, list[str]] = field(default_factory=dict)
    """Who reacted, by emoji."""

    @property
    def id(self) -> str:
        return str(self.json["id"])


@dataclass(slots=True)
class Channel:
    """A text channel, a forum, a thread or a DM."""

    id: str
    type: int
    name: str = ""
    parent: str = ""
    """The channel a thread is in."""
    owner: str = ""
    recipient: str = ""
    made_at: float = field(default_factory=time.time)
    last_message_id: str | None = None
    archived: bool = False
    locked: bool = False
    auto_archive: int = 1440
    members: list[str] = field(default_factory=list)
    """Who joined the thread."""
    overwrites: dict[str, list[int]] = field(default_factory=dict)
    """Of a role or a person: what is allowed, what is denied."""
    posts: dict[str, Post] = field(default_factory=dict)
    sent: int = 0


@dataclass(slots=True)
class Pinged:
    """Who is notified by a text."""

    users: list[str] = field(default_factory=list)
    roles: list[str] = field(default_factory=list)
    all: list[str] = field(default_factory=list)


def role(id: str, name: str, permissions: int, position: int) -> JSON:
    return {
        "id": id,
        "name": name,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "icon": None,
        "unicode_emoji": None,
        "position": position,
        "permissions": str(permissions),
        "managed": False,
        "mentionable": False,
        "flags": 0,
    }


def thread_member(thread: Channel, person: str) -> JSON:
    return {
        "id": thread.id,
        "user_id": person,
        "join_timestamp": iso(thread.made_at),
        "flags": 0,
    }
