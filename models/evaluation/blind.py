"""Writes the page on which a friend guesses which answer was real. Knows no model.

One file for a browser, from a disk or a USB stick: it loads nothing and sends nothing, which its
Content-Security-Policy also forbids it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.evaluation.figures import Case

_TEMPLATE = Path(__file__).with_name("blind.html")


def page(cases: Sequence[Case], *, evaluation: str, rounds: int, seed: int) -> str:
    """The page's HTML, with at most so many cases, drawn by the seed; empty when there is nothing
    to guess. `evaluation` is copied into the result, to know what it was of."""
    dice = Random(seed)
    guessable = [guess for guess in (_round(case, dice) for case in cases) if guess]
    chosen = dice.sample(guessable, min(rounds, len(guessable)))
    if not chosen:
        return ""
    # What is said may hold "</script>" and "<!--"; within JSON, "<" can be written without it.
    data = json.dumps({"evaluation": evaluation, "rounds": chosen}).replace("<", "\\u003c")
    html = _TEMPLATE.read_text(encoding="utf-8")
    for name in ("STYLE", "SCRIPT"):
        html = html.replace(f"{name}_HASH", _hash(html, name.lower()))
    return html.replace(">DATA<", f">{data}<")


def _round(case: Case, dice: Random) -> dict[str, Any] | None:
    """The case with its answers in any order, each once; None when there is nothing to guess."""
    by_text = {case.real.strip(): "real"}
    for by, text in (("after", case.after), ("before", case.before)):
        if text and text.strip():
            by_text.setdefault(text.strip(), by)
    if "after" not in by_text.values():
        return None
    answers = [{"by": by, "text": text} for text, by in by_text.items()]
    dice.shuffle(answers)
    return {
        "said": [{"name": line.name, "text": line.text} for line in case.said],
        "name": case.name,
        "answers": answers,
    }


def _hash(html: str, tag: str) -> str:
    """Of what stands in the only `tag` without attributes, as the policy wants it."""
    found = re.search(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    assert found is not None
    return base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
