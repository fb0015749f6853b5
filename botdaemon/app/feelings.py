"""How each bot may feel, as configured, and what it is told of that. Knows no life of any part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdaemon.config import TextBotConfig
from botdaemon.feelings import DAY, Character, Mood, Stage, felt, mood_of, stage_of, stirred
from botdaemon.filters import Filter, Rule
from botdaemon.types import Note

if TYPE_CHECKING:
    from collections.abc import Callable

    from botdaemon.config import BotConfig, Config
    from botdaemon.ports import Briefing
    from botdaemon.store import Store
    from botdaemon.types import Relation, Turn

#: tokens that a stage and a mood may take: a few sentences each
_MOST = 120
#: stages and moods are a part of who a bot is, so they go late when space is short
_STAGE_WEIGHT, _MOOD_WEIGHT = 5, 4
_RATINGS = {"": 0, "good": 1, "bad": -1}


def make_character(config: Config, table: BotConfig) -> Character:
    """What a bot can feel; one that needs no model feels nothing."""
    timezone = config.governor.timezone
    if not isinstance(table, TextBotConfig):
        return Character(timezone=timezone)
    return Character(
        stages=[
            Stage(
                name=stage.name,
                prompt=stage.prompt,
                messages=stage.messages,
                days=stage.days,
                ratings=stage.ratings,
            )
            for stage in table.stages
        ],
        moods=[
            Mood(
                name=name,
                prompt=mood.prompt,
                chance=mood.chance,
                after_silence=mood.after_silence_days * DAY,
                stirred_by=_finds(mood.on_words),
                on_rating=_RATINGS[mood.on_rating],
                seconds=mood.hours * 3600,
            )
            for name, mood in table.moods.items()
        ],
        timezone=timezone,
    )


def _finds(words: tuple[str, ...]) -> Callable[[str], bool]:
    """Whether one of the words is in a text, found as filters find them."""
    look = Filter([Rule(words=words)])
    return lambda text: bool(look(text).found)


def make_briefings(character: Character, store: Store | None) -> list[Briefing]:
    """What a bot of this character is told for a turn; without a store it knows nobody."""
    if store is None or not (character.stages or character.moods):
        return []

    async def briefing(turn: Turn) -> list[Note]:
        said = [message.text for message in turn.history[len(turn.history) - turn.fresh :]]
        words = stirred(character, said)

        def judge(relation: Relation, now: float) -> Relation:
            return felt(character, relation, now, talking=bool(said), words=words)

        return _notes(character, *await store.feel(turn.id, judge))

    return [briefing]


def _notes(character: Character, relation: Relation, now: float) -> list[Note]:
    """The stage only where there is a person to be in one with."""
    stage = stage_of(character, relation, now) if relation.person else None
    mood = mood_of(character, relation, now)
    told = (
        ("relationship", stage and stage.prompt, _STAGE_WEIGHT),
        ("mood", mood and mood.prompt, _MOOD_WEIGHT),
    )
    return [
        Note(topic=topic, text=text, most=_MOST, lasting=True, weight=weight)
        for topic, text, weight in told
        if text
    ]
