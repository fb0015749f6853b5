"""Classifiers that look through what is said: which of their labels hold a text back. Knows no
model but by `Classifier`, and no bot."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from typing import TYPE_CHECKING

from botdaemon.errors import BotdaemonError
from botdaemon.filters import Screened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from botdaemon.ports import Classifier

log = logging.getLogger(__name__)

#: what a bot says instead when nobody could look through its answer
UNSURE = "I cannot say that now: what looks through my answers does not work. Please ask later."
#: what is noted as found then
UNANSWERED = "(the classifier does not answer)"
#: texts of which it is remembered what was found; those of a thread are looked at again and again
_REMEMBERED = 2000
#: seconds for which a classifier that does not answer is not asked again: everybody waits for it
_REST = 10.0


class Judge:
    """A classifier, and the least probability with which each label (in lower case) holds back.

    `certain`: a text that could not be looked at is held back, else it passes. `patience`: seconds
    after which it counts as such.
    """

    def __init__(
        self,
        classifier: Classifier,
        least: Mapping[str, float],
        stand_in: str,
        *,
        certain: bool,
        patience: float,
    ) -> None:
        self._classifier = classifier
        self._least = least
        self._stand_in = stand_in
        self._certain = certain
        self._patience = patience
        self._known: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._rests_until = 0.0

    async def look(self, text: str) -> Screened:
        """What becomes of a text: it, or what takes its place."""
        found = self._known.get(text)
        if found is None:
            try:
                found = await self._found(text)
            except (BotdaemonError, TimeoutError) as error:
                log.warning(
                    "a text could not be looked through, and %s: %s",
                    "is held back" if self._certain else "passes",
                    error or type(error).__name__,
                    extra={"event": "not_classified"},
                )
                return Screened(UNSURE, (UNANSWERED,), True) if self._certain else Screened(text)
            self._known[text] = found
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return Screened(self._stand_in, found, True) if found else Screened(text)

    async def _found(self, text: str) -> tuple[str, ...]:
        """The labels that hold it back. Raises `TimeoutError`, and what `classify` raises."""
        clock = asyncio.get_running_loop().time
        if clock() < self._rests_until:
            raise TimeoutError("it did not answer a moment ago")
        try:
            async with asyncio.timeout(self._patience):
                labels = await self._classifier.classify(text)
        except TimeoutError:
            self._rests_until = clock() + _REST
            raise TimeoutError(f"no answer within {self._patience:.0f} s") from None
        return tuple(
            f"{label} {labels[label]:.2f}"
            for label, least in self._least.items()
            if labels.get(label, 0.0) >= least
        )


async def judged(judges: Sequence[Judge], text: str) -> Screened:
    """What becomes of a text where several look: the first that holds it back has the last word."""
    if text.strip():
        for judge in judges:
            screened = await judge.look(text)
            if screened.blocked:
                return screened
    return Screened(text)
