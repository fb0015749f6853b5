"""Slack's Web API for the rest of the adapter: what its errors mean, and how fast it may be asked.
Knows the methods by name only.

`retry_handlers` is empty: by default the SDK repeats a request whose answer was lost, and a message
would be there twice. Whether something is repeated is decided by those who can verify it.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.scopes import PLACE
from botdaemon.errors import (
    AdapterDown,
    AdapterRefused,
    BotdaemonError,
    RateLimited,
    TryLater,
    Undeliverable,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from slack_sdk.web.async_slack_response import AsyncSlackResponse

JSON = dict[str, Any]

#: seconds for one request
PATIENCE = 30.0
#: reading requests a second, and how many may come at once after a while without any
PACE, BURST = 15.0, 5
#: messages, channels of one page
PAGE = 200

#: the token is no good, and will not be again
REVOKED = frozenset({
    "account_inactive", "invalid_auth", "not_allowed_token_type", "not_authed", "token_expired",
    "token_revoked",
})  # fmt: skip
#: nobody knows whether it was done
_UNCLEAR = frozenset({
    "fatal_error", "internal_error", "request_timeout", "service_unavailable",
    "team_added_to_org",
})  # fmt: skip
_SLOWER = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
_WORDS = {
    "channel_not_found": "the conversation is gone, or the app was taken out of it",
    "not_in_channel": "the app is not in the channel: invite it there with /invite",
    "is_archived": "the channel is archived",
    "thread_not_found": "the thread is gone",
    "msg_too_long": "the text is longer than Slack takes",
    "user_not_in_channel": "the person is not in the channel",
    "restricted_action": "the workspace does not let the app write there",
}


def code(error: SlackApiError) -> str:
    """Slack's name of an error, "" where the answer was not Slack's."""
    data = getattr(error.response, "data", None)
    return str(data.get("error") or "") if isinstance(data, dict) else ""


def needed(error: SlackApiError) -> str:
    """The scope that is missing."""
    data = getattr(error.response, "data", None)
    return str(data.get("needed") or "") if isinstance(data, dict) else ""


def wait(error: SlackApiError) -> float | None:
    """Seconds that Slack asks to wait, None when it is not about that."""
    headers = getattr(error.response, "headers", None) or {}
    if getattr(error.response, "status_code", 200) != 429 and code(error) not in _SLOWER:
        return None
    try:
        return max(0.0, float(headers.get("Retry-After", 1)))
    except ValueError:
        return 1.0


def refusal(error: SlackApiError) -> AdapterRefused | None:
    """What to say of a token that is no good."""
    if (name := code(error)) not in REVOKED:
        return None
    return AdapterRefused(
        f"Slack refuses the token ({name}): check that it is the right one and that the app is"
        " installed, at https://api.slack.com/apps"
    )


def meaning(error: Exception) -> BotdaemonError:
    """What an error at sending means for the letter."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return TryLater("Slack cannot be reached")  # nothing was sent over no connection
    if not isinstance(error, SlackApiError):
        return AdapterDown(f"no answer from Slack ({type(error).__name__})")
    name = code(error)
    if (after := wait(error)) is not None:
        return RateLimited("Slack asks to send more slowly", after=after)
    if name in REVOKED:
        return TryLater(f"Slack refuses the token ({name})")
    if not name or name in _UNCLEAR or getattr(error.response, "status_code", 200) >= 500:
        return AdapterDown(f"Slack had an error of its own ({name or 'no JSON'})")
    if name == "missing_scope":
        return Undeliverable(f"the app lacks the scope {needed(error)}: add it {PLACE}")
    return Undeliverable(f"Slack refuses it: {_WORDS.get(name, name)}")


@contextmanager
def sending() -> Iterator[None]:
    """Errors of the SDK as `Courier.send` raises them."""
    try:
        yield
    except (BotdaemonError, asyncio.CancelledError):
        raise
    except Exception as error:  # the SDK raises AttributeError, too, for an answer in plain text
        raise meaning(error) from None


class Once:
    """Says each thing once for as long as it lives."""

    def __init__(self, log: logging.Logger, adapter: str) -> None:
        self._log = log
        self._adapter = adapter
        self._said: set[str] = set()

    def say(self, event: str, words: str) -> None:
        if words not in self._said:
            self._said.add(words)
            self._log.warning(words, extra={"event": event, "adapter": self._adapter})

    def lacks(self, error: SlackApiError, what: str) -> None:
        """Say what does not work because of this error."""
        if code(error) == "missing_scope":
            reason = f"the scope {needed(error)} is missing: add it {PLACE}"
        else:
            reason = f"Slack says {code(error) or 'nothing that can be read'}"
        self.say("capability_missing", f"{what}: {reason}")


class Web:
    """One session with the Web API."""

    def __init__(self, base_url: str, token: str, session: aiohttp.ClientSession) -> None:
        self.session = session
        self.token = token
        self.api = AsyncWebClient(
            token=token,
            base_url=base_url,
            session=session,
            retry_handlers=[],
            logger=logging.getLogger("slack_sdk.web"),
        )
        self._next_at = 0.0

    async def read(self, ask: Callable[[], Awaitable[AsyncSlackResponse]]) -> JSON:
        """Ask for something that is only read: paced, and as patiently as Slack wants it."""
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            self._next_at = max(self._next_at, now - BURST / PACE) + 1 / PACE
            await asyncio.sleep(self._next_at - now)
            try:
                answer = (await ask()).data
            except SlackApiError as error:
                if (after := wait(error)) is None:
                    raise
                await asyncio.sleep(after)  # limits are per method: the others go on
            else:
                return answer if isinstance(answer, dict) else {}

    async def pages(self, ask: Callable[..., Awaitable[AsyncSlackResponse]]) -> AsyncIterator[JSON]:
        """The pages of a list, one after the other; `ask` takes the cursor."""
        cursor: str | None = None
        while True:
            page = await self.read(partial(ask, cursor=cursor))
            yield page
            more = page.get("response_metadata")
            cursor = more.get("next_cursor") if isinstance(more, dict) else None
            if not cursor or not isinstance(cursor, str):
                return
