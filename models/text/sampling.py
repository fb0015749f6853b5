"""Chooses tokens. Knows no model but its generation config, and no cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
import transformers

from botdaemon.types import Sampling
from models import formats

if TYPE_CHECKING:
    from collections.abc import Sequence


class Sampler:
    """Chooses the next token by transformers' own processors, in the order `generate` has them."""

    def __init__(self, sampling: Sampling, exempt: frozenset[int], device: torch.device) -> None:
        """`sampling` is `decided`. Tokens in `exempt` are free to be repeated."""
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
        """The next token after `ids`, given the model's logits for it: (vocabulary,)."""
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

    @property
    def state(self) -> torch.Tensor:
        """The state of its dice, to go back to when a step has to be done again."""
        return self._generator.get_state()

    @state.setter
    def state(self, state: torch.Tensor) -> None:
        self._generator.set_state(state)


def _longs(ids: Sequence[int], device: torch.device) -> torch.LongTensor:
    return cast("torch.LongTensor", torch.tensor([ids], dtype=torch.long, device=device))


def generation_defaults(model: Any) -> Sampling:
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


def decided(sampling: Sampling) -> Sampling:
    """With nobody asking for a temperature: 1 if another option implies sampling, else greedy."""
    drawn = any(option is not None for option in (sampling.top_p, sampling.top_k, sampling.min_p))
    return formats.merge(sampling, Sampling(temperature=1.0 if drawn else 0.0))
