"""Keeps the keys and values of the conversations under way, a row each. Knows no requests.

A row fills from the left, whatever its neighbours hold: the token at position p of a conversation
lies at index p. So a row can be read from, lengthened and taken away at any time, and nothing is
padded. What lies beyond a row's length is zero or left over, and masked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

BLOCK = 64
"""Rows grow by so many tokens at a time, so that few steps have to copy them."""

Past = list[torch.Tensor]
"""What a conversation left behind: keys of the first layer, its values, keys of the second layer
and so on, (heads, tokens, width of a head) each."""


@dataclass(frozen=True, slots=True)
class Window:
    """The rows that one forward reads and the places it writes to."""

    #: a slice where the rows lie side by side: reading them is then no copy
    rows: slice | torch.Tensor
    #: how much of them is seen
    end: int
    #: each new token: its line and column in the input, its row and its position there
    lines: torch.Tensor
    columns: torch.Tensor
    targets: torch.Tensor
    positions: torch.Tensor


class Rows:
    """Tensors of (rows, heads, tokens, width of a head), ordered as in `Past`."""

    def __init__(self, like: Past) -> None:
        """`like`: a conversation of one token."""
        self._tensors = [tensor.new_zeros((0, *tensor.shape)) for tensor in like]
        #: bytes that a token takes
        self.token_bytes = sum(tensor.nbytes for tensor in like)

    def cost(self, rows: int, tokens: int) -> int:
        """Bytes that so many rows take, the longest of so many tokens."""
        return rows * _blocks(tokens) * self.token_bytes

    @property
    def bytes(self) -> int:
        """Bytes taken now."""
        return sum(tensor.nbytes for tensor in self._tensors)

    def fit(self, rows: int, tokens: int, limit: int) -> None:
        """Make room for so many rows of so many tokens; what they hold stays. Room that is there
        already is kept for those to come, up to as much again as is needed and `limit` bytes.
        When memory runs out, some of the tensors have their new size and others the old one, which
        does no harm."""
        tokens = _blocks(tokens)
        spare = self.bytes <= min(limit, 2 * self.cost(rows, tokens))
        for index, tensor in enumerate(self._tensors):
            has_rows, heads, has_tokens, width = tensor.shape
            if not (spare and has_rows >= rows and has_tokens >= tokens):
                # One after the other, so that little is there twice at any time.
                both = slice(min(rows, has_rows)), slice(None), slice(min(tokens, has_tokens))
                new = tensor.new_zeros((rows, heads, tokens, width))
                new[both] = tensor[both]
                self._tensors[index] = new

    def clear(self) -> None:
        """Give all memory back."""
        self._tensors = [tensor.new_zeros((0, *tensor.shape[1:])) for tensor in self._tensors]

    def move(self, source: int, target: int, tokens: int) -> None:
        """Copy the first tokens of one row to another."""
        for tensor in self._tensors:
            tensor[target, :, :tokens] = tensor[source, :, :tokens]

    def copy(self, row: int, tokens: int) -> Past:
        """The first tokens of a row."""
        return [tensor[row, :, :tokens].clone() for tensor in self._tensors]

    def paste(self, row: int, past: Past, tokens: int) -> None:
        """Let a row begin with the first tokens of `past`."""
        for tensor, begin in zip(self._tensors, past, strict=True):
            tensor[row, :, :tokens] = begin[:, :tokens]

    def wipe(self, row: int) -> None:
        """Zero a row: a NaN left over in it would spread even from behind a mask."""
        for tensor in self._tensors:
            tensor[row] = 0

    def write(
        self, layer: int, keys: torch.Tensor, values: torch.Tensor, window: Window
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Put new keys and values, (lines, heads, columns, width of a head), into their places.
        Returns what the window's rows now hold up to its end."""
        pair = self._tensors[2 * layer : 2 * layer + 2]
        for tensor, new in zip(pair, (keys, values), strict=True):
            tensor[window.targets, :, window.positions] = new[window.lines, :, window.columns]
        own_keys, own_values = (tensor[window.rows, :, : window.end] for tensor in pair)
        return own_keys, own_values


def _blocks(tokens: int) -> int:
    return -(-tokens // BLOCK) * BLOCK


def together(rows: Sequence[int], device: torch.device) -> slice | torch.Tensor:
    """The index of several rows of a tensor."""
    if list(rows) == list(range(rows[0], rows[0] + len(rows))):
        return slice(rows[0], rows[0] + len(rows))
    return torch.tensor(rows, device=device)
