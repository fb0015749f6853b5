"""Reads the frames of the export that Signal's apps write unencrypted, main.jsonl. Knows no files.

One JSON object a line: a protobuf message in protobuf's JSON form, in which 64-bit numbers are
strings, bytes are base64, and defaults are left out. Source: libsignal, rust/message-backup
(src/proto/backup.proto, src/json/exporter.rs).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from botdaemon.errors import ExportUnusable
from models.exports.neutral import Said
from models.exports.signal_people import JSON, People, uuid_of, whole
from models.exports.signal_words import (
    message_id,
    placeholder,
    with_mentions,
    with_placeholders,
)
from models.exports.streaming import table, tables, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from models.exports.neutral import Options, Tally

VERSION = "1"

KEPT = ("standardMessage", "stickerMessage", "contactMessage", "poll", "directStoryReplyMessage")
"""The kinds of chat items that are messages."""
LEFT_OUT = {
    "updateMessage": "service message",
    "remoteDeletedMessage": "deleted",
    "adminDeletedMessage": "deleted",
    "viewOnceMessage": "view once",
    "paymentNotification": "payment",
    "giftBadge": "gift",
}
"""... and those that are none, with the reason."""


def read_frames(lines: Iterable[str], where: str, tally: Tally, options: Options) -> Iterator[Said]:
    """What is said in the lines of a main.jsonl, in their order; `where` names it.

    Raises `ExportUnusable`, with the line, where it breaks off or is damaged.
    """
    people = People(options.me)
    edits: dict[tuple[str, str], str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        frame = _frame(line, f"{where}, line {number}")
        if str(frame.get("version", VERSION)) != VERSION:
            tally.note(
                f"{where} is of version {frame['version']}, of which only version {VERSION} is"
                " known; look at what was read"
            )
        if "chatItem" in frame:
            said = _said(table(frame, "chatItem"), people, edits, tally)
            if said:
                yield said
        else:
            people.learn(frame)


def _frame(line: str, where: str) -> JSON:
    try:
        frame = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ExportUnusable(
            f"{where} is no JSON: the export breaks off or is damaged there;"
            " export or copy it again"
        ) from error
    if not isinstance(frame, dict):
        raise ExportUnusable(f"{where} is no frame of a Signal export; give another file")
    return frame


def _said(
    item: JSON, people: People, edits: dict[tuple[str, str], str], tally: Tally
) -> Said | None:
    """The message of a chat item; None for one that is left out, which is then counted.

    `edits`: of the messages that were edited, (chat, id of any version) -> id of the first.
    """
    kind = next((kind for kind in (*KEPT, *LEFT_OUT) if kind in item), "")
    message = table(item, kind)
    chat = people.chat(whole(item, "chatId"))
    author = people.person(whole(item, "authorId"))
    words = _words(kind, message, people)
    reason = LEFT_OUT.get(kind, "" if kind else "unknown kind of message")
    if not reason and "expiresInMs" in item:
        reason = "disappearing message"
    if not reason and kind == "directStoryReplyMessage" and "emoji" in message:
        reason = "reaction to a story"
    if not reason and not words:
        reason = "no text"
    if reason or not chat or not author:
        tally.leave(reason or "in no chat with people")
        return None
    # What was edited stays where it was said first. A quote may name any of the versions.
    versions = [whole(version, "dateSent") for version in (*tables(item, "revisions"), item)]
    id = message_id(versions[0], author.id)
    if len(versions) > 1:
        tally.change("edited")
        edits |= {(chat.id, message_id(sent, author.id)): id for sent in versions}
    if message.get("reactions"):
        tally.change("reactions ignored")
    if message.get("longText"):
        tally.change("long text cut short")
    reply_to = ""
    if quote := table(message, "quote"):
        tally.change("quote removed")
        quoted = people.person(whole(quote, "authorId"))
        if quoted and (sent := whole(quote, "targetSentTimestamp")):
            reply_to = message_id(sent, quoted.id)
    return Said(
        conversation=chat.id,
        id=id,
        at=versions[0] / 1000,
        speaker=author.id,
        name=author.name,
        text=words,
        reply_to=edits.get((chat.id, reply_to), reply_to),
        title=chat.title,
        direct=chat.direct,
        edited=len(versions) > 1,
    )


def _words(kind: str, message: JSON, people: People) -> str:
    match kind:
        case "stickerMessage":
            return "[sticker]"
        case "contactMessage":
            return "[contact]"
        case "poll":
            return with_placeholders(text(message, "question"), ["[poll]"])
        case "directStoryReplyMessage":
            return _body(table(table(message, "textReply"), "text"), people)
    shown = [
        placeholder(
            text(table(attachment, "pointer"), "contentType"),
            voice=attachment.get("flag") == "VOICE_MESSAGE",
        )
        for attachment in tables(message, "attachments")
    ]
    return with_placeholders(_body(table(message, "text"), people), shown)


def _body(spoken: JSON, people: People) -> str:
    mentions = [
        (whole(part, "start"), whole(part, "length"), people.called(uuid_of(part["mentionAci"])))
        for part in tables(spoken, "bodyRanges")
        if "mentionAci" in part
    ]
    return with_mentions(text(spoken, "body"), mentions).strip()
