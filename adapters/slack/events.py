"""What Slack tells us as our events. Knows no sockets and records nothing.

A field that is missing or of a wrong type is empty; only without a channel and a ts there is
nothing to be made of an event, and it is `Unreadable`.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adapters import files
from adapters.controls import control_of
from adapters.slack import emoji, mrkdwn
from botdaemon.types import (
    Address,
    Command,
    Deleted,
    Edited,
    Identity,
    Message,
    Posted,
    Pressed,
    Reacted,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapters.files import Offer
    from adapters.slack.people import People
    from adapters.slack.web import JSON
    from botdaemon.ports import Surroundings

#: subtypes of messages that say something; all others are notes of Slack's own
_SAYING = ("", "file_share", "thread_broadcast", "me_message", "bot_message")
#: seconds by which no clock is wrong
YEAR = 366 * 86_400.0
_TS = re.compile(r"\d{1,12}\.\d{1,9}")
#: seconds that the files of one message may keep it waiting: Slack wants its ack within three
LIVE_PATIENCE, MISSED_PATIENCE = 2.5, 30.0


class Unreadable(ValueError):
    """Nothing can be made of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who the app is in its workspace."""

    user: str
    bot: str
    team: str

    def said(self, message: JSON) -> bool:
        """Whether a message is the app's own."""
        return text(message, "user") == self.user or (
            bool(self.bot) and text(message, "bot_id") == self.bot
        )


