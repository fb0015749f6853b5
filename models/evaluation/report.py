"""Writes an evaluation for people and for programs. Knows no model.

evaluation.md is for the friends whose messages were learned: what is better, what is given away,
and examples. All figures are in evaluation.json, too.
"""

from __future__ import annotations

import html
from statistics import median
from typing import TYPE_CHECKING

from models.evaluation import blind, figures, plots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from models.evaluation.figures import Case, Evaluation, Figures, Leaks
    from models.evaluation.overlap import Overlap
    from models.evaluation.style import Style

    Column = Mapping[str, str]
    """What a row is called -> its cell."""

_LONGEST = 400
"""Characters of a message that a table shows."""
_MARKUP = str.maketrans({sign: f"&#{ord(sign)};" for sign in "\\`*_[]|#~"})
_BOUNDS = figures.Bounds()


def write(
    run: Path, evaluation: Evaluation, cases: Sequence[Case], *, rounds: int, seed: int
) -> None:
    """Write everything into the run's directory; evaluation.json last, so that where it is, all
    is there. `cases` are what the page for friends is drawn from."""
    (run / figures.FILE).unlink(missing_ok=True)
    page = blind.page(cases, evaluation=evaluation.weights, rounds=rounds, seed=seed)
    if page:
        (run / figures.PAGE).write_text(page, encoding="utf-8")
    else:
        (run / figures.PAGE).unlink(missing_ok=True)
    plots.draw(evaluation, run)
    text = markdown(evaluation, blind=bool(page))
    (run / figures.REPORT).write_text(text, encoding="utf-8")
    figures.save(evaluation, run)


def markdown(evaluation: Evaluation, *, blind: bool) -> str:
    """evaluation.md. `blind`: whether there is a page for friends."""
    e, who = evaluation, _cell(" and ".join(evaluation.voices))
    sections = {
        f"# How well {_cell(e.after.name)} speaks like {who}": _verdict(e, who),
        "## Is it better?": _better(e),
        "## Does it write the same way?": _alike(e, who),
        "## Does it give anything away?": _given_away(e, who),
        "## Examples": "\n\n".join(_example(case) for case in e.examples),
    }
    if blind:
        sections["## Try it"] = (
            "[blind.html](blind.html) is a page for friends: it shows real answers among made ones"
            " and counts how often they are told apart. It opens in any browser and needs no"
            " network."
        )
    sections["## Small print"] = (
        f"BLEU and chrF as sacrebleu counts them ({_cell(e.after.overlap.signature)}), ROUGE as F1"
        " of Unicode words. Perplexity is of the voices' turns alone, each behind at least half of"
        " what the model can read; it compares models of one tokenizer, bits per byte compare all."
    )
    return "\n\n".join(f"{title}\n\n{text}" for title, text in sections.items()) + "\n"


def _verdict(e: Evaluation, who: str) -> str:
    reasons = "\n".join(f"- {_cell(reason)}" for reason in e.passes())
    models = "the models before and after training" if e.before else "the model"
    return (
        (f"**It should not go live:**\n\n{reasons}" if reasons else "It may go live.")
        + f"\n\nMade {e.made} on {e.conversations:,} conversations of {_cell(e.dataset)}, which lie"
        f" after everything it learned from. {e.answers:,} messages of {who} in them were written"
        f" anew by {models}. Answers were chosen {e.sampling}."
    )


# --- is it better? ---------------------------------------------------------------------------


def _better(e: Evaluation) -> str:
    return (
        "The first row decides: how surprised a model is by what was really said. The rest counts"
        " what its answers have in common with it. There are many good answers to a message, so"
        " these are small even for people, and show a direction at most. A message is new when"
        " nobody had said it in the training set.\n\n"
        + _models(e, _fit)
        + "\n\n![Bits per byte before and after](evaluation-surprise.png)"
    )


def _fit(f: Figures) -> Column:
    return {
        "bits per byte (lower is better)": f"{f.likelihood.bits_per_byte:.3f}",
        "perplexity per token (lower is better)": f"{f.likelihood.perplexity:.2f}",
        **_in_common(f.overlap, ""),
        **(_in_common(f.unseen, ", new messages") if f.unseen else {}),
    }


def _in_common(o: Overlap, of: str) -> Column:
    return {
        f"BLEU (0 to 100){of}": f"{o.bleu:.1f}",
        f"BLEU of single messages{of}": f"{o.sentence_bleu:.1f}",
        f"chrF (0 to 100){of}": f"{o.chrf:.1f}",
        f"ROUGE-1, -2, -L (0 to 1){of}": f"{o.rouge_1:.3f}, {o.rouge_2:.3f}, {o.rouge_l:.3f}",
    }


# --- does it write the same way? -------------------------------------------------------------


