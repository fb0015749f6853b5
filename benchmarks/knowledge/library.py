"""Made-up files and vectors. Knows nothing of what is done with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from botdaemon.types import EmbedderCard

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

#: different words, and how quickly they become rarer (English has about 1)
WORDS, SLOPE = 60_000, 1.05
#: words of a passage, passages of a file
LENGTH, SECTIONS = 120, 100
DIMENSION = 384


def vocabulary(random: np.random.Generator) -> list[str]:
    """Words, the most common first."""
    letters = np.array(list("abcdefghijklmnoprstuvwy"))
    return ["".join(random.choice(letters, 3 + n % 8)) for n in range(WORDS)]


def write_files(folder: Path, passages: int) -> list[str]:
    """Markdown files with so many passages; returns the words."""
    random = np.random.default_rng(0)
    words = vocabulary(random)
    chance = 1 / np.arange(1, WORDS + 1) ** SLOPE
    chance /= chance.sum()
    folder.mkdir(parents=True)
    for number in range(passages // SECTIONS):
        chosen = random.choice(WORDS, size=(SECTIONS, LENGTH), p=chance)
        sections = (
            f"## Section {at}\n\n{' '.join(words[word] for word in row)[:780]}\n"
            for at, row in enumerate(chosen)
        )
        (folder / f"file{number:05}.md").write_text("\n".join(sections), "utf-8")
    return words


def questions(words: Sequence[str], count: int) -> Iterator[str]:
    """Of six words each, some of them common, most of them rare."""
    random = np.random.default_rng(1)
    for _ in range(count):
        ranks = np.exp(random.uniform(np.log(20), np.log(WORDS), 6)).astype(int) - 1
        yield " ".join(words[rank] for rank in ranks)


class Embedder:
    """A random direction for each text, at once."""

    def __init__(self) -> None:
        self.card = EmbedderCard(dimension=DIMENSION, context=256, identity="random")
        self._random = np.random.default_rng(2)

    async def embed(self, texts: Sequence[str], *, question: bool = False) -> list[bytes]:
        vectors = self._random.standard_normal((len(texts), DIMENSION)).astype("<f4")
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return [vector.tobytes() for vector in vectors]
