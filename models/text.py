"""Generates text with a transformers model. Lives in the model process; knows no frames.

`start` makes a `Slot` out of a request, `step` gives it its next token. A slot has its own cache,
sampling and text, so that a batch of slots can take the place of the one there is now.
"""

from __future__ import annotations

import inspect
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
import transformers

from botdaemon.errors import EngineFailed, ModelUnusable
from botdaemon.types import Piece, Sampling, TextRequest
from models import formats
from models.replies import ReplyText

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Slot:
    """A request under way."""

    ids: list[int]
    prompt_tokens: int
    #: how many of `ids` the cache holds
    cached: int = 0
    cache: Any = None
    limit: int
    ends: frozenset[int]
    sampler: Sampler
    text: ReplyText

    @property
    def tokens(self) -> int:
        """Tokens generated so far."""
        return len(self.ids) - self.prompt_tokens


class Sampler:
    """Chooses the next token by transformers' own processors, in the order `generate` has them."""

    def __init__(self, sampling: Sampling, exempt: frozenset[int], device: torch.device) -> None:
        self._exempt = exempt
        self._greedy = not sampling.temperature
        self._against_repeating = transformers.LogitsProcessorList()
        if sampling.repetition_penalty and sampling.repetition_penalty != 1:
            self._against_repeating.append(
                transformers.RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty)
            )
        if sampling.no_repeat_ngram:
            self._against_repeating.append(
                transformers.NoRepeatNGramLogitsProcessor(sampling.no_repeat_ngram)
            )
        self._warpers = transformers.LogitsProcessorList()
        if sampling.temperature:
            self._warpers.append(transformers.TemperatureLogitsWarper(float(sampling.temperature)))
        if sampling.top_k:
            self._warpers.append(transformers.TopKLogitsWarper(sampling.top_k))
        if sampling.top_p is not None and sampling.top_p < 1:
            self._warpers.append(transformers.TopPLogitsWarper(sampling.top_p))
        if sampling.min_p:
            self._warpers.append(transformers.MinPLogitsWarper(sampling.min_p))
        self._generator = torch.Generator(device)
        if sampling.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(sampling.seed)

    def choose(self, logits: torch.Tensor, ids: list[int]) -> int:
        """The next token after `ids`, given the model's logits for it."""
        scores = logits.float()[None]
        if self._against_repeating:
            # The prompt is full of marks that end a turn: punishing those would never let it end.
            said = [i for i in ids if i not in self._exempt]
            scores = self._against_repeating(_longs(said, scores.device), scores)
        if self._greedy:
            return int(scores.argmax(-1))
        scores = self._warpers(_longs(ids, scores.device), scores)
        chances = torch.softmax(scores, dim=-1)
        return int(torch.multinomial(chances, 1, generator=self._generator))


class TransformersEngine:
    """One causal language model on one device."""

    def __init__(
        self, *, name: str, directory: Path, device: str = "auto", dtype: str = "auto"
    ) -> None:
        began = time.monotonic()
        self._name = name
        self._format = formats.load(directory)
        self._device = _device(device, name)
        chosen, why = _dtype(dtype, self._device, name)
        self._model = _load(name, directory, chosen)
        try:
            self._model.to(self._device).eval()
        except torch.OutOfMemoryError as error:
            raise ModelUnusable(
                f'model "{name}" does not fit into the free memory of {self._device}: {error}'
            ) from error
        embeddings = self._model.get_input_embeddings()
        known = self._format.tokenizer.get_vocab_size(with_added_tokens=True)
        if known > embeddings.num_embeddings:
            raise ModelUnusable(
                f'model "{name}": the tokenizer in {directory} knows {known} tokens, but the model'
                f" only {embeddings.num_embeddings}; they do not belong together"
            )
        self._defaults = formats.merge(self._format.sampling, _generation_defaults(self._model))
        # Without it a prefill computes the logits of every position, far more than the cache takes.
        takes = inspect.signature(self._model.forward).parameters
        self._forward_options = {"logits_to_keep": 1} if "logits_to_keep" in takes else {}
        if getattr(self._forward([0], None), "past_key_values", None) is None:
            raise ModelUnusable(
                f'model "{name}": a {self._model.config.model_type} model keeps its state in a way'
                " that this engine does not know; choose one with a key-value cache"
            )
        log.info(
            'model "%s" loaded on %s in %s (%s), %.1f M parameters, %.1f s',
            name,
            self._device,
            str(chosen).removeprefix("torch."),
            why,
            self._model.num_parameters() / 1e6,
            time.monotonic() - began,
        )

    def start(self, request: TextRequest) -> Slot:
        """Take a request in. Raises `EngineFailed` when the prompt does not fit."""
        context = self._format.card.context
        ids = self._format.encode(request)
        room = context - len(ids)
        if room < 1:
            raise EngineFailed(
                f'the prompt has {len(ids)} tokens, but model "{self._name}" takes {context},'
                " prompt and reply together"
            )
        if not ids:
            raise EngineFailed(f'the prompt for model "{self._name}" is empty')
        sampling = _decided(formats.merge(request.sampling, self._defaults))
        ends = self._format.ends(request.stop)
        return Slot(
            ids=ids,
            prompt_tokens=len(ids),
            limit=min(sampling.max_tokens or self._format.card.max_tokens, room),
            ends=ends,
            sampler=Sampler(sampling, ends, self._device),
            text=ReplyText(self._format.tokenizer, (*self._format.stop, *request.stop)),
        )

    def step(self, slot: Slot) -> Piece:
        """One more token. The piece may have no text yet; `finish` is set on the last one."""
        output = self._forward(slot.ids[slot.cached :], slot.cache)
        slot.cache, slot.cached = output.past_key_values, len(slot.ids)
        token = slot.sampler.choose(output.logits[0, -1], slot.ids)
        slot.ids.append(token)

        if token in slot.ends:
            return self._piece(slot, slot.text.flush(), "stop")
        text = slot.text.push(token)
        if slot.text.stopped:
            return self._piece(slot, text, "stop")
        if slot.tokens >= slot.limit:
            return self._piece(slot, text + slot.text.flush(), "length")
        return self._piece(slot, text)

    @torch.inference_mode()
    def _forward(self, ids: list[int], cache: Any) -> Any:
        return self._model(
            input_ids=_longs(ids, self._device),
            past_key_values=cache,
            use_cache=True,
            **self._forward_options,
        )

    @staticmethod
    def _piece(slot: Slot, text: str, finish: Any = "") -> Piece:
        return Piece(text=text, tokens=slot.tokens, prompt_tokens=slot.prompt_tokens, finish=finish)


