"""A Discord on loopback, over TLS and under its own names, with what a test may do to it.

What is said in `fake_discord_*.py` is the platform; here are its front door and the people in it.
"""

from __future__ import annotations

import json
import secrets
import socket
import ssl
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import trustme
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from fake_discord_checks import Upload
from fake_discord_limits import Limits, rate_limited
from fake_discord_nouns import JSON, PERMISSIONS, THREADS, Refusal
from fake_discord_people import People
from fake_discord_rest import API, FILES, reply
from fake_faults import Faults
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

HOSTS = ("discord.com", "cdn.discordapp.com", "media.discordapp.net", "*.discord.gg")
PERSONS_MAX_TEXT = 4000


class _Loopback(AbstractResolver):
    """Knows Discord's names and nothing else: nothing leaves this machine."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if host not in HOSTS and not host.endswith(".discord.gg"):
            raise OSError(f"{host} is not one of Discord's hosts, and the tests know no others")
        return [
            ResolveResult(
                hostname=host,
                host="127.0.0.1",
                port=self._port,
                family=socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        pass


def connector(port: int, ca: str | Path) -> aiohttp.TCPConnector:
    """For one client: Discord's hosts are the fake, and its certificate is trusted."""
    context = ssl.create_default_context(cafile=str(ca))
    return aiohttp.TCPConnector(resolver=_Loopback(port), ssl=context, limit=0)


