"""What there is already of our letters: found, looked at, taken away. Knows no way to send.

Every message carries the key of its letter as metadata, which is how one that may have arrived is
verified. A stream has no metadata before it ends, and a shared file never has any: the first is
known by its having none, the second by its name and size.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from slack_sdk.errors import SlackApiError

from adapters.slack.events import Account, is_direct, listed, part, text
from adapters.slack.web import PAGE, Once, Web, code, sending
from botdaemon.errors import Undeliverable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from adapters.slack.streams import Streams
    from adapters.slack.uploads import Uploads
    from adapters.slack.web import JSON
    from botdaemon.types import Address, File, Letter

log = logging.getLogger(__name__)

EVENT_TYPE = "botdaemon"
#: what the ids of answers to commands begin with, which Slack gives none
WHISPERED = "whisper:"
#: seconds by which Slack's clock and ours may differ
SKEW = 300.0
#: looks for a file that was just sent, a second apart
LOOKS = 4


def metadata(letter: Letter, picture: str = "") -> JSON:
    """What is noted in the message of a letter: its key, and Slack's id of its picture."""
    payload = {"letter": letter.key} | ({"file": picture} if picture else {})
    return {"event_type": EVENT_TYPE, "event_payload": payload}


class Sent:
    """Finds and removes."""

    def __init__(
        self, name: str, web: Web, account: Account, uploads: Uploads, streams: Streams
    ) -> None:
        self._web = web
        self._account = account
        self._uploads = uploads
        self._streams = streams
        self._once = Once(log, name)

    # --- find --------------------------------------------------------------------------------

    async def find(self, letter: Letter) -> str | None:
        """The message of a letter, when an earlier attempt arrived."""
        if letter.only_for and not is_direct(letter.address.channel):
            return None  # nobody else can see it, the app included
        unsigned: str | None = None
        with sending():
            try:
                async for raw in self._own(letter.address, letter.created_at):
                    noted = _noted(raw)
                    if text(noted, "letter") == letter.key:
                        if picture := text(noted, "file"):
                            self._uploads.know(letter.key, picture)
                        return text(raw, "ts")
                    if _shares(raw, letter.part.file):
                        return text(raw, "ts")
                    if not part(raw, "metadata") and not raw.get("files"):
                        unsigned = text(raw, "ts")
            except SlackApiError as error:
                if code(error) != "missing_scope":
                    raise
                self._once.lacks(error, "what was sent cannot be verified, and may appear twice")
        # What has no metadata is a stream that never ended. Turns of a thread do not overlap, so
        # one that is not older than the letter is its draft.
        streamed = self._streams.wanted and letter.address.topic and letter.number == 0
        return unsigned if streamed and float(unsigned or 0) >= letter.created_at - 1.0 else None

    async def message_of(self, letter: Letter, file: str) -> str:
        """The message a file came to be in, which appears a moment later; else the file's id."""
        for look in range(LOOKS):
            await asyncio.sleep(min(look, 1))
            try:
                async for raw in self._own(letter.address, letter.created_at):
                    if file in _shared(raw):
                        return text(raw, "ts")
            except Exception as error:  # it is there: that its message cannot be seen is no failure
                log.info("the message of a file was not found: %s", type(error).__name__)
                break
        return file

    async def _own(self, address: Address, since: float) -> AsyncIterator[JSON]:
        """The app's own messages at an address after a time."""

        def ask(cursor: str | None) -> Any:
            at: dict[str, Any] = {
                "channel": address.channel,
                "oldest": f"{max(0.0, since - SKEW):.6f}",
                "include_all_metadata": True,
                "limit": PAGE,
                "cursor": cursor,
            }
            if address.topic:
                return self._web.api.conversations_replies(ts=address.topic, **at)
            return self._web.api.conversations_history(**at)

        async for page in self._web.pages(ask):
            for raw in listed(page, "messages"):
                if self._account.said(raw) and text(raw, "ts") != address.topic:
                    yield raw

    # --- remove ------------------------------------------------------------------------------

    async def remove(self, letter: Letter) -> None:
        """Take the message away, and the files in it."""
        channel, remote = letter.address.channel, letter.remote
        if remote.startswith(WHISPERED):
            raise Undeliverable("only whoever was told it privately can take it away")
        with sending():
            if "." not in remote:  # a file whose message was never seen
                files = [remote]
            else:
                files = await self._files(letter)
                if remote in self._streams:
                    await self._streams.stop(channel, remote)
                await self.delete(channel, remote)
        for file in files:
            await self._uploads.discard(file)

    async def delete(self, channel: str, ts: str) -> None:
        """Delete a message, unless it is gone. Raises `SlackApiError`."""
        try:
            await self._web.api.chat_delete(channel=channel, ts=ts)
        except SlackApiError as error:
            if code(error) != "message_not_found":
                raise

    async def _files(self, letter: Letter) -> list[str]:
        """The ids of the files in a message of ours, as far as it can be looked at."""
        ts = letter.remote
        ask = partial(
            self._web.api.conversations_replies,
            channel=letter.address.channel,
            ts=letter.address.topic or ts,
            oldest=ts,
            latest=ts,
            inclusive=True,
            include_all_metadata=True,
        )
        try:
            found = listed(await self._web.read(ask), "messages")
        except SlackApiError as error:
            if code(error) == "missing_scope":
                self._once.lacks(error, "files in deleted messages stay")
            return []
        raw = next((each for each in found if text(each, "ts") == ts), {})
        return [*filter(None, [text(_noted(raw), "file")]), *_shared(raw)]


def _noted(raw: JSON) -> JSON:
    """What `metadata` noted in a message."""
    return part(part(raw, "metadata"), "event_payload")


def _shared(raw: JSON) -> list[str]:
    """The ids of the files that were shared with a message."""
    return [text(each, "id") for each in listed(raw, "files")]


def _shares(raw: JSON, file: File | None) -> bool:
    return file is not None and any(
        text(each, "name") == file.name and each.get("size") in (None, file.size)
        for each in listed(raw, "files")
    )
