"""The gateway of the fake Discord: connections, sessions, replay. Knows not what events mean."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
import zlib
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import zstandard
from aiohttp import WSMsgType, web
from fake_discord_nouns import DM, JSON, Channel, Post
from fake_faults import reset

if TYPE_CHECKING:
    from collections.abc import Callable

    from fake_discord_world import World

INTENTS = {
    "GUILDS": 1 << 0,
    "GUILD_MEMBERS": 1 << 1,
    "GUILD_WEBHOOKS": 1 << 5,
    "GUILD_PRESENCES": 1 << 8,
    "GUILD_MESSAGES": 1 << 9,
    "GUILD_MESSAGE_REACTIONS": 1 << 10,
    "GUILD_MESSAGE_TYPING": 1 << 11,
    "DIRECT_MESSAGES": 1 << 12,
    "DIRECT_MESSAGE_REACTIONS": 1 << 13,
    "DIRECT_MESSAGE_TYPING": 1 << 14,
    "MESSAGE_CONTENT": 1 << 15,
}
REMEMBERED = 2000
"""How many events of a session can be replayed."""
PRIVILEGED = ("GUILD_MEMBERS", "GUILD_PRESENCES", "MESSAGE_CONTENT")
KNOWN = (1 << 27) - 1

CLOSE = {
    4001: "Unknown opcode.",
    4002: "Error while decoding payload.",
    4003: "Not authenticated.",
    4004: "Authentication failed.",
    4005: "Already authenticated.",
    4007: "Invalid seq.",
    4009: "Session timed out.",
    4012: "Invalid API version.",
    4013: "Invalid intent(s).",
    4014: "Disallowed intent(s).",
}


@dataclass(eq=False)
class Session:
    """What one login has been sent; it outlives its connection."""

    id: str
    intents: int
    connection: Connection | None = None
    left_at: float = 0.0
    """When its connection ended; 0 while it has one."""
    resumable: bool = True
    seq: int = 0
    sent: deque[JSON] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def dispatch(self, event: str, data: Any) -> None:
        self.seq += 1
        payload = {"op": 0, "s": self.seq, "t": event, "d": data}
        self.sent.append(payload)
        if self.connection:
            self.connection.send(payload)


class Connection:
    """One websocket. What is sent goes through a queue, so that nobody waits for a slow client."""

    def __init__(self, request: web.Request) -> None:
        self.request = request
        self.ws = web.WebSocketResponse(autoping=True, max_msg_size=4096 * 16)
        self.session: Session | None = None
        self.silent = False
        self._pack = _packer(request.query.get("compress", ""))
        self._out: asyncio.Queue[JSON] = asyncio.Queue()

    def send(self, payload: JSON) -> None:
        if not self.silent:
            self._out.put_nowait(payload)

    async def pump(self) -> None:
        """Write what is to be sent, for as long as the client takes it."""
        while True:
            text = json.dumps(await self._out.get())
            try:
                if self._pack is None:
                    await self.ws.send_str(text)
                else:
                    await self.ws.send_bytes(self._pack(text.encode()))
            except ConnectionError:
                return

    async def close(self, code: int) -> None:
        await self.ws.close(code=code, message=CLOSE.get(code, "").encode())


def _packer(kind: str) -> Callable[[bytes], bytes] | None:
    """What packs the messages of a connection: one stream for all of them, flushed after each
    (docs.discord.com/developers/events/gateway, "Transport Compression"); None leaves them."""
    if kind == "zlib-stream":
        stream = zlib.compressobj()
        return lambda data: stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH)
    if kind == "zstd-stream":
        frame = zstandard.ZstdCompressor().compressobj()
        block = zstandard.COMPRESSOBJ_FLUSH_BLOCK
        return lambda data: frame.compress(data) + frame.flush(block)
    return None


class Gateway:
    """Every login, and the events it may see."""

    def __init__(self, world: World, changed: Callable[[], None]) -> None:
        self.token = ""
        self.heartbeat_ms = 41_250
        self.portal = set(PRIVILEGED)
        """The privileged intents that are switched on in the developer portal."""
        self.resume_window = 60.0
        """For how many seconds a session without a connection is kept."""
        self.connections: list[Connection] = []
        self.sessions: dict[str, Session] = {}
        self.logins: list[JSON] = []
        """Every IDENTIFY (op 2) and RESUME (op 6) as it came in."""
        self.heartbeats = 0
        self._world = world
        self._changed = changed

    # --- events out -------------------------------------------------------------------------------

    def dispatch(self, event: str, data: JSON, intent: str = "") -> None:
        """To every session that asked for it. `intent` is the part after GUILD_ or DIRECT_."""
        for session in self._kept():
            if not intent or session.intents & INTENTS[intent]:
                session.dispatch(event, data)
        self._changed()

    def _kept(self) -> list[Session]:
        """The sessions that are still of use; those that were left too long ago are dropped."""
        now = time.monotonic()
        for session in list(self.sessions.values()):
            if session.left_at and now - session.left_at > self.resume_window:
                del self.sessions[session.id]
        return list(self.sessions.values())

    def about(self, event: str, channel: Channel, data: JSON, kind: str = "MESSAGES") -> None:
        """Something that happened in a channel: MESSAGES, MESSAGE_REACTIONS or MESSAGE_TYPING."""
        direct = channel.type == DM
        if not direct:
            data = data | {"guild_id": self._world.guild_id}
        if self._world.readable(channel):
            prefix = "DIRECT_" if direct else "GUILD_"
            self.dispatch(event, data, prefix + kind)
        self._changed()

    def message(self, event: str, channel: Channel, post: Post) -> None:
        """A message as each session may see it."""
        direct = channel.type == DM
        if self._world.readable(channel):
            intent = INTENTS["DIRECT_MESSAGES" if direct else "GUILD_MESSAGES"]
            for session in self._kept():
                if session.intents & intent:
                    content = bool(session.intents & INTENTS["MESSAGE_CONTENT"])
                    data = self.message_event(channel, post, content=content)
                    if event == "MESSAGE_CREATE" and "nonce" in post.json:
                        data["nonce"] = post.json["nonce"]
                    session.dispatch(event, data)
        self._changed()

    def message_event(self, channel: Channel, post: Post, *, content: bool = True) -> JSON:
        """A message as the gateway writes it: with the server and the author's membership."""
        world = self._world
        data = world.look(post, content=content) | {"channel_type": channel.type}
        if channel.type == DM:
            return data
        author = world.people.get(data["author"]["id"])
        if author is not None and not data.get("webhook_id"):
            data["member"] = author.member()
        data["mentions"] = [
            user | {"member": world.people[user["id"]].member()} for user in data["mentions"]
        ]
        return data | {"guild_id": world.guild_id}

    # --- connections ------------------------------------------------------------------------------

    async def serve(self, request: web.Request) -> web.StreamResponse:
        connection = Connection(request)
        await connection.ws.prepare(request)
        self.connections.append(connection)
        pump = asyncio.create_task(connection.pump())
        try:
            if request.query.get("v", "10") != "10" or request.query.get("encoding") != "json":
                await connection.close(4012)
            connection.send(
                {"op": 10, "s": None, "t": None, "d": {"heartbeat_interval": self.heartbeat_ms}}
            )
            await self._listen(connection)
        finally:
            pump.cancel()
            self.connections.remove(connection)
            self._hang_up(connection)
            self._changed()
        return connection.ws

    def _hang_up(self, connection: Connection) -> None:
        session = connection.session
        if session and session.connection is connection:
            session.connection = None
            session.left_at = time.monotonic()
            if connection.ws.close_code in (1000, 1001):
                # The client said goodbye: there will be nothing to resume.
                self.sessions.pop(session.id, None)

    async def _listen(self, connection: Connection) -> None:
        # A client that misses its heartbeats is let go, with some patience for busy machines.
        patience = self.heartbeat_ms / 1000 * 2 + 5
        while not connection.ws.closed:
            try:
                message = await connection.ws.receive(timeout=patience)
            except TimeoutError:
                await connection.close(4009)
                return
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return
            if connection.silent:
                continue
            code = self._obey(connection, message.data)
            self._changed()
            if code:
                await connection.close(code)
                return

    def _obey(self, connection: Connection, raw: str | bytes) -> int:
        """What a client said. Returns the code to close with, 0 for none."""
        try:
            payload = json.loads(raw)
            op, data = payload["op"], payload.get("d")
        except (ValueError, KeyError, TypeError):
            return 4002
        match op:
            case 1:
                self.heartbeats += 1
                connection.send({"op": 11, "s": None, "t": None, "d": None})
                return 0
            case 2:
                return self._identify(connection, data)
            case 6:
                return self._resume(connection, data)
            case 3 | 4 | 8:
                if connection.session is None:
                    return 4003
                if op == 8:
                    self._members(connection.session, data)
                return 0
        return 4001

    def _identify(self, connection: Connection, data: JSON) -> int:
        world = self._world
        self.logins.append({"op": 2, **data})
        if connection.session is not None:
            return 4005
        if data.get("token", "").removeprefix("Bot ") != self.token:
            return 4004
        intents = data.get("intents")
        if not isinstance(intents, int) or intents & ~KNOWN or "properties" not in data:
            return 4013
        for name in PRIVILEGED:
            if intents & INTENTS[name] and name not in self.portal:
                return 4014
        session = Session(secrets.token_hex(16), intents, connection=connection)
        self.sessions[session.id] = session
        connection.session = session
        guilds = [{"id": world.guild_id, "unavailable": True}] if world.in_guild else []
        ready = {
            "v": 10,
            "user": world.bot.user() | {"verified": True, "mfa_enabled": False, "flags": 0},
            "guilds": guilds,
            "session_id": session.id,
            "resume_gateway_url": "wss://gateway-us-east1-b.discord.gg",
            "application": {"id": world.app_id, "flags": self.app_flags()},
            "session_type": "normal",
            "private_channels": [],
            "user_settings": {},
        }
        if "shard" in data:
            ready["shard"] = data["shard"]
        session.dispatch("READY", ready)
        if world.in_guild and world.available and intents & INTENTS["GUILDS"]:
            session.dispatch("GUILD_CREATE", self.guild_create(session) | {"unavailable": False})
        return 0

    def guild_create(self, session: Session) -> JSON:
        return self._world.guild_create(
            all_members=bool(session.intents & INTENTS["GUILD_PRESENCES"])
        )

    def app_flags(self) -> int:
        """The flags by which a client learns what the portal allows. The application is small."""
        flags = {"GUILD_PRESENCES": 1 << 13, "GUILD_MEMBERS": 1 << 15, "MESSAGE_CONTENT": 1 << 19}
        return sum(flags[name] for name in self.portal)

    def _resume(self, connection: Connection, data: JSON) -> int:
        self.logins.append({"op": 6, **data})
        if data.get("token", "").removeprefix("Bot ") != self.token:
            return 4004
        session = self.sessions.get(data.get("session_id", ""))
        seq = data.get("seq")
        if not isinstance(seq, int) or (session and seq > session.seq):
            return 4007
        if session is None or not session.resumable or seq < session.seq - len(session.sent):
            self.sessions.pop(data.get("session_id", ""), None)
            connection.send({"op": 9, "s": None, "t": None, "d": False})
            return 0
        session.connection = connection
        session.left_at = 0.0
        connection.session = session
        for payload in session.sent:
            if payload["s"] > seq:
                connection.send(payload)
        session.dispatch("RESUMED", {"_trace": []})
        return 0

    def _members(self, session: Session, data: JSON) -> None:
        people = list(self._world.people.values())
        wanted = data.get("user_ids")
        if wanted is not None:
            ids = [wanted] if isinstance(wanted, str) else [str(id) for id in wanted]
            people = [person for person in people if person.id in ids]
        elif data.get("query"):
            people = [person for person in people if person.name.startswith(data["query"])]
        chunk = {
            "guild_id": self._world.guild_id,
            "members": [{**person.member(), "user": person.user()} for person in people],
            "chunk_index": 0,
            "chunk_count": 1,
            "not_found": [],
        }
        if "nonce" in data:
            chunk["nonce"] = data["nonce"]
        session.dispatch("GUILD_MEMBERS_CHUNK", chunk)

    # --- the gateway's moods ----------------------------------------------------------------------

    async def drop(self, code: int = 0) -> None:
        """End every connection: with a close code, or with none, as when a cable is pulled."""
        for connection in list(self.connections):
            if code:
                await connection.close(code)
            else:
                reset(connection.request)

    def ask_to_reconnect(self) -> None:
        for connection in self.connections:
            connection.send({"op": 7, "s": None, "t": None, "d": None})

    def invalidate(self, *, resumable: bool = False) -> None:
        for connection in self.connections:
            if connection.session and not resumable:
                connection.session.resumable = False
            connection.send({"op": 9, "s": None, "t": None, "d": resumable})

    def silent(self) -> None:
        """The live connections stay open, and nothing comes through them any more."""
        for connection in self.connections:
            connection.silent = True
