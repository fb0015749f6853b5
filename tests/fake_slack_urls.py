"""The addresses of the fake Slack that are not methods: answers to commands and presses, uploads
and downloads."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import fake_slack_text as text
from aiohttp import web
from fake_faults import PAYLOAD
from fake_slack_blocks import mistakes

if TYPE_CHECKING:
    from fake_slack_team import JSON, Channel, Team
    from fake_slack_web import Access

_LOGIN = "<!DOCTYPE html><html><head><title>Sign in | Slack</title></head></html>"


@dataclass(eq=False, slots=True)
class _Grant:
    """What an issued response_url is good for."""

    channel: Channel
    user: str
    until: float
    ts: str
    """The message that was pressed, if any."""
    left: int = 5


class Urls:
    def __init__(self, team: Team, access: Access) -> None:
        self.response_url_seconds = 1800.0
        self._team = team
        self._access = access
        self._grants: dict[str, _Grant] = {}

    @property
    def routes(self) -> list[web.AbstractRouteDef]:
        return [
            web.post("/actions/{secret}", self._respond),
            web.post("/upload/v1/{file}", self._upload),
            web.get("/files-pri/{file}/{name}", self._download),
            web.get("/files-pri/{file}/download/{name}", self._download),
        ]

    def response_url(self, channel: Channel, user: str, ts: str = "") -> str:
        secret = secrets.token_urlsafe(12)
        until = time.monotonic() + self.response_url_seconds
        self._grants[secret] = _Grant(channel, user, until, ts)
        return f"{self._team.base}/actions/{secret}"

    def respond(self, channel: Channel, user: str, ts: str, said: JSON) -> str:
        """What an app answers to a command or a press, in an ack or at a response_url. Returns
        what is wrong with it."""
        post = self._team.posts.get(ts)
        if said.get("delete_original"):
            if post:
                self._team.delete(post)
            return ""
        if not said.get("text") and not said.get("blocks"):
            return "no_text"
        if mistakes(said.get("blocks", [])):
            return "invalid_blocks"
        raw: JSON = {"text": text.sent(str(said.get("text", "")))}
        if "blocks" in said:
            raw["blocks"] = [
                {"block_id": f"b{index}", **block} for index, block in enumerate(said["blocks"])
            ]
        if said.get("replace_original") and post:
            edited = {"user": self._team.bot_user, "ts": self._team.stamp()}
            self._team.change(post, **{"blocks": [], **raw}, edited=edited)
            return ""
        if said.get("thread_ts"):
            raw["thread_ts"] = str(said["thread_ts"])
        if said.get("response_type") == "in_channel":
            author = {"bot_id": self._team.bot_id, "app_id": self._team.app_id}
            self._team.post(channel, {"subtype": "bot_message", **author, **raw})
        else:
            self._team.whisper(channel, user, raw)
        return ""

    async def _respond(self, request: web.Request) -> web.Response:
        grant = self._grants.get(request.match_info["secret"])
        error, said = "", request[PAYLOAD]
        if not grant or grant.until < time.monotonic():
            error = "expired_url"
        elif not grant.left:
            error = "used_url"
        if error or not grant:
            return web.json_response({"ok": False, "error": error}, status=404)
        if request.content_type != "application/json" or not isinstance(said, dict):
            return web.json_response({"ok": False, "error": "invalid_payload"}, status=400)
        grant.left -= 1
        if error := self.respond(grant.channel, grant.user, grant.ts, said):
            return web.json_response({"ok": False, "error": error})
        return web.json_response({"ok": True})

    async def _upload(self, request: web.Request) -> web.Response:
        file = self._team.files.get(request.match_info["file"])
        if not file or file.completed:
            return web.Response(status=404, text="not found")
        content = await _body(request)
        if len(content) != file.length:
            return web.Response(status=400, text="the length is not the one announced")
        file.content = content
        return web.Response(text=f"OK - {len(content)}")

    async def _download(self, request: web.Request) -> web.Response:
        file = self._team.files.get(request.match_info["file"])
        if not file or not file.completed:
            return web.Response(status=404, text="not found")
        bearer = request.headers.get("Authorization", "")
        if bearer != f"Bearer {self._access.bot_token}" or "files:read" not in self._access.scopes:
            # Not an error, as far as HTTP goes.
            return web.Response(text=_LOGIN, content_type="text/html")
        kind = str(file.json("")["mimetype"])
        return web.Response(body=file.content, content_type=kind)


async def _body(request: web.Request) -> bytes:
    """The file in an upload: the body itself, or the one part that is a file."""
    payload: Any = request[PAYLOAD]
    if isinstance(payload, bytes):
        return payload
    if isinstance(payload, dict):
        for value in payload.values():
            if isinstance(value, web.FileField):
                return value.file.read()
    return await request.read()
