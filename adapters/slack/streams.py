"""Live drafts as Slack streams them natively. Knows no letters in the store.

A stream only grows, and only in a thread. It carries text without markup; the final message takes
its place with everything, and so does a draft that changes otherwise than by growing. Where Slack
does not let the app stream, this is found out once.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from slack_sdk.errors import SlackApiError

from adapters.slack.events import is_direct
from adapters.slack.pending import Recent
from adapters.slack.web import REVOKED, Once, Web, code, sending, wait

if TYPE_CHECKING:
    from botdaemon.types import Address, Letter

log = logging.getLogger(__name__)

#: what Slack takes at once
LONGEST = 12_000
#: the message cannot grow any more; all that is left is to finish it and to edit it
_ENDED = frozenset({"message_not_in_streaming_state", "message_not_found", "msg_too_long"})


class Streams:
    """The streams of one connection, by the ids of their messages."""

    def __init__(self, name: str, web: Web, team: str, *, wanted: bool) -> None:
        self._web = web
        self._team = team
        #: as long as Slack has not refused it
        self.wanted = wanted
        self._once = Once(log, name)
        #: what each shows
        self._running: Recent[str, str] = Recent()

    def __contains__(self, remote: str) -> bool:
        return remote in self._running

    def possible(self, address: Address, recipient: str) -> bool:
        """Whether an answer can be streamed there: in a channel, Slack asks for whom."""
        return self.wanted and bool(address.topic) and bool(recipient or is_direct(address.channel))

    async def start(self, letter: Letter, recipient: str, face: dict[str, str]) -> str:
        """Begin to stream; the message's id, or "" when this is refused."""
        text = letter.part.plain
        try:
            answer = await self._web.api.chat_startStream(
                channel=letter.address.channel,
                thread_ts=letter.address.topic,
                recipient_user_id=recipient or None,
                recipient_team_id=self._team if recipient else None,
                markdown_text=_safe(text) or None,
                username=face.get("username"),
                icon_url=face.get("icon_url"),
            )
        except SlackApiError as error:
            refused = code(error)
            if not refused or refused in REVOKED or wait(error) is not None:
                with sending():
                    raise
            if refused not in ("channel_not_found", "not_in_channel", "is_archived"):
                self.wanted = False
                self._once.lacks(error, "answers are shown by edits instead of being streamed")
            return ""
        except Exception:
            with sending():
                raise
        remote = str(answer["ts"])
        self._running[remote] = text
        return remote

    async def grow(self, letter: Letter) -> bool:
        """Show what a draft has more than the one before. False when it did not only grow, or the
        stream has ended: then the message has to be edited."""
        shown = self._running[letter.remote]
        text = letter.part.plain
        more = text.removeprefix(shown)
        if more == "":
            return True
        if more == text and shown:
            return False
        try:
            await self._web.api.chat_appendStream(
                channel=letter.address.channel, ts=letter.remote, markdown_text=_safe(more)
            )
        except SlackApiError as error:
            if code(error) not in _ENDED:
                with sending():
                    raise
            return False
        self._running[letter.remote] = text
        return True

    async def stop(self, channel: str, remote: str) -> None:
        """End a stream. One that has ended already, or never was one, is as good."""
        try:
            await self._web.api.chat_stopStream(channel=channel, ts=remote)
        except SlackApiError as error:
            if not code(error) or code(error) in REVOKED or wait(error) is not None:
                raise
        self._running.pop(remote, None)


def _safe(text: str) -> str:
    """Text in which nothing is one of Slack's control sequences."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")[:LONGEST]
