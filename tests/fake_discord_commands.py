"""Application commands of the fake Discord: registering them. Knows nobody who uses them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from aiohttp import web
from fake_discord_nouns import JSON, Refusal, invalid, missing_access, unknown
from fake_discord_rest import API, reply, said

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fake_discord_world import World

CHAT_INPUT = 1
MAX_COMMANDS = 100


class Commands:
    """The commands that are registered: everywhere ("") and in the server (its id)."""

    def __init__(self, world: World) -> None:
        self.quota = 200
        """How many may be made a day."""
        self.writes = 0
        """How often somebody changed the registered commands; reading them costs nothing."""
        self._made = 0
        self._world = world
        self._registered: dict[str, dict[str, JSON]] = {"": {}, world.guild_id: {}}

    def routes(self) -> list[web.RouteDef]:
        everywhere = API + "/applications/{a}/commands"
        here = API + "/applications/{a}/guilds/{g}/commands"
        return [
            route
            for base in (everywhere, here)
            for route in (
                web.get(base, self.all),
                web.post(base, self.upsert),
                web.put(base, self.replace),
                web.get(base + "/{id}", self.one),
                web.patch(base + "/{id}", self.change),
                web.delete(base + "/{id}", self.delete),
            )
        ]

    def find(self, name: str, type: int = CHAT_INPUT) -> JSON:
        """A registered command by its name, the server's own first."""
        for scope in (self._world.guild_id, ""):
            for command in self._registered[scope].values():
                if (command["name"], command["type"]) == (name, type):
                    return command
        known = ", ".join(self.names()) or "none"
        raise LookupError(f"no command /{name} is registered; there are: {known}")

    def names(self) -> list[str]:
        return sorted(
            command["name"] for scope in self._registered.values() for command in scope.values()
        )

    # --- requests ---------------------------------------------------------------------------------

    def _scope(self, request: web.Request) -> tuple[str, dict[str, JSON]]:
        guild = request.match_info.get("g", "")
        if request.match_info["a"] != self._world.app_id:
            raise Refusal(403, 20012, "You are not authorized to perform this action")
        if guild and (guild != self._world.guild_id or not self._world.in_guild):
            raise missing_access()
        return guild, self._registered[guild]

    async def all(self, request: web.Request) -> web.Response:
        return reply(list(self._scope(request)[1].values()))

    async def one(self, request: web.Request) -> web.Response:
        scope = self._scope(request)[1]
        return reply(known(scope, request.match_info["id"]))

    async def upsert(self, request: web.Request) -> web.Response:
        guild, scope = self._scope(request)
        payload, _ = said(request)
        before = len(scope)
        command = self._write(guild, scope, payload)
        return reply(command, 200 if len(scope) == before else 201)

    async def replace(self, request: web.Request) -> web.Response:
        guild, scope = self._scope(request)
        payload: Any = said(request)[0]
        if not isinstance(payload, list):
            raise invalid("0", "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
        for given in payload:
            check(given)
        if len(payload) > MAX_COMMANDS:
            raise Refusal(
                400, 30032, f"Maximum number of application commands reached ({MAX_COMMANDS})"
            )
        kept = {key(given) for given in payload}
        for id, command in list(scope.items()):
            if key(command) not in kept:
                del scope[id]
        return reply([self._write(guild, scope, given) for given in payload])

    async def change(self, request: web.Request) -> web.Response:
        guild, scope = self._scope(request)
        old = known(scope, request.match_info["id"])
        payload, _ = said(request)
        return reply(self._write(guild, scope, old | payload, old["id"]))

    async def delete(self, request: web.Request) -> web.Response:
        scope = self._scope(request)[1]
        del scope[known(scope, request.match_info["id"])["id"]]
        self.writes += 1
        return reply()

    def _write(self, guild: str, scope: dict[str, JSON], given: JSON, id: str = "") -> JSON:
        check(given)
        id = id or next((id for id, old in scope.items() if key(old) == key(given)), "")
        if not id:
            if self._made >= self.quota:
                text = "Max number of daily application command creates has been reached"
                raise Refusal(400, 30034, f"{text} ({self.quota})")
            if len(scope) >= MAX_COMMANDS:
                text = f"Maximum number of application commands reached ({MAX_COMMANDS})"
                raise Refusal(400, 30032, text)
            self._made += 1
            id = self._world.new_id()
        self.writes += 1
        command: JSON = {
            "id": id,
            "application_id": self._world.app_id,
            "version": self._world.new_id(),
            "type": given.get("type") or CHAT_INPUT,
            "name": given["name"],
            "name_localizations": given.get("name_localizations"),
            "description": given.get("description") or "",
            "description_localizations": given.get("description_localizations"),
            "options": given.get("options") or [],
            "default_member_permissions": given.get("default_member_permissions"),
            "dm_permission": given.get("dm_permission", True),
            "contexts": given.get("contexts"),
            "integration_types": given.get("integration_types") or [0],
            "nsfw": bool(given.get("nsfw")),
        }
        if guild:
            command["guild_id"] = guild
        scope[id] = command
        return command


def key(command: Mapping[str, Any]) -> tuple[str, int]:
    return command["name"], command.get("type") or CHAT_INPUT


def known(scope: dict[str, JSON], id: str) -> JSON:
    if id not in scope:
        raise unknown("application command")
    return scope[id]


def check(given: JSON) -> None:
    """The rules for names and descriptions."""
    name, description = given.get("name") or "", given.get("description") or ""
    if (given.get("type") or CHAT_INPUT) != CHAT_INPUT:
        if not 1 <= len(name) <= 32:
            raise invalid("name", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 32 in length.")
        return
    check_name(name, description, "")
    if len(given.get("options") or []) > 25:
        raise invalid("options", "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.")
    for index, option in enumerate(given.get("options") or []):
        where = f"options.{index}."
        check_name(option.get("name") or "", option.get("description") or "", where)
        if len(option.get("choices") or []) > 25:
            raise invalid(
                where + "choices", "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length."
            )


def check_name(name: str, description: str, where: str) -> None:
    if not re.fullmatch(r"[-_'\w]{1,32}", name) or name != name.lower():
        raise invalid(
            where + "name",
            "APPLICATION_COMMAND_INVALID_NAME",
            "Command name is invalid",
        )
    if not 1 <= len(description) <= 100:
        raise invalid(
            where + "description", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length."
        )