class Reader:
    """Makes events of what Slack sends."""

    def __init__(
        self,
        name: str,
        account: Account,
        around: Surroundings,
        people: People,
        offer: Callable[[JSON], Offer],
    ) -> None:
        self.account = account
        self._name = name
        self._around = around
        self._people = people
        self._offer = offer
        self._first = next(iter(around.bots), "")

    def _bot(self, name: str) -> str:
        """A message by a name of ours is that bot's; any other of the app is the first one's."""
        named = (bot for bot in self._around.bots if bot.lower() == name.lower())
        return next(named, self._first)

    # --- messages ----------------------------------------------------------------------------

    async def message(
        self, raw: JSON, channel: str, *, missed: bool = False, past: bool = False
    ) -> Posted | None:
        """A message of an event or of a history; None for one that says nothing, and for our own,
        which are told as past ones only."""
        own = self.account.said(raw)
        if text(raw, "subtype") not in _SAYING or (own and not past) or raw.get("hidden") is True:
            return None
        ts = stamp(raw, "ts")
        if not (own or text(raw, "user") or text(raw, "bot_id")):
            raise Unreadable("a message of nobody")
        written = text(raw, "text")
        wake = self.account.user in mrkdwn.mentioned(written)[0]
        taken = files.Taken()
        if past:  # what was said before is context: its files are named
            taken = files.Taken(
                lines=tuple(f"[{files.tidy(text(file, 'name'))}]" for file in listed(raw, "files"))
            )
        elif offers := [self._offer(file) for file in listed(raw, "files")]:
            patience = MISSED_PATIENCE if missed else LIVE_PATIENCE
            around = self._around
            taken = await files.take_in(offers, around.shelf, around.file_limit, patience)
        address = self.address(channel, ts, text(raw, "thread_ts"))
        message = Message(
            address=address,
            text=taken.beside(await self._words(raw)),
            sent_at=float(ts),
            author=None if own else await self._author(raw),
            bot=self._bot(text(raw, "username")) if own else "",
            platform_id=ts,
            reply_to=text(raw, "thread_ts") if text(raw, "thread_ts") != ts else "",
            files=taken.files,
        )
        return Posted(
            key=f"{channel}:{ts}",
            message=message,
            direct=is_direct(channel),
            mentioned=wake or text(raw, "type") == "app_mention",
            to_others=mrkdwn.opening(written) not in ("", self.account.user),
            server=self.account.team,
            missed=missed,
            past=past,
        )

    async def edited(self, event: JSON) -> Edited | Deleted | None:
        """`message_changed`: a person's new text; None for link previews and for bots, who are
        always changing something."""
        channel = text(event, "channel")
        now, before = part(event, "message"), part(event, "previous_message")
        if text(now, "subtype") == "tombstone":  # the beginning of a thread, taken back
            return self._gone(channel, stamp(now, "ts"), now, event)
        if (
            text(now, "bot_id")
            or self.account.said(now)
            or text(now, "text") == text(before, "text")
        ):
            return None
        ts = stamp(now, "ts")
        version = text(part(now, "edited"), "ts") or stamp(event, "event_ts", "ts")
        return Edited(
            key=f"edit:{channel}:{ts}:{version}",
            address=self.address(channel, ts, text(now, "thread_ts")),
            platform_id=ts,
            text=await self._words(now),
            at=float(version),
        )

    def deleted(self, event: JSON) -> Deleted | None:
        """`message_deleted`, unless it was ours."""
        before = part(event, "previous_message")
        if self.account.said(before):
            return None
        ts = stamp(event, "deleted_ts")
        return self._gone(text(event, "channel"), ts, before, event)

    def _gone(self, channel: str, ts: str, message: JSON, event: JSON) -> Deleted:
        return Deleted(
            key=f"gone:{channel}:{ts}",
            address=self.address(channel, ts, text(message, "thread_ts")),
            platform_id=ts,
            at=float(stamp(event, "event_ts", "ts")),
        )

    def address(self, channel: str, ts: str, thread: str = "") -> Address:
        """Where a message is. In a channel an answer goes into the thread under the question; in
        direct messages and in channels of a room the conversation is the channel's own."""
        if not channel:
            raise Unreadable("it has no channel")
        if thread and thread != ts:
            return Address(self._name, channel, thread)
        alone = is_direct(channel) or channel in self._around.shared
        return Address(self._name, channel, "" if alone else ts)

    async def _author(self, raw: JSON) -> Identity:
        user, bot = text(raw, "user"), text(raw, "bot_id")
        is_bot = bool(bot) or text(raw, "subtype") == "bot_message" or user == "USLACKBOT"
        name = text(raw, "username") or text(part(raw, "bot_profile"), "name")
        if not name:
            name = await self._people.person(user) if user else bot
        return Identity(adapter=self._name, account=user or bot, name=name, is_bot=is_bot)

    async def _words(self, raw: JSON) -> str:
        written = mrkdwn.without_opening(text(raw, "text"), self.account.user)
        people, channels = mrkdwn.mentioned(written)
        names = await self._people.names(people - {self.account.user}, channels)
        names[self.account.user] = self._first
        said = mrkdwn.to_commonmark(written, names)
        for attached in listed(raw, "attachments"):
            # Somebody else's message, passed on; and all that some integrations write.
            if attached.get("is_share") is True or (not said and text(raw, "bot_id")):
                quoted = text(attached, "text") or text(attached, "fallback")
                quote = mrkdwn.to_commonmark(quoted, names).replace("\n", "\n> ")
                said = "\n\n".join(filter(None, (said, quote and f"> {quote}")))
        return said

    # --- everything else ---------------------------------------------------------------------

    async def reacted(self, event: JSON) -> Reacted | None:
        """A reaction on a message, or its end; our own are not told."""
        item, user = part(event, "item"), text(event, "user")
        if text(item, "type") != "message" or user in ("", self.account.user):
            return None
        channel, ts, name = text(item, "channel"), stamp(item, "ts"), text(event, "reaction")
        if not channel or not name:
            raise Unreadable("a reaction to nothing")
        added, at = text(event, "type") == "reaction_added", stamp(event, "event_ts")
        return Reacted(
            key=f"react:{channel}:{ts}:{user}:{name}:{added}:{at}",
            # Slack does not say in which thread the message is; its ts finds it in the channel.
            address=Address(self._name, channel),
            who=await self._who(user),
            platform_id=ts,
            emoji=emoji.shown(name),
            added=added,
            at=float(at),
            server=self.account.team,
        )

    async def command(self, body: JSON, at: float) -> Command:
        """A slash command. `/botdaemon NAME ...` is for names that are taken in Slack."""
        channel, user = text(body, "channel_id"), text(body, "user_id")
        name, argument = text(body, "command").lstrip("/"), text(body, "text").strip()
        if not channel or not user or not name:
            raise Unreadable("a command without a channel, a person or a name")
        if name == "botdaemon":
            name, _, argument = (argument or "help").partition(" ")
        return Command(
            key=f"command:{text(body, 'trigger_id') or f'{channel}:{user}:{at}'}",
            address=Address(self._name, channel, text(body, "thread_ts")),
            who=await self._who(user, text(body, "user_name")),
            name=name.lower(),
            argument=argument.strip(),
            at=at,
            direct=is_direct(channel),
            server=self.account.team,
        )

    async def pressed(self, body: JSON, at: float) -> Pressed | None:
        """A button of ours; None for any other."""
        box, message = part(body, "container"), part(body, "message")
        channel = text(part(body, "channel"), "id") or text(box, "channel_id")
        ts = text(message, "ts") or text(box, "message_ts")
        user = part(body, "user")
        for action in listed(body, "actions"):
            control = control_of(text(action, "action_id"))
            if control is None:
                continue
            if not channel or not text(user, "id"):
                raise Unreadable("a button pressed nowhere, or by nobody")
            thread = text(message, "thread_ts") or text(box, "thread_ts")
            return Pressed(
                key=f"press:{text(body, 'trigger_id') or f'{channel}:{ts}:{at}'}",
                address=self.address(channel, ts, thread),
                who=await self._who(text(user, "id"), text(user, "username")),
                control=control,
                at=at,
                platform_id=ts,
                direct=is_direct(channel),
                server=self.account.team,
            )
        return None

    async def _who(self, user: str, otherwise: str = "") -> Identity:
        name = await self._people.person(user)
        shown = otherwise if otherwise and name == user else name
        return Identity(adapter=self._name, account=user, name=shown)


def is_direct(channel: str) -> bool:
    """Whether a conversation is with one person alone; those of several have ids like channels."""
    return channel.startswith("D")


def text(raw: JSON, name: str) -> str:
    """A field that is a text, "" when it is not there or something else."""
    value = raw.get(name)
    return value if isinstance(value, str) else ""


def part(raw: JSON, name: str) -> JSON:
    """A field that is an object, an empty one when it is not there or something else."""
    value = raw.get(name)
    return value if isinstance(value, dict) else {}


def listed(raw: JSON, name: str) -> list[JSON]:
    """The objects of a field that is a list."""
    value: Any = raw.get(name)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def stamp(raw: JSON, *names: str) -> str:
    """The first of these fields that is there, which must be a ts."""
    found = next(filter(None, (text(raw, name) for name in names)), "")
    if _TS.fullmatch(found) is None:
        raise Unreadable(f"it has no {names[0]} that is a time")
    if float(found) > time.time() + YEAR:  # it would count as the newest for ever
        raise Unreadable(f"its {names[0]} is in the far future")
    return found
