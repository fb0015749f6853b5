"""What is where in a picture, as numbers for each of its cells: what the text encoder learns to
guess from the words. Knows no tensors.

A scene is sketched as it would be drawn without chance, in a grid of CELLS x CELLS.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from models.training.painter.render import HORIZON, spots
from models.training.painter.world import COLOURS, GROUNDS, KINDS, SKIES, WEATHERS, Scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

CELLS = 8  # a side

_BEHIND = (*COLOURS, *GROUNDS, *SKIES)
_THING = len(KINDS) + len(COLOURS)
_LAYERS = 2  # things that can lie on one another
FACTS = len(_BEHIND) + len(WEATHERS) + _LAYERS * _THING
"""The number of yes-or-no facts about a cell."""
MEASURES = _LAYERS * 3
"""The number of measures: how far the middle of each thing is to the right and down, and its
radius, in cells."""

_MIDDLES = (np.arange(CELLS) + 0.5) / CELLS
_WAVES = (1, 2, 4)
PLACE = 4 * len(_WAVES)
"""The numbers that say where a cell is."""


def places(side: int) -> NDArray[np.float32]:
    """Where each cell of a grid of side x side is, (side * side, PLACE): sines and cosines, whose
    products are the larger the nearer two cells are to each other."""
    middles = (np.arange(side) + 0.5) / side
    angles = np.pi * middles[:, None] * np.array(_WAVES)
    axis = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    rows, columns = np.repeat(axis, side, axis=0), np.tile(axis, (side, 1))
    return np.concatenate([rows, columns], axis=1).astype(np.float32)


def sketch(scene: Scene) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Facts (cells, FACTS), each 0 or 1, and measures (cells, MEASURES), which are NaN where there
    is no thing. Cells go row by row."""
    facts = np.zeros((CELLS, CELLS, FACTS), np.float32)
    measures = np.full((CELLS, CELLS, MEASURES), np.nan, np.float32)
    for row, y in enumerate(_MIDDLES):
        backdrop = scene.backdrop
        behind = backdrop.paper or (backdrop.ground if y > HORIZON else backdrop.sky)
        facts[row, :, _BEHIND.index(behind)] = 1
    for item in scene.weather:
        facts[:, :, len(_BEHIND) + WEATHERS.index(item)] = 1
    placed = list(zip(scene.things, spots(scene), strict=True))
    for row, column in product(range(CELLS), repeat=2):
        here_x, here_y = _MIDDLES[column], _MIDDLES[row]
        layer = 0
        for thing, (x, y, r) in placed:
            reach = r + 0.5 / CELLS
            if layer == _LAYERS or max(abs(x - here_x), abs(y - here_y)) > reach:
                continue
            first = len(_BEHIND) + len(WEATHERS) + layer * _THING
            facts[row, column, first + KINDS.index(thing.kind)] = 1
            facts[row, column, first + len(KINDS) + COLOURS.index(thing.colour)] = 1
            measures[row, column, 3 * layer : 3 * layer + 3] = (
                CELLS * (x - here_x), CELLS * (y - here_y), CELLS * r,
            )  # fmt: skip
            layer += 1
    return facts.reshape(-1, FACTS), measures.reshape(-1, MEASURES)
