"""Webhooks of the fake Discord, and the addresses they share with answers to interactions."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web
from fake_discord_checks import channel_of, check
from fake_discord_nouns import (
    DM,
    FORUM,
    JSON,
    THREADS,
    Channel,
    Person,
    Post,
    Refusal,
    invalid,
    missing_permissions,
    unknown,
)
from fake_discord_rest import API, reply, said

if TYPE_CHECKING:
    from fake_discord_gateway import Gateway
    from fake_discord_interactions import Interactions
    from fake_discord_messages import Messages
    from fake_discord_world import World

MAX_WEBHOOKS = 15


@dataclass(slots=True)
class Webhook:
    """A name and a token to write with in one channel."""

    id: str
    token: str
    name: str
    channel: str
    application: str | None
    """The application that made it, None when a person did."""


class Webhooks:
    """The webhooks there are, and what is written through them."""

    def __init__(
        self, world: World, gateway: Gateway, messages: Messages, interactions: Interactions
    ) -> None:
        self.all: dict[str, Webhook] = {}
        self._world = world
        self._gateway = gateway
        self._messages = messages
        self._interactions = interactions

    def routes(self) -> list[web.RouteDef]:
        hook, token = API + "/webhooks/{w}", API + "/webhooks/{w}/{t}"
        message = token + "/messages/{m}"
        return [
            web.get(API + "/channels/{c}/webhooks", self.of_channel),
            web.post(API + "/channels/{c}/webhooks", self.create),
            web.get(API + "/guilds/{g}/webhooks", self.of_guild),
            web.get(hook, self.one),
            web.patch(hook, self.change),
            web.delete(hook, self.delete),
            web.get(token, self.one),
            web.delete(token, self.delete),
            web.post(token, self.execute),
            web.get(message, self.message),
            web.patch(message, self.message),
            web.delete(message, self.message),
        ]

    def add(self, channel: Channel, name: str, application: str | None) -> Webhook:
        hook = Webhook(
            self._world.new_id(), secrets.token_urlsafe(48), name, channel.id, application
        )
        self.all[hook.id] = hook
        data = {"guild_id": self._world.guild_id, "channel_id": channel.id}
        self._gateway.dispatch("WEBHOOKS_UPDATE", data, "GUILD_WEBHOOKS")
        return hook

    def forget(self, channel: Channel) -> None:
        """A channel takes its webhooks with it."""
        for hook in list(self.all.values()):
            if hook.channel == channel.id:
                del self.all[hook.id]

    # --- looking after them -----------------------------------------------------------------------

    def _json(self, hook: Webhook, *, by_token: bool = False) -> JSON:
        shown: JSON = {
            "id": hook.id,
            "type": 1,
            "name": hook.name,
            "avatar": None,
            "channel_id": hook.channel,
            "guild_id": self._world.guild_id,
            "application_id": hook.application,
            "token": hook.token,
            "url": f"https://discord.com/api/webhooks/{hook.id}/{hook.token}",
        }
        if not by_token:
            maker = self._world.bot if hook.application else self._world.owner
            shown["user"] = maker.user()
        return shown

    def _manage(self, channel: Channel) -> None:
        if channel.type in (DM, *THREADS):
            raise Refusal(400, 50024, "Cannot execute action on this channel type")
        if not self._world.may(channel, "MANAGE_WEBHOOKS"):
            raise missing_permissions()

    async def of_channel(self, request: web.Request) -> web.Response:
        channel = channel_of(self._world, request.match_info["c"])
        self._manage(channel)
        return reply([self._json(hook) for hook in self.all.values() if hook.channel == channel.id])

    async def of_guild(self, request: web.Request) -> web.Response:
        if request.match_info["g"] != self._world.guild_id or not self._world.in_guild:
            raise unknown("Guild")
        return reply([self._json(hook) for hook in self.all.values()])

    async def create(self, request: web.Request) -> web.Response:
        channel = channel_of(self._world, request.match_info["c"])
        self._manage(channel)
        payload, _ = said(request)
        check_name(str(payload.get("name") or ""), "name")
        if sum(hook.channel == channel.id for hook in self.all.values()) >= MAX_WEBHOOKS:
            raise Refusal(400, 30007, f"Maximum number of webhooks reached ({MAX_WEBHOOKS})")
        return reply(self._json(self.add(channel, payload["name"], self._world.app_id)))

    def _hook(self, request: web.Request) -> Webhook:
        hook = self.all.get(request.match_info["w"])
        if hook is None:
            raise unknown("Webhook")
        token = request.match_info.get("t")
        if token is None:
            self._manage(channel_of(self._world, hook.channel))
        elif token != hook.token:
            raise Refusal(401, 50027, "Invalid Webhook Token")
        return hook

    async def one(self, request: web.Request) -> web.Response:
        hook = self._hook(request)
        return reply(self._json(hook, by_token="t" in request.match_info))

    async def change(self, request: web.Request) -> web.Response:
        hook = self._hook(request)
        payload, _ = said(request)
        if "name" in payload:
            check_name(payload["name"], "name")
            hook.name = payload["name"]
        return reply(self._json(hook))

    async def delete(self, request: web.Request) -> web.Response:
        del self.all[self._hook(request).id]
        return reply()

    # --- writing through them ---------------------------------------------------------------------

    async def execute(self, request: web.Request) -> web.Response:
        if request.match_info["w"] == self._world.app_id:
            return await self._interactions.follow_up(request)
        hook = self._hook(request)
        payload, files = said(request)
        channel = self._world.channels.get(hook.channel)
        if channel is None:
            raise unknown("Channel")
        name = payload.get("username")
        if name is not None:
            check_name(name, "username")
        author = Person(hook.id, name or hook.name, bot=True)
        payload = {
            key: value
            for key, value in payload.items()
            if key not in ("message_reference", "nonce", "enforce_nonce")
        }
        if hook.application is None:
            payload.pop("components", None)
        target = self._target(hook, request)
        if channel.type == FORUM and target is channel:
            if not payload.get("thread_name"):
                text = "Webhooks posted to forum channels must have a thread_name or thread_id"
                raise Refusal(400, 220001, text)
            check(payload, files)
            named = {"name": payload["thread_name"]}
            target = self._messages.start_thread(channel, author, named)
        more: JSON = {"webhook_id": hook.id}
        if hook.application:
            more["application_id"] = hook.application
        avatar = payload.get("avatar_url")
        face = hashlib.md5(avatar.encode()).hexdigest() if avatar else None
        more["author"] = author.user() | {"avatar": face, "discriminator": "0000"}
        if channel.type == FORUM and target.sent == 0:
            more["id"] = target.id
        post = self._messages.create(target, author, payload, files, more=more)
        wanted = request.query.get("wait", "").lower() in ("1", "true")
        return reply(self._world.look(post)) if wanted else reply()

    def _target(self, hook: Webhook, request: web.Request) -> Channel:
        """Its channel, or a thread in that."""
        id = request.query.get("thread_id", "")
        channel = self._world.channels.get(id or hook.channel)
        if channel is None or (id and channel.parent != hook.channel):
            raise unknown("Channel")
        return channel

    async def message(self, request: web.Request) -> web.Response:
        if request.match_info["w"] == self._world.app_id:
            return await self._interactions.message(request)
        hook = self._hook(request)
        channel = self._target(hook, request)
        post = self._written(hook, channel, request.match_info["m"])
        if request.method == "PATCH":
            payload, files = said(request)
            self._messages.edit(channel, post, payload, files)
        elif request.method == "DELETE":
            self._messages.delete(channel, post)
            return reply()
        return reply(self._world.look(post))

    def _written(self, hook: Webhook, channel: Channel, id: str) -> Post:
        post = self._world.post(channel, id)
        if post.json.get("webhook_id") != hook.id:
            raise unknown("Message")
        return post


def check_name(name: str, where: str) -> None:
    if not 1 <= len(name.strip()) <= 80:
        raise invalid(where, "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 80 in length.")
    for word in ("discord", "clyde"):
        if word in name.lower():
            raise invalid(where, "USERNAME_INVALID_CONTAINS", f'Username cannot contain "{word}"')
