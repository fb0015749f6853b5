"""Letters on their way to Slack. Knows no sockets, and never looks for what was sent before."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from slack_sdk.errors import SlackApiError
from slack_sdk.webhook.async_client import AsyncWebhookClient

from adapters.slack.blocks import Shown, blocks
from adapters.slack.events import is_direct
from adapters.slack.sent import WHISPERED, metadata
from adapters.slack.uploads import is_picture
from adapters.slack.web import Once, Web, code, needed, sending
from botdaemon.errors import AdapterDown, Gone, RateLimited, Undeliverable
from botdaemon.types import Control, Part

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from adapters.slack.pending import Pending
    from adapters.slack.sent import Sent
    from adapters.slack.streams import Streams
    from adapters.slack.uploads import Uploads
    from botdaemon.types import Letter

log = logging.getLogger(__name__)

FACES = "chat:write.customize"
#: instead of a covered file
OPENLY = "_A file is left out: it is covered, and Slack could only show it to everybody._"
#: seconds between attempts at showing a picture: Slack takes a moment until it knows what it is
PROCESSING = (0.3, 0.7, 1.5, 2.5)

_GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
_USED_UP = frozenset({400, 403, 404, 410, 500})


class _NotShown(Exception):
    """Slack has a picture, and does not show it in a message."""


class Letters:
    """Sends and edits."""

    def __init__(
        self,
        name: str,
        web: Web,
        uploads: Uploads,
        sent: Sent,
        streams: Streams,
        pending: Pending,
        *,
        bots: Sequence[str],
        faces: Mapping[str, str] | None,
    ) -> None:
        self._web = web
        self._uploads = uploads
        self._sent = sent
        self._streams = streams
        self._pending = pending
        self._bots = bots
        self._unnamed = ("", *bots[:1])
        #: the bots' pictures; None when no bot has a face of its own here
        self._faces = faces
        self._once = Once(log, name)

    # --- send --------------------------------------------------------------------------------

    async def send(self, letter: Letter, recipient: str) -> str:
        """Send a letter; `recipient` is whom it answers."""
        if letter.only_for and not is_direct(letter.address.channel):
            return await self._whisper(letter)
        if letter.part.file is not None:
            try:
                return await self._post(letter)
            except _NotShown:
                return await self._share(letter)
        if Control.STOP in letter.controls and self._streams.possible(letter.address, recipient):
            named = replace(
                letter, part=replace(letter.part, plain=self._signed(letter, plain=True))
            )
            if remote := await self._streams.start(named, recipient, self._face(letter)):
                return remote
        return await self._post(letter)

    async def _post(self, letter: Letter) -> str:
        async def post(content: dict[str, Any]) -> str:
            face = self._face(letter)
            try:
                answer = await self._web.api.chat_postMessage(
                    channel=letter.address.channel,
                    thread_ts=letter.address.topic or None,
                    unfurl_links=False,
                    unfurl_media=False,
                    parse="none",
                    link_names=False,
                    **content,
                    **face,
                )
            except SlackApiError as error:
                if not face or code(error) != "missing_scope" or needed(error) != FACES:
                    raise
                self._faces = None
                self._once.lacks(error, "bots speak under the app's name")
                return await post(await self._content(letter))
            return str(answer["ts"])

        return await self._shown(letter, post)

    async def _shown(self, letter: Letter, show: Callable[[dict[str, Any]], Awaitable[str]]) -> str:
        """What `show` makes of the letter's content, once Slack has looked at its picture."""
        content = await self._content(letter)
        for pause in (*PROCESSING, None):
            with sending():
                try:
                    return await show(content)
                except SlackApiError as error:
                    if letter.part.file is None or code(error) != "invalid_blocks":
                        raise
                    refused = error
            if pause is not None:
                await asyncio.sleep(pause)
        await self._uploads.refused(letter)
        log.warning(
            "Slack shows a picture only as a file, without buttons: %s",
            refused.response.get("errors") or code(refused),
            extra={"event": "picture_refused"},
        )
        raise _NotShown

    async def _content(self, letter: Letter) -> dict[str, Any]:
        """Text, blocks and metadata, with the picture uploaded."""
        words, file = self._signed(letter), letter.part.file
        picture = None
        if file is not None:
            if not is_picture(file) or self._uploads.was_refused(letter):
                raise _NotShown
            alt = letter.part.plain.strip().partition("\n")[0] or file.name
            picture = Shown(await self._uploads.picture(letter), alt, covered=file.spoiler)
        return {
            "text": words or (file.name if file is not None else ""),
            "blocks": blocks(words, letter.controls, picture) or None,
            "metadata": metadata(letter, picture.file if picture else ""),
        }

    def _face(self, letter: Letter) -> dict[str, Any]:
        """Under which name and picture to speak; none for the account's own."""
        if self._faces is None or letter.speaker in self._unnamed:
            return {}
        picture = self._faces.get(letter.speaker)
        return {"username": letter.speaker} | ({"icon_url": picture} if picture else {})

    def _signed(self, letter: Letter, *, plain: bool = False) -> str:
        """The text, with the speaker's name before it where no face says it."""
        words = letter.part.plain if plain else letter.part.text
        # A bot says its name once, each of a crowd with its message.
        again = letter.number > 0 and letter.speaker in self._bots
        if self._faces is not None or letter.speaker in self._unnamed or again:
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
                raise RateLimited("Slack asks to answer more slowly", after=1.0)
            if came.status_code == 200:
                return f"{WHISPERED}{letter.key}"
            if came.status_code not in _USED_UP:
                raise AdapterDown(f"Slack did not take the answer ({came.status_code})")
            self._pending.forget(channel, letter.only_for)
        with sending():
            words = self._signed(letter)
            shown = await self._web.api.chat_postEphemeral(
                channel=channel,
                user=letter.only_for,
                thread_ts=letter.address.topic or None,
                parse="none",
                link_names=False,
                text=words,
                blocks=blocks(words, letter.controls) or None,
            )
            return str(shown["message_ts"])

    async def _share(self, letter: Letter) -> str:
        """A file that is no picture: with its words, but without buttons. Nothing that Slack shares
        can be covered, so such a file is only named."""
        file = letter.part.file
        assert file is not None
        if file.spoiler:
            named = f"{letter.part.text}\n{OPENLY}".strip()
            return await self._post(replace(letter, part=Part(text=named, plain=named)))
        shared = await self._uploads.share(letter, self._signed(letter))
        return await self._sent.message_of(letter, shared)

    # --- edit --------------------------------------------------------------------------------

    async def edit(self, letter: Letter) -> None:
        """Make the message say what the letter says."""
        channel, remote = letter.address.channel, letter.remote
        if Control.STOP in letter.controls and remote in self._streams:
            plain = self._signed(letter, plain=True)
            if await self._streams.grow(replace(letter, part=replace(letter.part, plain=plain))):
                return
        if remote in self._streams:
            with sending():
                await self._streams.stop(channel, remote)
        try:
            await self._update(letter)
        except _NotShown:  # no message can become a shared file
            with sending():
                await self._sent.delete(channel, remote)
            raise Gone("the draft was taken away to make room for a file") from None

    async def _update(self, letter: Letter) -> None:
        channel, remote = letter.address.channel, letter.remote

        async def update(content: dict[str, Any]) -> str:
            try:
                await self._web.api.chat_update(
                    channel=channel,
                    ts=remote,
                    parse="none",
                    link_names=False,
                    # buttons that are not named would stay
                    **content | {"blocks": content["blocks"] or []},
                )
            except SlackApiError as error:
                if code(error) in _GONE:
                    raise Gone(f"Slack does not let it be edited: {code(error)}") from None
                if "stream" not in code(error):
                    raise
                # a stream that an earlier life of the daemon began
                await self._streams.stop(channel, remote)
                return await update(content)
            return remote

        await self._shown(letter, update)
