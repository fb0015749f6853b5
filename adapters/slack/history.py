"""What was said while nobody listened. Knows no sockets; what it reads goes in like anything else.

Slack repeats an event that was not acknowledged for a few minutes; what is older is read from the
histories of the channels the app is in, and of the threads that were active of late, from where
each had been read to. No cursor moves before all is recorded: after a crash it is read again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from slack_sdk.errors import SlackApiError

from adapters.slack.events import Reader, Unreadable, listed, text
from adapters.slack.web import PAGE, Once, Web, code
from botdaemon.errors import BotdaemonError
from botdaemon.types import Address

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapters.inlet import Earlier, Inlet
    from adapters.slack.pending import Latest
    from adapters.slack.web import JSON
    from botdaemon.ports import Shelf
    from botdaemon.types import Posted

log = logging.getLogger(__name__)

#: seconds since which a thread must have been active to be looked at
ACTIVE = 7 * 86_400.0
#: threads of one channel that are asked for one by one when their beginnings are not on the first
#: page of its history; where more are active, it is read on to the oldest of them
FEW = 5
#: messages of a thread that are loaded when it is first heard of
EARLIER = 20
#: messages that are recorded at the same time
AT_ONCE = 50
#: what Slack says of a thread that is not there any more
GONE = "thread_not_found"
_KINDS = ("public_channel", "private_channel", "im", "mpim")


class History:
    """Reads what was missed, and what was said before anybody listened."""

    def __init__(
        self,
        name: str,
        web: Web,
        reader: Reader,
        inlet: Inlet,
        shelf: Shelf,
        hours: float,
        last: Latest,
    ) -> None:
        self._name = name
        self._web = web
        self._reader = reader
        self._inlet = inlet
        self._shelf = shelf
        self._hours = hours
        self._last = last
        self._once = Once(log, name)

    # --- what was missed ---------------------------------------------------------------------

    async def catch_up(self, still_so: Callable[[], bool]) -> None:
        """Record everything that was missed and, where that is `still_so`, be on track again."""
        if self._hours > 0:
            active: dict[str, list[Address]] = {}
            for address in await self._shelf.active(self._name, time.time() - ACTIVE):
                active.setdefault(address.channel, []).append(address)
            reached: dict[Address, str] = {}
            for channel in await self._channels():
                reached |= await self._channel(channel, active.get(channel, []))
            # The oldest first: whichever is not reached any more is not behind one that is.
            for address, last in sorted(reached.items(), key=lambda each: float(each[1])):
                await self._inlet.reached(address, last)
        if still_so():
            await self._inlet.on_track()

    async def _channels(self) -> list[str]:
        """The conversations the app is in, as far as it may know them."""
        found: list[str] = []
        for kind in _KINDS:
            try:
                ask = partial(self._web.api.users_conversations, types=kind, limit=PAGE)
                async for page in self._web.pages(partial(ask, exclude_archived=True)):
                    found += filter(None, (text(each, "id") for each in listed(page, "channels")))
            except SlackApiError as error:
                self._once.lacks(error, f"what is missed in a {kind} stays missed")
        return found

    async def _channel(self, channel: str, active: list[Address]) -> dict[Address, str]:
        """Record what is new in a channel and its threads; how far each was read."""
        here = Address(self._name, channel)
        since = self._since(here)
        back_to = since
        if len(active) > FEW:
            back_to = min(since, *(address.topic for address in active), key=float)
        reached: dict[Address, str] = {}
        try:
            told = await self._told(channel, back_to)
            new = [raw for raw in told if float(text(raw, "ts")) > float(since)]
            await self._record(channel, new)
            if new:
                reached[here] = text(new[-1], "ts")
            for address in self._changed(channel, told, active):
                replies = await self._replies(address)
                await self._record(channel, replies)
                if replies:
                    reached[address] = text(replies[-1], "ts")
        except SlackApiError as error:
            self._once.lacks(error, f"what is missed in {channel} stays missed")
        return reached

    def _changed(self, channel: str, told: list[JSON], active: list[Address]) -> list[Address]:
        """The threads that have something new, or may have."""
        found = dict.fromkeys(active)
        for raw in told:
            address = Address(self._name, channel, text(raw, "ts"))
            if latest := text(raw, "latest_reply"):
                found.pop(address, None)
                if float(latest) > float(self._since(address)):
                    found[address] = None
        return list(found)

    def _since(self, address: Address) -> str:
        floor = f"{max(0.0, time.time() - self._hours * 3600):.6f}"
        return max(floor, self._inlet.cursor(address) or "0", key=float)

    async def _told(self, channel: str, since: str) -> list[JSON]:
        """The messages of the channel itself, oldest first, back to a time. At least a page of
        them: the beginnings of threads tell when these were last answered."""
        found: list[JSON] = []
        async for page in self._web.pages(
            partial(self._web.api.conversations_history, channel=channel, limit=PAGE)
        ):
            found += listed(page, "messages")
            if any(_ts(raw) <= float(since) for raw in listed(page, "messages")):
                break
        return _in_order(found)

    async def _replies(self, address: Address) -> list[JSON]:
        """What is new in a thread, oldest first; its beginning comes with every page."""
        since = self._since(address)
        found: list[JSON] = []
        ask = self._web.api.conversations_replies
        try:
            async for page in self._web.pages(
                partial(ask, channel=address.channel, ts=address.topic, oldest=since, limit=PAGE)
            ):
                found += listed(page, "messages")
        except SlackApiError as error:
            if code(error) != GONE:  # a thread that was deleted has nothing new
                raise
        return [
            raw
            for raw in _in_order(found)
            if text(raw, "ts") != address.topic and float(text(raw, "ts")) > float(since)
        ]

    async def _record(self, channel: str, raws: list[JSON]) -> None:
        for start in range(0, len(raws), AT_ONCE):
            events: list[Posted] = []
            for raw in raws[start : start + AT_ONCE]:
                try:
                    event = await self._reader.message(raw, channel, missed=True)
                except BotdaemonError:
                    raise
                except Exception as error:
                    await self._inlet.quarantine(json.dumps(raw), error)
                else:
                    events += [event] if event is not None else []
            await asyncio.gather(*map(self._post, events))

    async def _post(self, event: Posted) -> None:
        """Record a message; one that cannot be recorded must not keep the others from it."""
        self._last.note(event)
        try:
            await self._inlet.post(event, self.earlier(event))
        except BotdaemonError:
            raise
        except Exception as error:
            await self._inlet.quarantine(repr(event), error)

    # --- what was said before ----------------------------------------------------------------

    def earlier(self, event: Posted) -> Earlier | None:
        """What loads the messages before this one, None when it begins a thread itself."""
        address, ts = event.message.address, event.message.platform_id
        if address.topic == ts:
            return None

        async def load() -> list[Posted]:
            if address.topic:
                ask = self._web.api.conversations_replies(
                    channel=address.channel, ts=address.topic, latest=ts, limit=1000
                )
            else:
                ask = self._web.api.conversations_history(
                    channel=address.channel, latest=ts, limit=EARLIER
                )
            raws = _in_order(listed((await ask).data, "messages"))  # type: ignore[arg-type]
            before = [raw for raw in raws if float(text(raw, "ts")) < float(ts)][-EARLIER:]
            found = [await self._past(raw, address.channel) for raw in before]
            if address.topic:  # with its beginning, which may be a message of the channel itself
                return [_moved(past, address) for past in found if past is not None]
            return [past for past in found if past is not None and past.message.address == address]

        return load

    async def _past(self, raw: JSON, channel: str) -> Posted | None:
        try:
            return await self._reader.message(raw, channel, past=True)
        except Unreadable:
            return None


def _moved(event: Posted, address: Address) -> Posted:
    return replace(event, message=replace(event.message, address=address))


def _in_order(raws: list[JSON]) -> list[JSON]:
    """Messages by their time, each once; those without one left out."""
    found = {_ts(raw): raw for raw in raws}
    return [found[ts] for ts in sorted(found) if ts]


def _ts(raw: JSON) -> float:
    """A message's time, 0 if it has none."""
    try:
        return float(text(raw, "ts") or 0)
    except ValueError:
        return 0.0
