"""What the fake Slack remembers: people, channels, messages, files. Knows no requests and no
sockets; what happens is told as events."""

from __future__ import annotations

import itertools
import mimetypes
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import fake_slack_text as text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

JSON = dict[str, Any]


class Refused(Exception):
    """Slack says no, with HTTP 200 and an error's code."""

    def __init__(self, code: str, **more: Any) -> None:
        super().__init__(code)
        self.body = {"ok": False, "error": code, **more}


@dataclass(eq=False, slots=True)
class Channel:
    id: str
    name: str
    kind: str
    """As events call it: channel, group, im or mpim."""
    members: list[str]
    archived: bool = False

    def json(self) -> JSON:
        about: JSON = {
            "id": self.id,
            "created": 1_700_000_000,
            "is_channel": self.kind == "channel",
            "is_group": self.kind == "group",
            "is_im": self.kind == "im",
            "is_mpim": self.kind == "mpim",
            "is_private": self.kind != "channel",
            "is_archived": self.archived,
        }
        if self.kind == "im":
            return {**about, "user": self.members[1], "is_user_deleted": False, "is_open": True}
        return {**about, "name": self.name, "name_normalized": self.name, "is_general": False}


@dataclass(eq=False, slots=True)
class File:
    id: str
    name: str
    user: str
    title: str = ""
    content: bytes | None = None
    """None until it is uploaded."""
    length: int = 0
    completed: bool = False
    unready: int = 0
    """How often a message that shows it is still refused: Slack takes a moment to look at it."""
    shares: list[tuple[str, str]] = field(default_factory=list)

    @property
    def is_picture(self) -> bool:
        """Whether a block can show it."""
        return mimetypes.guess_type(self.name)[0] in ("image/png", "image/jpeg", "image/gif")

    def json(self, base: str) -> JSON:
        mimetype = mimetypes.guess_type(self.name)[0] or "application/octet-stream"
        return {
            "id": self.id,
            "created": 1_700_000_000,
            "timestamp": 1_700_000_000,
            "name": self.name,
            "title": self.title or self.name,
            "mimetype": mimetype,
            "filetype": self.name.rpartition(".")[2] or "binary",
            "user": self.user,
            "mode": "hosted",
            "size": self.length,
            "is_external": False,
            "is_public": True,
            "url_private": f"{base}/files-pri/{self.id}/{self.name}",
            "url_private_download": f"{base}/files-pri/{self.id}/download/{self.name}",
            "permalink": f"{base}/files/{self.id}",
            "channels": [channel for channel, _ in self.shares],
        }


@dataclass(eq=False, slots=True)
class Post:
    """A message. `raw` is what histories show, metadata included."""

    channel: Channel
    raw: JSON
    versions: list[str] = field(default_factory=list)
    pings: list[str] = field(default_factory=list)
    """Everyone any version of it called."""
    streaming: bool = False

    @property
    def ts(self) -> str:
        return str(self.raw["ts"])

    @property
    def is_reply(self) -> bool:
        return str(self.raw.get("thread_ts", self.ts)) != self.ts


@dataclass(frozen=True, slots=True)
class Whisper:
    """A message that one person sees, and no history has."""

    channel: Channel
    user: str
    raw: JSON


