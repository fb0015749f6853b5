"""Messages and threads of the fake Discord: what makes, changes and ends them. Knows no HTTP."""

from __future__ import annotations

import hashlib
import mimetypes
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fake_discord_checks import (
    MAX_TEXT,
    REPLY,
    STARTER,
    SYSTEM,
    THREAD_CREATED,
    VOICE_MESSAGE,
    Files,
    check,
)
from fake_discord_nouns import (
    DM,
    FORUM,
    JSON,
    PUBLIC_THREAD,
    THREADS,
    Channel,
    Person,
    Post,
    Refusal,
    invalid,
    iso,
)

if TYPE_CHECKING:
    from fake_discord_gateway import Gateway
    from fake_discord_world import World


@dataclass(frozen=True, slots=True)
class Blob:
    """An uploaded file, as the CDN keeps it."""

    name: str
    data: bytes
    type: str
    url: str


class Messages:
    """Everything that happens to messages, with the events that tell of it."""

    def __init__(self, world: World, gateway: Gateway) -> None:
        self.nonce_memory = 180.0
        """For how many seconds a nonce is remembered."""
        self.blobs: dict[str, Blob] = {}
        self._world = world
        self._gateway = gateway
        self.answers: dict[str, list[tuple[Channel, Post]]] = {}
        """Ours, by what they answer: a message, an interaction, or a thread's first message."""
        self._nonces: dict[tuple[str, str], tuple[float, Post]] = {}

    # --- a message --------------------------------------------------------------------------------

    def create(
        self,
        channel: Channel,
        author: Person,
        payload: JSON,
        files: Files | None = None,
        *,
        type: int = 0,
        max_text: int = MAX_TEXT,
        more: JSON | None = None,
        blank: bool = False,
        quiet: bool = False,
    ) -> Post:
        """A new message. `more` are fields that only its kind has; one that Discord makes may be
        blank; a quiet one stands nowhere, and nobody is told."""
        known = self._by_nonce(author, payload)
        if known:
            return known
        if not blank:
            check(payload, files or {}, max_text=max_text)
        reference = self._reference(channel, payload)
        id = self._world.new_id()
        json: JSON = {
            "id": id,
            "channel_id": channel.id,
            "type": REPLY if reference and type == 0 else type,
            "content": (payload.get("content") or "").strip(),
            "author": author.user(),
            "timestamp": iso(time.time()),
            "edited_timestamp": None,
            "tts": bool(payload.get("tts")),
            "mention_everyone": False,
            "mentions": [],
            "mention_roles": [],
            "attachments": self._attach(channel, payload, files or {}),
            "embeds": payload.get("embeds") or [],
            "components": numbered(payload.get("components") or []),
            "pinned": False,
            "flags": payload.get("flags") or 0,
            **(more or {}),
        }
        if reference:
            json["message_reference"] = reference
        if payload.get("nonce") is not None:
            json["nonce"] = payload["nonce"]
        post = Post(json, [json["content"]])
        self._mention(channel, author, post, payload.get("allowed_mentions"))
        if payload.get("nonce") is not None:
            self._nonces[author.id, str(payload["nonce"])] = time.monotonic(), post
        self._note_answer(channel, post)
        if not quiet:
            self.publish(channel, author, post)
        return post

    def _note_answer(self, channel: Channel, post: Post) -> None:
        world, data = self._world, post.json
        ours = world.bot.id == data["author"]["id"] or world.app_id == data.get("application_id")
        if ours and data["type"] not in SYSTEM:
            to = {
                data.get("message_reference", {}).get("message_id"),
                data.get("interaction_metadata", {}).get("id"),
                channel.id,
            }
            for id in to - {None}:
                self.answers.setdefault(id, []).append((channel, post))

    def publish(self, channel: Channel, author: Person, post: Post) -> None:
        """It stands in its channel now, and everybody is told."""
        channel.posts[post.id] = post
        channel.last_message_id = post.id
        if channel.type in THREADS:
            post.json["position"] = channel.sent
            channel.sent += 1
            if author.id not in channel.members and not post.json.get("webhook_id"):
                channel.members.append(author.id)
            if channel.archived:
                channel.archived = False
                self.changed(channel)
        self._gateway.message("MESSAGE_CREATE", channel, post)

    def edit(self, channel: Channel, post: Post, payload: JSON, files: Files | None = None) -> Post:
        """What is not named stays. An edit notifies nobody."""
        old = post.json["attachments"]
        if "attachments" in payload:
            kept = {str(given.get("id")) for given in payload["attachments"] or []}
            old = [attachment for attachment in old if attachment["id"] in kept]
        changes = {
            key: EMPTY[key] if payload[key] is None else payload[key]
            for key in EMPTY.keys() & payload.keys()
        }
        allowed = payload.get("allowed_mentions")
        checked = {**post.json, **changes, "allowed_mentions": allowed}
        check(checked, files or {}, kept=len(old))
        post.json |= changes | {"attachments": old + self._attach(channel, payload, files or {})}
        if "components" in changes:
            post.json["components"] = numbered(post.json["components"])
        if "content" in changes:
            post.json["content"] = post.json["content"].strip()
            if post.json["content"] != post.versions[-1]:
                post.versions.append(post.json["content"])
            pinged = post.pings
            author = self._world.people.get(post.json["author"]["id"], self._world.bot)
            self._mention(channel, author, post, allowed)
            post.pings = pinged
        if payload.keys() - {"flags", "allowed_mentions"}:
            post.json["edited_timestamp"] = iso(time.time())
        if post.id in channel.posts:
            self._gateway.message("MESSAGE_UPDATE", channel, post)
        return post

    def delete(self, channel: Channel, *posts: Post) -> None:
        for post in posts:
            channel.posts.pop(post.id, None)
        base: JSON = {"channel_id": channel.id}
        if len(posts) == 1:
            self._gateway.about("MESSAGE_DELETE", channel, base | {"id": posts[0].id})
        else:
            ids = [post.id for post in posts]
            self._gateway.about("MESSAGE_DELETE_BULK", channel, base | {"ids": ids})

    def react(
        self, channel: Channel, post: Post, person: Person, emoji: str, *, added: bool
    ) -> None:
        who = post.reactions.setdefault(emoji, [])
        if (person.id in who) is added:
            return
        if added:
            who.append(person.id)
        else:
            who.remove(person.id)
        if not who:
            del post.reactions[emoji]
        data: JSON = {
            "user_id": person.id,
            "channel_id": channel.id,
            "message_id": post.id,
            "emoji": {"id": None, "name": emoji},
            "burst": False,
            "type": 0,
        }
        if added:
            data["message_author_id"] = post.json["author"]["id"]
            if channel.type != DM:
                data["member"] = person.member() | {"user": person.user()}
        event = "MESSAGE_REACTION_ADD" if added else "MESSAGE_REACTION_REMOVE"
        self._gateway.about(event, channel, data, "MESSAGE_REACTIONS")

    # --- threads ----------------------------------------------------------------------------------

    def start_thread(
        self, channel: Channel, author: Person, payload: JSON, starter: Post | None = None
    ) -> Channel:
        """In a text channel, from a message or without; its id is then the message's."""
        name = str(payload.get("name") or "")
        if not 1 <= len(name) <= 100:
            raise invalid("name", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length.")
        duration = payload.get("auto_archive_duration") or 1440
        if duration not in (60, 1440, 4320, 10080):
            raise invalid("auto_archive_duration", "BASE_TYPE_CHOICES", "Value must be one of them")
        if starter is not None and starter.id in self._world.channels:
            raise Refusal(400, 160004, "A thread has already been created for this message")
        type = payload.get("type") or PUBLIC_THREAD
        if starter is not None or channel.type == FORUM:
            type = PUBLIC_THREAD
        thread = Channel(
            starter.id if starter else self._world.new_id(),
            type,
            name,
            parent=channel.id,
            owner=author.id,
            members=[author.id],
            auto_archive=duration,
        )
        self._world.channels[thread.id] = thread
        data = self._world.channel_json(thread) | {"newly_created": True}
        if self._world.readable(thread):
            self._gateway.dispatch("THREAD_CREATE", data, "GUILDS")
        self._announce(channel, author, thread, starter)
        return thread

    def _announce(
        self, channel: Channel, author: Person, thread: Channel, starter: Post | None
    ) -> None:
        """The system messages that come with a thread."""
        reference = {"channel_id": channel.id, "guild_id": self._world.guild_id}
        if starter is not None:
            reference["message_id"] = starter.id
            more: JSON = {"message_reference": {"type": 0, **reference}}
            self._system(thread, author, STARTER, "", more)
            self._gateway.message("MESSAGE_UPDATE", channel, starter)
        elif channel.type != FORUM and thread.type == PUBLIC_THREAD:
            reference["channel_id"] = thread.id
            more = {"message_reference": {"type": 0, **reference}}
            self._system(channel, author, THREAD_CREATED, thread.name, more)

    def _system(self, channel: Channel, author: Person, type: int, text: str, more: JSON) -> None:
        payload = {"content": text, "allowed_mentions": {"parse": []}}
        self.create(channel, author, payload, type=type, more=more, blank=True)
        if channel.type in THREADS:
            channel.sent -= 1  # the starter does not count

    def changed(self, channel: Channel) -> None:
        """A channel or thread is not what it was."""
        event = "THREAD_UPDATE" if channel.type in THREADS else "CHANNEL_UPDATE"
        data = self._world.channel_json(channel)
        self._gateway.dispatch(event, data, "GUILDS")

    # --- parts ------------------------------------------------------------------------------------

    def _by_nonce(self, author: Person, payload: JSON) -> Post | None:
        nonce = payload.get("nonce")
        if nonce is None:
            return None
        if len(str(nonce)) > 25:
            raise invalid("nonce", "NONCE_TYPE_TOO_LONG", "Nonce must be 25 or fewer in length.")
        at, post = self._nonces.get((author.id, str(nonce)), (0.0, None))
        if payload.get("enforce_nonce") and time.monotonic() - at < self.nonce_memory:
            return post
        return None

    def _reference(self, channel: Channel, payload: JSON) -> JSON | None:
        """What it answers, or None. To answer what is gone must have been allowed."""
        given = payload.get("message_reference")
        if not given:
            return None
        post = channel.posts.get(str(given.get("message_id")))
        there = str(given.get("channel_id") or channel.id)
        if post is None or there != channel.id:
            if given.get("fail_if_not_exists", True):
                raise invalid("message_reference", "REPLIES_UNKNOWN_MESSAGE", "Unknown message")
            return None
        if post.json["type"] in SYSTEM:
            raise invalid(
                "message_reference",
                "REPLIES_CANNOT_REPLY_TO_SYSTEM_MESSAGE",
                "Cannot reply to a system message",
            )
        reference: JSON = {"type": 0, "message_id": post.id, "channel_id": channel.id}
        if channel.type != DM:
            reference["guild_id"] = self._world.guild_id
        return reference

    def _mention(self, channel: Channel, author: Person, post: Post, allowed: JSON | None) -> None:
        """Who is named in it, and whom that notifies."""
        world = self._world
        pinged = world.pings(post.json["content"], author, channel, allowed)
        reference = post.json.get("message_reference")
        answered = channel.posts.get(reference.get("message_id", "")) if reference else None
        if answered and (allowed is None or allowed.get("replied_user")):
            to = answered.json["author"]["id"]
            if to in world.people and to not in pinged.users:
                pinged.users.append(to)
        post.json["mentions"] = [world.people[id].user() for id in pinged.users]
        post.json["mention_roles"] = pinged.roles
        post.json["mention_everyone"] = bool(pinged.all)
        post.pings = [
            *(world.people[id].name for id in pinged.users if id != author.id),
            *(world.roles[id]["name"] for id in pinged.roles),
            *pinged.all,
        ]

    def _attach(self, channel: Channel, payload: JSON, files: Files) -> list[JSON]:
        described = {str(given.get("id")): given for given in payload.get("attachments") or []}
        attachments = []
        for number, (filename, data, _) in files.items():
            given = described.get(str(number), {})
            id = self._world.new_id()
            # As Discord does, so that a name can stand in a URL.
            name = re.sub(r"[^\w.\-]", "_", given.get("filename") or filename)
            type = mimetypes.guess_type(name)[0] or "application/octet-stream"
            path = f"/attachments/{channel.id}/{id}/{name}"
            signature = hashlib.sha256(path.encode()).hexdigest()
            until = f"{int(time.time()) + 86_400:x}"
            url = f"https://cdn.discordapp.com{path}?ex={until}&is={until}&hm={signature}&"
            self.blobs[id] = Blob(name, data, type, url)
            attachment: JSON = {
                "id": id,
                "filename": name,
                "size": len(data),
                "url": url,
                "proxy_url": url.replace("cdn.discordapp.com", "media.discordapp.net"),
                "content_type": "text/plain; charset=utf-8" if type == "text/plain" else type,
                "content_scan_version": 0,
            }
            if given.get("description"):
                attachment["description"] = given["description"]
            if (payload.get("flags") or 0) & VOICE_MESSAGE:
                attachment |= {key: given[key] for key in ("duration_secs", "waveform")}
            attachments.append(attachment)
        return attachments


EMPTY: JSON = {"content": "", "embeds": [], "components": [], "flags": 0}


def numbered(components: list[JSON]) -> list[JSON]:
    """Components as they come back, each with an id."""
    count = 0

    def number(part: JSON) -> JSON:
        nonlocal count
        count += 1
        known: JSON = {"id": count, **part}
        if "components" in known:
            known["components"] = [number(inside) for inside in known["components"]]
        return known

    return [number(part) for part in components]


def buttons(components: list[Any]) -> list[JSON]:
    """All buttons among components, however deep."""
    found = []
    for part in components:
        if part.get("type") == 2:
            found.append(part)
        found.extend(buttons(part.get("components", [])))
    return found
