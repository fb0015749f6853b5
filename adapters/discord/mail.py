"""Letters to Discord: sent, edited, taken away, and found again when nobody knows whether they
arrived. Knows no event.

What a letter answers tells whether it stands there already. Every letter of the account carries a
nonce made of its key, too, by which Discord recognises a repetition for a few minutes. Where there
is no reply reference, after those minutes and for webhooks, words are compared. What remains: of
two such letters of the same words, written within the same half minute, the second can be taken
for the first.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import discord

from adapters.controls import MARK
from adapters.discord.interactions import EPHEMERAL, buttons
from adapters.discord.reading import prefix
from adapters.discord.wire import (
    FAILURES,
    JSON,
    UNKNOWN_CHANNEL,
    UNKNOWN_MESSAGE,
    UNKNOWN_WEBHOOK,
    snowflake,
    verdict,
)
from adapters.discord.wording import (
    Wording,
    as_sent,
    growing,
    in_thread,
    is_voice,
    nonce,
    otherwise,
    reference,
    unvoiced,
    without_file,
)
from botdaemon.errors import Gone
from botdaemon.types import Control

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from adapters.discord.answers import Answers
    from adapters.discord.directory import Directory
    from adapters.discord.faces import Face, Faces
    from adapters.discord.threads import Threads
    from adapters.discord.wire import Bare, Wire
    from botdaemon.ports import Shelf
    from botdaemon.types import Letter

#: seconds for which Discord certainly remembers a nonce
NONCE = 120.0
#: seconds by which the two clocks may differ
SKEW = 30.0
PAGE, PAGES = 100, 20
SUPPRESS_EMBEDS, VOICE_MESSAGE = 1 << 2, 1 << 13

#: nobody but whoever is answered is pinged, whatever a bot says
_NOBODY: JSON = {"parse": [], "replied_user": True}


class Mail:
    """One connection's way out."""

    def __init__(
        self,
        wire: Wire,
        bare: Bare,
        shelf: Shelf,
        directory: Directory,
        faces: Faces,
        threads: Threads,
        answers: Answers,
    ) -> None:
        self._wire = wire
        self._bare = bare
        self._wording = Wording(shelf, faces)
        self._directory = directory
        self._faces = faces
        self._threads = threads
        self._answers = answers

    # --- sending -------------------------------------------------------------------------------

    async def send(self, letter: Letter) -> str:
        """Send it and return the message's id. Raises like `Courier.send`."""
        try:
            try:
                return await self._send(letter)
            except discord.HTTPException as error:
                return await self._send(otherwise(letter, error))
        except FAILURES as error:
            raise verdict(error) from None

    async def _send(self, letter: Letter) -> str:
        await self._threads.opened(letter.address.topic)
        if letter.only_for and (id := await self._whisper(letter)):
            return id
        try:
            return await self._post(letter)
        except discord.HTTPException as error:
            if error.code == UNKNOWN_WEBHOOK:
                self._faces.forget(letter.address.channel)
            elif error.code != UNKNOWN_CHANNEL or not await self._threads.made(letter.address):
                raise
            return await self._post(letter)

    async def _post(self, letter: Letter) -> str:
        face = await self._faces.of(letter)
        where = self._threads.home(letter.address)
        if face is not None and is_voice(letter):  # no webhook can send one
            letter = unvoiced(letter)
        text, file = self._wording.text(letter, face), await self._wording.attached(letter)
        payload: JSON = {"content": text, "allowed_mentions": _NOBODY, "flags": SUPPRESS_EMBEDS}
        if is_voice(letter):
            payload = {"allowed_mentions": _NOBODY, "flags": VOICE_MESSAGE}
        elif letter.controls:
            payload["components"] = buttons(letter.controls)
        if face is not None:
            params = in_thread(letter.address, where) | {"wait": "true"}
            payload |= face.fields | {"allowed_mentions": {"parse": []}}
            message = await self._bare("POST", face.path, json=payload, params=params, file=file)
            return str(message["id"])
        payload |= {"nonce": nonce(letter), "enforce_nonce": True}
        if answered := reference(letter, where):
            payload["message_reference"] = {
                "message_id": answered,
                "channel_id": where,
                "fail_if_not_exists": False,
            }
        path = "/channels/{channel_id}/messages"
        message = await self._wire("POST", path, json=payload, file=file, channel_id=where)
        if not as_sent(message, text, file is not None):
            # The nonce was known: an earlier attempt arrived, a live draft with what it had then.
            try:
                await self._change(letter, None, where, str(message["id"]))
            except discord.NotFound:  # and was deleted, but Discord remembers its nonce
                payload["nonce"] += "+"
                message = await self._wire("POST", path, json=payload, file=file, channel_id=where)
        return str(message["id"])

    async def _whisper(self, letter: Letter) -> str:
        """Answer the command or the button that waits for it, so that its sender alone sees it; ""
        if none does."""
        place, account = letter.address, letter.only_for
        waiting = self._answers.first(place, account, more=letter.number > 0)
        token = waiting.token if waiting else self._answers.last_pressed(place, account)
        if not token:
            return ""
        path = f"/webhooks/{self._directory.application}/{token}"
        payload: JSON = {"content": letter.part.text, "allowed_mentions": {"parse": []}}
        file = await self._wording.attached(letter)
        try:
            if waiting and not letter.number:
                path += "/messages/@original"
                message = await self._bare("PATCH", path, json=payload, file=file)
            else:
                payload["flags"] = EPHEMERAL | SUPPRESS_EMBEDS
                message = await self._bare("POST", path, json=payload, file=file)
        except discord.HTTPException as error:
            if error.status in (401, 404):  # too late for it: an ordinary message will do
                self._answers.drop(place, account, token)
                return ""
            raise
        if waiting:
            self._answers.begun(place, account, waiting)
        return str(message["id"])

    # --- changing ------------------------------------------------------------------------------

    async def edit(self, letter: Letter) -> None:
        """Make the message say this. Raises like `Adapter.edit`."""

        if is_voice(letter):
            await self.remove(letter)
            raise Gone("a text cannot become a voice note, and was taken away")

        async def change(face: Face | None, where: str) -> None:
            try:
                await self._change(letter, face, where, letter.remote)
            except discord.HTTPException as error:
                await self._change(without_file(letter, error), face, where, letter.remote)

        try:
            await self._where_it_stands(letter, change)
        except FAILURES as error:
            raise verdict(error) from None

    async def remove(self, letter: Letter) -> None:
        """Take the message away; it may be gone already. Raises like `Courier.send`."""

        async def take_away(face: Face | None, where: str) -> None:
            if face is not None:
                path = f"{face.path}/messages/{letter.remote}"
                await self._bare("DELETE", path, params=in_thread(letter.address, where))
                return
            path = "/channels/{channel_id}/messages/{message_id}"
            await self._wire("DELETE", path, channel_id=where, message_id=letter.remote)

        try:
            await self._where_it_stands(letter, take_away)
        except FAILURES as error:
            gone = isinstance(error, discord.HTTPException) and error.code in (
                UNKNOWN_MESSAGE,
                UNKNOWN_CHANNEL,
            )
            if not gone:
                raise verdict(error) from None

    async def _where_it_stands(
        self, letter: Letter, do: Callable[[Face | None, str], Awaitable[None]]
    ) -> None:
        """Do something about the message of a letter, under the face and in the place it has."""
        face = await self._faces.of(letter)
        where = self._threads.home(letter.address)
        try:
            await do(face, where)
        except discord.HTTPException as error:
            # It was sent when the webhook, or the thread, could not be had.
            if error.code in (UNKNOWN_MESSAGE, UNKNOWN_WEBHOOK) and face is not None:
                await do(None, where)
            elif error.code == UNKNOWN_CHANNEL and where != letter.address.channel:
                await do(None, letter.address.channel)
            else:
                raise

    async def _change(self, letter: Letter, face: Face | None, where: str, id: str) -> None:
        payload: JSON = {
            "content": self._wording.text(letter, face),
            "components": buttons(letter.controls),
            "allowed_mentions": {"parse": []},
            "flags": SUPPRESS_EMBEDS,
        }
        file = await self._wording.attached(letter)
        if file is None and not growing(letter):
            payload["attachments"] = []  # the preview of a draft has had its time
        if face is not None:
            path, params = f"{face.path}/messages/{id}", in_thread(letter.address, where)
            await self._bare("PATCH", path, json=payload, params=params, file=file)
            return
        path = "/channels/{channel_id}/messages/{message_id}"
        await self._wire("PATCH", path, json=payload, file=file, channel_id=where, message_id=id)

    # --- finding -------------------------------------------------------------------------------

    async def find(self, letter: Letter) -> str | None:
        """The message of an earlier attempt, or None: not there, or Discord will see to it."""
        try:
            if letter.only_for:
                return None
            face = await self._faces.of(letter)
            where = self._threads.home(letter.address)
            wanted = self._wording.text(letter, face).strip()
            answered = "" if face else reference(letter, where)
            if not (face or answered) and time.time() - letter.created_at < NONCE:
                return None
            async for message in self._since(where, letter):
                if self._is_it(message, letter, face, wanted, answered):
                    return str(message["id"])
        except FAILURES as error:
            if isinstance(error, discord.HTTPException) and error.code == UNKNOWN_CHANNEL:
                return None
            raise verdict(error) from None
        return None

    async def _since(self, where: str, letter: Letter) -> AsyncIterator[JSON]:
        after = max(letter.reply_to or "0", snowflake(letter.created_at - SKEW), key=int)
        for _ in range(PAGES):
            page: list[Any] = await self._wire(
                "GET",
                "/channels/{channel_id}/messages",
                params={"after": after, "limit": PAGE},
                channel_id=where,
            )
            for message in sorted(page, key=lambda message: int(message["id"])):
                after = str(message["id"])
                yield message
            if len(page) < PAGE:
                return

    def _is_it(
        self, message: JSON, letter: Letter, face: Face | None, wanted: str, answered: str
    ) -> bool:
        author = message.get("author") or {}
        if face is not None:
            ours = str(message.get("webhook_id")) == face.webhook
            ours = ours and author.get("username") == face.name
        else:
            ours = str(author.get("id")) == self._directory.account
            ours = ours and not message.get("webhook_id")
        answers = str((message.get("message_reference") or {}).get("message_id") or "")
        if not ours or answers != answered:
            return False
        file, content = letter.part.file, str(message.get("content") or "").strip()
        sizes = [attachment.get("size") for attachment in message.get("attachments") or ()]
        if content == wanted and (file is None or sizes == [file.size]):
            return True
        # A live draft says something else, and still has its button. That of another bot, in
        # answer to the same message, begins with its name.
        speaks = "" if face is not None or not self._faces.named(letter) else prefix(letter.speaker)
        draft = f"{MARK}{Control.STOP}" in json.dumps(message.get("components") or [])
        return draft and not letter.number and content.startswith(speaks.strip())
