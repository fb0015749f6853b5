"""The people on the fake Discord: what they do there, and what they see. Knows no sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fake_discord_checks import LABEL, LOADING, Upload, inputs
from fake_discord_commands import Commands
from fake_discord_gateway import Gateway
from fake_discord_interactions import COMMAND, COMPONENT, SUBMIT, Interaction, Interactions
from fake_discord_messages import Messages, buttons
from fake_discord_nouns import FORUM, JSON, TEXT, THREADS, Channel, Post
from fake_discord_rest import Rest
from fake_discord_threads import Threads
from fake_discord_webhooks import Webhooks
from fake_discord_world import World
from fake_faults import Fake, Faults, Shown

if TYPE_CHECKING:
    from collections.abc import Sequence

PERSONS_MAX_TEXT = 4000


class People(Fake):
    """All parts of the platform, and those who use it without a client of ours."""

    def __init__(self, faults: Faults) -> None:
        super().__init__(faults)
        self.world = World()
        self.gateway = Gateway(self.world, self.changed)
        self.messages = Messages(self.world, self.gateway)
        self.rest = Rest(self.world, self.gateway, self.messages)
        self.threads = Threads(self.world, self.messages)
        self.commands = Commands(self.world)
        self.interactions = Interactions(self.world, self.gateway, self.messages)
        self.webhooks = Webhooks(self.world, self.gateway, self.messages, self.interactions)
        self.app_id, self.bot_id = self.world.app_id, self.world.bot.id
        self.guild_id, self.mention = self.world.guild_id, f"<@{self.world.bot.id}>"

    # --- what people do ---------------------------------------------------------------------------

    async def say(
        self,
        text: str,
        *,
        channel: str = "general",
        who: str = "ann",
        topic: str = "",
        reply_to: str = "",
        files: Sequence[tuple[str, bytes]] = (),
        bot: bool = False,
        ping: bool = True,
    ) -> str:
        """Somebody says something. `bot`: it is somebody else's bot. An answer pings by default."""
        person = self.world.person(who, bot=bot)
        place = self._place(channel, topic, who)
        payload: JSON = {"content": text}
        if reply_to:
            payload["message_reference"] = {"message_id": reply_to}
        if not ping:
            payload["allowed_mentions"] = {"parse": ["users", "roles", "everyone"]}
        uploads = {number: Upload(*file) for number, file in enumerate(files)}
        post = self.messages.create(place, person, payload, uploads, max_text=PERSONS_MAX_TEXT)
        return post.id

    async def edit(self, id: str, text: str, channel: str = "general") -> None:
        place = self._where(id, channel)
        self.messages.edit(place, place.posts[id], {"content": text})

    async def delete(self, *ids: str, channel: str = "general") -> None:
        """One message, or several at once as a moderator does."""
        place = self._where(ids[0], channel)
        self.messages.delete(place, *(place.posts[id] for id in ids))

    async def react(
        self, id: str, emoji: str, *, who: str = "ann", channel: str = "general", added: bool = True
    ) -> None:
        place = self._where(id, channel)
        person = self.world.person(who)
        self.messages.react(place, place.posts[id], person, emoji, added=added)

    async def press(
        self, id: str, control: str, *, who: str = "ann", channel: str = "general"
    ) -> str:
        """A button of a message, by its label or custom id. Returns the interaction's id."""
        place = self._where(id, channel)
        hidden = self.interactions.hidden.get(place.id, {})
        post = place.posts.get(id) or hidden[id]
        for button in buttons(post.json["components"]):
            if control in (button.get("label"), button.get("custom_id")):
                break
        else:
            raise LookupError(f"message {id} has no button {control!r}")
        assert not button.get("disabled"), f"the button {control!r} is disabled"
        data = {"custom_id": button["custom_id"], "component_type": 2, "id": button["id"]}
        person = self.world.person(who)
        return self.interactions.happen(COMPONENT, place, person, data, post).id

    def form(self, interaction: str) -> dict[str, str]:
        """The form that an interaction opened: what stands in each of its inputs."""
        shown = self.interactions.all[interaction].extra
        assert shown, f"interaction {interaction} opened no form"
        return {given["custom_id"]: given.get("value", "") for given in inputs(shown)}

    async def submit(self, interaction: str, **values: str) -> str:
        """Fill in a form that an interaction opened, and send it; what is not named stays as it is.
        Returns the interaction's id."""
        opened = self.interactions.all[interaction]
        filled = self.form(interaction) | values
        parts = []
        for number, part in enumerate(opened.extra["components"], 1):
            [given] = inputs({"components": [part]})
            value = filled[given["custom_id"]]
            least = given.get("min_length", 1 if given.get("required", True) else 0)
            assert least <= len(value) <= given.get("max_length", 4000), "it cannot be sent"
            field = {"type": 4, "id": 2 * number, "custom_id": given["custom_id"], "value": value}
            about: JSON = {"type": part["type"], "id": 2 * number - 1}
            inside: JSON = (
                {"component": field} if part["type"] == LABEL else {"components": [field]}
            )
            parts.append(about | inside)
        data = {"custom_id": opened.extra["custom_id"], "components": parts}
        return self.interactions.happen(SUBMIT, opened.channel, opened.who, data, opened.source).id

    async def command(
        self,
        name: str,
        argument: str | dict[str, Any] = "",
        *,
        who: str = "ann",
        channel: str = "general",
        topic: str = "",
    ) -> str:
        """A slash command that is registered; a text goes into its first option.
        Returns the interaction's id."""
        person = self.world.person(who)
        place = self._place(channel, topic, who)
        name, *path = name.removeprefix("/").split()
        command = self.commands.find(name)
        data: JSON = {"id": command["id"], "name": name, "type": 1}
        if "guild_id" in command:
            data["guild_id"] = command["guild_id"]
        data["options"] = options(command["options"], path, argument)
        return self.interactions.happen(COMMAND, place, person, data).id

    def interaction(self, id: str) -> Interaction:
        """How far it came: whether it was answered, and with what."""
        return self.interactions.all[id]

    # --- what people see --------------------------------------------------------------------------

    def shown(self, channel: str = "general", topic: str | None = None) -> list[Shown]:
        """What stands there, oldest first: with a topic in that thread, without it in the channel,
        with "*" in the channel and all its threads. System messages are left out."""
        place = self._find(channel)
        if place is None:
            return []
        places = [place]
        if topic:
            everywhere = self.world.threads(place.id) + self.world.threads(place.id, archived=True)
            named = [thread for thread in everywhere if topic in (thread.id, thread.name)]
            places = [place, *everywhere] if topic == "*" else named
        seen = [
            self._shown(where, post)
            for where in places
            for post in [
                *where.posts.values(),
                *self.interactions.hidden.get(where.id, {}).values(),
            ]
            if post.json["type"] in (0, 19, 20, 23)
        ]
        return sorted(seen, key=lambda shown: int(shown.id))

    def _shown(self, channel: Channel, post: Post) -> Shown:
        raw = self.world.look(post, content=True)
        raw |= {"pings": list(post.pings), "ephemeral": bool(raw["flags"] & 64)}
        reference = raw.get("message_reference") or {}
        return Shown(
            post.id,
            raw["author"]["username"],
            "" if raw["flags"] & LOADING else raw["content"],
            list(post.versions),
            reply_to=reference.get("message_id", ""),
            files=[
                (attachment["filename"], self.messages.blobs[attachment["id"]].data)
                for attachment in raw["attachments"]
            ],
            buttons=[button.get("label") or "" for button in buttons(raw["components"])],
            topic=channel.id if channel.type in THREADS else "",
            raw=raw,
        )

    def answers_to(self, id: str) -> list[Shown]:
        """Our messages that answer a message or an interaction: by reference, or by being in the
        thread that the message began."""
        return [
            self._shown(channel, post)
            for channel, post in self.messages.answers.get(id, [])
            if post.id in channel.posts or post.id in self.interactions.hidden.get(channel.id, {})
        ]

    @property
    def typing(self) -> list[str]:
        """The channel or thread (its id) of every typing notice."""
        return self.rest.typing

    def channel_id(self, channel: str = "general") -> str:
        return self._place(channel, "", "").id

    # --- places -----------------------------------------------------------------------------------

    def _find(self, channel: str) -> Channel | None:
        if channel.startswith("@"):
            return self.world.direct(self.world.person(channel[1:]))
        return self.world.find(channel)

    def _place(self, channel: str, topic: str, who: str) -> Channel:
        """Where something is said; what is missing is made."""
        place = self._find(channel)
        if place is None:
            place = self.create_channel(channel)
        if not topic or topic == place.id:
            return place
        for thread in self.world.threads(place.id) + self.world.threads(place.id, archived=True):
            if topic in (thread.id, thread.name):
                return thread
        starter = place.posts.get(topic)
        named = {"name": starter.json["content"][:90] or "thread" if starter else topic, "type": 11}
        return self.messages.start_thread(place, self.world.person(who), named, starter)

    def _where(self, id: str, channel: str) -> Channel:
        """The channel of a message, which may be in a thread of the one that was named."""
        place = self._find(channel)
        for where in [place] if place and id in place.posts else self.world.channels.values():
            if id in where.posts or id in self.interactions.hidden.get(where.id, {}):
                return where
        raise LookupError(f"there is no message {id} in {channel}")

    def create_channel(self, name: str, *, forum: bool = False) -> Channel:
        channel = self.world.add_channel(name.removeprefix("#"), FORUM if forum else TEXT)
        if self.world.in_guild:
            data = self.world.channel_json(channel)
            self.gateway.dispatch("CHANNEL_CREATE", data, "GUILDS")
        return channel

    async def open_thread(
        self, name: str, *, channel: str = "general", who: str = "ann", of: str = ""
    ) -> str:
        """A person starts a thread, from the message `of` or without one. Returns its id."""
        place = self._place(channel, "", who)
        starter = place.posts[of] if of else None
        person = self.world.person(who)
        payload = {"name": name, "type": 11}
        return self.messages.start_thread(place, person, payload, starter).id

    def seen(self) -> str:
        texts = [f"{s.author}: {s.text!r}" for s in self.shown("general", "*")]
        return "#general shows:\n  " + "\n  ".join(texts[-10:]) + "\n" + super().seen()


def options(defined: list[JSON], path: list[str], argument: str | dict[str, Any]) -> list[JSON]:
    """The options of a command as they are sent: subcommands along the path, then the values."""
    if path:
        for option in defined:
            if option["name"] == path[0] and option["type"] in (1, 2):
                inside = options(option.get("options") or [], path[1:], argument)
                return [{"name": option["name"], "type": option["type"], "options": inside}]
        raise LookupError(f"the command has no subcommand {path[0]}")
    if isinstance(argument, str):
        argument = {defined[0]["name"]: argument} if argument else {}
    given = []
    for option in defined:
        if option["name"] in argument:
            value = argument[option["name"]]
            given.append({"name": option["name"], "type": option["type"], "value": value})
        elif option.get("required"):
            raise LookupError(f"the command needs {option['name']}: a person could not send it")
    unknown_names = argument.keys() - {option["name"] for option in defined}
    if unknown_names:
        raise LookupError(f"the command has no option {', '.join(unknown_names)}")
    return given
