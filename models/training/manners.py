"""Reads `manners.txt`, the hand-written small talk. Knows its format and nothing of training."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from models.training.corpora import PERSONALITIES, Personality, fold
from models.training.vary import gibberish, invented_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from random import Random

MANNERS = Path(__file__).with_name("manners.txt")
ANYWHERE = "any"
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Scene:
    """Lines that ask for the same thing, and what may be answered."""

    name: str
    say: Sequence[str]
    replies: Mapping[Personality, Sequence[str]]
    after: frozenset[str]
    later: frozenset[str]

    @property
    def plain(self) -> list[str]:
        """The lines without a slot."""
        return [line for line in self.say if not _SLOT.search(line)]

    @property
    def has_slots(self) -> bool:
        return len(self.plain) < len(self.say)

    @property
    def opens(self) -> bool:
        """Whether a dialogue may start with it."""
        return not self.later and (not self.after or ANYWHERE in self.after)


@dataclass(frozen=True, slots=True)
class Manners:
    scenes: Sequence[Scene]
    words: Mapping[str, Sequence[str]]

    def lines(self) -> set[str]:
        """Every line a person says here, folded; lines with a slot left out."""
        return {fold(line) for scene in self.scenes for line in scene.plain}

    def fill(self, scene: Scene, personality: Personality, rng: Random,
             known: Mapping[str, str]) -> tuple[str, str, dict[str, str]]:  # fmt: skip
        """One line of the scene, its answer, and the words chosen for the slots of both."""
        said = rng.choice(scene.say)
        reply = rng.choice(scene.replies[personality])
        chosen = {slot: self._word(slot, rng) for slot in _SLOT.findall(said)}
        if any(slot not in chosen and slot not in known for slot in _SLOT.findall(reply)):
            # This answer takes up a word that this line does not bring ("reading" has no {hobby}).
            plain = [r for r in scene.replies[personality] if not _SLOT.search(r)]
            if not plain:
                return self.fill(scene, personality, rng, known)
            reply = rng.choice(plain)
        words = {**known, **chosen}
        said = _SLOT.sub(lambda match: words[match[1]], said)
        answer = _SLOT.sub(lambda match: words[match[1]], reply)
        return said, _capital(answer), chosen

    def replies(self, personality: Personality) -> set[str]:
        """Every answer without a slot."""
        return {
            reply
            for scene in self.scenes
            for reply in scene.replies[personality]
            if not _SLOT.search(reply)
        }

    def _word(self, slot: str, rng: Random) -> str:
        if slot == "gibberish":
            return gibberish(rng)
        if slot == "name" and rng.random() < 0.5:
            return invented_name(rng)
        return rng.choice(self.words[slot])


def read_manners(path: Path = MANNERS) -> Manners:
    """The scenes and word lists of the file; a scene that names an unknown one is an error."""
    scenes: list[Scene] = []
    words: dict[str, Sequence[str]] = {}
    text = "\n".join(
        line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")
    )
    for block in re.split(r"\n\s*\n", text.strip()):
        first, *rest = block.splitlines()
        if first.startswith("list "):
            for line in (first, *rest):
                name, _, values = line.removeprefix("list ").partition(":")
                words[name] = _alternatives(values)
            continue
        fields: defaultdict[str, list[str]] = defaultdict(list)
        for line in rest:
            key, _, values = line.partition(":")
            fields[key] += _alternatives(values)
        scenes.append(
            Scene(
                first,
                fields["say"],
                {p: fields[p] + fields["both"] for p in PERSONALITIES},
                _names(fields["after"]),
                _names(fields["later"]),
            )
        )
    known = {scene.name for scene in scenes} | {ANYWHERE}
    for scene in scenes:
        if unknown := (scene.after | scene.later) - known:
            raise ValueError(f"{path.name}: {scene.name} comes after {unknown}, which is no scene")
        if not scene.say or not all(scene.replies[p] for p in PERSONALITIES):
            raise ValueError(f"{path.name}: {scene.name} lacks lines or answers")
    return Manners(scenes, words)


def _alternatives(values: str) -> list[str]:
    return [value.strip() for value in values.split(" | ")]


def _names(values: Sequence[str]) -> frozenset[str]:
    return frozenset(name.strip() for value in values for name in value.split(",") if name.strip())


def _capital(text: str) -> str:
    """Sentences start with a capital, also when a slot starts them; dots of delay end none."""
    return re.sub(r"(^|(?<!\.)[.!?] )([a-z])", lambda match: match[1] + match[2].upper(), text)
