"""Measures how well a model foresees what a voice said. Knows no answers of its own.

The window slides over turns, by half of what the model takes: each turn of a voice is read once,
behind at least that much of what was said before it, and only it counts, with the token that ends
it. What it is read in is what the model would be shown when it had to answer (`dataset.samples`).
"""

from __future__ import annotations

import math
from itertools import groupby
from typing import TYPE_CHECKING, Any

import torch

from botdaemon.errors import ModelUnusable, Refused
from models import formats
from models.dataset.samples import IGNORED, samples
from models.evaluation.candidates import network
from models.evaluation.figures import Likelihood

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from models.dataset.samples import Sample
    from models.dataset.sessions import Session
    from models.evaluation.candidates import Candidate, Place

_TOKENS_AT_ONCE = 4096
"""Of a batch: each token has a number for every word of the vocabulary."""


class Reader:
    """A candidate that reads."""

    def __init__(self, candidate: Candidate, place: Place) -> None:
        """Raises `ModelUnusable`."""
        self._name = candidate.name
        self._format = formats.load(candidate.directory)
        self._network = network(candidate, place)
        self._batch = place.batch

    def likelihood(
        self, sessions: Sequence[Session], speaker: str, progress: Callable[[int, int], None]
    ) -> Likelihood:
        """Of what the speaker (all voices, if empty) said. Raises `ModelUnusable`, and `Refused`
        where it said nothing."""
        read = list(self._samples(sessions, speaker))
        nats, messages, tokens, size = 0.0, 0, 0, 0
        for done, (sample, its) in enumerate(self._nats(read), 1):
            nats += its
            for turn in _learned(sample):
                messages += 1
                tokens += len(turn)
                size += len(self._format.tokenizer.decode(turn).strip().encode())
            progress(done, len(read))
        if not size:
            raise Refused(f"{speaker or 'the voices'} said nothing in these conversations")
        return Likelihood(
            messages=messages,
            tokens=tokens,
            bytes=size,
            perplexity=math.exp(nats / tokens),
            bits_per_byte=nats / math.log(2) / size,
        )

    def nats(self, sessions: Iterable[Session]) -> list[float]:
        """The negative log-likelihood of the voices' turns of each session, in nats."""
        by_session = [list(self._samples([session], "")) for session in sessions]
        read = [sample for samples_of in by_session for sample in samples_of]
        found = {id(sample): nats for sample, nats in self._nats(read)}
        return [math.fsum(found[id(sample)] for sample in those) for those in by_session]

    def measure(self, text: str) -> int:
        """The tokens of a text."""
        return len(self._format.tokenizer.encode(text, add_special_tokens=False).ids)

    def _samples(self, sessions: Iterable[Session], speaker: str) -> Iterator[Sample]:
        context = self._format.card.context
        for session in sessions:
            yield from samples(session, self._format, context=context, speaker=speaker)

    @torch.inference_mode()
    def _nats(self, read: Sequence[Sample]) -> Iterator[tuple[Sample, float]]:
        device = self._network.device
        for batch in self._batches(read):
            longest = max(len(sample.tokens) for sample in batch)
            tokens = torch.zeros((len(batch), longest), dtype=torch.long)
            labels = torch.full_like(tokens, IGNORED)
            mask = torch.zeros_like(tokens)
            for row, sample in enumerate(batch):
                tokens[row, : len(sample.tokens)] = torch.tensor(sample.tokens)
                labels[row, : len(sample.labels)] = torch.tensor(sample.labels)
                mask[row, : len(sample.tokens)] = 1
            logits: Any = self._network(
                input_ids=tokens.to(device), attention_mask=mask.to(device), use_cache=False
            ).logits
            losses = torch.nn.functional.cross_entropy(
                logits[:, :-1].float().transpose(1, 2),  # (samples, vocabulary, tokens)
                labels[:, 1:].to(device),
                ignore_index=IGNORED,
                reduction="none",
            )
            sums = losses.double().sum(1).tolist()
            if not all(map(math.isfinite, sums)):
                raise ModelUnusable(
                    f'model "{self._name}" computes something that is no number: its weights or its'
                    " number format are at fault"
                )
            yield from zip(batch, sums, strict=True)

    def _batches(self, read: Sequence[Sample]) -> Iterator[list[Sample]]:
        """Samples of like lengths, the longest first: if memory runs out, it does so at once."""
        batch: list[Sample] = []
        for sample in sorted(read, key=lambda sample: len(sample.tokens), reverse=True):
            longest = len(batch[0].tokens) if batch else 0
            if batch and (
                len(batch) == self._batch or longest * (len(batch) + 1) > _TOKENS_AT_ONCE
            ):
                yield batch
                batch = []
            batch.append(sample)
        if batch:
            yield batch


def _learned(sample: Sample) -> list[list[int]]:
    """The tokens of each turn that is learned."""
    runs = groupby(sample.labels, lambda label: label != IGNORED)
    return [list(labels) for learned, labels in runs if learned]