def _longs(ids: list[int], device: torch.device) -> torch.LongTensor:
    return cast("torch.LongTensor", torch.tensor([ids], dtype=torch.long, device=device))


def _device(wanted: str, name: str) -> torch.device:
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise ModelUnusable(
            f'model "{name}": there is no device "{wanted}"; say "auto", "cpu" or "cuda:0"'
        ) from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ModelUnusable(
            f'model "{name}": there is no device "{wanted}" on this machine (torch sees'
            f' {torch.cuda.device_count()} CUDA devices); say "auto" or "cpu"'
        )
    return device


def _dtype(wanted: str, device: torch.device, name: str) -> tuple[torch.dtype, str]:
    """The number format, and the reason for it."""
    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if wanted in known:
        return known[wanted], "as configured"
    if wanted != "auto":
        raise ModelUnusable(
            f'model "{name}": there is no dtype "{wanted}"; say "auto" or one of {", ".join(known)}'
        )
    if device.type != "cuda":
        return torch.float32, "exact, and on most CPUs the fastest"
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16, "the card has it in hardware"
    return torch.float16, "the card has no bfloat16 in hardware"


def _load(name: str, directory: Path, dtype: torch.dtype) -> Any:
    try:
        loaded: Any = transformers.AutoModelForCausalLM.from_pretrained(
            directory,
            dtype=dtype,
            use_safetensors=True,
            # Left to itself it would ask on the terminal whether to run the model's own code.
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
    except Exception as error:  # whatever the library raises, the operator must mend the model
        raise ModelUnusable(f'model "{name}" in {directory} cannot be loaded: {error}') from error
    model, report = loaded
    # Otherwise the library makes up weights that are not there, and the model babbles.
    if missing := sorted(report["missing_keys"]):
        raise ModelUnusable(
            f'model "{name}": the weights in {directory} lack {len(missing)} parts, the first is'
            f" {missing[0]}; they do not belong to its config.json"
        )
    return model


def _generation_defaults(model: Any) -> Sampling:
    """What the model's generation_config.json asks for."""
    config = model.generation_config
    # These belong to sampling and mean nothing when it is off.
    drawn = bool(config.do_sample)
    return Sampling(
        temperature=(1.0 if config.temperature is None else config.temperature) if drawn else None,
        top_p=config.top_p if drawn else None,
        top_k=config.top_k if drawn else None,
        min_p=config.min_p if drawn else None,
        repetition_penalty=config.repetition_penalty,
        no_repeat_ngram=config.no_repeat_ngram_size,
        max_tokens=config.max_new_tokens,
    )


def _decided(sampling: Sampling) -> Sampling:
    """With nobody asking for a temperature: 1 if another option implies sampling, else greedy."""
    drawn = any(option is not None for option in (sampling.top_p, sampling.top_k, sampling.min_p))
    return formats.merge(sampling, Sampling(temperature=1.0 if drawn else 0.0))
