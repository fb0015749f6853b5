"""How methods of the fake Slack's Web API are called: arguments, tokens, scopes, refusals, pages.
Does not know what the methods do."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, TypeVar

from aiohttp import web
from fake_faults import PAYLOAD
from fake_slack_team import Channel, Post, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fake_slack_team import JSON, Team
    from fake_slack_windows import Windows

_T = TypeVar("_T")

METHODS: dict[str, tuple[Callable[[Asked], JSON], str]] = {}
"""By name: what it does, and the scope it needs. "*:read" stands for the scope of the kind of
conversation asked about."""

_SCOPE_OF = {"channel": "channels", "group": "groups", "im": "im", "mpim": "mpim"}


def method(name: str, scope: str = "") -> Callable[[Callable[[Asked], JSON]], Any]:
    def register(function: Callable[[Asked], JSON]) -> Callable[[Asked], JSON]:
        METHODS[name] = (function, scope)
        return function

    return register


class Access:
    """Tokens and what they may do."""

    def __init__(self, connect_url: Callable[[], str], windows: Windows) -> None:
        self.connect_url = connect_url
        """Issues an url for one socket."""
        self.windows = windows
        self.bot_token = "xoxb-1-fake-bot"
        self.app_token = "xapp-1-fake-app"
        self.auth_error = ""
        """What a token is answered with from now on: token_revoked, account_inactive, ..."""
        self.switched_off: set[str] = set()
        """Methods this workspace does not have."""
        self.scopes = {
            "app_mentions:read", "assistant:write", "channels:history", "channels:read",
            "chat:write", "chat:write.customize", "commands", "files:read", "files:write",
            "groups:history", "groups:read", "im:history", "im:read", "im:write", "mpim:history",
            "mpim:read", "mpim:write", "reactions:read", "reactions:write", "users:read",
        }  # fmt: skip

    def need(self, scope: str) -> None:
        if scope and scope not in self.scopes:
            provided = ",".join(sorted(self.scopes))
            raise Refused("missing_scope", needed=scope, provided=provided)

    def need_for(self, channel: Channel, what: str) -> None:
        self.need(f"{_SCOPE_OF[channel.kind]}:{what}")

    def check(self, name: str, token: str) -> None:
        """Refuse a token that is not the one this method takes."""
        if not token:
            raise Refused("not_authed")
        if token not in (self.bot_token, self.app_token):
            raise Refused("invalid_auth")
        if self.auth_error:
            raise Refused(self.auth_error)
        wanted = self.app_token if name == "apps.connections.open" else self.bot_token
        if token != wanted:
            raise Refused("not_allowed_token_type")


class Asked:
    """One request to a method: its arguments, and whom to ask."""

    def __init__(self, team: Team, access: Access, arguments: JSON) -> None:
        self.team = team
        self.access = access
        self._arguments = arguments

    def __contains__(self, name: str) -> bool:
        return self._arguments.get(name) not in (None, "")

    def text(self, name: str, otherwise: str = "") -> str:
        value = self._arguments.get(name)
        return otherwise if value is None else str(value)

    def required(self, name: str) -> str:
        if name not in self:
            raise invalid(f"[ERROR] missing required field: {name}")
        return self.text(name)

    def flag(self, name: str) -> bool:
        return self.text(name).lower() in ("1", "true")

    def number(self, name: str, otherwise: int, most: int = 1000) -> int:
        try:
            value = int(self.text(name, str(otherwise)))
        except ValueError:
            raise invalid(f"[ERROR] must be an integer: {name}") from None
        if not 1 <= value <= most:
            raise Refused("invalid_limit")
        return value

    def structure(self, name: str, kind: type, wrong: str) -> Any:
        """An argument with structure: JSON, or JSON in a string, as forms have it."""
        value = self._arguments.get(name)
        if isinstance(value, str):
            try:
                value = json.loads(value) if value else None
            except ValueError:
                raise Refused(wrong) from None
        if value is not None and not isinstance(value, kind):
            raise Refused(wrong)
        return value

    def channel(self, name: str = "channel") -> Channel:
        """A conversation the bot can see, by its id."""
        found = self.team.channels.get(self.required(name))
        if not found or (found.kind != "channel" and self.team.bot_user not in found.members):
            raise Refused("channel_not_found")
        return found

    def joined(self, name: str = "channel") -> Channel:
        """A conversation the bot is in."""
        channel = self.channel(name)
        if self.team.bot_user not in channel.members:
            raise Refused("not_in_channel")
        return channel

    def post(self, channel: Channel, name: str = "ts", wrong: str = "message_not_found") -> Post:
        post = self.team.posts.get(self.required(name))
        if not post or post.channel is not channel:
            raise Refused(wrong)
        return post

    def page(
        self, items: Sequence[_T], otherwise: int, name: Callable[[_T], str]
    ) -> tuple[Sequence[_T], JSON]:
        """As much of a list as was asked for, and what says how to go on. A cursor names the
        first item of the next page, so that what comes meanwhile moves nothing."""
        limit, start = self.number("limit", otherwise), 0
        if "cursor" in self:
            names = [_cursor(name(item)) for item in items]
            if self.text("cursor") not in names:
                raise Refused("invalid_cursor")
            start = names.index(self.text("cursor"))
        following = items[start + limit : start + limit + 1]
        cursor = _cursor(name(following[0])) if following else ""
        return items[start : start + limit], {"response_metadata": {"next_cursor": cursor}}


def _cursor(name: str) -> str:
    return base64.b64encode(f"next:{name}".encode()).decode()


def invalid(*messages: str) -> Refused:
    return Refused("invalid_arguments", response_metadata={"messages": list(messages)})


def answer(request: web.Request, team: Team, access: Access) -> web.Response:
    """Call a method: the whole way from a request to its answer."""
    name = request.match_info["method"]
    scope = METHODS[name][1] if name in METHODS else ""
    try:
        body = _call(request, name, team, access)
    except Refused as refused:
        body = refused.body
    if request.content_type == "application/json" and not request.charset:
        body.setdefault("warning", "missing_charset")
        warnings = body.setdefault("response_metadata", {})
        warnings["warnings"] = ["missing_charset"]
    granted = (
        "connections:write" if name == "apps.connections.open" else ",".join(sorted(access.scopes))
    )
    headers = {"x-oauth-scopes": granted, "x-accepted-oauth-scopes": scope}
    return web.json_response(body, headers=headers)


def _call(request: web.Request, name: str, team: Team, access: Access) -> JSON:
    if name not in METHODS or name in access.switched_off:
        raise Refused("unknown_method", req_method=name)
    arguments = request[PAYLOAD]
    if isinstance(arguments, bytes):
        raise Refused("invalid_json")
    if not isinstance(arguments, dict):
        raise Refused("json_not_object")
    bearer = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    # apps.connections.open takes its token from the header alone, and so does JSON.
    header_only = name == "apps.connections.open" or request.content_type == "application/json"
    access.check(name, bearer or ("" if header_only else str(arguments.get("token", ""))))
    function, scope = METHODS[name]
    if not scope.startswith("*"):
        access.need(scope)
    return {"ok": True, **function(Asked(team, access, arguments))}
