"""The tables about what is let through and how it is put: filters, and short posts. Knows no other
table."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from botdaemon.config.base import Table
from botdaemon.config.values import Blocked, Expressions, Labels, Nicknames


class FilterConfig(Table):
    """What is not let through, and what becomes of it."""

    words: Blocked = ()
    """words and phrases, found as whole words whatever their case, spaced out or in l33t"""
    patterns: Expressions = ()
    """regular expressions (case ignored)"""
    action: Literal["block", "mask"] = "block"
    """block: the whole message is held back; mask: only what was found is covered"""
    stand_in: str = Field(default="Let us talk about something else.", min_length=1)
    """what is said instead of a message that is held back"""


class ClassifierFilterConfig(Table):
    """A model that looks through what is said."""

    model: str = Field(description="the name of a [models.NAME] table of a classifier")
    """the name of a [models.NAME] table of a classifier"""
    heard: Labels = Field(default_factory=dict)
    """the least probability with which a label holds back what people say"""
    said: Labels = Field(default_factory=dict)
    """the same for what bots say"""
    stand_in: str = Field(default="Let us talk about something else.", min_length=1)
    """what is said instead of a message that is held back"""

    @model_validator(mode="after")
    def _some_label(self) -> Self:
        if not self.heard and not self.said:
            raise ValueError("name the labels that hold back: said = { toxic = 0.8 }, or heard")
        return self


class FiltersConfig(Table):
    """What people and bots say."""

    heard: FilterConfig = FilterConfig()
    """what people say"""
    said: FilterConfig = FilterConfig()
    """what bots say"""
    classifier: ClassifierFilterConfig | None = None
    """a model that looks through both"""


class MostConfig(Table):
    """How long messages may be, in characters."""

    heard: int | None = Field(default=None, ge=1)
    """what people write that is longer is answered with words"""
    said: int | None = Field(default=None, ge=1)
    """what the bot writes that is longer is cut, at the end of a clause if there is one"""


class SeveralConfig(Table):
    """Several messages for one answer."""

    most: int = Field(default=1, ge=1, le=8)
    """most messages of one answer"""
    separator: str = ""
    """what the bot writes between messages; "" makes a message of every paragraph"""
    characters_per_second: float = Field(default=25.0, gt=0)
    """how fast further messages are typed"""
    longest_pause_seconds: float = Field(default=6.0, ge=0, le=20)
    """longest time before one of them"""


class CrowdConfig(Table):
    """Several answers to one post, each under another name."""

    fewest: int = Field(default=2, ge=1, le=8)
    """answers to a post at least,"""
    most: int = Field(default=4, ge=1, le=8)
    """and at most"""
    names: Nicknames = ()
    """the names they are given under, by lot; when there are not enough, more are made up"""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.fewest > self.most:
            raise ValueError(f"fewest = {self.fewest} is more than most = {self.most}")
        return self
