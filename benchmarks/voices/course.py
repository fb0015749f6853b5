"""The road itself, step by step. Knows no way of training and no protocol."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.voices import team
from benchmarks.voices.house import house
from benchmarks.voices.operator import ROOT, Operator, Wrong
from models.dataset import sessions
from models.evaluation import figures
from models.training.voice.card import TrainingCard

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.voices.house import House

Figures = dict[str, float | str]

STARTER = ROOT / "models" / "starter"
DIALOGUES = 150
"""Conversations about films and music. With them about a third of what Pat says is like that."""
QUESTIONS = 12
"""Held-out ones that the bots in the room are asked."""
EPOCHS, BATCH = 6, 8
"""Of the second training. The usual three are for people who say a new thing each time; Pat has a
hundred answers and learns each from three questions."""
PHRASES = "0.3"
"""Share of training messages that may come out. Pat says the same few things all the time, and an
operator who wants to hear them again says so; without that they are refused as leaks."""
_REFUSED = 1

CONFIG = """
[daemon]
log_format = "json"

[adapters.web]
kind = "web"
port = 0

[models.starter]
kind = "transformers"
path = "{starter}"
adapters = {{ pat = "voices/pat-lora/live" }}

[models.pat]
kind = "transformers"
path = "voices/pat/live"

[bots.starter]
kind = "text"
model = "starter"
sampling = {{ temperature = 0.0 }}

[bots.Pat]
kind = "text"
model = "pat"
sampling = {{ temperature = 0.0 }}

[bots.adapted]
kind = "text"
model = "starter"
adapter = "pat"
sampling = {{ temperature = 0.0 }}

[rooms.starter]
bots = ["starter"]
host = "starter"

[rooms.pat]
bots = ["Pat"]
host = "Pat"

[rooms.adapted]
bots = ["adapted"]
host = "adapted"

[limits]
merge_seconds = 0.0
answers_per_minute_person = 1000
answers_per_minute_channel = 1000
"""
"""Always the likeliest word, so that an answer says which version it is of."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that the models never saw with its answer."""

    author: str
    text: str
    #: what Pat said
    real: str


def run(corpora: Path, place: Path) -> Figures:
    """All figures. `place` is an empty directory. Raises `Wrong`, and `Refused` without corpora."""
    began = time.monotonic()
    operator = Operator(place)
    _import(operator, corpora)
    operator.run("dataset", "build", "corpus", "--speaker", team.PAT, "--show", "3")
    _train(operator, "first", "--epochs", "1")
    _train(operator, "second", "--epochs", str(EPOCHS), "--batch", str(BATCH))
    _train(operator, "lora", "--method", "lora", "--base-name", "starter")
    _promote(operator, "first", "pat")
    _promote(operator, "lora", "pat-lora")
    switched = asyncio.run(_serve(operator))
    operator.run("versions", "voices/pat")
    return {
        **_compared(place / "runs" / "second", "voice"),
        **_compared(place / "runs" / "lora", "voice_lora"),
        **switched,
        "minutes": (time.monotonic() - began) / 60,
    }


def _import(operator: Operator, corpora: Path) -> None:
    """Make the export, import it, and compare the counts."""
    exchanges, dialogues = team.read(corpora, DIALOGUES)
    written = team.write(operator.place / "slack.zip", exchanges, dialogues, seed=1)
    told = operator.run("import", "slack", "slack.zip", "--out", "corpus").text
    people = operator.run("dataset", "speakers", "corpus").text
    pat = next(line for line in people.splitlines() if line.startswith(team.PAT))
    found = {
        "kept": _number(r"kept +([\d,]+)\n", told),
        "left out": sum(_all(r"left out +([\d,]+)", told)),
        "of Pat": _number(r"slack:\w+ +([\d,]+)", pat),
    }
    there = {"kept": written.messages, "left out": written.left_out, "of Pat": written.pat}
    if found != there:
        raise Wrong(f"the export holds {there}, and the import tells of {found}")


def _number(pattern: str, text: str) -> int:
    return next(iter(_all(pattern, text)), -1)


def _all(pattern: str, text: str) -> list[int]:
    return [int(number.replace(",", "")) for number in re.findall(pattern, text)]


def _train(operator: Operator, name: str, *options: str) -> None:
    """Train on the starter, and compare with it."""
    out = f"runs/{name}"
    operator.run("train", "corpus", "--out", out, "--base", STARTER, *options)
    words = ("evaluate", out, "--dataset", "corpus", "--before", STARTER)
    operator.run(*words, codes=(0, _REFUSED))


