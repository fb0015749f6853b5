"""How a bot feels about a person: the stage that they have reached, and its mood. Pure rules: knows
no store, no clock and no bot but by its name."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from botdaemon import timetable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from botdaemon.types import Relation

DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """It begins when any of its thresholds is reached; one without any is the first."""

    name: str
    #: what the bot is told while it lasts
    prompt: str = ""
    #: messages of the person that the bot has answered; 0: does not count, here and below
    messages: int = 0
    #: days since they met
    days: float = 0.0
    #: good ratings less bad ones
    ratings: int = 0

    def reached(self, relation: Relation, now: float) -> bool:
        """Whether it has begun."""
        days = (now - relation.met_at) / DAY if relation.met_at else 0.0
        thresholds = (
            (self.messages, relation.messages),
            (self.days, days),
            (self.ratings, relation.ratings),
        )
        asked = [(threshold, has) for threshold, has in thresholds if threshold]
        return not asked or any(has >= threshold for threshold, has in asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mood:
    """It comes by chance for a whole day, and by its rules for a while."""

    name: str
    #: what the bot is told while it lasts
    prompt: str = ""
    #: how likely it is on any day, 0 to 1
    chance: float = 0.0
    #: seconds in which nothing was said, after which it comes with the next word; 0: never
    after_silence: float = 0.0
    #: whether it comes with what a person says
    stirred_by: Callable[[str], bool] = lambda _: False
    #: it comes with a good rating (1), with a bad one (-1); 0: with none
    on_rating: int = 0
    #: how long it lasts then; 0: until the next day
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Character:
    """What one bot can feel."""

    stages: Sequence[Stage] = ()
    moods: Sequence[Mood] = ()
    #: whose midnight ends a day
    timezone: str = "UTC"


def stage_of(character: Character, relation: Relation, now: float) -> Stage | None:
    """The last stage that has begun; None where there are no stages."""
    reached = [stage for stage in character.stages if stage.reached(relation, now)]
    return reached[-1] if reached else None


def next_stage(character: Character, relation: Relation, now: float) -> Stage | None:
    """The one that follows; None after the last."""
    at = stage_of(character, relation, now)
    following = list(character.stages)
    if at is not None:
        following = following[following.index(at) + 1 :]
    return following[0] if following else None


def mood_of(character: Character, relation: Relation, now: float) -> Mood | None:
    """The mood that a rule has brought, else that of the day; None: nothing in particular."""
    moods = {mood.name: mood for mood in character.moods}
    if now < relation.mood_until and relation.mood in moods:
        return moods[relation.mood]
    return _of_the_day(character, relation, now)


def stirred(character: Character, said: Sequence[str]) -> Mood | None:
    """The first mood that comes with these words."""
    return next((mood for mood in character.moods if any(map(mood.stirred_by, said))), None)


def felt(
    character: Character,
    relation: Relation,
    now: float,
    *,
    talking: bool = False,
    words: Mood | None = None,
) -> Relation:
    """The relation with the stage that has been reached and the mood that its rules bring.
    `talking`: the person has just said something, and `words` is the mood that comes with it. Words
    count for more than silence, silence for more than a rating."""
    stage = stage_of(character, relation, now)
    if stage is not None and stage.name != relation.stage:
        first = not relation.stage and stage is character.stages[0]
        since = relation.met_at if first and relation.met_at else now
        relation = replace(relation, stage=stage.name, stage_at=since)
    silence = now - relation.last_at if talking and relation.last_at else 0.0
    mood, at = words or _of_silence(character, silence), now
    if mood is None and relation.rated_at > relation.mood_at:
        mood, at = _of_rating(character, relation.rated), relation.rated_at
    if mood is None:
        return relation
    until = at + mood.seconds if mood.seconds else _midnight(at, character.timezone)
    if until <= now:
        return relation
    return replace(relation, mood=mood.name, mood_at=at, mood_until=until)


def _of_silence(character: Character, silence: float) -> Mood | None:
    return next((mood for mood in character.moods if 0 < mood.after_silence <= silence), None)


def _of_rating(character: Character, rated: int) -> Mood | None:
    return next((mood for mood in character.moods if rated and mood.on_rating == rated), None)


def _of_the_day(character: Character, relation: Relation, now: float) -> Mood | None:
    """By lot, but the lot of a day is always the same, so that a restart does not draw again. In a
    room all people meet the same one."""
    day = datetime.fromtimestamp(now, timetable.zone(character.timezone)).date()
    whose = f"{relation.place} {relation.person}" if relation.place == "direct" else relation.place
    lot = random.Random(f"{relation.bot} {whose} {day}").random()
    for mood in character.moods:
        lot -= mood.chance
        if lot < 0:
            return mood
    return None


def _midnight(at: float, timezone: str) -> float:
    local = datetime.fromtimestamp(at, timetable.zone(timezone))
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    return (midnight + timedelta(days=1)).timestamp()
