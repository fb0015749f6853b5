"""Writes made-up talk down as sessions of a dataset. Knows neither corpora nor models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.dataset.sessions import Session, Turn

if TYPE_CHECKING:
    from collections.abc import Iterable

    from models.training.corpora import Personality

BOT, SOMEBODY = "Bot", "Ann"
"""The voice, and whoever talks to it where only one does."""

_PERSONAS: dict[Personality, str] = {
    "friendly": "You are a friendly bot.",
    "comic": "You are a comic.",
}
"""As an operator might describe a bot. All that the starter's chat template takes from it is
whether "comic" occurs, which is as much as a model this small can read."""

_NO_TIME = 0.0
"""When it was said: never."""


def asked(text: str, name: str = SOMEBODY) -> Turn:
    return Turn(name=name, text=text, at=_NO_TIME)


def answered(text: str, *, learned: bool = True) -> Turn:
    """By the bot; `learned` says whether the model should learn to say it."""
    return Turn(name=BOT, text=text, at=_NO_TIME, voice=learned)


def session(id: str, personality: Personality, turns: Iterable[Turn]) -> Session:
    return Session(id=id, turns=tuple(turns), system=_PERSONAS[personality])
