"""The REST interface of the fake Discord: threads, posts of forums, and changing channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web
from fake_discord_checks import channel_of, check, need
from fake_discord_nouns import (
    DM,
    FORUM,
    JSON,
    THREADS,
    Channel,
    Refusal,
    invalid,
    thread_member,
    unknown,
)
from fake_discord_rest import API, reply, said

if TYPE_CHECKING:
    from fake_discord_messages import Messages
    from fake_discord_world import World


class Threads:
    """What can be asked about threads."""

    def __init__(self, world: World, messages: Messages) -> None:
        self._world = world
        self._messages = messages

    def routes(self) -> list[web.RouteDef]:
        channel = API + "/channels/{c}"
        message = channel + "/messages/{m}"
        guild = API + "/guilds/{g}"
        return [
            web.get(guild + "/threads/active", self.active_threads),
            web.patch(channel, self.change),
            web.post(message + "/threads", self.thread_from_message),
            web.post(channel + "/threads", self.thread),
            web.get(channel + "/threads/archived/public", self.archived_threads),
            web.get(channel + "/thread-members", self.thread_members),
            web.put(channel + "/thread-members/@me", self.join),
            web.delete(channel + "/thread-members/@me", self.leave),
        ]

    def _channel(self, request: web.Request) -> Channel:
        return channel_of(self._world, request.match_info["c"])

    async def change(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        payload, _ = said(request)
        own = channel.owner == self._world.bot.id and channel.type in THREADS
        archives = set(payload) <= {"archived"} and self._world.may(
            channel, "SEND_MESSAGES_IN_THREADS"
        )
        needed = "MANAGE_THREADS" if channel.type in THREADS else "MANAGE_CHANNELS"
        if not (own or (channel.type in THREADS and archives)):
            need(self._world, channel, needed)
        name = payload.get("name", channel.name)
        if not 1 <= len(name) <= 100:
            raise invalid("name", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length.")
        if channel.archived and payload.get("archived", True):
            raise Refusal(400, 50083, "Thread is archived")
        channel.name = name
        channel.archived = payload.get("archived", channel.archived)
        channel.locked = payload.get("locked", channel.locked)
        self._messages.changed(channel)
        return reply(self._world.channel_json(channel))

    async def thread_from_message(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        post = self._world.post(channel, request.match_info["m"])
        payload, _ = said(request)
        if channel.type in (DM, *THREADS):
            raise Refusal(400, 50024, "Cannot execute action on this channel type")
        need(self._world, channel, "CREATE_PUBLIC_THREADS")
        thread = self._messages.start_thread(channel, self._world.bot, payload, post)
        return reply(self._world.channel_json(thread), 201)

    async def thread(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        payload, files = said(request)
        if channel.type in (DM, *THREADS):
            raise Refusal(400, 50024, "Cannot execute action on this channel type")
        if channel.type != FORUM:
            kind = (
                "CREATE_PUBLIC_THREADS" if payload.get("type") == 11 else "CREATE_PRIVATE_THREADS"
            )
            need(self._world, channel, kind)
            payload = {"type": 12} | payload
            thread = self._messages.start_thread(channel, self._world.bot, payload)
            return reply(self._world.channel_json(thread), 201)
        need(self._world, channel, "SEND_MESSAGES")
        if "message" not in payload:
            raise invalid("message", "BASE_TYPE_REQUIRED", "This field is required")
        first = payload["message"]
        check(first, files)
        thread = self._messages.start_thread(channel, self._world.bot, payload)
        post = self._messages.create(thread, self._world.bot, first, files, more={"id": thread.id})
        channel.last_message_id = thread.id
        shown = self._world.channel_json(thread) | {"message": self._world.look(post)}
        return reply(shown, 201)

    async def active_threads(self, request: web.Request) -> web.Response:
        world = self._world
        if request.match_info["g"] != world.guild_id or not world.in_guild:
            raise unknown("Guild")
        threads = [thread for thread in world.threads() if world.readable(thread)]
        return reply(self._listed(threads))

    async def archived_threads(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        need(self._world, channel, "READ_MESSAGE_HISTORY")
        threads = self._world.threads(channel.id, archived=True)
        return reply(self._listed(threads[::-1]) | {"has_more": False})

    def _listed(self, threads: list[Channel]) -> JSON:
        bot = self._world.bot.id
        return {
            "threads": [self._world.channel_json(thread) for thread in threads],
            "members": [thread_member(thread, bot) for thread in threads if bot in thread.members],
        }

    async def thread_members(self, request: web.Request) -> web.Response:
        thread = self._channel(request)
        return reply([thread_member(thread, person) for person in thread.members])

    async def join(self, request: web.Request) -> web.Response:
        thread = self._channel(request)
        if self._world.bot.id not in thread.members:
            thread.members.append(self._world.bot.id)
        return reply()

    async def leave(self, request: web.Request) -> web.Response:
        thread = self._channel(request)
        if self._world.bot.id in thread.members:
            thread.members.remove(self._world.bot.id)
        return reply()
