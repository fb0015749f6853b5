"""Asks a starter what it was not taught, and counts. Knows not how it was trained."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import click

from botdaemon.types import Sampling
from models.evaluation.answers import Speaker
from models.evaluation.candidates import Candidate, Place
from models.evaluation.perplexity import Reader
from models.evaluation.questions import Asked
from models.training.corpora import PERSONALITIES, fold
from models.training.dataset import held_dialogues, held_exchange
from models.training.material import Material, read
from models.training.talk import answered, asked, session

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from models.dataset.sessions import Session, Turn
    from models.evaluation.figures import Likelihood
    from models.training.corpora import Exchange, Personality
    from models.training.samples import SmallTalk

GREEDY = Sampling(temperature=0.0)


@dataclass(frozen=True, slots=True)
class Hits:
    """Of `asked` held-out queries: greedy replies that are the corpus's own, and any known one."""

    asked: int
    exact: float
    fitting: float
    misses: Sequence[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class Figures:
    """What the README says of a model.

    `later` is behind a conversation on something else; `overheard` counts the held-out queries that
    people also say in self-dialogue. The dialogues that hold one are not learned any more, but the
    first weights of this model have read them, without the answer wanted here.
    """

    friendly: Hits
    friendly_later: Hits
    comic: Hits
    comic_later: Hits
    friendly_likelihood: Likelihood
    comic_likelihood: Likelihood
    self_dialogue: Likelihood
    dialogues: int
    overheard: int


class Bot:
    """A starter directory that talks and reads, as it would when it is served and judged."""

    def __init__(self, directory: Path) -> None:
        """Raises `ModelUnusable`."""
        candidate, place = Candidate(directory.name, directory.absolute()), Place(device="cpu")
        self._speaker, self._reader = Speaker(candidate, place), Reader(candidate, place)

    def replies(self, talks: Sequence[Session], sampling: Sampling = GREEDY) -> list[str]:
        """What the bot says in the place of each one's last turn. What the sampling leaves open is
        the model's own choice."""
        places = [Asked(talk, len(talk.turns) - 1) for talk in talks]
        return self._speaker.answers(places, sampling, _unseen)

    def likelihood(self, talks: Iterable[Session]) -> Likelihood:
        """Of what the bot says in them."""
        return self._reader.likelihood(list(talks), "", _unseen)


def _unseen(done: int, total: int) -> None:
    """Nobody waits so long for an answer that they would want to see how far it is."""


def measure(bot: Bot, material: Material) -> Figures:
    """Every figure of the README, in some minutes on one core."""
    hits: dict[tuple[Personality, bool], Hits] = {}
    likelihood: dict[Personality, Likelihood] = {}
    for p in PERSONALITIES:
        held = material.held_exchanges(p)
        known = {e.reply for e in material.exchanges if e.personality == p}
        known |= material.manners.replies(p)
        hits[p, False] = ask(bot, held, known)
        hits[p, True] = ask(bot, held, known, material.small_talk)
        likelihood[p] = bot.likelihood(map(held_exchange, held))
    spoken = {fold(turn) for turns in material.dialogues for turn in turns}
    return Figures(
        hits["friendly", False],
        hits["friendly", True],
        hits["comic", False],
        hits["comic", True],
        likelihood["friendly"],
        likelihood["comic"],
        bot.likelihood(held_dialogues(material)),
        len(material.held_dialogues),
        len(spoken & material.held_queries),
    )


def ask(
    bot: Bot,
    exchanges: Sequence[Exchange],
    known: Collection[str],
    small_talk: SmallTalk | None = None,
) -> Hits:
    """Put every query to the bot, greedily; behind drawn small talk, if some is given."""
    rng = Random(7)
    talks = []
    for e in exchanges:
        before = small_talk.draw_as("before", e.personality, rng).turns if small_talk else ()
        turns = [*before, asked(e.query), answered(e.reply)]
        talks.append(session("asked", e.personality, turns))
    pairs = list(zip(exchanges, bot.replies(talks), strict=True))
    return Hits(
        len(pairs),
        sum(reply == e.reply for e, reply in pairs) / len(pairs),
        sum(reply == e.reply or reply in known for e, reply in pairs) / len(pairs),
        [(e.query, e.reply, reply) for e, reply in pairs if reply != e.reply],
    )


def converse(bot: Bot, lines: Sequence[str], personality: Personality) -> list[tuple[str, str]]:
    """Say the lines one after the other, with everything said so far as history. The same replies
    each time."""
    turns: list[Turn] = []
    for number, line in enumerate(lines):
        turns.append(asked(line))
        talk = session("said", personality, [*turns, answered("")])
        turns.append(answered(*bot.replies([talk], Sampling(seed=number))))
    return [(turns[i].text, turns[i + 1].text) for i in range(0, len(turns), 2)]


@click.command()
@click.option("--corpora", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--model", type=click.Path(exists=True, path_type=Path), required=True)
def main(corpora: Path, model: Path) -> None:
    """Print the figures of a model, and every held-out query that it answers in other words."""
    figures = measure(Bot(model), read(corpora))
    for query, wanted, said in figures.friendly.misses:
        click.echo(f"{query} -> {said}   (in the corpus: {wanted})")
    for name, value in asdict(figures).items():
        if isinstance(value, dict):
            value.pop("misses", None)
        click.echo(f"{name}: {value}")


if __name__ == "__main__":
    main()