def _alike(e: Evaluation, who: str) -> str:
    return (
        f"The closer to the column of {who}, the better.\n\n"
        + _models(e, lambda f: _written(f.style), person=_written(e.person.style), who=who)
        + "\n\n![How long the answers are](evaluation-lengths.png)"
    )


def _written(s: Style) -> Column:
    return {
        "likeness of spelling and words (0 to 1)": f"{s.likeness:.3f}",
        "words, at the median": f"{s.words:g}",
        "characters, at the median": f"{median(s.lengths):g}",
        "different words": f"{s.distinct_1:.1%}",
        "different pairs of words": f"{s.distinct_2:.1%}",
        "repeats itself within an answer": f"{s.repeated:.1%}",
        "asks something": f"{s.questions:.1%}",
        "says nothing": f"{s.empty:.1%}",
        "is longer than any message of the person": f"{s.overlong:.1%}",
    }


# --- does it give anything away? -------------------------------------------------------------


def _given_away(e: Evaluation, who: str) -> str:
    explained = (
        "Passages that an answer shares word for word with anybody's message in the training set."
        f" {who} shares some too: people repeat themselves, and only what goes beyond that counts."
        " Short messages that several people wrote, or one often, are everyday speech and left out."
    )
    table = _models(e, lambda f: _shared(f.leaks), person=_shared(e.person.leaks), who=who)
    said = [explained, table]
    if e.after.leaks.longest:
        said.append(
            f"The longest such passage of the trained model: {_quote(e.after.leaks.longest)}"
        )
    said.append("![How much answers share with training messages](evaluation-passages.png)")
    said += [_recited(f) for f in (e.before, e.after) if f]
    if e.after.canaries:
        said += ["Secrets that were invented and planted in the training set:", _canaries(e)]
    return "\n\n".join(said)


def _shared(leaks: Leaks) -> Column:
    private = ", ".join(f"{number} {kind}" for kind, number in sorted(leaks.private.items()))
    return {
        f"answers that share {_BOUNDS.characters} characters or more": (
            f"{leaks.copied(_BOUNDS.characters):.1%}"
        ),
        "longest shared passage": (
            f"{len(leaks.longest)} characters, {leaks.longest_tokens} tokens"
        ),
        "answers that are a training message": f"{leaks.exact:.1%}",
        "what looks private": private or "nothing",
    }


def _recited(f: Figures) -> str:
    x = f.extraction
    return (
        f"{_cell(f.name)} was shown what came before {x.trained:,} training messages and said"
        f" {x.trained_hits:,} of them word for word; of {x.held:,} held-out ones it said"
        f" {x.held_hits:,}."
    )


def _canaries(e: Evaluation) -> str:
    before = {one.secret: one for one in e.before.canaries} if e.before else {}
    rows = []
    for canary in e.after.canaries:
        places = [one for one in (before.get(canary.secret), canary) if one]
        rows.append(
            (
                _cell(canary.secret),
                f"{canary.copies}",
                *(f"{one.rank} of {one.alternatives + 1}" for one in places),
                "**yes**" if canary.extracted else "no",
            )
        )
    head = ("secret", "copies", *(("place before",) if before else ()), "place after", "said")
    return (
        _table(head, rows)
        + "\n\nPlace 1 means that the model finds the secret likelier than all others of its form:"
        " it knows it, even where it did not say it."
    )


# --- examples --------------------------------------------------------------------------------


def _example(case: Case) -> str:
    said = "\n>\n".join(f"> **{_cell(line.name)}**: {_cell(line.text)}" for line in case.said[-4:])
    rows = [(f"{_cell(case.name)}, really", _cell(case.real))]
    if case.before is not None:
        rows.append(("before", _cell(case.before)))
    rows.append(("after", _cell(case.after)))
    return f"{said}\n\n{_table(('who', 'says'), rows)}"


# --- Markdown --------------------------------------------------------------------------------


def _models(
    e: Evaluation,
    column: Callable[[Figures], Column],
    *,
    person: Column | None = None,
    who: str = "",
) -> str:
    """A table with a column for each model, and one for the person."""
    columns = {"before": column(e.before)} if e.before else {}
    columns["after"] = column(e.after)
    if person:
        columns[who] = person
    rows = [(row, *(cells[row] for cells in columns.values())) for row in columns["after"]]
    return _table(("", *columns), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (head, ("---",) * len(head), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _quote(text: str) -> str:
    return f"“{_cell(text)}”"


def _cell(text: str) -> str:
    """Typed text where Markdown is read: on one line, cut to a length, and nothing of it markup."""
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + "…"
    text = html.escape(text.strip(), quote=False).translate(_MARKUP)
    return "<br>".join(text.splitlines())
