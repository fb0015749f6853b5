"""How a bot says something on the fake Telegram and changes it. Knows no connections."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from fake_telegram_params import Params, Upload
from fake_telegram_world import Chat, File, Json, Kept, Refused, World, is_picture, size_of

if TYPE_CHECKING:
    from fake_telegram_text import Marked

LONGEST_TEXT, LONGEST_CAPTION = 4096, 1024
BIGGEST_PHOTO = 10 << 20
LONGEST_SIDES, THINNEST = 10_000, 20
"""Of a photo: width and height together, and how many times one may be the other."""
DELETABLE = 48 * 3600.0
# Those that a bot may give, as far as anybody here uses them; each is one code point.
REACTIONS = set("👍👎❤🔥🥰👏😁🤔🤯😱🤬😢🎉🤩🤮💩🙏👌🕊🤡🥱👀✍🫡🤷💯⚡")
UNCHANGED = (
    "Bad Request: message is not modified: specified new message content and reply markup are "
    "exactly the same as a current content and reply markup of the message"
)


class Sending:
    """The methods about messages. They are named as the API names them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._sent: dict[int, deque[float]] = {}
        self.per_chat: tuple[int, float] | None = None
        """So many sends and edits in so many seconds, in each chat."""
        self.gives_files = True
        """Whether a message that is only text can be given a file: older servers refuse it."""

    # --- saying something -------------------------------------------------------------------------

    def sendMessage(self, params: Params) -> Json:
        too_long = "Bad Request: message is too long"
        marked = params.marked("text", "entities", LONGEST_TEXT, too_long)
        if not marked.text:
            raise Refused(400, "Bad Request: message text is empty")
        return self._send(params, self._world.said(marked, caption=False) | params.preview(), [])

    def sendPhoto(self, params: Params) -> Json:
        return self._send_file(params, "photo")

    def sendDocument(self, params: Params) -> Json:
        return self._send_file(params, "document")

    def sendVoice(self, params: Params) -> Json:
        """OGG with Opus, MP3 or M4A; anything else becomes a document, as the real server does."""
        return self._send_file(params, "voice")

    def _send_file(self, params: Params, kind: str) -> Json:
        content, file = self._content(params, kind, kind)
        if "voice" in content:
            content["voice"]["duration"] = params.number("duration")
        return self._send(params, content, [file])

    def _content(self, params: Params, kind: str, field: str) -> tuple[Json, File]:
        """A file with its caption, as a message carries them."""
        marked = self._caption(params)
        given = params.file(field)
        if not given:
            raise Refused(400, f"Bad Request: there is no {kind} in the request")
        if isinstance(given, str):
            if given.startswith(("http://", "https://")):
                raise Refused(400, "Bad Request: failed to get HTTP URL content")
            if given not in self._world.files:
                raise Refused(400, "Bad Request: wrong file identifier/HTTP URL specified")
            given = Upload(self._world.files[given].name, self._world.files[given].data)
        if not given.data:
            raise Refused(400, "Bad Request: file must be non-empty")
        covered: Json = {}
        if kind == "photo":
            _check_photo(given.data)
            covered = {"has_media_spoiler": True} if params.flag("has_spoiler") else {}
        content, file = self._world.media(given.name, given.data, kind)
        return content | covered | self._world.said(marked, caption=True), file

    def _caption(self, params: Params) -> Marked:
        too_long = "Bad Request: message caption is too long"
        return params.marked("caption", "caption_entities", LONGEST_CAPTION, too_long)

    def _may_send(self, chat: Chat, content: Json) -> None:
        """What the administrators of a group let nobody send there."""
        names = {"photo": "photos", "document": "documents", "voice": "voice notes"}
        for kind, name in names.items():
            if kind in content and name in chat.forbidden and chat.status != "administrator":
                words = f"Bad Request: not enough rights to send {name} to the chat"
                raise Refused(400, words)
        if "voice" in content and chat.person is not None and "voice notes" in chat.forbidden:
            raise Refused(400, "Bad Request: VOICE_MESSAGES_FORBIDDEN")

    def _send(self, params: Params, content: Json, files: list[File]) -> Json:
        chat = self._writable(params)
        self._flood(chat)
        thread = self._thread(chat, params.number("message_thread_id"))
        answers = self._answered(chat, params)
        if chat.kind == "channel" and chat.status != "administrator":
            raise Refused(400, "Bad Request: need administrator rights in the channel chat")
        self._may_send(chat, content)
        content = content | params.keyboard()
        if params.flag("protect_content"):
            content["has_protected_content"] = True
        kept = self._world.keep(
            chat, self._world.bot, content, thread=thread, answers=answers, files=files
        )
        return kept.raw

    def _answered(self, chat: Chat, params: Params) -> Kept | None:
        reply = params.json("reply_parameters", "reply parameters")
        if reply is None and params.number("reply_to_message_id"):
            reply = {
                "message_id": params.number("reply_to_message_id"),
                "allow_sending_without_reply": params.flag("allow_sending_without_reply"),
            }
        if reply is None:
            return None
        if not isinstance(reply, dict):
            raise Refused(400, "Bad Request: object expected as reply parameters")
        kept = chat.messages.get(int(reply.get("message_id", 0)))
        if kept is None or kept.gone or reply.get("chat_id", chat.id) != chat.id:
            if reply.get("allow_sending_without_reply"):
                return None
            raise Refused(400, "Bad Request: message to be replied not found")
        if reply.get("quote", "") not in kept.text:
            raise Refused(400, "Bad Request: QUOTE_TEXT_INVALID")
        return kept

    def _flood(self, chat: Chat) -> None:
        """The limit on sends and edits in a chat, where a test sets one."""
        if self.per_chat is None:
            return
        most, seconds = self.per_chat
        now, sent = time.monotonic(), self._sent.setdefault(chat.id, deque())
        while sent and sent[0] <= now - seconds:
            sent.popleft()
        if len(sent) >= most:
            raise too_many(sent[0] + seconds - now)
        sent.append(now)

    # --- changing what was said -------------------------------------------------------------------

    def editMessageText(self, params: Params) -> Json:
        kept = self._own(params)
        if "text" not in kept.raw:
            raise Refused(400, "Bad Request: there is no text in the message to edit")
        too_long = "Bad Request: MESSAGE_TOO_LONG"
        marked = params.marked("text", "entities", LONGEST_TEXT, too_long)
        if not marked.text:
            raise Refused(400, "Bad Request: message text is empty")
        return self._edit(
            kept, self._world.said(marked, caption=False) | params.preview(), params.keyboard()
        )

    def editMessageCaption(self, params: Params) -> Json:
        kept = self._own(params)
        if "text" in kept.raw:
            raise Refused(400, "Bad Request: there is no caption in the message to edit")
        return self._edit(
            kept, self._world.said(self._caption(params), caption=True), params.keyboard()
        )

    def editMessageMedia(self, params: Params) -> Json:
        """Another file, or the first one of a message that was only text."""
        kept, media = self._own(params), params.inside("media", "InputMedia")
        kind = media.text("type")
        if kind not in ("photo", "document"):
            # The real server knows more kinds. Nothing here sends them.
            raise Refused(400, "Bad Request: can't parse InputMedia: type isn't allowed")
        if "text" in kept.raw and not self.gives_files:
            raise Refused(400, "Bad Request: there is no media in the message to edit")
        content, file = self._content(media, kind, "media")
        self._may_send(kept.chat, content)
        return self._edit(kept, content, params.keyboard(), [file])

    def editMessageReplyMarkup(self, params: Params) -> Json:
        kept, keyboard = self._own(params), params.keyboard()
        if kept.raw.get("reply_markup") == keyboard.get("reply_markup"):
            raise Refused(400, UNCHANGED)
        self._flood(kept.chat)
        kept.raw.pop("reply_markup", None)
        kept.raw |= keyboard | {"edit_date": int(time.time())}
        return kept.raw

    def _edit(
        self, kept: Kept, content: Json, keyboard: Json, files: list[File] | None = None
    ) -> Json:
        """Without `files` those of the message stay; one that is uploaded is another one, even if
        it is the same."""
        looks = ("text", "caption", "entities", "caption_entities", "reply_markup")
        new = content | keyboard
        same = all(kept.raw.get(key) == new.get(key) for key in looks)
        if same and files is None:
            raise Refused(400, UNCHANGED)
        self._flood(kept.chat)
        kept.raw.pop("reply_markup", None)
        self._world.rewrite(kept, new, files)
        return kept.raw

    def _own(self, params: Params) -> Kept:
        chat = self._writable(params)
        kept = chat.messages.get(params.number("message_id"))
        if kept is None or kept.gone:
            raise Refused(400, "Bad Request: message to edit not found")
        ours = kept.raw.get("from", {}).get("id") == self._world.bot.id
        if not ours or "forum_topic_created" in kept.raw:
            raise Refused(400, "Bad Request: message can't be edited")
        return kept

    def deleteMessage(self, params: Params) -> bool:
        chat = self._writable(params)
        kept = chat.messages.get(params.number("message_id"))
        if kept is None or kept.gone:
            raise Refused(400, "Bad Request: message to delete not found")
        ours = kept.raw.get("from", {}).get("id") == self._world.bot.id
        allowed = ours or chat.kind == "private" or chat.status == "administrator"
        if not allowed or time.time() - kept.raw["date"] > DELETABLE:
            raise Refused(400, "Bad Request: message can't be deleted for everyone")
        kept.gone = True
        return True

    def setMessageReaction(self, params: Params) -> bool:
        chat = self._writable(params)
        kept = chat.messages.get(params.number("message_id"))
        if kept is None or kept.gone:
            raise Refused(400, "Bad Request: message to react not found")
        reactions = params.json("reaction", "reaction types") or []
        if not isinstance(reactions, list):
            raise Refused(400, "Bad Request: expected an Array of ReactionType")
        if len(reactions) > 1:
            raise Refused(400, "Bad Request: REACTIONS_TOO_MANY")
        if any(reaction.get("emoji") not in REACTIONS for reaction in reactions):
            raise Refused(400, "Bad Request: REACTION_INVALID")
        kept.reactions[self._world.bot.name] = [reaction["emoji"] for reaction in reactions]
        return True

    # --- what is refused in all of them -----------------------------------------------------------

    def _chat(self, params: Params) -> Chat:
        if not params.text("chat_id"):
            raise Refused(400, "Bad Request: chat_id is empty")
        chat = self._world.chats.get(params.number("chat_id"))
        if chat is None:
            raise Refused(400, "Bad Request: chat not found")
        if chat.migrated_to:
            raise Refused(
                400,
                "Bad Request: group chat was upgraded to a supergroup chat",
                migrate_to_chat_id=chat.migrated_to,
            )
        if chat.status == "kicked" and chat.kind == "private":
            raise Refused(403, "Forbidden: bot was blocked by the user")
        if chat.status == "kicked":
            raise Refused(403, f"Forbidden: bot was kicked from the {chat.kind} chat")
        return chat

    def _writable(self, params: Params) -> Chat:
        chat = self._chat(params)
        if chat.person is not None and not chat.person.started:
            raise Refused(403, "Forbidden: bot can't initiate conversation with a user")
        return chat

    def _thread(self, chat: Chat, thread: int) -> int:
        if thread and (not chat.forum or thread not in chat.topics):
            raise Refused(400, "Bad Request: message thread not found")
        return thread


def _check_photo(data: bytes) -> None:
    if len(data) > BIGGEST_PHOTO:
        raise Refused(400, "Bad Request: file is too big")
    if not is_picture(data):
        raise Refused(400, "Bad Request: IMAGE_PROCESS_FAILED")
    width, height = size_of(data)
    if width + height > LONGEST_SIDES or max(width, height) > THINNEST * min(width, height):
        raise Refused(400, "Bad Request: PHOTO_INVALID_DIMENSIONS")


def too_many(seconds: float) -> Refused:
    after = max(1, round(seconds))
    return Refused(429, f"Too Many Requests: retry after {after}", retry_after=after)
