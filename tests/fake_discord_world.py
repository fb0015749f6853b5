"""The server of the fake Discord: who may what, and how things look. Knows no sockets."""

from __future__ import annotations

import re
from typing import Any

from fake_discord_nouns import (
    DM,
    EVERYONE,
    FORUM,
    GRANTED,
    JSON,
    PERMISSIONS,
    TEXT,
    THREADS,
    Channel,
    Person,
    Pinged,
    Post,
    Snowflakes,
    iso,
    role,
    thread_member,
    unknown,
)


class World:
    """One server with its channels and the people in it."""

    def __init__(self) -> None:
        self.new_id = Snowflakes()
        born = 1_700_000_000
        self.guild_id = self.new_id(born)
        self.guild_name = "The House"
        self.app_id = self.new_id(born)
        self.bot = Person(self.new_id(born), "botdaemon", bot=True)
        self.bot_role = self.new_id(born)
        self.bot.roles.append(self.bot_role)
        self.people: dict[str, Person] = {self.bot.id: self.bot}
        self.roles: dict[str, JSON] = {
            self.guild_id: role(self.guild_id, "@everyone", EVERYONE, 0),
            self.bot_role: role(self.bot_role, self.bot.name, GRANTED, 1)
            | {"managed": True, "tags": {"bot_id": self.bot.id}},
        }
        self.owner = self.person("owner")
        self.channels: dict[str, Channel] = {}
        self.in_guild = True
        self.available = True
        """False during an outage of the server."""
        self.content_in_portal = True
        self.add_channel("general")

    # --- people and permissions -------------------------------------------------------------------

    def person(self, who: str, *, bot: bool = False) -> Person:
        """Somebody by name or id, made on the fly."""
        for person in self.people.values():
            if who in (person.name, person.id):
                return person
        person = Person(self.new_id(), who, bot=bot)
        self.people[person.id] = person
        return person

    def may(self, channel: Channel, permission: str, person: Person | None = None) -> bool:
        return bool(self.permissions(channel, person) & PERMISSIONS[permission])

    def permissions(self, channel: Channel | None, person: Person | None = None) -> int:
        """Added up as Discord does: roles, then overwrites. A thread has its parent's."""
        person = person or self.bot
        if channel and channel.type == DM:
            return EVERYONE
        granted = int(self.roles[self.guild_id]["permissions"])
        for role_id in person.roles:
            granted |= int(self.roles[role_id]["permissions"])
        if granted & PERMISSIONS["ADMINISTRATOR"]:
            return sum(PERMISSIONS.values())
        if channel:
            overwrites = self.channels.get(channel.parent, channel).overwrites
            for holder in (self.guild_id, *person.roles, person.id):
                allowed, denied = overwrites.get(holder, (0, 0))
                granted = granted & ~denied | allowed
        return granted

    def readable(self, channel: Channel) -> bool:
        if channel.type == DM:
            return True
        return self.in_guild and self.may(channel, "VIEW_CHANNEL")

    # --- channels ---------------------------------------------------------------------------------

    def add_channel(self, name: str, type: int = TEXT, **more: Any) -> Channel:
        channel = Channel(self.new_id(), type, name, **more)
        self.channels[channel.id] = channel
        return channel

    def direct(self, person: Person) -> Channel:
        """The DM of our account with somebody."""
        for channel in self.channels.values():
            if channel.type == DM and channel.recipient == person.id:
                return channel
        return self.add_channel(person.name, DM, recipient=person.id)

    def find(self, channel: str, kind: tuple[int, ...] = ()) -> Channel | None:
        """A channel by id, or by name with or without its #."""
        if channel in self.channels:
            return self.channels[channel]
        for found in self.channels.values():
            if found.name == channel.removeprefix("#") and found.type in (kind or (TEXT, FORUM)):
                return found
        return None

    def threads(self, parent: str = "", *, archived: bool = False) -> list[Channel]:
        return [
            channel
            for channel in self.channels.values()
            if channel.type in THREADS
            and channel.archived is archived
            and channel.parent == (parent or channel.parent)
        ]

    def channel_json(self, channel: Channel) -> JSON:
        common: JSON = {
            "id": channel.id,
            "type": channel.type,
            "last_message_id": channel.last_message_id,
            "flags": 0,
        }
        if channel.type == DM:
            return common | {"recipients": [self.people[channel.recipient].user()]}
        common |= {"guild_id": self.guild_id, "name": channel.name, "rate_limit_per_user": 0}
        if channel.type not in THREADS:
            common |= {
                "position": list(self.channels).index(channel.id),
                "permission_overwrites": [
                    {
                        "id": holder,
                        "type": 0 if holder in self.roles else 1,
                        "allow": str(allowed),
                        "deny": str(denied),
                    }
                    for holder, (allowed, denied) in channel.overwrites.items()
                ],
                "topic": None,
                "nsfw": False,
                "parent_id": None,
            }
            if channel.type == FORUM:
                common |= {
                    "available_tags": [],
                    "default_reaction_emoji": None,
                    "default_sort_order": None,
                    "default_forum_layout": 0,
                }
            return common
        return (
            common
            | {
                "parent_id": channel.parent,
                "owner_id": channel.owner,
                "message_count": channel.sent,
                "total_message_sent": channel.sent,
                "member_count": len(channel.members),
                "thread_metadata": {
                    "archived": channel.archived,
                    "auto_archive_duration": channel.auto_archive,
                    "archive_timestamp": iso(channel.made_at),
                    "locked": channel.locked,
                    "create_timestamp": iso(channel.made_at),
                },
            }
            | ({"member": thread_member(channel, self.bot.id)} if self.joined(channel) else {})
        )

    def joined(self, thread: Channel) -> bool:
        return self.bot.id in thread.members

    # --- the server -------------------------------------------------------------------------------

    def guild_json(self) -> JSON:
        return {
            "id": self.guild_id,
            "name": self.guild_name,
            "icon": None,
            "splash": None,
            "discovery_splash": None,
            "banner": None,
            "description": None,
            "owner_id": self.owner.id,
            "afk_channel_id": None,
            "afk_timeout": 300,
            "verification_level": 0,
            "default_message_notifications": 1,
            "explicit_content_filter": 0,
            "roles": list(self.roles.values()),
            "emojis": [],
            "stickers": [],
            "features": [],
            "mfa_level": 0,
            "application_id": None,
            "system_channel_id": None,
            "system_channel_flags": 0,
            "rules_channel_id": None,
            "public_updates_channel_id": None,
            "safety_alerts_channel_id": None,
            "vanity_url_code": None,
            "premium_tier": 0,
            "premium_subscription_count": 0,
            "premium_progress_bar_enabled": False,
            "preferred_locale": "en-US",
            "max_members": 500000,
            "max_presences": None,
            "max_video_channel_users": 25,
            "max_stage_video_channel_users": 50,
            "nsfw_level": 0,
        }

    def guild_create(self, *, all_members: bool) -> JSON:
        """Channels come whether the bot may look into them or not; threads only where it may."""
        people = list(self.people.values()) if all_members else [self.bot]
        return self.guild_json() | {
            "joined_at": iso(1_700_000_000),
            "large": False,
            "member_count": len(self.people),
            "members": [{**person.member(), "user": person.user()} for person in people],
            "channels": [
                self.channel_json(channel)
                for channel in self.channels.values()
                if channel.type not in (DM, *THREADS)
            ],
            "threads": [
                self.channel_json(thread) for thread in self.threads() if self.readable(thread)
            ],
            "voice_states": [],
            "presences": [],
            "stage_instances": [],
            "guild_scheduled_events": [],
            "soundboard_sounds": [],
        }

    # --- messages, as somebody looks at them ------------------------------------------------------

    def post(self, channel: Channel, id: str) -> Post:
        if id not in channel.posts:
            raise unknown("Message")
        return channel.posts[id]

    def look(self, post: Post, *, content: bool | None = None, quoted: bool = True) -> JSON:
        """A message for our account; without the privilege, what others said is blanked."""
        shown = {key: value for key, value in post.json.items() if key != "nonce"}
        content = self.content_in_portal if content is None else content
        channel = self.channels.get(shown["channel_id"])
        mentioned = any(user["id"] == self.bot.id for user in shown["mentions"])
        ours = shown["author"]["id"] == self.bot.id or shown.get("application_id") == self.app_id
        direct = channel is not None and channel.type == DM
        if not (content or mentioned or ours or direct):
            shown |= {"content": "", "attachments": [], "embeds": [], "components": []}
        if quoted and shown.get("message_reference") and shown["type"] in (19, 20, 21, 23):
            reference = shown["message_reference"]
            there = self.channels.get(reference["channel_id"])
            found = there.posts.get(reference["message_id"]) if there else None
            shown["referenced_message"] = (
                self.look(found, content=content, quoted=False) if found else None
            )
        if post.reactions:
            shown["reactions"] = [
                {
                    "emoji": {"id": None, "name": emoji},
                    "count": len(who),
                    "count_details": {"normal": len(who), "burst": 0},
                    "me": self.bot.id in who,
                    "me_burst": False,
                    "burst_colors": [],
                }
                for emoji, who in post.reactions.items()
            ]
        thread = self.channels.get(post.id)
        if thread is not None and thread.id != shown["channel_id"]:
            shown["thread"] = self.channel_json(thread)
            shown["flags"] |= 1 << 5
        return shown

    def pings(self, text: str, author: Person, channel: Channel, allowed: JSON | None) -> Pinged:
        """Whom a text notifies, with `allowed_mentions` as it was sent. None: everybody."""
        plain = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
        rule = {"parse": ["users", "roles", "everyone"]} if allowed is None else allowed
        parse = rule.get("parse", [])
        pinged = Pinged()
        for id in dict.fromkeys(re.findall(r"<@!?(\d+)>", plain)):
            named = "users" in parse or id in map(str, rule.get("users", []))
            if id in self.people and named:
                pinged.users.append(id)
        may_all = self.may(channel, "MENTION_EVERYONE", author)
        for id in dict.fromkeys(re.findall(r"<@&(\d+)>", plain)):
            named = "roles" in parse or id in map(str, rule.get("roles", []))
            known = self.roles.get(id)
            if known and named and (known["mentionable"] or may_all):
                pinged.roles.append(id)
        if "everyone" in parse and may_all and channel.type != DM:
            pinged.all = [word for word in ("everyone", "here") if f"@{word}" in plain]
        return pinged
