"""The tables about who answers, `[bots.NAME]`. Knows no other table but those within them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from botdaemon.config.base import Table
from botdaemon.config.feelings import Moods, Stages
from botdaemon.config.knowledge import KnowledgeConfig
from botdaemon.config.manners import CrowdConfig, FiltersConfig, MostConfig, SeveralConfig
from botdaemon.config.memory import MemoryConfig
from botdaemon.config.personas import BudgetConfig, PersonaConfig
from botdaemon.config.sound import SpokenConfig
from botdaemon.config.values import (
    File,
    Labels,
    Name,
    Names,
    Patterns,
    Seconds,
    Url,
)


class _BotConfig(Table):
    about: str = ""
    """one line shown to people"""
    picture: Url | None = None
    """the address of its picture, which platforms fetch"""
    names: Names = ()
    """further names it answers to, besides its own"""
    wake: Patterns = ()
    """regular expressions (case ignored) that call it"""
    chance: float = Field(default=0.0, ge=0, le=1)
    """how likely it joins in when it was not called"""
    follow_up: bool = True
    """whether it goes on answering somebody it is talking with"""
    filters: FiltersConfig = FiltersConfig()
    """what it does not hear and does not say, besides what [filters] holds back from all"""
    most_characters: MostConfig = MostConfig()
    """how long what it reads and writes may be"""
    messages: SeveralConfig = SeveralConfig()
    """several messages for one answer"""


class _WritingBotConfig(_BotConfig):
    crowd: CrowdConfig | None = None
    """several answers to one post, each under another name"""
    speech: SpokenConfig | None = None
    """voice notes, besides or instead of what it writes"""

    @model_validator(mode="after")
    def _one_or_a_crowd(self) -> Self:
        if self.crowd is not None and self.messages.most > 1:
            raise ValueError("each of a crowd says one message: leave out messages.most or crowd")
        return self


class EnrichConfig(Table):
    """A text model that says what a question means before it is answered."""

    model: str = Field(description="the name of a [models.NAME] table of a text model")
    """the name of a [models.NAME] table of a text model"""
    instruction: str = ""
    """what it is told to do, in place of what it is told otherwise"""
    messages: int = Field(default=6, ge=0, le=50)
    """messages before the question that it is shown"""
    most_tokens: int = Field(default=80, ge=8, le=1000)
    """tokens that the question may become"""
    seconds: float = Field(default=10.0, gt=0, le=120)
    """time after which the question is answered as it was asked"""


class TextBotConfig(_WritingBotConfig, PersonaConfig):
    """A bot that writes its answers with a model."""

    kind: Literal["text"]
    """what sort of bot it is"""
    model: str = Field(description="the name of a [models.NAME] table")
    adapter: str = ""
    """the model's LoRA adapter that it speaks with"""
    persona_file: File | None = None
    """a file with who it is, instead of persona"""
    base: bool = True
    """whether it is told what [persona] says of all bots"""
    history_messages: int = Field(default=40, ge=1, le=10_000)
    """most messages of a thread it is shown"""
    knowledge: KnowledgeConfig | None = None
    """folders that it looks things up in"""
    budget: BudgetConfig = BudgetConfig()
    """what parts of its prompt may take of the model's context"""
    memory: MemoryConfig | None = None
    """what it remembers; by default nothing"""
    enrich: EnrichConfig | None = None
    """a model that says what a question means before it is answered"""
    stages: Stages = ()
    """how far it comes with a person, step by step"""
    moods: Moods = Field(default_factory=dict)
    """moods that it may be in"""


class CannedBotConfig(_WritingBotConfig):
    """A bot that picks its answers from a file of lines."""

    kind: Literal["canned"]
    """what sort of bot it is"""
    lines: File = Field(description="the JSON Lines file its answers are in")
    source: str = Field(default="", alias="from")
    """the text bot that `botdaemon can` fills the file with"""
    characters_per_second: float = Field(default=25.0, gt=0)
    """how fast it types"""
    longest_typing_seconds: Seconds = 6.0
    """longest time it types at one answer"""


class StyleConfig(Table):
    """A style that pictures can be asked for in."""

    prompt: str = ""
    """put around the prompt, which takes the place of {}; appended when there is no {}"""
    negative: str = ""
    """what should not be seen"""
    adapters: dict[Name, float] = Field(default_factory=dict)
    """the model's LoRA adapters to use, each with its weight"""


class CheckerConfig(Table):
    """A classifier that looks at pictures before they are shown."""

    model: str = Field(description="the name of a [models.NAME] table of a classifier of pictures")
    """the name of a [models.NAME] table of a classifier of pictures"""
    labels: Labels = Field(min_length=1, description="the labels of unsafe pictures")
    """the least probability with which a label makes a picture unsafe"""


class ImageBotConfig(_BotConfig):
    """A bot that draws."""

    kind: Literal["image"]
    """what sort of bot it is"""
    model: str = Field(description="the name of a [models.NAME] table of an image model")
    improve: str | None = None
    """the name of a text model that writes a better prompt first; it is shown"""
    options: str = ""
    """options that hold when nobody says otherwise, such as "--steps 20 --size 768x512" """
    styles: dict[Name, StyleConfig] = Field(default_factory=dict)
    """styles that people can ask for with --style NAME"""
    follow_up: bool = False
    """whether it goes on drawing what somebody says who has just asked it for a picture"""
    unsafe: Literal["hide", "cover", "show"] = "hide"
    """hide: what the model's checker objects to is not shown, and without a checker every picture
    is covered until somebody wants to see it, unless the model says that it is harmless; cover:
    every picture is covered; show: none is"""
    checker: CheckerConfig | None = None
    """a classifier that looks at what the model's own checker has not looked at"""
    most_pictures: int = Field(default=4, ge=1, le=16)
    """pictures that may be asked for at once"""
    most_steps: int = Field(default=100, ge=1, le=1000)
    """steps that may be asked for"""
    largest_side: int = Field(default=1536, ge=64, le=8192)
    """pixels of the longer side that may be asked for"""


BotConfig = Annotated[TextBotConfig | CannedBotConfig | ImageBotConfig, Field(discriminator="kind")]
