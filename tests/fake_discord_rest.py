"""The REST interface of the fake Discord: messages, channels, threads, people. Not apps."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from aiohttp import web
from fake_discord_checks import (
    SUPPRESS_EMBEDS,
    VOICE_MESSAGE,
    Files,
    channel_of,
    guard_writing,
    need,
)
from fake_discord_nouns import (
    DM,
    FORUM,
    JSON,
    THREADS,
    Channel,
    Person,
    Refusal,
    invalid,
    missing_access,
    unknown,
)
from fake_faults import PAYLOAD

if TYPE_CHECKING:
    from fake_discord_gateway import Gateway
    from fake_discord_messages import Messages
    from fake_discord_world import World

API = "/api/v10"
FILES: web.RequestKey[Files] = web.RequestKey("files", dict)
"""What was uploaded with a request."""


def reply(body: Any = None, status: int = 200) -> web.Response:
    """JSON with exactly the content type that Discord gives it; 204 without a body."""
    if body is None:
        return web.Response(status=204)
    return web.Response(
        body=json.dumps(body).encode(), status=status, content_type="application/json"
    )


def said(request: web.Request) -> tuple[JSON, Files]:
    """The JSON of a request, and its uploads."""
    payload: Any = request[PAYLOAD]
    if request.content_length and request.content_type not in (
        "application/json",
        "multipart/form-data",
    ):
        wrong = "Expected \"Content-Type\" header to be one of {'application/json'}."
        errors = {"_errors": [{"code": "CONTENT_TYPE_INVALID", "message": wrong}]}
        raise Refusal(400, 50035, "Invalid Form Body", errors)
    if isinstance(payload, bytes):
        raise Refusal(400, 50109, "The request body contains invalid JSON.")
    files: Files = request.get(FILES, {})
    return payload, files


class Rest:
    """What can be asked about messages, channels, threads and people."""

    def __init__(self, world: World, gateway: Gateway, messages: Messages) -> None:
        self.typing: list[str] = []
        """The channel or thread of every typing notice."""
        self._world = world
        self._gateway = gateway
        self._messages = messages

    def routes(self) -> list[web.RouteDef]:
        channel = API + "/channels/{c}"
        message = channel + "/messages/{m}"
        emoji = message + "/reactions/{emoji}"
        guild = API + "/guilds/{g}"
        return [
            web.get(API + "/gateway", self.gateway),
            web.get(API + "/gateway/bot", self.gateway),
            web.get(API + "/users/@me", self.me),
            web.patch(API + "/users/@me", self.me),
            web.get(API + "/users/@me/guilds", self.my_guilds),
            web.post(API + "/users/@me/channels", self.direct),
            web.get(API + "/users/{u}", self.user),
            web.get(API + "/oauth2/applications/@me", self.application),
            web.get(API + "/applications/@me", self.application),
            web.get(guild, self.guild),
            web.get(guild + "/channels", self.guild_channels),
            web.get(guild + "/roles", self.roles),
            web.get(guild + "/members", self.members),
            web.get(guild + "/members/{u}", self.member),
            web.get(channel, self.channel),
            web.post(channel + "/typing", self.type),
            web.get(channel + "/messages", self.history),
            web.post(channel + "/messages", self.send),
            web.post(channel + "/messages/bulk-delete", self.bulk_delete),
            web.get(message, self.message),
            web.patch(message, self.edit),
            web.delete(message, self.delete),
            web.put(emoji + "/@me", self.react),
            web.delete(emoji + "/@me", self.unreact),
            web.get(emoji, self.reactions),
        ]

    # --- ourselves and others ---------------------------------------------------------------------

    async def gateway(self, request: web.Request) -> web.Response:
        url = {"url": "wss://gateway.discord.gg"}
        if request.path.endswith("/gateway"):
            return reply(url)
        used = sum(login["op"] == 2 for login in self._gateway.logins)
        limit = {
            "total": 1000,
            "remaining": 1000 - used,
            "reset_after": 86_400_000,
            "max_concurrency": 1,
        }
        return reply(url | {"shards": 1, "session_start_limit": limit})

    async def me(self, _: web.Request) -> web.Response:
        more = {"verified": True, "mfa_enabled": False, "locale": "en-US", "flags": 0}
        return reply(self._world.bot.user() | more)

    async def my_guilds(self, _: web.Request) -> web.Response:
        world = self._world
        guild: JSON = {
            "id": world.guild_id,
            "name": world.guild_name,
            "icon": None,
            "owner": False,
            "permissions": str(world.permissions(None)),
            "features": [],
        }
        return reply([guild] if world.in_guild else [])

    async def direct(self, request: web.Request) -> web.Response:
        payload, _ = said(request)
        person = self._world.people.get(str(payload.get("recipient_id")))
        if person is None or person is self._world.bot:
            raise invalid("recipient_id", "BASE_TYPE_BAD", "Invalid Recipient(s)")
        return reply(self._world.channel_json(self._world.direct(person)))

    def _person(self, request: web.Request) -> Person:
        person = self._world.people.get(request.match_info["u"])
        if person is None:
            raise unknown("User")
        return person

    async def user(self, request: web.Request) -> web.Response:
        return reply(self._person(request).user())

    async def application(self, _: web.Request) -> web.Response:
        world = self._world
        return reply(
            {
                "id": world.app_id,
                "name": world.bot.name,
                "icon": None,
                "description": "",
                "type": None,
                "bot": world.bot.user(),
                "summary": "",
                "bot_public": True,
                "bot_require_code_grant": False,
                "verify_key": "0" * 64,
                "flags": self._gateway.app_flags(),
                "owner": world.owner.user(),
                "team": None,
                "redirect_uris": [],
                "approximate_guild_count": int(world.in_guild),
                "integration_types_config": {"0": {}},
            }
        )

    # --- the server -------------------------------------------------------------------------------

    def _in_guild(self, request: web.Request) -> World:
        if request.match_info["g"] != self._world.guild_id or not self._world.in_guild:
            raise unknown("Guild")
        return self._world

    async def guild(self, request: web.Request) -> web.Response:
        world = self._in_guild(request)
        counts = {"approximate_member_count": len(world.people), "approximate_presence_count": 1}
        return reply(world.guild_json() | (counts if "with_counts" in request.query else {}))

    async def guild_channels(self, request: web.Request) -> web.Response:
        world = self._in_guild(request)
        channels = [
            channel for channel in world.channels.values() if channel.type not in (DM, *THREADS)
        ]
        return reply([world.channel_json(channel) for channel in channels])

    async def roles(self, request: web.Request) -> web.Response:
        return reply(list(self._in_guild(request).roles.values()))

    async def members(self, request: web.Request) -> web.Response:
        if "GUILD_MEMBERS" not in self._gateway.portal:
            raise missing_access()
        people = self._in_guild(request).people.values()
        return reply([person.member() | {"user": person.user()} for person in people])

    async def member(self, request: web.Request) -> web.Response:
        self._in_guild(request)
        person = self._person(request)
        return reply(person.member() | {"user": person.user()})

    # --- channels ---------------------------------------------------------------------------------

    def _channel(self, request: web.Request) -> Channel:
        return channel_of(self._world, request.match_info["c"])

    async def channel(self, request: web.Request) -> web.Response:
        return reply(self._world.channel_json(self._channel(request)))

    async def type(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        guard_writing(self._world, channel, {})
        self.typing.append(channel.id)
        bot = self._world.bot
        data: JSON = {"channel_id": channel.id, "user_id": bot.id, "timestamp": int(time.time())}
        if channel.type != DM:
            data["member"] = bot.member() | {"user": bot.user()}
        self._gateway.about("TYPING_START", channel, data, "MESSAGE_TYPING")
        return reply()

    # --- messages ---------------------------------------------------------------------------------

    async def history(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        query = request.query
        limit = int(query.get("limit", "50"))
        if not 1 <= limit <= 100:
            raise invalid("limit", "NUMBER_TYPE_MAX", "int value should be between 1 and 100.")
        if channel.type == FORUM:
            raise Refusal(400, 50024, "Cannot execute action on this channel type")
        if not self._world.may(channel, "READ_MESSAGE_HISTORY"):
            return reply([])
        ids = list(map(int, channel.posts))  # they grow
        if "around" in query:
            middle = int(query["around"])
            before = [id for id in ids if id < middle][-(limit // 2) :] if limit > 1 else []
            ids = before + [id for id in ids if id >= middle][: limit - len(before)]
        elif "after" in query:
            ids = [id for id in ids if id > int(query["after"])][:limit]
        else:
            last = int(query["before"]) if "before" in query else None
            ids = [id for id in ids if last is None or id < last][-limit:]
        posts = [channel.posts[str(id)] for id in reversed(ids)]
        return reply([self._world.look(post) for post in posts])

    async def send(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        payload, files = said(request)
        guard_writing(self._world, channel, files)
        refers = bool(payload.get("message_reference"))
        if refers and not self._world.may(channel, "READ_MESSAGE_HISTORY"):
            raise Refusal(400, 160002, "Cannot reply without permission to read message history")
        voice = (payload.get("flags") or 0) & VOICE_MESSAGE
        if voice and not self._world.may(channel, "SEND_VOICE_MESSAGES"):
            raise Refusal(403, 50173, "You cannot send voice messages in this channel.")
        post = self._messages.create(channel, self._world.bot, payload, files)
        # Only here and in its event a message has its nonce: it cannot be looked for later.
        nonce = {"nonce": post.json["nonce"]} if "nonce" in post.json else {}
        return reply(self._world.look(post) | nonce)

    async def message(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        if not self._world.may(channel, "READ_MESSAGE_HISTORY"):
            raise missing_access()
        return reply(self._world.look(self._world.post(channel, request.match_info["m"])))

    async def edit(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        post = self._world.post(channel, request.match_info["m"])
        payload, files = said(request)
        if post.json["author"]["id"] != self._world.bot.id:
            flags_only = set(payload) == {"flags"} and payload["flags"] in (0, SUPPRESS_EMBEDS)
            if not (flags_only and self._world.may(channel, "MANAGE_MESSAGES")):
                raise Refusal(403, 50005, "Cannot edit a message authored by another user")
        if channel.archived:
            raise Refusal(400, 50083, "Thread is archived")
        if files:
            need(self._world, channel, "ATTACH_FILES")
        return reply(self._world.look(self._messages.edit(channel, post, payload, files)))

    async def delete(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        post = self._world.post(channel, request.match_info["m"])
        if post.json["author"]["id"] != self._world.bot.id:
            if channel.type == DM:
                raise Refusal(403, 50003, "Cannot execute action on a DM channel")
            need(self._world, channel, "MANAGE_MESSAGES")
        if channel.archived:
            raise Refusal(400, 50083, "Thread is archived")
        self._messages.delete(channel, post)
        return reply()

    async def bulk_delete(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        payload, _ = said(request)
        ids = list(map(str, payload.get("messages", [])))
        if channel.type == DM:
            raise Refusal(403, 50003, "Cannot execute action on a DM channel")
        need(self._world, channel, "MANAGE_MESSAGES")
        if not 2 <= len(ids) <= 100:
            raise Refusal(400, 50016, "Provided too few or too many messages to delete.")
        self._messages.delete(channel, *(channel.posts[id] for id in ids if id in channel.posts))
        return reply()

    # --- reactions --------------------------------------------------------------------------------

    def _emoji(self, request: web.Request) -> str:
        emoji = unquote(request.match_info["emoji"])
        if emoji.isascii() or len(emoji) > 12:  # the server has no emojis of its own
            raise Refusal(400, 10014, "Unknown Emoji")
        return emoji

    async def react(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        post = self._world.post(channel, request.match_info["m"])
        emoji = self._emoji(request)
        need(self._world, channel, "READ_MESSAGE_HISTORY")
        if emoji not in post.reactions:
            need(self._world, channel, "ADD_REACTIONS")
        self._messages.react(channel, post, self._world.bot, emoji, added=True)
        return reply()

    async def unreact(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        post = self._world.post(channel, request.match_info["m"])
        self._messages.react(channel, post, self._world.bot, self._emoji(request), added=False)
        return reply()

    async def reactions(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        post = self._world.post(channel, request.match_info["m"])
        who = post.reactions.get(self._emoji(request), [])
        return reply([self._world.people[id].user() for id in who])
