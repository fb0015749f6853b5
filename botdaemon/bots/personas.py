"""Who a bot is, as its model is told. Knows neither the model nor where it is written down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdaemon.types import ChatLine

if TYPE_CHECKING:
    from collections.abc import Iterable


def told(*, base: str = "", persona: str = "", style: str = "", language: str = "") -> str:
    """All of it as one text: what all bots are told, who this one is, how it writes and in which
    language ("" leaves that to the person)."""
    answers = f"Always answer in {language}." if language else ""
    own = "\n".join(filter(None, map(str.strip, (persona, style, answers))))
    return "\n\n".join(filter(None, (base.strip(), own)))


def dialogue(examples: Iterable[tuple[str, str]]) -> tuple[ChatLine, ...]:
    """Exchanges of (a person, the bot) as lines of a conversation. The person has no name: nobody
    in an example is there to be spoken for."""
    return tuple(
        line
        for person, bot in examples
        for line in (ChatLine(role="user", text=person), ChatLine(role="assistant", text=bot))
    )
