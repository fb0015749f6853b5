"""Interactions of the fake Discord: a command, a button, a form, and what the app answers."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web
from fake_discord_checks import EPHEMERAL, LOADING, Files, check_form
from fake_discord_nouns import DM, JSON, Channel, Person, Post, Refusal, invalid, unknown
from fake_discord_rest import API, reply, said

if TYPE_CHECKING:
    from fake_discord_gateway import Gateway
    from fake_discord_messages import Messages
    from fake_discord_world import World

COMMAND, COMPONENT, SUBMIT = 2, 3, 5
PONG, MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE, CHOICES, MODAL = 1, 4, 5, 6, 7, 8, 9


@dataclass(slots=True)
class Interaction:
    """What a person did, until its token ends."""

    id: str
    token: str
    type: int
    channel: Channel
    who: Person
    at: float
    source: Post | None = None
    """The message whose button was pressed."""
    answer: int = 0
    """The type of the callback, 0 while there is none."""
    original: Post | None = None
    extra: Any = None
    """What a callback gave that is no message: choices or a modal."""


class Interactions:
    """Commands used and buttons pressed, and their answers."""

    def __init__(self, world: World, gateway: Gateway, messages: Messages) -> None:
        self.patience = 3.0
        """How many seconds an app has for its first answer."""
        self.token_life = 15 * 60.0
        self.all: dict[str, Interaction] = {}
        self.hidden: dict[str, dict[str, Post]] = {}
        """Answers that one person alone sees, by channel."""
        self._world = world
        self._gateway = gateway
        self._messages = messages

    def routes(self) -> list[web.RouteDef]:
        return [web.post(API + "/interactions/{i}/{t}/callback", self.callback)]

    # --- a person does something ------------------------------------------------------------------

    def happen(
        self, type: int, channel: Channel, who: Person, data: JSON, source: Post | None = None
    ) -> Interaction:
        world = self._world
        interaction = Interaction(
            world.new_id(),
            secrets.token_urlsafe(96),
            type,
            channel,
            who,
            time.monotonic(),
            source,
        )
        self.all[interaction.id] = interaction
        permissions = str(world.permissions(channel, who))
        event: JSON = {
            "id": interaction.id,
            "application_id": world.app_id,
            "type": type,
            "data": data,
            "channel_id": channel.id,
            "channel": world.channel_json(channel) | {"permissions": permissions},
            "token": interaction.token,
            "version": 1,
            "app_permissions": str(world.permissions(channel)),
            "locale": "en-US",
            "entitlements": [],
            "attachment_size_limit": 10 * 1024 * 1024,
        }
        if channel.type == DM:
            event |= {
                "user": who.user(),
                "context": 1,
                "authorizing_integration_owners": {"0": "0"},
            }
        else:
            member = who.member() | {"user": who.user(), "permissions": permissions}
            event |= {
                "guild_id": world.guild_id,
                "guild": {"id": world.guild_id, "locale": "en-US", "features": []},
                "guild_locale": "en-US",
                "member": member,
                "context": 0,
                "authorizing_integration_owners": {"0": world.guild_id},
            }
        if source is not None:
            event["message"] = world.look(source)
        self._gateway.dispatch("INTERACTION_CREATE", event)
        return interaction

    # --- the app answers --------------------------------------------------------------------------

    async def callback(self, request: web.Request) -> web.Response:
        interaction = self.all.get(request.match_info["i"])
        if interaction is None or interaction.token != request.match_info["t"]:
            raise unknown("interaction")
        if interaction.answer:
            raise Refusal(400, 40060, "Interaction has already been acknowledged.")
        if time.monotonic() - interaction.at > self.patience:
            raise unknown("interaction")
        payload, files = said(request)
        kind, data = payload.get("type"), payload.get("data") or {}
        resource: JSON = {"type": kind}
        match kind:
            case 4 | 5:
                flags = LOADING if kind == DEFERRED else 0
                post = self._post(interaction, data, files, flags, blank=kind == DEFERRED)
                interaction.original = post
                resource["message"] = self._world.look(post)
            case 6 | 7 if interaction.source is not None:
                interaction.original = interaction.source
                if kind == UPDATE:
                    self._messages.edit(interaction.channel, interaction.source, data, files)
                    resource["message"] = self._world.look(interaction.source)
            case 9 if interaction.type in (COMMAND, COMPONENT):
                check_form(data)
                interaction.extra = data
            case 8:
                interaction.extra = data
            case _:
                raise invalid(
                    "type", "BASE_TYPE_CHOICES", "Value must be one of (4, 5, 6, 7, 8, 9)."
                )
        interaction.answer = kind
        wanted = request.query.get("with_response", "").lower() in ("1", "true")
        if not wanted:
            return reply()
        original = interaction.original
        about: JSON = {
            "id": interaction.id,
            "type": interaction.type,
            "response_message_loading": kind == DEFERRED,
        }
        if original is not None:
            about |= {
                "response_message_id": original.id,
                "response_message_ephemeral": bool(original.json["flags"] & EPHEMERAL),
            }
        return reply({"interaction": about, "resource": resource})

    def by_token(self, token: str) -> Interaction:
        """The interaction a followup belongs to."""
        for interaction in self.all.values():
            if interaction.token == token:
                if time.monotonic() - interaction.at > self.token_life:
                    break
                if not interaction.answer:
                    raise unknown("Webhook")
                return interaction
        raise Refusal(401, 50027, "Invalid Webhook Token")

    async def follow_up(self, request: web.Request) -> web.Response:
        interaction = self.by_token(request.match_info["t"])
        payload, files = said(request)
        original = interaction.original
        if interaction.answer == DEFERRED and original and original.json["flags"] & LOADING:
            # The first one takes the place of "thinking ...".
            return reply(self._world.look(self._fill(interaction, original, payload, files)))
        return reply(self._world.look(self._post(interaction, payload, files, 0, first=False)))

    async def message(self, request: web.Request) -> web.Response:
        """GET, PATCH or DELETE of an answer, the first of which is called @original."""
        interaction = self.by_token(request.match_info["t"])
        post = self._find(interaction, request.match_info["m"])
        if request.method == "PATCH":
            payload, files = said(request)
            self._fill(interaction, post, payload, files)
        elif request.method == "DELETE":
            if self._hidden(interaction).pop(post.id, None) is None:
                self._messages.delete(interaction.channel, post)
            if post is interaction.original:
                interaction.original = None
            return reply()
        return reply(self._world.look(post))

    def _find(self, interaction: Interaction, id: str) -> Post:
        post = interaction.original
        if id != "@original":
            channel = interaction.channel
            post = channel.posts.get(id) or self._hidden(interaction).get(id)
        if post is None or post.json["author"]["id"] != self._world.bot.id:
            raise unknown("Message")
        return post

    def _hidden(self, interaction: Interaction) -> dict[str, Post]:
        return self.hidden.setdefault(interaction.channel.id, {})

    def _fill(self, interaction: Interaction, post: Post, payload: JSON, files: Files) -> Post:
        flags = (payload.get("flags") or post.json["flags"]) & ~LOADING
        flags |= post.json["flags"] & EPHEMERAL
        return self._messages.edit(interaction.channel, post, payload | {"flags": flags}, files)

    def _post(
        self,
        interaction: Interaction,
        payload: JSON,
        files: Files,
        flags: int,
        *,
        first: bool = True,
        blank: bool = False,
    ) -> Post:
        """An answer as a message. Discord says which interaction it belongs to."""
        world = self._world
        metadata: JSON = {
            "id": interaction.id,
            "type": interaction.type,
            "user": interaction.who.user(),
            "authorizing_integration_owners": {"0": world.guild_id},
        }
        more: JSON = {
            "webhook_id": world.app_id,
            "application_id": world.app_id,
            "interaction_metadata": metadata,
        }
        answered = interaction.source if first else interaction.original
        if not first and interaction.original is not None:
            metadata["original_response_message_id"] = interaction.original.id
        if interaction.source is not None:
            metadata["interacted_message_id"] = interaction.source.id
        if answered is not None:
            more["message_reference"] = {
                "type": 0,
                "message_id": answered.id,
                "channel_id": interaction.channel.id,
            }
        payload = {key: value for key, value in payload.items() if key != "message_reference"}
        payload["flags"] = (payload.get("flags") or 0) | flags
        post = self._messages.create(
            interaction.channel,
            world.bot,
            payload,
            files,
            type=19 if answered is not None else 20,
            more=more,
            blank=blank,
            quiet=bool(payload["flags"] & EPHEMERAL),
        )
        if payload["flags"] & EPHEMERAL:
            self._hidden(interaction)[post.id] = post
        return post
