"""The tables about how a bot feels about people, `[[bots.NAME.stages]]` and
`[bots.NAME.moods.NAME]`. Knows no other table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from botdaemon.config.base import Table
from botdaemon.config.values import Blocked, Name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class StageConfig(Table):
    """How far a person and the bot have come; it begins when any of its thresholds is reached."""

    name: Name = Field(description="what it is called, which people are told")
    messages: int = Field(default=0, ge=0)
    """after so many messages of the person that the bot has answered; 0: these do not count"""
    days: float = Field(default=0.0, ge=0)
    """or so many days after they met; 0: these do not count"""
    ratings: int = Field(default=0, ge=0)
    """or with so many more good ratings than bad ones; 0: these do not count"""
    prompt: str = ""
    """what the bot is told while it lasts"""


class MoodConfig(Table):
    """A mood that comes by chance for a day, or by what happens for a while."""

    chance: float = Field(default=0.0, ge=0, le=1)
    """how likely it is on any day"""
    after_silence_days: float = Field(default=0.0, ge=0)
    """it comes when a person writes again after so many days; 0: it does not"""
    on_words: Blocked = ()
    """words and phrases with which a person brings it about"""
    on_rating: Literal["", "good", "bad"] = ""
    """the rating with which a person brings it about"""
    hours: float = Field(default=0.0, ge=0, le=720)
    """how long it lasts when it was brought about; 0: until the next day"""
    prompt: str = ""
    """what the bot is told while it lasts"""

    @model_validator(mode="after")
    def _comes(self) -> Self:
        if not (self.chance or self.after_silence_days or self.on_words or self.on_rating):
            raise ValueError(
                "it never comes: say when by chance, after_silence_days, on_words or on_rating"
            )
        return self


def _in_order(stages: Sequence[StageConfig]) -> Sequence[StageConfig]:
    names: set[str] = set()
    for number, stage in enumerate(stages):
        if stage.name.casefold() in names:
            raise ValueError(f'there are two stages "{stage.name}"')
        names.add(stage.name.casefold())
        has_threshold = bool(stage.messages or stage.days or stage.ratings)
        if number == 0 and has_threshold:
            raise ValueError(
                f'"{stage.name}" is the first stage, which needs no messages, days or ratings'
            )
        if number and not has_threshold:
            raise ValueError(
                f'"{stage.name}" never begins: say when by messages, days or ratings (only the'
                " first stage needs none)"
            )
    return stages


def _a_day_each(moods: Mapping[str, MoodConfig]) -> Mapping[str, MoodConfig]:
    total = sum(mood.chance for mood in moods.values())
    if total > 1 + 1e-9:  # 0.7 + 0.2 + 0.1 is a little more
        raise ValueError(
            f"the chances are {total:.2f} together, and there is one mood a day: 1 at most (on the"
            " days that are left over there is none)"
        )
    return moods


Stages = Annotated[tuple[StageConfig, ...], Field(strict=False), AfterValidator(_in_order)]
Moods = Annotated[dict[Name, MoodConfig], AfterValidator(_a_day_each)]
