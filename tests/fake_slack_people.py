"""What people do in the fake Slack and what they see there. Knows no server."""

from __future__ import annotations

import copy
import time
import uuid
from typing import TYPE_CHECKING, Any

import fake_slack_text as text
from fake_faults import Fake, Faults, Shown
from fake_slack_blocks import pictures
from fake_slack_socket import SocketMode
from fake_slack_team import Channel, File, Post, Team
from fake_slack_urls import Urls
from fake_slack_web import Access
from fake_slack_windows import Window, Windows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fake_slack_team import JSON

# What must be granted for an event to be sent, by the name it is subscribed to with.
_EVENTS = {
    "message.channels": "channels:history",
    "message.groups": "groups:history",
    "message.im": "im:history",
    "message.mpim": "mpim:history",
    "app_mention": "app_mentions:read",
    "reaction_added": "reactions:read",
    "reaction_removed": "reactions:read",
    "member_joined_channel": "channels:read",
    "app_home_opened": "",
}
_MESSAGES = {"channel": "channels", "group": "groups", "im": "im", "mpim": "mpim"}
_NOTICES = ("channel_join",)


class People(Fake):
    """Everything but the server."""

    def __init__(self, faults: Faults) -> None:
        super().__init__(faults)
        self.port = 0
        self.events = set(_EVENTS)
        """What the app is subscribed to."""
        self.commands: set[str] | None = None
        """The slash commands there are, without the slash; None: whichever is asked for."""
        self.team = Team(self._tell)
        self.socket = SocketMode(self.team.app_id, self.changed, self.errors)
        self.windows = Windows()
        self.access = Access(self._connect_url, self.windows)
        self.urls = Urls(self.team, self.access)
        self._told: dict[str, list[JSON]] = {}

    async def say(
        self,
        said: str,
        *,
        channel: str = "general",
        who: str = "",
        topic: str = "",
        reply_to: str = "",
        files: Sequence[tuple[str, bytes]] = (),
        **platform: Any,
    ) -> str:
        """A person writes. `@botdaemon` and other names become mentions; `topic` is the ts of the
        thread, and whoever replies to a message writes into its thread."""
        room, user = self._room(channel, who)
        words = text.typed(said, self.team.ids)
        raw: JSON = {"client_msg_id": str(uuid.uuid4()), "user": user, "text": words}
        raw["blocks"] = text.rich(words)
        if reply_to:
            topic = str(self.team.posts[reply_to].raw.get("thread_ts", reply_to))
        if topic:
            raw["thread_ts"] = topic
        shared = [self._file(name, content, user) for name, content in files]
        if shared:
            raw |= {"upload": False, "display_as_bot": False}
        post = self.team.post(room, {**raw, **platform}, files=shared)
        self.changed()
        return post.ts

    async def edit(self, id: str, said: str, channel: str = "") -> None:
        post = self._post(id, channel)
        words, user = text.typed(said, self.team.ids), post.raw["user"]
        edited = {"user": user, "ts": self.team.stamp()}
        self.team.change(post, text=words, blocks=text.rich(words), edited=edited)
        self.changed()

    async def delete(self, id: str, channel: str = "") -> None:
        self.team.delete(self._post(id, channel))
        self.changed()

    async def react(
        self, id: str, emoji: str, *, who: str = "", channel: str = "", added: bool = True
    ) -> None:
        post = self._post(id, channel)
        self.team.react(
            post, self._room(post.channel.id, who)[1], text.emoji_name(emoji), added=added
        )
        self.changed()

    async def press(self, id: str, control: str, *, who: str = "", channel: str = "") -> bool:
        """A person presses a button, by its label or its action_id. Says whether the app
        acknowledged it; if not, Slack shows the person a warning sign."""
        whisper = next((each for each in self.team.whispers if each.raw["ts"] == id), None)
        if whisper:
            room, message = whisper.channel, whisper.raw
        else:
            post = self._post(id, channel)
            room, message = post.channel, self.team.wire(post, metadata=True)
        buttons = [
            (block["block_id"], button)
            for block, button in text.buttons(message)
            if control in (button["text"]["text"], button.get("action_id"))
        ]
        if not buttons:
            raise ValueError(f"message {id} has no button {control!r}: {message.get('blocks')}")
        block_id, button = buttons[0]
        _, user = self._room(room.id, who)
        container = {
            "type": "message",
            "message_ts": id,
            "channel_id": room.id,
            "is_ephemeral": whisper is not None,
        }
        if "thread_ts" in message:
            container["thread_ts"] = message["thread_ts"]
        pressed = {"block_id": block_id, "action_ts": self.team.stamp(), **button}
        payload: JSON = {
            "type": "block_actions",
            "user": {"id": user, "name": self.team.names[user], "username": self.team.names[user]},
            "api_app_id": self.team.app_id,
            "token": "unused",
            "container": container,
            "trigger_id": self.windows.trigger(user),
            "team": {"id": self.team.id, "domain": "fake"},
            "enterprise": None,
            "is_enterprise_install": False,
            "channel": {"id": room.id, "name": room.name or "directmessage"},
            "state": {"values": {}},
            "response_url": self.urls.response_url(room, user, "" if whisper else id),
            "actions": [pressed],
        }
        payload["user"]["team_id"] = self.team.id
        if not whisper:
            payload["message"] = message
        delivery = await self.socket.ask("interactive", payload, answered=False)
        self.changed()
        return delivery is not None

    def window(self, who: str = "ann") -> Window | None:
        """The window that is open before a person."""
        return self.windows.open.get(self.team.user(who))

    async def submit(self, written: str, *, who: str = "ann") -> bool:
        """A person writes into the first field of the window before them and submits it. Says
        whether the app acknowledged it; if not, Slack says so in the window, which stays."""
        user = self.team.user(who)
        window = self.windows.open[user]
        payload: JSON = {
            "type": "view_submission",
            "team": {"id": self.team.id, "domain": "fake"},
            "user": {"id": user, "name": self.team.names[user], "team_id": self.team.id},
            "api_app_id": self.team.app_id,
            "token": "unused",
            "trigger_id": self.windows.trigger(user),
            "view": window.written(written),
            "response_urls": [],
            "is_enterprise_install": False,
            "enterprise": None,
        }
        payload["user"]["username"] = self.team.names[user]
        delivery = await self.socket.ask("interactive", payload, answered=True)
        if delivery is not None:
            del self.windows.open[user]
        self.changed()
        return delivery is not None

    async def command(
        self, name: str, argument: str = "", *, who: str = "", channel: str = "general"
    ) -> None:
        """A person types a slash command. There are none in threads. One that nobody
        acknowledges in time ends with a word of Slackbot's to that person."""
        name = name.lstrip("/")
        room, user = self._room(channel, who)
        if self.commands is not None and name not in self.commands:
            self.team.whisper(room, user, {"text": f"/{name} is not a valid command."})
            return self.changed()
        payload = {
            "token": "unused",
            "team_id": self.team.id,
            "team_domain": "fake",
            "channel_id": room.id,
            "channel_name": room.name or "directmessage",
            "user_id": user,
            "user_name": self.team.names[user],
            "command": f"/{name}",
            "text": argument,
            "api_app_id": self.team.app_id,
            "is_enterprise_install": "false",
            "response_url": self.urls.response_url(room, user),
            "trigger_id": self.windows.trigger(user),
        }
        why = "operation_timeout" if self.socket.live else "dispatch_failed"
        delivery = await self.socket.ask("slash_commands", payload, answered=True)
        if delivery is None:
            failed = f'/{name} failed with the error "{why}"'
            self.team.whisper(room, user, {"text": failed, "user": "USLACKBOT"})
        elif delivery.answer:
            self.urls.respond(room, user, "", delivery.answer)
        return self.changed()

    async def join(self, who: str, channel: str) -> None:
        self.team.join(self.team.channel(channel), self.team.user(who))
        self.changed()

    async def open_home(self, who: str = "ann") -> None:
        room, user = self._room(f"@{who}", who)
        event = {"type": "app_home_opened", "user": user, "channel": room.id, "tab": "messages"}
        self._tell({**event, "event_ts": self.team.stamp()})

    # --- what people see --------------------------------------------------------------------------

    def shown(self, channel: str, topic: str | None = None) -> list[Shown]:
        """A conversation with its threads; with "" only its top level, with a ts that thread."""
        posts = self.team.in_channel(self.team.channel(channel))
        if topic == "":
            posts = [
                post
                for post in posts
                if not post.is_reply or post.raw.get("subtype") == "thread_broadcast"
            ]
        elif topic is not None:
            posts = [post for post in posts if topic in (post.ts, post.raw.get("thread_ts"))]
        return [self._shown(post) for post in posts if post.raw.get("subtype") not in _NOTICES]

    def answers_to(self, id: str) -> list[Shown]:
        """The app's messages in the thread of a message; where several questions share a thread
        or a DM, those that contain the question's text."""
        question = self.team.posts[id]
        root = str(question.raw.get("thread_ts", id))
        # In a DM answers may stand beside the question, too.
        beside = question.channel.kind == "im" and root == id
        around = [
            post
            for post in self.team.in_channel(question.channel)
            if root in (post.ts, post.raw.get("thread_ts"))
            or (beside and "thread_ts" not in post.raw)
        ]
        own = [post for post in around if self._is_own(post) and post.ts > id]
        if sum(not self._is_own(post) for post in around) > 1:
            asked = self.team.read(question)
            own = [post for post in own if asked in self.team.read(post)]
        return [self._shown(post) for post in own]

    @property
    def ephemerals(self) -> list[Shown]:
        """What single people were told; `raw` says in which `channel`, and which `user`."""
        return [
            Shown(
                id=whisper.raw["ts"],
                author=whisper.raw.get("user", self.team.names[self.team.bot_user]),
                text=(words := text.read(text.visible(whisper.raw), self.team.names)),
                versions=[words],
                buttons=[button["text"]["text"] for _, button in text.buttons(whisper.raw)],
                topic=whisper.raw.get("thread_ts", ""),
                raw={**whisper.raw, "channel": whisper.channel.id, "user": whisper.user},
            )
            for whisper in self.team.whispers
        ]

    @property
    def typing(self) -> list[tuple[str, str, str]]:
        """Channel, thread and words of the statuses shown in assistant threads."""
        return self.team.statuses

    def seen(self) -> str:
        last = list(self.team.posts.values())[-20:]
        posts = [f"{post.ts} {post.channel.name} {self.team.read(post)!r}" for post in last]
        sockets = f"{len(self.socket.live)} sockets, {len(self.socket.lost)} events lost"
        return "\n  ".join([super().seen(), f"{sockets}; the last messages are:", *posts])

    # --- inside -----------------------------------------------------------------------------------

    def _tell(self, event: JSON) -> None:
        """An event reaches the app where it is subscribed, allowed, and in the conversation."""
        channel = self.team.channels[event.get("channel") or event["item"]["channel"]]
        name = str(event["type"])
        if name == "message":
            name = f"message.{_MESSAGES[channel.kind]}"
        scope = _EVENTS[name]
        if name not in self.events or (scope and scope not in self.access.scopes):
            return
        if self.team.bot_user not in channel.members:
            return
        payload = self._payload(event)
        if "hidden" not in event and "ts" in event:
            self._told.setdefault(event["ts"], []).append(payload)
        self.socket.tell(payload)

    def _payload(self, event: JSON) -> JSON:
        bot = {"enterprise_id": None, "team_id": self.team.id, "user_id": self.team.bot_user}
        return {
            "token": "unused",
            "team_id": self.team.id,
            "api_app_id": self.team.app_id,
            "event": copy.deepcopy(event),
            "type": "event_callback",
            "event_id": self.team.id_for("Ev"),
            "event_time": int(time.time()),
            "authorizations": [{**bot, "is_bot": True, "is_enterprise_install": False}],
            "is_ext_shared_channel": False,
        }

    def _room(self, channel: str, who: str) -> tuple[Channel, str]:
        """A conversation and a person in it: ann, or whose DM with the bot it is."""
        room = self.team.channel(channel)
        user = self.team.user(who or (room.members[1] if room.kind == "im" else "ann"))
        if user not in room.members:
            if room.kind in ("im", "mpim"):
                raise ValueError(f"{who} is not in the conversation {channel}")
            room.members.append(user)
        return room, user

    def _post(self, id: str, channel: str) -> Post:
        post = self.team.posts[id]
        if channel and post.channel is not self.team.channel(channel):
            raise ValueError(f"message {id} is not in {channel}")
        return post

    def _file(self, name: str, content: bytes, user: str) -> File:
        file = File(self.team.id_for("F"), name, user, name, content, len(content), True)
        return self.team.files.setdefault(file.id, file)

    def _is_own(self, post: Post) -> bool:
        return post.raw.get("bot_id") == self.team.bot_id

    def _shown(self, post: Post) -> Shown:
        raw = {**self.team.wire(post, metadata=True), "channel": post.channel.id}
        author = raw.get("username") or self.team.names.get(raw.get("user", ""), "botdaemon")
        ids = [file["id"] for file in raw.get("files", ())]
        ids += [id for id, _ in pictures(raw.get("blocks", []))]
        files = [self.team.files[id] for id in ids if id in self.team.files]
        return Shown(
            id=post.ts,
            author=author,
            text=post.versions[-1],
            versions=list(post.versions),
            reply_to=raw["thread_ts"] if post.is_reply else "",
            files=[(file.name, file.content or b"") for file in files],
            buttons=[button["text"]["text"] for _, button in text.buttons(raw)],
            topic=raw["thread_ts"] if post.is_reply else "",
            raw={**raw, "pings": list(post.pings)},
        )

    def _connect_url(self) -> str:
        ticket = self.socket.ticket()
        return f"ws://127.0.0.1:{self.port}/link/?ticket={ticket}&app_id={self.team.app_id}"
