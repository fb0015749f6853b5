"""Telegram's updates as the house's events. Knows no connection: it is handed what came in.

Whatever an update lacks or gets wrong raises here, and the update is put away for a person to look
at; nothing that somebody typed does.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from telegram import Message as TelegramMessage

from adapters.controls import control_of
from adapters.telegram.contents import in_words
from adapters.telegram.entities import markdown
from botdaemon.types import (
    Address,
    Edited,
    Identity,
    Message,
    Posted,
    Pressed,
    Reacted,
)

if TYPE_CHECKING:
    from telegram import (
        CallbackQuery,
        Chat,
        MaybeInaccessibleMessage,
        MessageEntity,
        MessageReactionUpdated,
        ReactionType,
        Update,
        User,
    )

    from adapters.files import Taken


class Reader:
    """Reads for one account."""

    def __init__(self, adapter: str, account: User, bots: Collection[str]) -> None:
        self._adapter = adapter
        self._account = account.id
        self._username = (account.username or "").lower()
        self._first = next(iter(bots), account.first_name)
        self._bots = bots

    # --- messages -----------------------------------------------------------------------------

    def posted(
        self, parts: Sequence[TelegramMessage], taken: Taken, *, missed: bool
    ) -> Posted | None:
        """What somebody said, or None for a message that says nothing (somebody joined). An album
        comes as one message for each picture: they are the `parts` of one."""
        message = parts[0]
        author = self._author(message)
        texts = [_quoted(one) + self.text(one) for one in parts]
        said = [text for text in texts if text]
        mentioned = any(self._mentions(one) for one in parts)
        if author is None or not (said or mentioned or taken.files or taken.lines):
            return None
        return Posted(
            key=f"{message.chat.id}:{message.message_id}",
            message=Message(
                address=self.address(message),
                text=taken.beside("\n".join(said)),
                sent_at=message.date.timestamp(),
                author=author,
                platform_id=str(message.message_id),
                reply_to=_reply_to(message),
                files=taken.files,
            ),
            direct=message.chat.type == "private",
            mentioned=mentioned,
            to_others=self._to_others(message),
            missed=missed,
        )

    def edited(self, message: TelegramMessage, update: int) -> Edited | None:
        """What it says now. Two changes can have the same time, so the update tells them apart."""
        if self._author(message) is None:
            return None
        at = message.edit_date or message.date
        return Edited(
            key=f"edit:{message.chat.id}:{message.message_id}:{update}",
            address=self.address(message),
            platform_id=str(message.message_id),
            text=_quoted(message) + self.text(message),
            at=at.timestamp(),
        )

    def address(self, message: MaybeInaccessibleMessage) -> Address:
        """Where it was said. Only a topic is a place of its own: the General topic and chains of
        replies are the chat itself."""
        topic = ""
        if isinstance(message, TelegramMessage) and message.is_topic_message:
            topic = str(message.message_thread_id or "")
        return Address(self._adapter, str(message.chat.id), topic)

    def _author(self, message: TelegramMessage) -> Identity | None:
        """Who said it; None for the account itself, and for Telegram's own notices."""
        if message.sender_chat is not None:  # an anonymous admin, or a channel
            return self._chat(message.sender_chat)
        if message.from_user is None:
            return self._chat(message.chat) if message.chat.type == "channel" else None
        return self._person(message.from_user) if message.from_user.id != self._account else None

    def _person(self, user: User) -> Identity:
        return Identity(
            adapter=self._adapter,
            account=str(user.id),
            name=user.full_name.strip() or user.username or str(user.id),
            is_bot=user.is_bot,
        )

    def _chat(self, chat: Chat) -> Identity:
        name = chat.title or chat.username or str(chat.id)
        return Identity(adapter=self._adapter, account=str(chat.id), name=name)

    # --- their text ---------------------------------------------------------------------------

    def text(self, message: TelegramMessage) -> str:
        """What a message says, as Markdown; what is no text in words."""
        raw, entities = _raw(message)
        if not raw:
            return in_words(message)
        text = markdown(raw, entities, self._named)
        own = entities and self._is_own(entities[0], _covered(raw, entities[0]))
        if own and not raw[: entities[0].offset].strip() and entities[0].type != "bot_command":
            text = re.sub(rf"\A\s*@{re.escape(self._first)}[,:]?\s*", "", text)
        return text

    def _named(self, entity: MessageEntity, covered: str) -> str | None:
        match entity.type:
            case "mention" | "text_mention" if self._is_own(entity, covered):
                return f"@{self._first}"
            case "text_mention":
                return f"@{covered.removeprefix('@')}"
            case "bot_command":
                command, at, bot = covered.partition("@")
                # A command for somebody else's bot is words, and must not be taken for one of ours.
                return command if not at or bot.lower() == self._username else f"\\{covered}"
        return None

    def _is_own(self, entity: MessageEntity, covered: str) -> bool:
        match entity.type:
            case "mention":
                return bool(self._username) and covered.lower() == f"@{self._username}"
            case "text_mention":
                return entity.user is not None and entity.user.id == self._account
            case "bot_command":
                return bool(self._username) and covered.lower().endswith(f"@{self._username}")
        return False

    def _mentions(self, message: TelegramMessage) -> bool:
        raw, entities = _raw(message)
        return any(self._is_own(entity, _covered(raw, entity)) for entity in entities)

    def _to_others(self, message: TelegramMessage) -> bool:
        """Whether it opens with somebody else's name."""
        raw, entities = _raw(message)
        for entity in entities:
            covered = _covered(raw, entity)
            if _before(raw, entity).strip():
                return False
            match entity.type:
                case "mention":
                    ours = covered[1:].lower() in {bot.lower() for bot in self._bots}
                    return not ours and not self._is_own(entity, covered)
                case "text_mention":
                    return not self._is_own(entity, covered)
                case "bot_command":
                    return "@" in covered and not self._is_own(entity, covered)
        return False

    # --- the rest -----------------------------------------------------------------------------

    def pressed(self, query: CallbackQuery) -> Pressed | None:
        """A button of ours; None for anybody else's."""
        control = control_of(query.data or "")
        if query.message is None or control is None:
            return None
        return Pressed(
            key=query.id,
            address=self.address(query.message),
            who=self._person(query.from_user),
            control=control,
            at=time.time(),  # Telegram does not say when
            platform_id=str(query.message.message_id),
            direct=query.message.chat.type == "private",
        )

    def reacted(self, change: MessageReactionUpdated, update: int) -> list[Reacted]:
        """Every reaction that came or went. Telegram does not say in which topic."""
        if change.user is not None:
            who = self._person(change.user)
        elif change.actor_chat is not None:
            who = self._chat(change.actor_chat)
        else:
            raise ValueError("nobody reacted")
        if who.account == str(self._account):
            return []
        old, new = _emoji(change.old_reaction), _emoji(change.new_reaction)
        place = f"{change.chat.id}:{change.message_id}:{who.account}"
        return [
            Reacted(
                key=f"react:{place}:{emoji}:{added}:{update}",
                address=Address(self._adapter, str(change.chat.id)),
                who=who,
                platform_id=str(change.message_id),
                emoji=emoji,
                added=added,
                at=change.date.timestamp(),
            )
            for one, other, added in ((old, new, False), (new, old, True))
            for emoji in one
            if emoji not in other
        ]