class FakeDiscord(People):
    """One server, its people, one application with a bot. Outlives every client.

    A channel is named by its name, its id, or "@ann" for the DM with ann; a topic is a thread's id
    or name. Parts of it with more to set: `gateway`, `rest`, `commands`, `webhooks`, `limits`.
    """

    def __init__(self) -> None:
        super().__init__(Faults(rate_limited=rate_limited, is_send=is_send))
        self.token = ".".join(secrets.token_urlsafe(length) for length in (18, 4, 27))
        self.gateway.token = self.token
        self.limits = Limits()
        self.port = 0
        self.ca = Path()
        """The certificate authority to trust, as a PEM file."""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[FakeDiscord]:
        authority = trustme.CA()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(*HOSTS).configure_cert(context)
        app = web.Application(middlewares=[self.watch, self._answer], client_max_size=1 << 28)
        for part in (self.rest, self.threads, self.commands, self.interactions, self.webhooks):
            app.add_routes(part.routes())
        app.router.add_get("/", self.gateway.serve)
        app.router.add_get("/attachments/{c}/{id}/{name}", self._download)
        app.on_response_prepare.append(plain_json)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        with tempfile.TemporaryDirectory() as folder:
            self.ca = Path(folder) / "ca.pem"
            authority.cert_pem.write_to_path(str(self.ca))
            site = web.TCPSite(runner, "127.0.0.1", self.port, ssl_context=context)
            await site.start()
            self.port = runner.addresses[0][1]
            try:
                yield self
            finally:
                self.faults.clear()
                await self.gateway.drop()
                await runner.cleanup()

    def connector(self) -> aiohttp.TCPConnector:
        """A new one for each client."""
        return connector(self.port, self.ca)

    # --- the front door ---------------------------------------------------------------------------

    async def read(self, request: web.Request) -> Any:
        """The JSON of a request, whether it came alone or with files."""
        if request.content_type != "multipart/form-data":
            return await super().read(request)
        files, payload = {}, b"{}"
        form = await request.post()
        for name, field in form.items():
            if name == "payload_json" and not isinstance(field, web.FileField):
                # Text, or bytes where the client says that it is JSON, as the documents do.
                payload = field.encode() if isinstance(field, str) else bytes(field)
            elif name.startswith("files[") and isinstance(field, web.FileField):
                sent = Upload(field.filename, field.file.read(), field.content_type)
                files[int(name[6:-1])] = sent
        request[FILES] = files
        try:
            return json.loads(payload)
        except ValueError:
            return payload

    @property
    def _answer(self) -> Callable[..., Awaitable[web.StreamResponse]]:
        @web.middleware
        async def answer(
            request: web.Request, handler: Callable[..., Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            if not request.path.startswith("/api/"):
                return await handler(request)
            try:
                response = self._stopped(request) or await handler(request)
            except Refusal as refusal:
                response = reply(refusal.body, refusal.status)
            except web.HTTPException as error:
                body = {"message": f"{error.status}: {error.reason}", "code": 0}
                response = reply(body, error.status)
            if response.status != 429:
                response.headers.update(self.limits.headers(request))
            return response

        return answer

    def _stopped(self, request: web.Request) -> web.Response | None:
        """Without a token, or too often. Some addresses carry a token of their own."""
        names = request.match_info
        open_to_all = "t" in names or request.path == API + "/gateway"
        if not open_to_all and request.headers.get("Authorization") != f"Bot {self.token}":
            return reply({"message": "401: Unauthorized", "code": 0}, 401)
        return self.limits.refuse(request)

    async def _download(self, request: web.Request) -> web.Response:
        blob = self.messages.blobs.get(request.match_info["id"])
        if blob is None or dict(request.query) != dict(URL(blob.url).query):
            return web.Response(status=404, text="This content is no longer available.")
        return web.Response(body=blob.data, content_type=blob.type)

    # --- the platform's moods ---------------------------------------------------------------------

    @property
    def nonce_memory(self) -> float:
        """For how many seconds a nonce is remembered."""
        return self.messages.nonce_memory

    @nonce_memory.setter
    def nonce_memory(self, seconds: float) -> None:
        self.messages.nonce_memory = seconds

    async def archive(self, thread: str, *, locked: bool = False) -> None:
        place = self.world.channels[thread]
        place.archived, place.locked = True, locked
        self.messages.changed(place)

    async def delete_channel(self, channel: str) -> None:
        """A channel with its threads, or a thread."""
        place = self._find(channel)
        if place is None:
            raise LookupError(f"there is no channel {channel}")
        for gone in [*(c for c in self.world.channels.values() if c.parent == place.id), place]:
            data = self.world.channel_json(gone)
            if gone.type in THREADS:
                data = {key: data[key] for key in ("id", "guild_id", "parent_id", "type")}
            event = "THREAD_DELETE" if gone.type in THREADS else "CHANNEL_DELETE"
            del self.world.channels[gone.id]
            self.webhooks.forget(gone)
            self.gateway.dispatch(event, data, "GUILDS")

    async def permit(self, permission: str, allowed: bool, *, channel: str = "") -> None:
        """Give our account a permission or take it, in a channel or, without one, in the server."""
        bit, world = PERMISSIONS[permission], self.world
        if channel:
            place = self._place(channel, "", "")
            allow, deny = place.overwrites.get(self.bot_id, (0, 0))
            allow, deny = (allow | bit, deny & ~bit) if allowed else (allow & ~bit, deny | bit)
            place.overwrites[self.bot_id] = [allow, deny]
            self.messages.changed(place)
            return
        for role in world.roles.values():
            if not allowed or role["id"] == world.bot_role:
                old = int(role["permissions"])
                role["permissions"] = str(old | bit if allowed else old & ~bit)
                data = {"guild_id": self.guild_id, "role": role}
                self.gateway.dispatch("GUILD_ROLE_UPDATE", data, "GUILDS")

    async def redeliver(self, id: str, channel: str = "general") -> None:
        """The event of a message once more."""
        place = self._where(id, channel)
        self.gateway.message("MESSAGE_CREATE", place, place.posts[id])

    async def poison(self, payload: JSON, event: str = "MESSAGE_CREATE") -> None:
        """An event that says what no client expects."""
        self.gateway.dispatch(event, payload)

    async def drop(self, code: int = 0) -> None:
        await self.gateway.drop(code)

    def silent(self) -> None:
        """Half-open: connections stay, but nothing comes through them any more, acks included."""
        self.gateway.silent()

    def forget_sessions(self) -> None:
        """No RESUME will find anything: invalid session."""
        for session in self.gateway.sessions.values():
            session.resumable = False

    async def kick(self) -> None:
        """Our account is thrown out of the server."""
        self.world.in_guild = False
        self.gateway.dispatch("GUILD_DELETE", {"id": self.guild_id}, "GUILDS")

    async def invite(self) -> None:
        """It is let in again."""
        self.world.in_guild = True
        self._guild_is_there()

    async def outage(self) -> None:
        """The server is not available for a while, neither to those who log in meanwhile."""
        self.world.available = False
        data = {"id": self.guild_id, "unavailable": True}
        self.gateway.dispatch("GUILD_DELETE", data, "GUILDS")

    async def recover(self) -> None:
        """The end of an outage."""
        self.world.available = True
        self._guild_is_there(unavailable=False)

    def _guild_is_there(self, **more: Any) -> None:
        for session in self.gateway.sessions.values():
            session.dispatch("GUILD_CREATE", self.gateway.guild_create(session) | more)
        self.changed()

    async def revoke(self) -> None:
        """The token is reset: nobody who has the old one gets in any more."""
        self.token = self.gateway.token = secrets.token_urlsafe(40)
        self.gateway.sessions.clear()
        await self.gateway.drop(4004)

    async def forbid_intent(self, name: str) -> None:
        """A privileged intent is switched off in the portal."""
        self.gateway.portal.discard(name)
        self.world.content_in_portal = "MESSAGE_CONTENT" in self.gateway.portal


def is_send(request: web.Request) -> bool:
    """Whether a request makes a message."""
    parts = request.path.removeprefix(API).split("/")
    if request.method != "POST":
        return False
    return (parts[1] == "channels" and parts[-1] == "messages") or (
        parts[1] in ("webhooks", "interactions")
    )


async def plain_json(_: web.Request, response: web.StreamResponse) -> None:
    """Discord names no charset, and clients compare the header as it is."""
    if response.content_type == "application/json":
        response.headers["Content-Type"] = "application/json"
