"""How a person and the bots of a place stand, in words. Knows the rules from `feelings`, and
nothing of how relations are kept."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from botdaemon import timetable
from botdaemon.dispatcher.letters import plain
from botdaemon.errors import Refused
from botdaemon.feelings import Character, felt, mood_of, next_stage, stage_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdaemon.dispatcher.orders import Order
    from botdaemon.feelings import Stage
    from botdaemon.store import Store
    from botdaemon.types import Relation

_STRANGERS = "You and the bots here have not talked yet."


class Relations:
    """`characters` are all bots that there are, `timezone` is that of whoever has not named
    theirs."""

    def __init__(self, store: Store, characters: Mapping[str, Character], timezone: str) -> None:
        self._store = store
        self._characters = characters
        self._timezone = timezone

    async def relationship(self, order: Order) -> str:
        """One's own with the bots here, or the end of it. Raises `Refused`."""
        match order.argument.strip().casefold():
            case "":
                return await self._say(order)
            case "reset":
                return await self._reset(order)
        raise Refused("Say `/relationship`, or `/relationship reset` to begin anew.")

    async def _say(self, order: Order) -> str:
        def judge(relation: Relation, now: float) -> Relation:
            return felt(self._character(relation), relation, now)

        relations, now = await self._store.relations_at(
            order.thread, order.address, order.who, judge, direct=order.direct
        )
        timezone = await self._store.timezone_of(order.who) or self._timezone
        lines = [
            f"- {self._line(relation, now, timezone)}"
            for relation in relations
            if relation.bot in self._characters
        ]
        return "\n".join(["You and the bots here:", "", *lines]) if lines else _STRANGERS

    async def _reset(self, order: Order) -> str:
        over = await self._store.reset_relations(
            order.thread, order.address, order.who, direct=order.direct
        )
        if not over:
            return _STRANGERS
        bots = ", ".join(f"**{plain(it.bot)}** ({_messages(it.messages)})" for it in over)
        return (
            f"You begin anew here with {bots}: stages, moods and counts are gone. What was said is"
            " still there; `/new` begins a conversation that knows nothing of it."
        )

    def _character(self, relation: Relation) -> Character:
        return self._characters.get(relation.bot, Character())

    def _line(self, relation: Relation, now: float, timezone: str) -> str:
        character = self._character(relation)
        words = f"**{plain(relation.bot)}**: "
        if stage := stage_of(character, relation, now):
            words += f"*{plain(stage.name)}* since {_date(relation.stage_at, timezone)}. "
        words += f"{_messages(relation.messages)} since {_date(relation.met_at, timezone)}"
        if relation.ratings:
            words += f", ratings {relation.ratings:+}"
        words += "."
        if following := next_stage(character, relation, now):
            words += f" Next: *{plain(following.name)}*, {_begins(following)}."
        if mood := mood_of(character, relation, now):
            words += f" Today it is *{plain(mood.name)}*."
        return words


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count} messages"


def _begins(stage: Stage) -> str:
    ways = []
    if stage.messages:
        ways.append(f"after {_messages(stage.messages)}")
    if stage.days:
        ways.append(f"{stage.days:g} days after you met")
    if stage.ratings:
        ways.append(f"with {stage.ratings} good ratings more than bad ones")
    return " or ".join(ways)


def _date(at: float, timezone: str) -> str:
    return f"{datetime.fromtimestamp(at, timetable.zone(timezone)):%-d %b %Y}"
