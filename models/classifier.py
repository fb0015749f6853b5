"""Tells of what kind a text or a picture is, with a model of transformers. Lives in the model
process; knows no frames."""

from __future__ import annotations

import io
import logging
import time
from typing import TYPE_CHECKING, Any

import torch
import transformers
from tokenizers import Tokenizer

from botdaemon.errors import EngineFailed, ModelUnusable
from models import labels, torch_device
from models.text import loading

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger(__name__)

#: tokens that are looked at together, at most; a longer text is looked at piece by piece
_WINDOW = 512
#: the share of a window that it has in common with the one before
_OVERLAP = 8


class TransformersClassifier:
    """One model on one device: a `LoadedClassifier`."""

    def __init__(
        self, *, name: str, directory: Path, device: str = "auto", dtype: str = "auto"
    ) -> None:
        """Load it. Raises `ModelUnusable`; what says that memory ran out passes through."""
        began = time.monotonic()
        self._name = name
        self._device = torch_device.device(device, name)
        chosen, why = torch_device.dtype(dtype, self._device, name)
        self._card = labels.card(directory)
        texts = self._card.of == "texts"
        auto: Any = (
            transformers.AutoModelForSequenceClassification
            if texts
            else transformers.AutoModelForImageClassification
        )
        self._model = loading.load(name, directory, chosen, auto=auto).eval()
        try:
            self._reader: Any = self._tokenizer(directory) if texts else _processor(directory)
        except Exception as error:  # whatever a library raises, the operator must mend the model
            why_not = " ".join(str(error).split())[:300]
            raise ModelUnusable(
                f'model "{name}" in {directory} cannot be loaded: {why_not}'
            ) from error
        config = self._model.config
        # One score alone says yes or no; so does each of several that do not exclude each other.
        self._each = config.problem_type == "multi_label_classification" or config.num_labels == 1
        self.wake()
        log.info(
            'model "%s" (%s) loaded on %s in %s (%s), %.1f s; labels of %s: %s',
            name,
            type(self._model).__name__,
            self._device,
            str(chosen).removeprefix("torch."),
            why,
            time.monotonic() - began,
            self._card.of,
            ", ".join(self._card.labels),
        )

    @torch.inference_mode()
    def classify(self, what: str | bytes) -> dict[str, float]:
        """The probability of each label; of a long text, the highest of its pieces. Raises
        `EngineFailed` for what it cannot read; what says that memory ran out passes through."""
        best = dict.fromkeys(self._card.labels, 0.0)
        for piece in self._pieces(what):
            scores = self._model(**piece).logits[0].float()
            chances = scores.sigmoid() if self._each else scores.softmax(-1)
            if not torch.isfinite(chances).all():
                raise EngineFailed(
                    f'model "{self._name}" says nothing (NaN); dtype = "float32" may help'
                )
            for label, chance in zip(self._card.labels, chances.tolist(), strict=True):
                best[label] = max(best[label], chance)
        return best

    def _pieces(self, what: str | bytes) -> Iterator[dict[str, torch.Tensor]]:
        """What the model is shown, one after the other."""
        if isinstance(what, str) != (self._card.of == "texts"):
            raise EngineFailed(f'model "{self._name}" classifies {self._card.of}')
        if isinstance(what, bytes):
            from PIL import Image, UnidentifiedImageError

            try:
                picture = Image.open(io.BytesIO(what)).convert("RGB")
            except (UnidentifiedImageError, Image.DecompressionBombError, OSError) as error:
                raise EngineFailed(f"that is no picture: {error}") from error
            pixels = self._reader(images=picture, return_tensors="pt")["pixel_values"]
            yield {"pixel_values": pixels.to(self._device, self._model.dtype)}
            return
        read = self._reader.encode(what)
        for piece in (read, *read.overflowing):
            if piece.ids:
                yield {
                    "input_ids": torch.tensor([piece.ids], device=self._device),
                    "attention_mask": torch.tensor([piece.attention_mask], device=self._device),
                }

    def _tokenizer(self, directory: Path) -> Tokenizer:
        """It cuts a text into windows, the first with the others as its `overflowing`."""
        tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        # RoBERTa counts its positions from two on.
        most = getattr(self._model.config, "max_position_embeddings", _WINDOW + 2) - 2
        window = max(min(most, _WINDOW), 8)
        tokenizer.no_padding()
        tokenizer.enable_truncation(window, stride=window // _OVERLAP)
        return tokenizer

    @property
    def bytes(self) -> int:
        """What its weights take, on the device that it runs on."""
        return sum(t.nbytes for t in (*self._model.parameters(), *self._model.buffers()))

    def relieve(self) -> bool:
        """It looks at one piece at a time already."""
        return False

    def rest(self) -> None:
        """Leave the device for RAM, until `wake`."""
        self._model.to("cpu")

    def wake(self) -> None:
        """Come back to the device."""
        self._model.to(self._device)


def _processor(directory: Path) -> Any:
    auto: Any = transformers.AutoImageProcessor
    return auto.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
