"""The tables about writing first, `[[schedules]]` and `[governor]`. Knows no other table."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from botdaemon import types
from botdaemon.config.base import Table
from botdaemon.config.values import Name
from botdaemon.errors import Refused
from botdaemon.timetable import SHORTEST, crontab, duration, lasting, quiet_hours, zone

if TYPE_CHECKING:
    from collections.abc import Callable


def _readable(read: Callable[[str], Any]) -> AfterValidator:
    """Text that `read` can read; "" stands for none."""

    def check(text: str) -> str:
        try:
            if text:
                read(text)
        except Refused as error:
            raise ValueError(str(error)) from None
        return text

    return AfterValidator(check)


def _of_adapter(what: str) -> AfterValidator:
    def check(text: str) -> str:
        adapter, _, rest = text.partition(":")
        if text and not (adapter and rest):
            raise ValueError(f'expected "ADAPTER:{what}", found "{text}"')
        return text

    return AfterValidator(check)


Crontab = Annotated[str, _readable(crontab)]
Duration = Annotated[str, _readable(duration)]
Timezone = Annotated[str, _readable(zone)]
Hours = Annotated[str, _readable(quiet_hours)]


class ScheduleConfig(Table):
    """A bot that writes first."""

    name: Name = Field(description="what it is called, so that a restart knows it again")
    bot: str = Field(description="the bot that writes")
    room: str = ""
    """the room it writes in, or instead:"""
    channel: Annotated[str, _of_adapter("CHANNEL")] = ""
    """a channel, as "ADAPTER:CHANNEL" """
    person: Annotated[str, _of_adapter("ACCOUNT")] = ""
    """a person who has written directly, as "ADAPTER:ACCOUNT" """
    cron: Crontab = ""
    """when: a crontab line"""
    every: Duration = ""
    """or so much time apart"""
    at: datetime | None = None
    """or once, at a date and time"""
    after_silence: Duration = ""
    """or whenever no person has said anything for so long"""
    timezone: Timezone = ""
    """of cron and at; by default the governor's"""
    jitter_minutes: float = Field(default=0.0, ge=0, le=1440)
    """by how much it may come late, so that it does not look like clockwork"""
    say: str = ""
    """what it says, as it stands"""
    prompt: str = ""
    """or what it is told to write about"""
    missed: Literal["skip", "once"] = "skip"
    """what could not be said in time is left out, or made up for once"""

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        for what, keys in (
            ("where", ("room", "channel", "person")),
            ("when", ("cron", "every", "at", "after_silence")),
            ("what", ("say", "prompt")),
        ):
            named = [key for key in keys if getattr(self, key)]
            if len(named) != 1:
                found = f"not {' and '.join(named)}" if named else "none of them is there"
                raise ValueError(f"say {what} by one of {', '.join(keys)}; {found}")
        if self.at is not None and self.at.tzinfo is not None and self.timezone:
            raise ValueError("at has a time zone of its own: leave out timezone")
        for key in ("every", "after_silence"):
            if (text := getattr(self, key)) and duration(text) < SHORTEST:
                raise ValueError(f"{key} must be at least {lasting(SHORTEST)}")
        return self

    def when(self, timezone: str) -> types.When:
        """Its times, by this clock where it has none of its own."""
        here = self.timezone or timezone
        if self.cron:
            return types.Cron(self.cron, here)
        if self.every:
            return types.Every(duration(self.every))
        if self.after_silence:
            return types.Silence(duration(self.after_silence))
        assert self.at is not None, self
        at = self.at if self.at.tzinfo is not None else self.at.replace(tzinfo=zone(here))
        return types.Once(at.timestamp())


class GovernorConfig(Table):
    """When bots may write first; everything else is for people to begin."""

    timezone: Timezone = "UTC"
    """the clock of whoever has not said what theirs is"""
    quiet_hours: Hours = ""
    """hours of every day in which no bot writes first, as "22:00-07:00" """
    most_unanswered: int = Field(default=2, ge=1, le=100)
    """first messages in a row that may stay unanswered; then a person has to say something"""
    pause_minutes: float = Field(default=60.0, ge=0)
    """pause after one that is unanswered; twice as long after the second, and so on"""
    most_a_day: int = Field(default=6, ge=0)
    """first messages in a room within a day"""
    settle_minutes: float = Field(default=5.0, ge=0)
    """nobody is talking any more when nothing was said for so long"""
    schedules_per_person: int = Field(default=10, ge=0)
    """reminders and schedules that one person may have"""
    shortest_every_minutes: float = Field(default=30.0, ge=1)
    """time that lies between two messages of a schedule that a person makes"""
