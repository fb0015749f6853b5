"""Live drafts as Slack streams them natively. Knows no letters in the store.

A stream only grows, and only in a thread. It carries text without markup; the final message takes
its place with everything. Where Slack does not let the app stream, this is found out once.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
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
#: the message cannot grow any more; all that is left is to finish it
_ENDED = frozenset({"message_not_in_streaming_state", "message_not_found", "msg_too_long"})


@dataclass(slots=True)
class _Stream:
    shown: str
    growing: bool = True


class Streams:
    """The streams of one connection, by the ids of their messages."""

    def __init__(self, name: str, web: Web, team: str, *, wanted: bool) -> None:
        self._web = web
        self._team = team
        #: as long as Slack has not refused it
        self.wanted = wanted
        self._once = Once(log, name)
        self._running: Recent[str, _Stream] = Recent()

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
        self._running[remote] = _Stream(text)
        return remote

    async def grow(self, letter: Letter) -> None:
        """Show what a draft has more than the one before; one that did not only grow stays."""
        stream = self._running[letter.remote]
        text = letter.part.plain
        more = text.removeprefix(stream.shown)
        if not stream.growing or more == "":
            return
        if more == text and stream.shown:
            stream.growing = False
            return
        try:
            await self._web.api.chat_appendStream(
                channel=letter.address.channel, ts=letter.remote, markdown_text=_safe(more)
            )
            stream.shown = text
        except SlackApiError as error:
            if code(error) not in _ENDED:
                with sending():
                    raise
            stream.growing = False

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
