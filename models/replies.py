"""Turns generated tokens into text as they come. Knows no model and no sampling.

Three promises: no half of a UTF-8 character, no part of a stop string, no blanks in front.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenizers.decoders import DecodeStream

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tokenizers import Tokenizer


class StopFilter:
    """Passes text on up to the first stop string, holding back what may become one."""

    def __init__(self, stops: Iterable[str]) -> None:
        self._stops = tuple(filter(None, stops))
        self._held = ""
        self.stopped = False

    def push(self, text: str) -> str:
        """What is now certain to be part of the reply."""
        self._held += text
        found = [at for at in map(self._held.find, self._stops) if at >= 0]
        if found:
            self.stopped = True
            keep = min(found)
            text, self._held = self._held[:keep], ""
            return text
        keep = len(self._held) - max(map(self._beginning, self._stops), default=0)
        text, self._held = self._held[:keep], self._held[keep:]
        return text

    def _beginning(self, stop: str) -> int:
        """How much of the stop string stands at the end of what is held."""
        longest = min(len(stop) - 1, len(self._held))
        return next((n for n in range(longest, 0, -1) if self._held.endswith(stop[:n])), 0)

    def flush(self) -> str:
        """What was held back, now that nothing follows."""
        text, self._held = self._held, ""
        return text


class ReplyText:
    """The text of one reply, token by token."""

    def __init__(self, tokenizer: Tokenizer, stops: Iterable[str]) -> None:
        self._tokenizer = tokenizer
        self._decode = DecodeStream(skip_special_tokens=True)
        self._filter = StopFilter(stops)
        self._begun = False

    @property
    def stopped(self) -> bool:
        """A stop string was met; nothing more belongs to the reply."""
        return self._filter.stopped

    def push(self, token: int) -> str:
        text = self._decode.step(self._tokenizer, token) or ""
        # Bytes that are no UTF-8 at all, which a model of bytes may well say.
        text = text.replace("\ufffd", "")
        if not self._begun:
            # Before the stop strings: a line break at the very start must not end the reply.
            text = text.lstrip()
            self._begun = bool(text)
        return self._filter.push(text)

    def flush(self) -> str:
        """What was held back for a stop string that did not come. Half a character stays away."""
        return self._filter.flush()
