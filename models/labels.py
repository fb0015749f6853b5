"""What a classifier's directory says of itself: what it classifies, and as what. Knows no model
library.

Of config.json of transformers: `architectures`, and `id2label`, which is left out for the two
labels "LABEL_0" and "LABEL_1".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from botdaemon.errors import ModelUnusable
from botdaemon.types import ClassifierCard
from models.json_files import read

if TYPE_CHECKING:
    from pathlib import Path

_OF: dict[str, Literal["texts", "pictures"]] = {
    "ForSequenceClassification": "texts",
    "ForImageClassification": "pictures",
}


def card(directory: Path) -> ClassifierCard:
    """Raises `ModelUnusable` when it is no classifier."""
    config = read(directory / "config.json")
    architecture = next(iter(config.get("architectures") or ()), "")
    for end, of in _OF.items():
        if str(architecture).endswith(end):
            named = config.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
            return ClassifierCard(of=of, labels=tuple(map(label, named.values())))
    what = f"is a {architecture}" if architecture else "does not say what it is"
    raise ModelUnusable(
        f"{directory} {what}, no classifier of texts or pictures (config.json, architectures)"
    )


def label(name: object) -> str:
    """A label as it is compared."""
    return str(name).strip().casefold()
