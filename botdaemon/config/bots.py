"""The tables about who answers, `[bots.NAME]`. Knows no other table but those within them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from botdaemon.config.base import Table
from botdaemon.config.feelings import Moods, Stages
from botdaemon.config.manners import FiltersConfig, MostConfig, SeveralConfig
from botdaemon.config.memory import MemoryConfig
from botdaemon.config.personas import BudgetConfig, PersonaConfig
from botdaemon.config.values import (
    File,
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


class TextBotConfig(_BotConfig, PersonaConfig):
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
    budget: BudgetConfig = BudgetConfig()
    """what parts of its prompt may take of the model's context"""
    memory: MemoryConfig | None = None
    """what it remembers; by default nothing"""
    stages: Stages = ()
    """how far it comes with a person, step by step"""
    moods: Moods = Field(default_factory=dict)
    """moods that it may be in"""


class CannedBotConfig(_BotConfig):
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
    most_pictures: int = Field(default=4, ge=1, le=16)
    """pictures that may be asked for at once"""
    most_steps: int = Field(default=100, ge=1, le=1000)
    """steps that may be asked for"""
    largest_side: int = Field(default=1536, ge=64, le=8192)
    """pixels of the longer side that may be asked for"""


BotConfig = Annotated[TextBotConfig | CannedBotConfig | ImageBotConfig, Field(discriminator="kind")]
