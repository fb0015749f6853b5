"""Types a line the way people type it: carelessly. Knows nothing of what the line means."""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

_SHORT = {
    "you": "u", "are": "r", "your": "ur", "you're": "ur", "please": "pls", "thanks": "thx",
    "what's": "wuts", "going to": "gonna", "want to": "wanna", "because": "cuz", "okay": "k",
    "night": "nite", "love": "luv", "don't know": "dunno", "see you": "cya", "about": "abt",
}  # fmt: skip
_SHORT_WORD = re.compile(rf"\b(?:{'|'.join(map(re.escape, _SHORT))})\b(?!')", re.IGNORECASE)
_OPENINGS = ["hey, ", "so ", "ok ", "well, ", "um, ", "hi, ", "oh, ", "hey bot, ", "bot, ", "and ",
             "btw ", "hello, ", "ok, "]  # fmt: skip
_ENDINGS = [" lol", " please", " :)", " bot", " haha", " my friend", " buddy", "...", " then", " ?"]

_KEY_ROWS = ["qwertyuiop", "asdfghjkl", "zxcvbnm"]


def vary(line: str, rng: Random) -> str:
    """The line as it is about every other time, otherwise with the usual slips."""
    if rng.random() < 0.4:  # telephones start every line with a capital
        line = line[0].upper() + line[1:]
    if rng.random() < 0.4 or len(line) < 2:
        return line
    if rng.random() < 0.1:
        opening = rng.choice(_OPENINGS)
        line = opening + (line if line.startswith("I") else line[0].lower() + line[1:])
    if rng.random() < 0.5:
        line = line.lower()
    if rng.random() < 0.5:
        line = line.rstrip("?!. ") or line
    elif line[-1].isalnum() and rng.random() < 0.4:
        line += rng.choice([".", "!", "!!", "?", "??", "..."])
    if rng.random() < 0.3:
        line = line.replace("'", "")
    if rng.random() < 0.12:
        line = _SHORT_WORD.sub(lambda match: _SHORT[match[0].lower()], line)
    if rng.random() < 0.12:
        line = _slip(line, rng)
    if rng.random() < 0.08:
        line = line.rstrip("?!. ") + rng.choice(_ENDINGS)
    if rng.random() < 0.05:
        line = line.upper()
    if line[-1].isalpha() and rng.random() < 0.04:
        line += line[-1] * rng.randint(1, 4)
    return line


def _slip(line: str, rng: Random) -> str:
    """One letter lost, doubled, swapped with its neighbour or hit beside the key."""
    places = [i for i in range(1, len(line) - 1) if line[i].isalpha() and line[i + 1].isalpha()]
    if len(places) < 3:
        return line
    i = rng.choice(places)
    slips = [
        line[:i] + line[i + 1 :],
        line[:i] + line[i] + line[i:],
        line[:i] + line[i + 1] + line[i] + line[i + 2 :],
        line[:i] + rng.choice(string.ascii_lowercase) + line[i + 1 :],
    ]
    return rng.choice(slips)


def gibberish(rng: Random) -> str:
    """Letters typed at random: by a fist, by a cat, by somebody trying the bot out."""
    words = []
    for _ in range(rng.choice([1, 1, 1, 2, 2, 3, 4])):
        style, length = rng.random(), rng.randint(3, 9)
        if style < 0.35:  # runs along a row of the keyboard
            row = rng.choice(_KEY_ROWS)
            start = rng.randrange(len(row) - 2)
            word = row[start : start + length]
        elif style < 0.55:  # one or two fingers, over and over
            keys = rng.sample(rng.choice(_KEY_ROWS), 2)
            word = "".join(rng.choice(keys) for _ in range(length))
        elif style < 0.8:
            word = "".join(rng.choice(rng.choice(_KEY_ROWS)) for _ in range(length))
        elif style < 0.92:  # consonants: no word, whatever the language
            word = "".join(rng.choice("bcdfghjklmnpqrstvwxz") for _ in range(length))
        else:
            word = "".join(rng.choice(string.digits + string.punctuation) for _ in range(length))
        words.append(word)
    text = " ".join(words)
    return text.upper() if rng.random() < 0.08 else text


def invented_name(rng: Random) -> str:
    """A name that no list holds, so that names are learned to be copied and not to be known."""
    syllables = [
        rng.choice("bdfghjklmnprstvwz") + rng.choice("aeiou") for _ in range(rng.randint(1, 3))
    ]
    return "".join([*syllables, rng.choice(["", "n", "r", "l", "s", "th", "k", "ne"])]).capitalize()
