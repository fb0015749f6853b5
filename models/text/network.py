"""Runs a model over several rows at once. Knows tokens and adapters by name, no requests.

A model that cannot be run over rows of different lengths exactly is run over one row after the
other: one with linear biases (ALiBi) or with a sliding window, say. Which it is shows when it is
loaded.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import transformers

from botdaemon.errors import ModelUnusable
from models.measure import out_of_memory
from models.text.rows import Rows, Window, together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.text.adapters import Adapters
    from models.text.rows import Past


@dataclass(frozen=True, slots=True)
class Line:
    """Tokens to be read into a row."""

    row: int
    #: tokens that the row has
    start: int
    #: those that follow; with none the line only fills a gap between rows
    ids: Sequence[int]
    adapter: str = ""


class _View(transformers.Cache):
    """The rows as one forward of a transformers model sees them."""

    def __init__(self, rows: Rows, window: Window, seen: int) -> None:
        super().__init__(layers=[])
        self._rows = rows
        self._window = window
        self._seen = seen

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        layer_idx: int,
        *_: Any,
        **__: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return self._rows.write(layer_idx, key_states, value_states, self._window)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        del layer_idx
        return self._seen

    def get_mask_sizes(self, query_length: int, layer_idx: int) -> tuple[int, int]:
        del layer_idx
        return self._seen + query_length, 0


class Network:
    """A model on its device."""

    def __init__(self, model: Any, *, name: str, context: int) -> None:
        """Raises `ModelUnusable` for a model without keys and values."""
        self.model = model
        self._device: torch.device = model.device
        # Without it a prefill computes the logits of every position, far more than the cache takes.
        takes = inspect.signature(model.forward).parameters
        self._options = {"logits_to_keep": 1} if "logits_to_keep" in takes else {}
        self._adapters: Adapters | None = None
        #: what a row is made of: the keys and values of one token
        self.like = self._likeness(name)
        #: several rows go through it together
        self.batched = self._short_sighted() >= context and self._exact_together()

    def wear(self, adapters: Adapters) -> None:
        """From now on lines may name adapters."""
        self._adapters = adapters

    def read(self, rows: Rows, lines: Sequence[Line]) -> torch.Tensor:
        """Read the lines into their rows, which must have room. Returns the logits after the last
        token of each line that has any: (lines, vocabulary). The rows' old contents stay."""
        if self.batched:
            logits = self._together(rows, lines)
            wanted = [i for i, line in enumerate(lines) if line.ids]
            return logits if len(wanted) == len(lines) else logits[wanted]
        return torch.cat([self._alone(rows, line) for line in lines if line.ids])

    def _together(self, rows: Rows, lines: Sequence[Line]) -> torch.Tensor:
        counts = torch.tensor([len(line.ids) for line in lines])[:, None]
        starts = torch.tensor([line.start for line in lines])[:, None]
        width = max(1, int(counts.max()))
        # Shorter lines are filled up at the left, so that all end in the last column.
        columns = torch.arange(width)
        new = columns >= width - counts
        positions = (starts + counts - width + columns).clamp(min=0)
        ids = torch.zeros_like(positions)
        ids[new] = torch.tensor([id for line in lines for id in line.ids])
        # Aligned, as the quicker kernels want it.
        end = -(-int((starts + counts).max()) // 8) * 8
        seen = torch.arange(end) <= positions[:, :, None]
        dtype = self.model.dtype
        mask = torch.zeros(seen.shape, dtype=dtype).masked_fill_(~seen, torch.finfo(dtype).min)
        line, column = new.nonzero(as_tuple=True)
        at = [line.row for line in lines]
        window = Window(
            rows=together(at, self._device),
            end=end,
            lines=line.to(self._device),
            columns=column.to(self._device),
            targets=torch.tensor(at)[line].to(self._device),
            positions=positions[line, column].to(self._device),
        )
        return self._forward(
            _View(rows, window, end - width),
            ids,
            [line.adapter for line in lines],
            attention_mask=mask[:, None].to(self._device),
            position_ids=positions.to(self._device),
        )

    def _alone(self, rows: Rows, line: Line) -> torch.Tensor:
        """As the model itself would do it."""
        count = len(line.ids)
        columns = torch.arange(count, device=self._device)
        nought = torch.zeros_like(columns)
        window = Window(
            rows=slice(line.row, line.row + 1),
            end=line.start + count,
            lines=nought,
            columns=columns,
            targets=nought + line.row,
            positions=columns + line.start,
        )
        view = _View(rows, window, line.start)
        return self._forward(view, torch.tensor([line.ids]), [line.adapter])

    @torch.inference_mode()
    def _forward(
        self, view: _View, ids: torch.Tensor, adapters: list[str], **inputs: torch.Tensor
    ) -> torch.Tensor:
        if self._adapters:
            self._adapters.wear(adapters)
        output = self.model(
            input_ids=ids.to(self._device),
            past_key_values=view,
            use_cache=True,
            **inputs,
            **self._options,
        )
        logits: torch.Tensor = output.logits[:, -1]
        return logits

    @torch.inference_mode()
    def _likeness(self, name: str) -> Past:
        token = torch.zeros((1, 1), dtype=torch.long, device=self._device)
        output = self.model(input_ids=token, use_cache=True, **self._options)
        layers = getattr(getattr(output, "past_key_values", None), "layers", [])
        past = [getattr(layer, part, None) for layer in layers for part in ("keys", "values")]
        if not past or not all(isinstance(tensor, torch.Tensor) for tensor in past):
            raise ModelUnusable(
                f'model "{name}": a {self.model.config.model_type} model keeps its state in a way'
                " that this engine does not know; choose one with a key-value cache"
            )
        return [tensor[0] for tensor in past if tensor is not None]

    def _short_sighted(self) -> float:
        """How many tokens back the layer with the shortest sight sees."""
        layers = transformers.DynamicCache(config=self.model.config).layers
        return min(getattr(layer, "sliding_window", float("inf")) for layer in layers)

    def _exact_together(self) -> bool:
        """Whether two rows of different lengths give the same together as apart."""
        known = self.model.get_input_embeddings().num_embeddings
        ids = [i % known for i in range(1, 8)]
        first = [Line(0, 0, ids), Line(1, 0, ids[:2])]
        then = [Line(0, len(ids), ids[:1]), Line(1, 2, ids[3:4])]
        try:
            rows = Rows(self.like)
            rows.fit(2, len(ids) + 1, 0)
            self._together(rows, first)
            together = self._together(rows, then)
            apart = Rows(self.like)
            apart.fit(2, len(ids) + 1, 0)
            for line in first:
                self._alone(apart, line)
            alone = torch.cat([self._alone(apart, line) for line in then])
        except Exception as error:  # its forward does not take masks or positions as most do
            if out_of_memory(error):
                raise
            return False
        # Rounding differs in the last digits: of bfloat16 there are few.
        # With int8 weights they are rounded on the way, too.
        rounded = any(weight.dtype == torch.int8 for weight in self.model.parameters())
        slack = 1e-3 if self.model.dtype == torch.float32 and not rounded else 0.1
        return bool((together - alone).abs().max() <= slack * alone.abs().max())
