"""The newest part of a conversation that fits somewhere. Pure: knows no model and no prompt, but
lengths, ids, and a way of measuring.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from botdaemon.types import Message

#: Guesses by proportion; what is still open then is halved, or an odd text could take for ever.
_GUESSES = 4
#: A prompt that is cut begins with a message whose id this divides. Ids of a thread grow by any
#: step, so it is a prime.
_LEAP = 7
#: Where the cut-off beginning of a long message is moved to the start of a word.
_WORD = 40


async def largest(
    lengths: Sequence[int],
    least: tuple[int, int],
    tokens: int,
    space: int,
    size: Callable[[int], Awaitable[int]],
    *,
    slack: int = 0,
) -> tuple[int, int]:
    """The largest number below the last index of `lengths` whose size is at most `space` (or up to
    `slack` less), and that size. It is above `least` (a number, and its size by estimate), which is
    returned when there is none. `lengths` says what sizes are roughly in proportion to, `tokens` is
    the size at the last index.

    Counting may be a call over the network, so the number is guessed by proportion first.
    """
    low, below = least
    high = len(lengths) - 1
    guesses = 0
    while high - low > 1:
        guess = (low + high) // 2
        if guesses < _GUESSES:
            guesses += 1
            start = lengths[max(low, 0)]
            per_length = (tokens - below) / max(lengths[high] - start, 1)
            length = lengths[high] - (tokens - space) / max(per_length, 1e-9)
            guess = min(max(bisect_right(lengths, length) - 1, low + 1), high - 1)
        found = await size(guess)
        if found > space:
            high, tokens = guess, found
            continue
        low, below = guess, found
        if space - found <= slack:
            break
    return low, below


def steady(messages: Sequence[Message], newest: int) -> int:
    """So many of the newest, or a few less: where they begin moves in leaps rather than with every
    message, so that a model can go on from what it has read for the last turn."""
    for at in range(len(messages) - newest, len(messages) - newest // 2):
        if messages[at].id % _LEAP == 0:
            return len(messages) - at
    return newest


def newest(messages: Sequence[Message], characters: int) -> Sequence[Message]:
    """The newest messages up to so many characters, and always the end of the newest one."""
    if messages and len(messages[-1].text) > characters:
        return [replace(messages[-1], text=messages[-1].text[-characters:])]
    for start in range(len(messages) - 1, -1, -1):
        characters -= len(messages[start].text)
        if characters < 0:
            return messages[start + 1 :]
    return messages


def end_of(message: Message, characters: int) -> Message:
    text = message.text[-characters:]
    word = text.find(" ", 0, _WORD) + 1
    return replace(message, text=f"… {text[word:]}")
