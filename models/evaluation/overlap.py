"""Compares answers word by word with what the person said. Knows no model.

There are many good answers to a message, so these figures are low even for people: they show a
trend between two models, no quality.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from models.evaluation.words import words

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROUGE = ("rouge1", "rouge2", "rougeL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """BLEU and chrF lie between 0 and 100, ROUGE (F1, at the mean) between 0 and 1."""

    answers: int
    #: of all answers together; 0 where no four words in a row agree
    bleu: float
    #: of one answer at a time, at the mean; short answers are judged by what they have
    sentence_bleu: float
    chrf: float
    rouge_1: float
    rouge_2: float
    rouge_l: float
    #: how sacrebleu counted, to compare with other people's figures
    signature: str


class _Words:
    """rouge_score's own tokenizer drops every letter that is not ASCII."""

    def tokenize(self, text: str) -> list[str]:
        return words(text)


def overlap(answers: Sequence[str], person: Sequence[str]) -> Overlap:
    """Of at least one answer; `person` is what the person said in their places."""
    # Here, because whoever only reads figures does without them.
    from rouge_score import rouge_scorer  # type: ignore[import-untyped]  # it has no types
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    bleu, chrf = BLEU(), CHRF()
    together = bleu.corpus_score(answers, [person]).score
    by_characters = chrf.corpus_score(answers, [person]).score
    single = BLEU(effective_order=True)
    rouge = rouge_scorer.RougeScorer(_ROUGE, tokenizer=_Words())
    scores = [rouge.score(real, answer) for answer, real in zip(answers, person, strict=True)]
    rouge_1, rouge_2, rouge_l = (fmean(score[kind].fmeasure for score in scores) for kind in _ROUGE)
    return Overlap(
        answers=len(answers),
        bleu=together,
        sentence_bleu=fmean(
            single.sentence_score(answer, [real]).score
            for answer, real in zip(answers, person, strict=True)
        ),
        chrf=by_characters,
        rouge_1=rouge_1,
        rouge_2=rouge_2,
        rouge_l=rouge_l,
        signature=f"BLEU {bleu.get_signature()}, chrF {chrf.get_signature()}",
    )
