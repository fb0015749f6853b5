"""What people do on the fake Telegram, what they see there, and what they do to the bot.

Messages are named "chat/number", since every supergroup numbers its messages itself.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from fake_faults import Fake, Faults, Shown
from fake_telegram_methods import Methods, Typing, member
from fake_telegram_text import Marked, parse_html, part, tidy
from fake_telegram_updates import Updates
from fake_telegram_world import Chat, Json, Kept, Person, World, is_picture, is_voice

if TYPE_CHECKING:
    from collections.abc import Sequence

NOTICES = {"forum_topic_created", "migrate_to_chat_id", "migrate_from_chat_id"}


class People(Fake):
    """Everything but the server."""

    def __init__(self, faults: Faults, bot: Person) -> None:
        super().__init__(faults)
        self.bot = bot
        self.world = World(bot)
        self.updates = Updates(self.changed)
        self.methods = Methods(self.world, self.updates)

    @property
    def typing(self) -> list[Typing]:
        return self.methods.typing

    @property
    def toasts(self) -> list[tuple[str, str]]:
        """Answers to presses of buttons: the press, and the words shown."""
        return self.methods.toasts

    # --- what people do and see -------------------------------------------------------------------

    def chat(self, channel: str, kind: str = "supergroup", *, forum: bool = False) -> Chat:
        """A chat by name or id, made where there is none. `@ann` is the private chat with ann."""
        try:
            return self.world.chat(channel)
        except KeyError:
            return self.world.make(channel, kind, forum=forum)

    async def say(
        self,
        text: str,
        *,
        channel: str = "general",
        who: str = "",
        topic: str = "",
        reply_to: str = "",
        files: Sequence[tuple[str, bytes]] = (),
        html: bool = False,
        as_documents: bool = False,
        by_bot: bool = False,
        **raw: Any,
    ) -> str:
        """A person says something. Several files become an album: a message for each of them.

        What else the platform puts into a message (a sticker, where it was forwarded from) is
        given as it is written there.
        """
        chat = self.chat(channel, forum=bool(topic))
        person = self._who(chat, who, is_bot=by_bot)
        assert chat.forum or not topic, f"{channel} has no topics"
        thread = self._topic(chat, topic, person)
        answers = self.world.find(reply_to, channel) if reply_to else None
        marked = tidy(parse_html(text) if html else Marked(text, []))
        album = {"media_group_id": str(time.time_ns())} if len(files) > 1 else {}
        first = None
        for name, data in files or [("", b"")]:
            content = dict(raw)
            stored = []
            if name:
                kind = "photo" if is_picture(data) else "voice" if is_voice(data) else "document"
                media, file = self.world.media(name, data, "document" if as_documents else kind)
                content |= media | album
                stored.append(file)
            if first is None and (text or name):
                content |= self.world.said(marked, caption=bool(name))
            kept = self.world.keep(
                chat, person, content, thread=thread, answers=answers, files=stored
            )
            first = first or kept
            self._tell(kept)
        assert first is not None
        return first.id

    async def edit(self, id: str, text: str, channel: str = "general") -> None:
        kept = self.world.find(id, channel)
        caption = "text" not in kept.raw
        self.world.rewrite(kept, self.world.said(tidy(Marked(text, [])), caption=caption))
        self._tell(kept, "edited_")

    async def delete(self, id: str, channel: str = "general") -> None:
        """Bots are not told of it."""
        self.world.find(id, channel).gone = True
        self.changed()

    async def react(
        self,
        id: str,
        emoji: str,
        who: str = "ann",
        channel: str = "general",
        *,
        added: bool = True,
    ) -> None:
        """In groups only bots that are administrators are told."""
        kept, person = self.world.find(id, channel), self.world.person(who)
        old = kept.reactions.get(who, [])
        new = [*old, emoji] if added else [one for one in old if one != emoji]
        kept.reactions[who] = new
        if kept.chat.kind == "private" or kept.chat.status == "administrator":
            self.updates.put(
                "message_reaction",
                {
                    "chat": kept.chat.json(),
                    "message_id": kept.number,
                    "user": person.json(),
                    "date": int(time.time()),
                    "old_reaction": [{"type": "emoji", "emoji": one} for one in old],
                    "new_reaction": [{"type": "emoji", "emoji": one} for one in new],
                },
            )
        self.changed()

    async def press(self, id: str, control: str, who: str = "ann", channel: str = "general") -> str:
        """A person presses a button, named by its label or its data; returns the press's id."""
        kept, person = self.world.find(id, channel), self.world.person(who)
        for button in _buttons(kept):
            if control in (button["text"], button.get("callback_data")):
                question = str(time.time_ns())
                self.methods.questions[question] = kept
                self.updates.put(
                    "callback_query",
                    {
                        "id": question,
                        "from": person.json(),
                        "message": dict(kept.raw),
                        "chat_instance": str(-kept.chat.id * 7),
                        "data": button["callback_data"],
                    },
                )
                return question
        raise AssertionError(f"{id} has no button {control!r}; it has {_buttons(kept)}")

    async def command(
        self, name: str, argument: str = "", who: str = "", channel: str = "general"
    ) -> str:
        """A command as it is taken from the menu: in groups with the bot's name behind it."""
        chat = self.chat(channel)
        addressed = "" if chat.kind == "private" else f"@{self.bot.name}"
        return await self.say(f"/{name}{addressed} {argument}".strip(), channel=channel, who=who)

    def shown(self, channel: str, topic: str | None = None) -> list[Shown]:
        """What a person sees there now; the topic "" is General."""
        chat = self.chat(channel)
        return [
            self._show(kept)
            for kept in chat.messages.values()
            if not kept.gone and topic in (None, chat.topic_name(kept.thread))
        ]

    def answers_to(self, id: str) -> list[Shown]:
        """The bot's messages that answer this one."""
        asked = self.world.find(id, "general")
        return [
            shown
            for shown in self.shown(str(asked.chat.id))
            if shown.reply_to == asked.id and shown.author == self.bot.name
        ]

    def _show(self, kept: Kept) -> Shown:
        return Shown(
            id=kept.id,
            author=kept.raw.get("from", {}).get("first_name", kept.chat.name),
            text=kept.text,
            versions=list(kept.versions),
            reply_to=f"{kept.chat.id}/{kept.answers}" if kept.answers else "",
            files=[(file.name, file.data) for file in kept.files],
            buttons=[button["text"] for button in _buttons(kept)],
            topic=kept.chat.topic_name(kept.thread),
            raw=kept.raw,
        )

    def _who(self, chat: Chat, who: str, *, is_bot: bool = False) -> Person:
        if chat.person is not None:
            assert who in ("", chat.person.name), f"{chat.name} is not the chat of {who}"
            chat.person.started = True
            return chat.person
        return self.world.person(who or "ann", is_bot=is_bot)

    def _topic(self, chat: Chat, name: str, by: Person) -> int:
        """The topic of this name, opened where there is none. General is no topic."""
        for thread, known in chat.topics.items():
            if known == name:
                return thread
        if not name:
            return 0
        opened = self.world.open_topic(chat, name, by)
        self._tell(opened)
        return opened.number

    # --- what becomes of the bot ------------------------------------------------------------------

    def privacy(self, on: bool) -> None:
        """With privacy on, groups tell the bot only of what is meant for it."""
        self.methods.privacy = on

    def limit(self, most: int, seconds: float) -> None:
        """From now on each chat takes so many sends and edits in so many seconds."""
        self.methods.per_chat = (most, seconds)

    def forbid(self, channel: str, *kinds: str) -> None:
        """The administrators let nobody send "photos" or "documents" in a group."""
        self.chat(channel).forbidden = set(kinds)

    def age(self, id: str, seconds: float, channel: str = "general") -> None:
        """A message is older than it was."""
        self.world.find(id, channel).raw["date"] -= int(seconds)

    async def promote(self, channel: str) -> None:
        self._becomes(self.chat(channel), "administrator")

    async def kick(self, channel: str) -> None:
        self._becomes(self.chat(channel), "kicked")

    async def invite(self, channel: str) -> None:
        """The bot is taken back into a chat it was thrown out of."""
        self._becomes(self.chat(channel), "member")

    async def block(self, who: str, *, blocked: bool = True) -> None:
        """A person stops the bot, or starts it again."""
        self._becomes(self.chat(f"@{who}"), "kicked" if blocked else "member")

    def _becomes(self, chat: Chat, status: str) -> None:
        change = {
            "chat": chat.json(),
            "from": (chat.person or self.world.person("ann")).json(),
            "date": int(time.time()),
            "old_chat_member": member(self.bot.json(), chat.status),
            "new_chat_member": member(self.bot.json(), status),
        }
        chat.status = status
        self.updates.put("my_chat_member", change)

    async def migrate(self, channel: str) -> Chat:
        """A group becomes a supergroup: another id, and other numbers for its messages."""
        old = self.chat(channel)
        assert old.kind == "group", f"{channel} is a {old.kind}, and only groups move"
        by = self.world.person("ann")
        old.migrated_to = -1  # so that the new one is made under the same name
        new = self.world.make(old.name)
        self._tell(self.world.keep(old, by, {"migrate_to_chat_id": new.id}))
        old.migrated_to = new.id
        self._tell(self.world.keep(new, by, {"migrate_from_chat_id": old.id}))
        return new

    def _tell(self, kept: Kept, prefix: str = "") -> None:
        if self._may_hear(kept):
            channel = "channel_post" if kept.chat.kind == "channel" else "message"
            self.updates.put(prefix + channel, dict(kept.raw))
        self.changed()

    def _may_hear(self, kept: Kept) -> bool:
        chat = kept.chat
        if chat.status == "kicked":
            return False
        everything = chat.kind in ("private", "channel") or chat.status == "administrator"
        if everything or not self.methods.privacy:
            return True
        if kept.raw.keys() & NOTICES:
            return True
        if kept.answers and chat.messages[kept.answers].raw["from"]["id"] == self.bot.id:
            return True
        entities: list[Json] = kept.raw.get("entities") or kept.raw.get("caption_entities") or []
        for entity in entities:
            named = part(kept.text, entity)
            if self.bot.name in named or (entity["type"] == "bot_command" and "@" not in named):
                return True
        return False


def _buttons(kept: Kept) -> list[Json]:
    rows: list[list[Json]] = kept.raw.get("reply_markup", {}).get("inline_keyboard", [])
    return [button for row in rows for button in row]
