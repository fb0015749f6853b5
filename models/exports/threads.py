"""Reads the daemon's own threads. Knows no database: it is handed what was said.

A thread is a conversation, "ROOM / TITLE" its title. A speaker is "ADAPTER:ACCOUNT", and with
`Options.bots` a bot of ours is "bot:NAME".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdaemon.types import Kind
from models.exports.neutral import Said

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from botdaemon.types import Message, Spoken
    from models.exports.neutral import Options, Reader, Tally

_PLACEHOLDERS = {
    "image": "[picture]",
    "video": "[video]",
    "audio": "[audio]",
}


def reader(spoken: Iterable[Spoken], total: int) -> Reader:
    """What reads these, `total` of them, rather than a file."""

    def read(path: Path, tally: Tally, options: Options) -> Iterator[Said]:
        for done, one in enumerate(spoken, 1):
            if reason := _left_out(one.message, options):
                tally.leave(reason)
            else:
                yield _said(one, tally)
            tally.progress(done, total)

    return read


def _left_out(message: Message, options: Options) -> str:
    """Why it is not part of what people said to each other; empty when it is."""
    if message.deleted_at is not None:
        return "deleted"
    if message.kind is Kind.COMMAND:
        return "command"
    if message.kind is Kind.NOTICE or not message.speaker:
        return "notice of the daemon"
    if not options.bots and (message.bot or (message.author and message.author.is_bot)):
        return "bot"
    return ""


def _said(spoken: Spoken, tally: Tally) -> Said:
    message = spoken.message
    author = message.author
    if message.edited_at is not None:
        tally.change("edited")
    files = [_placeholder(file.media_type) for file in message.files]
    if files:
        tally.change("attachment as a placeholder")
    return Said(
        conversation=f"thread:{message.thread}",
        id=str(message.id),
        at=message.sent_at,
        speaker=f"{author.adapter}:{author.account}" if author else f"bot:{message.bot}",
        name=message.speaker,
        text="\n".join(filter(None, (message.text, *files))),
        reply_to=str(spoken.answers or ""),
        title=" / ".join(filter(None, (spoken.room, spoken.title))),
        direct=spoken.direct,
        edited=message.edited_at is not None,
    )


def _placeholder(media_type: str) -> str:
    return _PLACEHOLDERS.get(media_type.partition("/")[0], "[file]")