class Team:
    """One workspace with one app in it."""

    def __init__(self, tell: Callable[[JSON], None]) -> None:
        self.id = "T0BOTDAEMON"
        self.app_id = "A0BOTDAEMON"
        self.bot_id = "B0BOTDAEMON"
        self.bot_user = "U0BOTDAEMON"
        self.base = ""
        self.users: dict[str, JSON] = {}
        self.channels: dict[str, Channel] = {}
        self.posts: dict[str, Post] = {}
        self.files: dict[str, File] = {}
        self.whispers: list[Whisper] = []
        self.statuses: list[tuple[str, str, str]] = []
        """Channel, thread and words of every status an assistant's thread was given."""
        self.unready = 1
        """`File.unready` of the next files that are uploaded."""
        self._tell = tell
        self._numbers = itertools.count(1)
        self._last = 0
        self._add_user(self.bot_user, "botdaemon", bot_id=self.bot_id)
        self.general = self.channel("general")

    def id_for(self, kind: str) -> str:
        return f"{kind}{next(self._numbers):010X}"

    def stamp(self) -> str:
        """The next ts: the time, and never the same twice."""
        self._last = max(self._last + 1, time.time_ns() // 1000)
        return f"{self._last // 1_000_000}.{self._last % 1_000_000:06d}"

    @property
    def names(self) -> dict[str, str]:
        return {id: str(user["name"]) for id, user in self.users.items()}

    @property
    def ids(self) -> dict[str, str]:
        return {name: id for id, name in self.names.items()}

    def user(self, who: str) -> str:
        """The id of a person, by id or name; made where there is none."""
        if who in self.users:
            return who
        return self.ids.get(who) or self._add_user(self.id_for("U"), who)

    def _add_user(self, id: str, name: str, *, bot_id: str = "") -> str:
        profile = {"real_name": name.capitalize(), "display_name": name, "team": self.id}
        if bot_id:
            profile |= {"bot_id": bot_id, "api_app_id": self.app_id}
        self.users[id] = {
            "id": id,
            "team_id": self.id,
            "name": name,
            "real_name": name.capitalize(),
            "deleted": False,
            "tz": "Europe/Berlin",
            "profile": profile,
            "is_bot": bool(bot_id),
            "is_app_user": False,
        }
        return id

    def channel(self, name: str, kind: str = "channel") -> Channel:
        """A channel by id or name, made with the bot in it where there is none. "@ann" is the
        bot's DM with ann."""
        if name in self.channels:
            return self.channels[name]
        if name.startswith("@"):
            return self.direct([self.user(name[1:])])
        for channel in self.channels.values():
            if channel.name == name.lstrip("#"):
                return channel
        channel = Channel(self.id_for("C"), name.lstrip("#"), kind, [self.bot_user])
        return self.channels.setdefault(channel.id, channel)

    def direct(self, users: list[str]) -> Channel:
        members = [self.bot_user, *users]
        for channel in self.channels.values():
            if channel.kind in ("im", "mpim") and set(channel.members) == set(members):
                return channel
        kind = "im" if len(users) == 1 else "mpim"
        id = self.id_for("D" if kind == "im" else "C")
        name = "" if kind == "im" else f"mpdm-{'--'.join(self.names[user] for user in users)}-1"
        return self.channels.setdefault(id, Channel(id, name, kind, members))

    def in_channel(self, channel: Channel) -> list[Post]:
        """Its messages, oldest first."""
        return [post for post in self.posts.values() if post.channel is channel]

    def replies(self, parent: Post) -> list[Post]:
        thread = (parent.channel, parent.ts)
        return [
            post
            for post in self.posts.values()
            if post.is_reply and (post.channel, post.raw["thread_ts"]) == thread
        ]

    def post(
        self, channel: Channel, raw: JSON, *, files: Iterable[File] = (), quiet: bool = False
    ) -> Post:
        """A message is there now."""
        message: JSON = {"type": "message", "ts": self.stamp(), "team": self.id, **raw}
        for file in files:
            file.shares.append((channel.id, message["ts"]))
            message.setdefault("files", []).append(file.json(self.base))
        parent = self.posts.get(message.get("thread_ts", ""))
        if parent:
            message["parent_user_id"] = parent.raw.get("user", "")
        post = self.posts[message["ts"]] = Post(channel, message)
        self.note(post)
        if not quiet:
            self._tell_posted(post)
        return post

    def whisper(self, channel: Channel, user: str, raw: JSON) -> str:
        ts = self.stamp()
        self.whispers.append(Whisper(channel, user, {"text": "", "ts": ts, **raw}))
        return ts

    def shown_file(self, id: str) -> bool:
        """Whether a block may show the file."""
        file = self.files.get(id)
        if not file or not file.completed or not file.is_picture:
            return False
        file.unready -= 1
        return file.unready < 0

    def note(self, post: Post) -> None:
        """A message looks different from before."""
        post.versions.append(self.read(post))
        post.pings += [whom for whom in text.pings(post.raw) if whom not in post.pings]

    def read(self, post: Post) -> str:
        return text.read(text.visible(post.raw), self.names)

    def _tell_posted(self, post: Post) -> None:
        event = {name: value for name, value in post.raw.items() if name != "metadata"}
        event |= {"channel": post.channel.id, "event_ts": post.ts}
        if "files" in event and "subtype" not in event:
            event["subtype"] = "file_share"
        if event.get("subtype") == "thread_broadcast" and event["thread_ts"] in self.posts:
            event["root"] = self.wire(self.posts[event["thread_ts"]])
        self._tell({**event, "channel_type": post.channel.kind})
        mentioned = f"<@{self.bot_user}" in str(event.get("text", ""))
        if mentioned and post.channel.kind != "im" and event.get("bot_id") != self.bot_id:
            event.pop("subtype", None)
            self._tell({**event, "type": "app_mention"})

    def change(self, post: Post, **raw: Any) -> None:
        """A message is edited."""
        before = self.wire(post)
        post.raw |= raw
        self.note(post)
        self._tell_changed(post, "message_changed", previous_message=before)

    def delete(self, post: Post) -> None:
        """A message is gone. One with replies leaves a tombstone, as long as they are there."""
        before = self.wire(post)
        if self.replies(post):
            gone = {"subtype": "tombstone", "text": "This message was deleted.", "hidden": True}
            kept = {name: post.raw[name] for name in ("type", "ts")}
            post.raw = {**kept, **gone, "user": "USLACKBOT", "thread_ts": post.ts}
            self.note(post)
            self._tell_changed(post, "message_changed", previous_message=before)
        else:
            del self.posts[post.ts]
            self._tell_changed(post, "message_deleted", deleted_ts=post.ts, previous_message=before)

    def _tell_changed(self, post: Post, subtype: str, **more: Any) -> None:
        now = self.stamp()
        event = {"type": "message", "subtype": subtype, "hidden": True, "ts": now, **more}
        if subtype == "message_changed":
            event["message"] = self.wire(post)
        event |= {"channel": post.channel.id, "event_ts": now, "channel_type": post.channel.kind}
        self._tell(event)

    def react(self, post: Post, user: str, name: str, *, added: bool) -> None:
        """A reaction comes or goes; refused where it is there or gone already."""
        reactions: list[JSON] = post.raw.setdefault("reactions", [])
        found = next((each for each in reactions if each["name"] == name), None)
        if added:
            if found and user in found["users"]:
                raise Refused("already_reacted")
            if not found:
                found = {"name": name, "users": [], "count": 0}
                reactions.append(found)
            found["users"].append(user)
        else:
            if not found or user not in found["users"]:
                raise Refused("no_reaction")
            found["users"].remove(user)
        found["count"] = len(found["users"])
        post.raw["reactions"] = [each for each in reactions if each["users"]]
        self._tell(
            {
                "type": "reaction_added" if added else "reaction_removed",
                "user": user,
                "reaction": name,
                "item_user": post.raw.get("user", ""),
                "item": {"type": "message", "channel": post.channel.id, "ts": post.ts},
                "event_ts": self.stamp(),
            }
        )

    def join(self, channel: Channel, user: str) -> None:
        channel.members.append(user)
        raw = {"subtype": "channel_join", "user": user, "text": f"<@{user}> has joined the channel"}
        post = self.post(channel, raw)
        joined = {"type": "member_joined_channel", "user": user, "channel": channel.id}
        kind = "C" if channel.kind == "channel" else "G"
        self._tell({**joined, "channel_type": kind, "team": self.id, "event_ts": post.ts})

    def wire(self, post: Post, *, metadata: bool = False) -> JSON:
        """A message as histories show it."""
        raw = {name: value for name, value in post.raw.items() if name != "metadata" or metadata}
        replies = [] if post.is_reply else self.replies(post)
        if replies:
            users = list(dict.fromkeys(reply.raw.get("user", "") for reply in replies))
            raw |= {
                "thread_ts": post.ts,
                "reply_count": len(replies),
                "reply_users_count": len(users),
                "latest_reply": replies[-1].ts,
                "reply_users": users[:5],
                "is_locked": False,
                "subscribed": True,
            }
        return raw
