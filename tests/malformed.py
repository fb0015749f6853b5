"""Events as no platform should send them: each good one with every field missing, null, or of
another kind, and those that nothing can be made of. Knows the platforms' wire, and no adapter."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from platform_verbs import Place
from platforms import OnDiscord, OnSlack, OnTelegram

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from platform_verbs import Platform

JSON = dict[str, Any]

WRONG: tuple[Any, ...] = (None, [], {}, "", "x", -1, 3.5, True, "9" * 400, [None], {"a": []})
LAIR = Place("lair")
"""A channel in which nobody addresses a bot."""
MANY = 1_000_000


@dataclass(frozen=True, slots=True)
class Bad:
    """An event, and what it is called where the platform names it apart."""

    body: Any
    kind: str = ""


async def send(platform: Platform, bad: Bad) -> None:
    """Let the platform say it."""
    if isinstance(platform, OnDiscord):
        await platform.fake.poison(bad.body, bad.kind or "MESSAGE_CREATE")
    elif isinstance(platform, OnTelegram) and bad.kind:
        await platform.fake.poison({bad.kind: bad.body})
    else:
        await platform.fake.poison(bad.body)


async def spoiled(platform: Platform) -> list[tuple[str, list[Bad]]]:
    """Good events with one field spoiled, or one inside of it, by that field."""
    id = await platform.say("bait", LAIR)
    good = _SAMPLES[type(platform)](platform, id)
    return [
        (
            f"{kind}.{field}",
            [
                Bad(body, kind)
                for path in _paths({field: event[field]})
                for body in _bodies(event, path)
            ],
        )
        for kind, event in good.items()
        for field in event
    ]


def _paths(event: JSON, depth: int = 2) -> Iterator[tuple[str, ...]]:
    for key, value in event.items():
        yield (key,)
        if depth > 1 and isinstance(value, dict):
            yield from ((key, *path) for path in _paths(value, depth - 1))


def _bodies(event: JSON, path: tuple[str, ...]) -> Iterator[JSON]:
    for wrong in (..., *WRONG):
        body = copy.deepcopy(event)
        inner = body
        for key in path[:-1]:
            inner = inner[key]
        if wrong is ...:
            del inner[path[-1]]
        else:
            inner[path[-1]] = wrong
        yield body


# --- good events ----------------------------------------------------------------------------------


def _discord(platform: Platform, id: str) -> dict[str, JSON]:
    assert isinstance(platform, OnDiscord)
    fake = platform.fake
    channel = fake.world.channels[platform.channel_id(LAIR.channel)]
    message = fake.gateway.message_event(channel, channel.posts[id])
    who, here = fake.world.person("ann"), {"channel_id": channel.id, "guild_id": fake.guild_id}
    member = who.member() | {"user": who.user()}
    return {
        "MESSAGE_CREATE": message,
        "MESSAGE_UPDATE": message | {"edited_timestamp": "2026-01-01T00:00:00+00:00"},
        "MESSAGE_DELETE": {"id": "1", **here},
        "MESSAGE_REACTION_ADD": {
            **here,
            "user_id": who.id,
            "message_id": id,
            "member": member,
            "emoji": {"id": None, "name": "\U0001f44d"},
        },
        "INTERACTION_CREATE": {
            **here,
            "id": "2",
            "application_id": fake.app_id,
            "type": 3,
            "token": "t",
            "version": 1,
            "member": member,
            "message": message,
            "data": {"custom_id": "botdaemon:retry", "component_type": 2},
        },
        "CHANNEL_UPDATE": fake.world.channel_json(channel) | {"guild_id": fake.guild_id},
    }


def _slack(platform: Platform, id: str) -> dict[str, JSON]:
    assert isinstance(platform, OnSlack)
    team, channel = platform.fake.team, platform.channel_id(LAIR.channel)
    who = team.user("ann")
    message = {**team.posts[id].raw, "channel": channel, "channel_type": "channel", "event_ts": id}
    here = {"channel": channel, "ts": id, "event_ts": id}
    return {
        "message": message,
        "app_mention": message | {"type": "app_mention", "thread_ts": id},
        "message_changed": {
            "type": "message",
            "subtype": "message_changed",
            **here,
            "message": message | {"text": "changed", "edited": {"user": who, "ts": id}},
            "previous_message": message,
        },
        "message_deleted": {
            "type": "message",
            "subtype": "message_deleted",
            **here,
            "deleted_ts": "1.000001",
            "previous_message": message,
        },
        "reaction_added": {
            "type": "reaction_added",
            "user": who,
            "reaction": "+1",
            "item_user": who,
            "item": {"type": "message", "channel": channel, "ts": id},
            "event_ts": id,
        },
    }


def _telegram(platform: Platform, id: str) -> dict[str, JSON]:
    assert isinstance(platform, OnTelegram)
    world = platform.fake.world
    message, ann = world.find(id).raw, world.person("ann").json()
    chat = message["chat"]
    return {
        "message": message,
        "edited_message": message | {"edit_date": message["date"]},
        "callback_query": {
            "id": "1",
            "from": ann,
            "message": message,
            "chat_instance": "1",
            "data": "botdaemon:retry",
        },
        "message_reaction": {
            "chat": chat,
            "message_id": message["message_id"],
            "user": ann,
            "date": message["date"],
            "old_reaction": [],
            "new_reaction": [{"type": "emoji", "emoji": "\U0001f44d"}],
        },
    }


_SAMPLES: dict[type[Platform], Callable[[Platform, str], dict[str, JSON]]] = {
    OnDiscord: _discord,
    OnSlack: _slack,
    OnTelegram: _telegram,
}


# --- events of which nothing can be made ----------------------------------------------------------


async def unreadable(platform: Platform) -> list[Bad]:
    """Each says in its text which it is ("nothing-0"), so that it is found where it was put."""
    id = await platform.say("bait", LAIR)
    samples = _SAMPLES[type(platform)](platform, id)
    if isinstance(platform, OnTelegram):
        message = samples["message"]
        spoilt = [
            message | {"chat": None},
            message | {"chat": []},
            message | {"date": "now"},
            message | {"date": 10**18},
            message | {"from": "ann"},
            message | {"entities": "bold"},
            {key: value for key, value in message.items() if key != "message_id"},
        ]
        return [Bad({"message": one | {"text": f"nothing-{n}"}}) for n, one in enumerate(spoilt)]
    if isinstance(platform, OnSlack):
        message = samples["message"]
        spoilt = [
            message | {"ts": None},
            message | {"ts": "yesterday"},
            message | {"ts": 5},
            message | {"channel": None},
            message | {"channel": []},
            message | {"user": None, "ts": "1700000000.000007"},
            message | {"type": None},
            {key: value for key, value in message.items() if key != "ts"},
        ]
        return [Bad(one | {"text": f"nothing-{n}"}) for n, one in enumerate(spoilt)]
    message = samples["MESSAGE_CREATE"]
    spoilt = [
        message | {"id": None},
        message | {"id": "x"},
        message | {"id": -1},
        message | {"id": "9" * 400},
        message | {"channel_id": None},
        message | {"channel_id": []},
        message | {"author": None, "id": "5"},
        {key: value for key, value in message.items() if key != "id"},
    ]
    return [Bad(one | {"content": f"nothing-{n}"}) for n, one in enumerate(spoilt)]


# --- events that are strange, and well-formed -----------------------------------------------------


async def strange(platform: Platform) -> list[Bad]:
    """Unknown kinds, huge ones, ids that were there before, other clocks, another order."""
    id = await platform.say("bait", LAIR)
    samples = _SAMPLES[type(platform)](platform, id)
    if isinstance(platform, OnTelegram):
        message = samples["message"]
        numbered = [message | {"message_id": number} for number in (10**9, 10**9 - 1, 10**8)]
        dated = [
            message | {"message_id": 2000 + number, "date": date}
            for number, date in enumerate((0, 1, 4_102_444_800))
        ]
        huge = message | {"message_id": 3000, "text": "a" * MANY}
        messages = [*numbered, *dated, message | {"text": "another under the same number"}, huge]
        kinds: list[Any] = [{}, {"something_new": {"a": 1}}, {"poll": {}}, "text", None, 5, [[]]]
        return [Bad({"message": one}) for one in messages] + [Bad(one) for one in kinds]
    if isinstance(platform, OnSlack):
        message = samples["message"]
        stamps = ("0.000001", "1.000001", "9999999999.000001", "9999999998.000001")
        messages = [message | {"ts": ts, "event_ts": ts} for ts in stamps]
        messages += [message | {"text": "another under the same ts"}]
        messages += [message | {"ts": "1700000000.000001", "text": "a" * MANY}]
        kinds = [
            {"type": "something_new", "channel": message["channel"]},
            message | {"subtype": "something_new", "ts": "1700000000.000002"},
            {},
        ]
        frames = ["no json", "[]", "5", '"text"', "null", {"envelope_id": "e1"}]
        frames += [{"envelope_id": "e2", "type": kind, "payload": {}} for kind in ("x", None, 5)]
        frames += [{"envelope_id": "e3", "type": "events_api", "payload": wrong} for wrong in WRONG]
        frames += [
            {"envelope_id": "e4", "type": kind, "payload": {"a": 1}}
            for kind in ("events_api", "interactive", "slash_commands")
        ]
        return [Bad(one) for one in [*messages, *kinds, *frames]]
    message = samples["MESSAGE_CREATE"]
    ids = ("9223372036854775806", "9223372036854775800", "1", "4194304")
    messages = [message | {"id": id, "content": f"out of order {id}"} for id in ids]
    messages += [message | {"content": "another under the same id"}]
    messages += [message | {"id": "4194305", "content": "a" * MANY}]
    kinds = [Bad({"a": 1}, "SOMETHING_NEW"), Bad(None, "MESSAGE_CREATE"), Bad([], "GUILD_CREATE")]
    return [*map(Bad, messages), *kinds]