def _promote(operator: Operator, run: str, voice: str) -> None:
    """As it is if that may be; else it has to be refused first."""
    words = ("promote", f"runs/{run}", f"voices/{voice}", "--name", run)
    if figures.load(operator.place / "runs" / run).passes():
        operator.run(*words, codes=(_REFUSED,))
        operator.run(*words, "--extracted", PHRASES)
    else:
        operator.run(*words)


# --- the daemon ------------------------------------------------------------------------------


async def _serve(operator: Operator) -> Figures:
    """Ask everybody, then let another version go live under the running daemon, and go back."""
    config = operator.place / "config.toml"
    config.write_text(CONFIG.format(starter=STARTER))
    operator.run("check", "--config", config.name)
    asked = _held_out(operator.place / "corpus")
    async with house(operator, config) as daemon:
        answers = {
            "starter": await _ask(daemon, "starter", asked),
            "first": await _ask(daemon, "pat", asked),
            "adapter": await _ask(daemon, "adapted", asked),
        }
        began = time.monotonic()
        await asyncio.to_thread(_promote, operator, "second", "pat")
        await daemon.served("second")
        seconds = time.monotonic() - began
        answers["second"] = await _ask(daemon, "pat", asked)
        await asyncio.to_thread(operator.run, "rollback", "voices/pat")
        await daemon.served("first")
        again = await _ask(daemon, "pat", asked)
        await daemon.stop()
    operator.note(_conversation(asked, answers))
    if answers["second"] == answers["first"]:
        raise Wrong("after the promotion the daemon answers like the version before")
    if again != answers["first"]:
        raise Wrong("after the rollback the daemon does not answer like the first version")
    real = [one.real for one in asked]
    return {
        "promotion_until_served_s": seconds,
        **{f"said_like_pat_{who}": _same(said, real) for who, said in answers.items()},
        "asked": len(asked),
    }


async def _ask(daemon: House, room: str, asked: Sequence[Asked]) -> list[str]:
    return [await daemon.ask(room, one.author, one.text) for one in asked]


def _held_out(corpus: Path) -> list[Asked]:
    """Of the test split, questions that say by themselves what they are about: the first of their
    conversation, in one line, and not about films."""
    found = []
    for session in sessions.read(sessions.path_of(corpus, "test")):
        asked, answer, *_ = session.turns
        if answer.voice and asked.text.endswith("?") and team.FILMS not in session.id:
            *_, question = asked.text.splitlines()
            found.append(Asked(asked.name, question, answer.text))
    return found[:QUESTIONS]


def _same(said: Sequence[str], real: Sequence[str]) -> int:
    return sum(one == other for one, other in zip(said, real, strict=True))


def _conversation(asked: Sequence[Asked], answers: dict[str, list[str]]) -> str:
    lines = []
    for at, one in enumerate(asked):
        lines += [f"{one.author}: {one.text}", f"  {team.PAT}, really: {one.real}"]
        lines += [f"  {who}: {said[at]}" for who, said in answers.items()]
    return "\n".join(lines) + "\n"


# --- figures ---------------------------------------------------------------------------------


def _compared(run: Path, name: str) -> Figures:
    """What a run made better, and what it gives away. `leaked` is the share of its answers that
    share 50 characters with a training message, `extracted` that of the training messages that come
    out word for word, less that of held-out ones."""
    evaluation, card = figures.load(run), TrainingCard.load(run)
    assert evaluation.before is not None
    found: Figures = {}
    for when, one in (("before", evaluation.before), ("after", evaluation.after)):
        found |= {
            f"{name}_bits_per_byte_{when}": one.likelihood.bits_per_byte,
            f"{name}_perplexity_{when}": one.likelihood.perplexity,
            f"{name}_bleu_{when}": one.overlap.bleu,
            f"{name}_chrf_{when}": one.overlap.chrf,
        }
    return found | {
        f"{name}_leaked": evaluation.after.leaks.copied(figures.Bounds().characters),
        f"{name}_extracted": evaluation.after.extraction.share,
        f"{name}_goes_live": "; ".join(evaluation.passes()) or "yes",
        f"{name}_train_seconds": card.seconds,
        f"{name}_train_tokens_per_s": card.tokens / card.seconds,
        f"{name}_train_loss_before": card.before or "not measured",
        f"{name}_train_loss_after": card.best or "not measured",
    }
