"""Puts texts into vectors with one model. Knows no frames and no threads."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import tokenizers
import torch
import transformers

from botdaemon.errors import ModelUnusable
from models import torch_device
from models.embed import layout
from models.measure import out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from botdaemon.types import EmbedRequest

log = logging.getLogger(__name__)

#: tokens, with what fills short texts up, of one forward at most: attention grows with them
MOST_TOKENS = 8192


class SentenceEngine:
    """A model of sentence-transformers on its device: a `LoadedEmbedder`."""

    def __init__(self, *, name: str, directory: Path, device: str, dtype: str, batch: int) -> None:
        """Raises `ModelUnusable`; what says that memory ran out passes through."""
        self._layout = layout.load(directory)
        self._device = torch_device.device(device, name)
        numbers, why = torch_device.dtype(dtype, self._device, name)
        self._batch = batch
        self._tokenizer = tokenizers.Tokenizer.from_file(str(self._layout.body / "tokenizer.json"))
        self._tokenizer.enable_truncation(self._layout.card.context)
        self._tokenizer.no_padding()
        model = _load(name, self._layout.body, numbers)
        width = model.config.get_text_config().hidden_size
        if width != self._layout.card.dimension:
            raise ModelUnusable(
                f'model "{name}" in {directory} makes vectors of {width} numbers, and its pooling'
                f" says {self._layout.card.dimension}"
            )
        self._model = model.to(self._device).eval()
        log.info(
            'model "%s": on %s in %s (%s), vectors of %d numbers',
            name, self._device, str(numbers).removeprefix("torch."), why, width,
        )  # fmt: skip

    def relieve(self) -> bool:
        if self._batch == 1:
            return False
        self._batch //= 2
        return True

    def rest(self) -> None:
        self._model.to("cpu")

    def wake(self) -> None:
        self._model.to(self._device)

    def embed(self, request: EmbedRequest, between: Callable[[], None]) -> list[bytes]:
        known = self._layout
        prompt = known.question if request.question else known.passage
        texts = [prompt + text for text in request.texts]
        if known.lower:
            texts = [text.lower() for text in texts]
        ids = [one.ids or [0] for one in self._tokenizer.encode_batch(texts)]
        vectors = [b""] * len(ids)
        for some in self._batches(ids):
            for at, vector in zip(some, self._forward([ids[at] for at in some]), strict=True):
                vectors[at] = vector.numpy().astype("<f4").tobytes()
            between()
        return vectors

    def _batches(self, ids: Sequence[Sequence[int]]) -> Iterator[list[int]]:
        """Texts of about the same length together."""
        some: list[int] = []
        for at in sorted(range(len(ids)), key=lambda at: -len(ids[at])):
            longest = len(ids[some[0]]) if some else 0
            if some and (len(some) == self._batch or longest * (len(some) + 1) > MOST_TOKENS):
                yield some
                some = []
            some.append(at)
        if some:
            yield some

    def _forward(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        """A vector of length 1 for each row of tokens: (rows, dimension), in float32 in RAM."""
        longest = max(map(len, rows))
        # What fills a row up is never looked at, so it may be any token.
        ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows])
        lengths = torch.tensor([len(row) for row in rows])
        mask = (torch.arange(longest)[None, :] < lengths[:, None]).long()
        with torch.inference_mode():
            states = self._model(
                input_ids=ids.to(self._device), attention_mask=mask.to(self._device)
            ).last_hidden_state.float()
            match self._layout.pooling:
                case "cls":
                    pooled = states[:, 0]
                case "lasttoken":
                    pooled = states[torch.arange(len(rows)), lengths - 1]
                case "mean":
                    seen = mask.to(states.device)[:, :, None]
                    pooled = (states * seen).sum(1) / seen.sum(1)
            return torch.nn.functional.normalize(pooled, dim=1).cpu()

    @property
    def bytes(self) -> int:
        return sum(one.numel() * one.element_size() for one in self._model.parameters())


def _load(name: str, directory: Path, dtype: torch.dtype) -> Any:
    try:
        loaded: Any = transformers.AutoModel.from_pretrained(
            directory,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
    except Exception as error:  # whatever the library raises, the operator must mend the model
        if out_of_memory(error):
            raise
        raise ModelUnusable(f'model "{name}" in {directory} cannot be loaded: {error}') from error
    model, report = loaded
    # The pooler of BERT is not among the weights of every directory, and is not used here.
    missing = sorted(key for key in report["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise ModelUnusable(
            f'model "{name}": the weights in {directory} lack {len(missing)} parts, the first is'
            f" {missing[0]}; they do not belong to its config.json"
        )
    return model
