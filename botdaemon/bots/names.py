"""Names for a crowd: drawn by lot, the same for the same seed, and like nobody's who is there.
Pure: knows no store and no platform."""

from __future__ import annotations

import copy
import random
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import coolname
from coolname.data import config

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

#: characters of a name
LONGEST = 32
#: what is taken for something else at a glance, first of all pairs of letters
_LOOKS_LIKE = (
    ("rn", "m"),
    ("vv", "w"),
    ("cl", "d"),
    ("0", "o"),
    ("1", "l"),
    ("i", "l"),
    ("5", "s"),
)
#: an adjective and an animal, of 370,000
_words = coolname.RandomGenerator(cast("coolname.CoolnameConfigT", copy.deepcopy(config)))


def draw(seed: str, count: int, chosen: Sequence[str], taken: Collection[str]) -> list[str]:
    """So many different names, from those that are `chosen` as long as there are any, else made up.
    None of them looks like one that is `taken`."""
    lot = random.Random(seed)
    _words.random = lot
    usable = list(chosen)
    lot.shuffle(usable)
    names: list[str] = []
    known = [_folded(name) for name in taken]
    while len(names) < count:
        name = usable.pop() if usable else _made_up(lot)
        folded = _folded(name)
        if len(name) <= LONGEST and not any(_alike(folded, other) for other in known):
            names.append(name)
            known.append(folded)
    return names


def _made_up(lot: random.Random) -> str:
    """As people choose them: "BrazenHeron", "brazen_heron", "brazenheron42"."""
    adjective, noun = _words.generate(2)
    match lot.randrange(3):
        case 0:
            return f"{adjective.capitalize()}{noun.capitalize()}"
        case 1:
            return f"{adjective}_{noun}"
        case _:
            return f"{adjective}{noun}{lot.randrange(2, 100)}"


@lru_cache(maxsize=65536)
def _folded(name: str) -> str:
    """Its letters and digits alone, without case, accents, and what looks alike."""
    text = unicodedata.normalize("NFKD", name).casefold()
    text = "".join(one for one in text if one.isalnum())
    for looks, like in _LOOKS_LIKE:
        text = text.replace(looks, like)
    return text


def _alike(one: str, other: str) -> bool:
    """Whether two folded names can be taken for each other. A letter of another alphabet may look
    like any of ours: rather no name than somebody's."""
    return len(one) == len(other) and all(
        a == b or a.isascii() != b.isascii() for a, b in zip(one, other, strict=True)
    )