def moved_to(message: TelegramMessage) -> tuple[int, int] | None:
    """(old, new) chat, for the notice that a group has become a supergroup."""
    if message.migrate_to_chat_id:
        return message.chat.id, message.migrate_to_chat_id
    if message.migrate_from_chat_id:
        return message.migrate_from_chat_id, message.chat.id
    return None


def update_id(raw: Any) -> int | None:
    """The number of an update, however malformed the rest is."""
    number = raw.get("update_id") if isinstance(raw, Mapping) else None
    return number if isinstance(number, int) else None


def chat_of(update: Update) -> int | None:
    """The chat an update belongs to: those of one chat are handled in order."""
    if update.effective_chat is None:
        return None
    id = update.effective_chat.id
    if not isinstance(id, int):
        raise TypeError(f"the id of a chat is {type(id).__name__}")
    return id


def _raw(message: TelegramMessage) -> tuple[str, Sequence[MessageEntity]]:
    text = message.text or message.caption or ""
    if not isinstance(text, str):
        raise TypeError(f"the text of a message is {type(text).__name__}")
    text = _units(text).decode("utf-16-le", "replace")  # half a character cannot be kept
    entities = message.entities if message.text else message.caption_entities
    return text, sorted(entities, key=lambda entity: entity.offset)


def _units(text: str) -> bytes:
    return text.encode("utf-16-le", "surrogatepass")


def _covered(text: str, entity: MessageEntity) -> str:
    start = max(entity.offset, 0) * 2
    return _units(text)[start : start + entity.length * 2].decode("utf-16-le", "replace")


def _before(text: str, entity: MessageEntity) -> str:
    return _units(text)[: max(entity.offset, 0) * 2].decode("utf-16-le", "replace")


def _reply_to(message: TelegramMessage) -> str:
    replied = message.reply_to_message
    if replied is None or (
        # Whatever is said in a topic is formally a reply to the notice that opened the topic.
        message.is_topic_message and replied.message_id == message.message_thread_id
    ):
        return ""
    return str(replied.message_id)


def _quoted(message: TelegramMessage) -> str:
    """What a person picked out of the message they answer, as a quote above their words."""
    quote = message.quote
    text = message.text or message.caption or ""
    if quote is None or not quote.is_manual or text.startswith(("/", "!")):
        return ""
    return "\n".join(f"> {line}".rstrip() for line in quote.text.split("\n")) + "\n\n"


def _emoji(reactions: Sequence[ReactionType]) -> list[str]:
    """By their emoji; a custom one has only a number, and a paid one is a star."""
    return [
        getattr(one, "emoji", None) or getattr(one, "custom_emoji_id", None) or "\u2b50"
        for one in reactions
    ]
