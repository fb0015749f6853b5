"""The other methods of the fake Telegram's Bot API: the bot, its commands, chats, small things."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fake_telegram_sending import Sending
from fake_telegram_world import Json, Kept, Refused, World

if TYPE_CHECKING:
    from fake_telegram_params import Params
    from fake_telegram_updates import Updates

BIGGEST_DOWNLOAD = 20 << 20
ACTIONS = [
    "typing",
    "upload_photo",
    "record_video",
    "upload_video",
    "record_voice",
    "upload_voice",
    "upload_document",
    "choose_sticker",
    "find_location",
    "record_video_note",
    "upload_video_note",
]
SCOPES = [
    "default",
    "all_private_chats",
    "all_group_chats",
    "all_chat_administrators",
    "chat",
    "chat_administrators",
    "chat_member",
]
TOO_OLD = "Bad Request: query is too old and response timeout expired or query ID is invalid"
RIGHTS = [
    "can_manage_chat",
    "can_delete_messages",
    "can_manage_video_chats",
    "can_restrict_members",
    "can_promote_members",
    "can_change_info",
    "can_invite_users",
    "can_post_stories",
    "can_edit_stories",
    "can_delete_stories",
    "can_pin_messages",
    "can_manage_topics",
]


@dataclass(frozen=True, slots=True)
class Typing:
    """A notice that the bot is doing something."""

    at: float
    channel: str
    topic: str
    action: str


class Methods(Sending):
    """What a bot can ask for. Every public method is a method of the API."""

    def __init__(self, world: World, updates: Updates) -> None:
        super().__init__(world)
        self._updates = updates
        self._commands: dict[tuple[str, str], list[Json]] = {}
        self.privacy = False
        self.typing: list[Typing] = []
        self.questions: dict[str, Kept] = {}
        """Presses of buttons that were not answered yet."""
        self.toasts: list[tuple[str, str]] = []

    # --- the bot itself ---------------------------------------------------------------------------

    def getMe(self, params: Params) -> Json:
        return self._world.bot.json() | {
            "can_join_groups": True,
            "can_read_all_group_messages": not self.privacy,
            "supports_inline_queries": False,
            "can_connect_to_business": False,
            "has_main_web_app": False,
            "has_topics_enabled": any(
                chat.forum for chat in self._world.chats.values() if chat.kind == "private"
            ),
        }

    async def getUpdates(self, params: Params) -> list[Any]:
        kinds = params.json("allowed_updates", "allowed updates")
        if isinstance(kinds, list):
            self._updates.allow(kinds)
        offset, limit = params.number("offset"), params.number("limit", 100)
        return await self._updates.get(offset, limit, params.number("timeout"))

    def deleteWebhook(self, params: Params) -> bool:
        self._updates.webhook = ""
        if params.flag("drop_pending_updates"):
            self._updates.forget()
        return True

    def getWebhookInfo(self, params: Params) -> Json:
        return {
            "url": self._updates.webhook,
            "has_custom_certificate": False,
            "pending_update_count": len(self._updates.waiting),
        }

    def setMyCommands(self, params: Params) -> bool:
        commands = params.json("commands", "commands")
        if not isinstance(commands, list):
            raise Refused(400, "Bad Request: can't parse commands: expected an Array of BotCommand")
        if len(commands) > 100:
            raise Refused(400, "Bad Request: BOT_COMMANDS_TOO_MUCH")
        for command in commands:
            name = str(command.get("command", "")).removeprefix("/")
            if not (
                0 < len(name) <= 32
                and name.isascii()
                and name.replace("_", "a").isalnum()
                and name == name.lower()
            ):
                raise Refused(400, "Bad Request: BOT_COMMAND_INVALID")
            if not 0 < len(str(command.get("description", ""))) <= 256:
                raise Refused(400, "Bad Request: BOT_COMMAND_DESCRIPTION_INVALID")
        self._commands[self._scope(params)] = commands
        return True

    def getMyCommands(self, params: Params) -> list[Json]:
        return self._commands.get(self._scope(params), [])

    def deleteMyCommands(self, params: Params) -> bool:
        self._commands.pop(self._scope(params), None)
        return True

    def _scope(self, params: Params) -> tuple[str, str]:
        scope = params.json("scope", "BotCommandScope") or {"type": "default"}
        if not isinstance(scope, dict) or scope.get("type") not in SCOPES:
            raise Refused(
                400, "Bad Request: can't parse BotCommandScope: Unsupported type specified"
            )
        return json.dumps(scope, sort_keys=True), params.text("language_code")

    # --- smaller things ---------------------------------------------------------------------------

    def sendChatAction(self, params: Params) -> bool:
        chat = self._writable(params)
        thread = params.number("message_thread_id")
        if thread != 1 or not chat.forum:
            # General's own number is refused for messages and taken here.
            thread = self._thread(chat, thread)
        action = params.text("action")
        if action not in ACTIONS:
            raise Refused(400, "Bad Request: wrong parameter action in request")
        self.typing.append(Typing(time.time(), chat.name, chat.topic_name(thread), action))
        return True

    def answerCallbackQuery(self, params: Params) -> bool:
        id = params.text("callback_query_id")
        if self.questions.pop(id, None) is None:
            raise Refused(400, TOO_OLD)
        if len(params.text("text")) > 200:
            raise Refused(400, "Bad Request: MESSAGE_TOO_LONG")
        self.toasts.append((id, params.text("text")))
        return True

    def getFile(self, params: Params) -> Json:
        file = self._world.files.get(params.text("file_id"))
        if file is None:
            raise Refused(400, "Bad Request: invalid file_id")
        if len(file.data) > BIGGEST_DOWNLOAD:
            raise Refused(400, "Bad Request: file is too big")
        return file.json() | {"file_path": file.path}

    # --- chats ------------------------------------------------------------------------------------

    def getChat(self, params: Params) -> Json:
        return self._chat(params).json() | {
            "accent_color_id": 1,
            "max_reaction_count": 11,
            "accepted_gift_types": {
                f"{kind}_gifts": True for kind in ("unlimited", "limited", "unique")
            }
            | {"premium_subscription": True, "gifts_from_channels": True},
        }

    def getChatMember(self, params: Params) -> Json:
        chat, id = self._chat(params), params.number("user_id")
        for person in self._world.people.values():
            if person.id == id:
                return member(person.json(), chat.status if person is self._world.bot else "member")
        raise Refused(400, "Bad Request: PARTICIPANT_ID_INVALID")

    def getChatAdministrators(self, params: Params) -> list[Json]:
        chat = self._chat(params)
        if chat.kind == "private":
            raise Refused(400, "Bad Request: there are no administrators in the private chat")
        owner = member(self._world.person("owner").json(), "creator")
        bot = member(self._world.bot.json(), chat.status)
        return [owner, bot] if chat.status == "administrator" else [owner]

    def createForumTopic(self, params: Params) -> Json:
        chat, name = self._writable(params), params.text("name")
        if not chat.forum:
            raise Refused(400, "Bad Request: the chat is not a forum")
        if chat.kind != "private" and chat.status != "administrator":
            raise Refused(400, "Bad Request: not enough rights to create a topic")
        if not 1 <= len(name) <= 128:
            raise Refused(400, "Bad Request: TOPIC_TITLE_EMPTY")
        opened = self._world.open_topic(chat, name, self._world.bot)
        topic: Json = opened.raw["forum_topic_created"]
        return topic | {"message_thread_id": opened.number}


def member(user: Json, status: str) -> Json:
    """What somebody is in a chat."""
    rights: Json = {}
    if status == "administrator":
        rights = dict.fromkeys(RIGHTS, True) | {"can_be_edited": False, "is_anonymous": False}
    if status == "creator":
        rights = {"is_anonymous": False}
    if status == "kicked":
        rights = {"until_date": 0}
    return {"user": user, "status": status, **rights}
