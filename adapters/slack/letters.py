"""Letters on their way to Slack, and how they are found again. Knows no sockets.

Every message carries the key of its letter as metadata, which is how one that may have arrived is
verified. A stream has no metadata before it ends, and a file never has any: the first is known by
its having none, the second by its name and size.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from slack_sdk.errors import SlackApiError
from slack_sdk.webhook.async_client import AsyncWebhookClient

from adapters.slack.blocks import blocks
from adapters.slack.events import Account, is_direct, listed, part, text
from adapters.slack.web import PAGE, Once, Web, code, needed, sending
from botdaemon.errors import AdapterDown, Gone, TryLater, Undeliverable
from botdaemon.types import Control

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from adapters.slack.pending import Pending
    from adapters.slack.streams import Streams
    from adapters.slack.web import JSON
    from botdaemon.ports import Shelf
    from botdaemon.types import Address, File, Letter

log = logging.getLogger(__name__)

EVENT_TYPE = "botdaemon"
FACES = "chat:write.customize"
#: seconds by which Slack's clock and ours may differ
SKEW = 300.0
#: looks for a file that was just sent, a second apart
LOOKS = 4

_GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
_USED_UP = frozenset({400, 403, 404, 410, 500})


class Letters:
    """Sends, edits and finds."""

    def __init__(
        self,
        name: str,
        web: Web,
        account: Account,
        shelf: Shelf,
        streams: Streams,
        pending: Pending,
        *,
        first: str,
        faces: Mapping[str, str] | None,
    ) -> None:
        self._web = web
        self._account = account
        self._shelf = shelf
        self._streams = streams
        self._pending = pending
        self._first = first
        #: the bots' pictures; None when no bot has a face of its own here
        self._faces = faces
        self._once = Once(log, name)

    # --- send --------------------------------------------------------------------------------

    async def send(self, letter: Letter, recipient: str) -> str:
        """Send a letter; `recipient` is whom it answers."""
        if letter.only_for and not is_direct(letter.address.channel):
            return await self._whisper(letter)
        if letter.part.file is not None:
            return await self._upload(letter)
        if Control.STOP in letter.controls and self._streams.possible(letter.address, recipient):
            named = replace(
                letter, part=replace(letter.part, plain=self._signed(letter, plain=True))
            )
            if remote := await self._streams.start(named, recipient, self._face(letter)):
                return remote
        return await self._post(letter)

    async def _post(self, letter: Letter) -> str:
        face = self._face(letter)
        with sending():
            try:
                answer = await self._web.api.chat_postMessage(
                    channel=letter.address.channel,
                    thread_ts=letter.address.topic or None,
                    metadata=_metadata(letter),
                    unfurl_links=False,
                    unfurl_media=False,
                    parse="none",
                    link_names=False,
                    **self._content(letter),
                    **face,
                )
            except SlackApiError as error:
                if not face or code(error) != "missing_scope" or needed(error) != FACES:
                    raise
                self._faces = None
                self._once.lacks(error, "bots speak under the app's name")
            else:
                return str(answer["ts"])
        return await self._post(letter)

    def _content(self, letter: Letter) -> dict[str, Any]:
        words = self._signed(letter)
        return {"text": words, "blocks": blocks(words, letter.controls) or None}

    def _face(self, letter: Letter) -> dict[str, Any]:
        """Under which name and picture to speak; none for the account's own."""
        if self._faces is None or letter.speaker in ("", self._first):
            return {}
        picture = self._faces.get(letter.speaker)
        return {"username": letter.speaker} | ({"icon_url": picture} if picture else {})

    def _signed(self, letter: Letter, *, plain: bool = False) -> str:
        """The text, with the speaker's name before it where no face says it."""
        words = letter.part.plain if plain else letter.part.text
        if self._faces is not None or letter.speaker in ("", self._first) or letter.number:
            return words
        return f"{letter.speaker}: {words}" if plain else f"*{letter.speaker}:* {words}"

    async def _whisper(self, letter: Letter) -> str:
        """For one person's eyes: as the answer to their command, else as an ephemeral message."""
        if letter.part.file is not None:
            raise Undeliverable("Slack shows files to everybody in the channel or to nobody")
        channel = letter.address.channel
        while url := self._pending.take(channel, letter.only_for):
            answer = AsyncWebhookClient(url, session=self._web.session, retry_handlers=[])
            with sending():
                came = await answer.send(
                    text=letter.part.text,
                    response_type="ephemeral",
                    replace_original=False,
                    unfurl_links=False,
                    unfurl_media=False,
                )
            if came.status_code == 429:
                raise TryLater("Slack asks to answer more slowly", after=1.0)
            if came.status_code == 200:
                return f"whisper:{letter.key}"
            if came.status_code not in _USED_UP:
                raise AdapterDown(f"Slack did not take the answer ({came.status_code})")
            self._pending.forget(channel, letter.only_for)
        with sending():
            shown = await self._web.api.chat_postEphemeral(
                channel=channel,
                user=letter.only_for,
                thread_ts=letter.address.topic or None,
                parse="none",
                link_names=False,
                **self._content(letter),
            )
            return str(shown["message_ts"])

    async def _upload(self, letter: Letter) -> str:
        file = letter.part.file
        assert file is not None
        content = await asyncio.to_thread(self._shelf.file(file.sha256).read_bytes)
        try:
            with sending():
                place = await self._web.api.files_getUploadURLExternal(
                    filename=file.name, length=len(content)
                )
                async with self._web.session.post(
                    str(place["upload_url"]),
                    data=content,
                    headers={"Content-Type": "application/octet-stream"},
                ) as answer:
                    if answer.status != 200:
                        raise TryLater(f"Slack did not take the file ({answer.status})")
        except AdapterDown as error:  # nothing is shown before the next step
            raise TryLater(str(error)) from None
        with sending():
            await self._web.api.files_completeUploadExternal(
                files=[{"id": str(place["file_id"]), "title": file.name}],
                channel_id=letter.address.channel,
                thread_ts=letter.address.topic or None,
            )
        return await self._shared(letter, str(place["file_id"]))

    async def _shared(self, letter: Letter, file: str) -> str:
        """The message a file came to be in, which appears a moment later; else the file's id."""
        for look in range(LOOKS):
            await asyncio.sleep(min(look, 1))
            try:
                async for raw in self._own(letter.address, letter.created_at):
                    if any(text(each, "id") == file for each in listed(raw, "files")):
                        return text(raw, "ts")
            except Exception as error:  # it is there: that its message cannot be seen is no failure
                log.info("the message of a file was not found: %s", type(error).__name__)
                break
        return file

    # --- edit --------------------------------------------------------------------------------

    async def edit(self, letter: Letter) -> None:
        """Make the message say what the letter says."""
        channel, remote = letter.address.channel, letter.remote
        draft = Control.STOP in letter.controls
        if letter.part.file is not None:  # no message can become a file
            with sending():
                await self._streams.stop(channel, remote)
                await self._web.api.chat_delete(channel=channel, ts=remote)
            raise Gone("the draft was taken away to make room for a file")
        if draft and remote in self._streams:
            plain = self._signed(letter, plain=True)
            await self._streams.grow(replace(letter, part=replace(letter.part, plain=plain)))
            return
        with sending():
            if remote in self._streams:
                await self._streams.stop(channel, remote)
            try:
                await self._update(letter)
            except SlackApiError as error:
                if code(error) in _GONE:
                    raise Gone(f"Slack does not let it be edited: {code(error)}") from None
                if "stream" not in code(error):
                    raise
                # a stream that an earlier life of the daemon began
                await self._streams.stop(channel, remote)
                await self._update(letter)

    async def _update(self, letter: Letter) -> None:
        content = self._content(letter)
        await self._web.api.chat_update(
            channel=letter.address.channel,
            ts=letter.remote,
            metadata=_metadata(letter),
            parse="none",
            link_names=False,
            text=content["text"],
            blocks=content["blocks"] or [],  # buttons that are not named would stay
        )

    # --- find --------------------------------------------------------------------------------

    async def find(self, letter: Letter) -> str | None:
        """The message of a letter, when an earlier attempt arrived."""
        if letter.only_for and not is_direct(letter.address.channel):
            return None  # nobody else can see it, the app included
        unsigned: str | None = None
        with sending():
            try:
                async for raw in self._own(letter.address, letter.created_at):
                    if letter.part.file is not None:
                        if any(_is(each, letter.part.file) for each in listed(raw, "files")):
                            return text(raw, "ts")
                        continue
                    payload = part(part(raw, "metadata"), "event_payload")
                    if text(payload, "letter") == letter.key:
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


def _is(shown: JSON, file: File) -> bool:
    return text(shown, "name") == file.name and shown.get("size") in (None, file.size)


def _metadata(letter: Letter) -> dict[str, Any]:
    return {"event_type": EVENT_TYPE, "event_payload": {"letter": letter.key}}
