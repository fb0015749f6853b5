"""Writes what a starter directory says of itself: README and notices. Knows no training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.training.evaluate import converse

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from models.evaluation.figures import Likelihood
    from models.training.corpora import Personality
    from models.training.evaluate import Bot, Figures, Hits
    from models.training.voice import TrainingCard

# Asked in this order, once, with a fixed seed, and printed as they come.
LINES = [
    "hi", "good morning!", "how are you?", "whats ur name", "who are you?", "are you human?",
    "tell me a joke", "i'm sad today", "I got a new job!", "my cat died", "I'm bored",
    "do you like movies?", "have you seen Star Wars?", "what's your favorite band?", "I like jazz",
    "do you like pizza?", "what should we eat?", "how's the weather?", "it's raining",
    "did you watch the game last night?", "do you have pets?", "what is the capital of France?",
    "I love you", "you're stupid", "asdf qwer", "thanks", "good night",
]  # fmt: skip
TALKS: list[tuple[Personality, list[str]]] = [
    ("friendly", ["hello", "good, and you?", "not much", "do you like music?", "the Beatles",
                  "cool", "tell me a joke", "haha another one", "good night"]),
    ("friendly", ["hey, my name is Bob", "I like hiking", "do you like movies?", "Toy Story",
                  "why?", "what's my name?", "bye"]),
    ("comic", ["hi", "fine, you?", "what's your name?", "who made you?", "asdfgh", "lol",
               "good night"]),
]  # fmt: skip


def write_card(
    directory: Path, corpora: Path, bot: Bot, before: Figures, after: Figures, made: TrainingCard
) -> None:
    """README.md with the figures and fifty exchanges, LICENSES.md with the corpora's notices."""
    singles = [(line, converse(bot, [line], "friendly")[0][1]) for line in LINES]
    talks = [(personality, converse(bot, lines, personality)) for personality, lines in TALKS]
    text = _README.format(
        millions=made.tokens / 1e6,
        samples=made.samples,
        updates=made.updates,
        minutes=made.seconds / 60,
        kept=made.best_update,
        asked="\n".join(
            _hits(name, getattr(before, figure), getattr(after, figure))
            for name, figure in _ASKED.items()
        ),
        read="\n".join(
            _likelihood(name, getattr(before, figure), getattr(after, figure))
            for name, figure in _READ.items()
        ),
        queries=after.friendly.asked,
        dialogues=after.dialogues,
        overheard=after.overheard,
        singles=_table(singles),
        talks="\n\n".join(f"{personality}:\n\n{_table(talk)}" for personality, talk in talks),
    )
    (directory / "README.md").write_text(text, encoding="utf-8")
    notices = {
        "personality-chat, from microsoft/BotBuilder-PersonalityChat": "personality-chat/LICENSE",
        "self-dialogue, from jfainberg/self_dialogue_corpus": "self-dialogue.LICENSE",
    }
    licences = [_LICENSES]
    for name, file in notices.items():
        text = (corpora / file).read_text(encoding="utf-8")
        lines = (line.strip() for line in text.strip().splitlines())
        licences.append(f"## {name}\n\n" + "\n".join(lines) + "\n")
    (directory / "LICENSES.md").write_text("\n".join(licences), encoding="utf-8")


_ASKED = {
    "friendly": "friendly",
    "friendly, after other talk": "friendly_later",
    "comic": "comic",
    "comic, after other talk": "comic_later",
}
_READ = {
    "friendly replies": "friendly_likelihood",
    "comic replies": "comic_likelihood",
    "self-dialogue, replies": "self_dialogue",
}


def _hits(name: str, before: Hits, after: Hits) -> str:
    shares = (before.exact, after.exact, before.fitting, after.fitting)
    return f"| {name} | {after.asked} | {' | '.join(f'{share:.1%}' for share in shares)} |"


def _likelihood(name: str, before: Likelihood, after: Likelihood) -> str:
    return (
        f"| {name} | {before.perplexity:.2f} | {after.perplexity:.2f} |"
        f" {before.bits_per_byte:.3f} | {after.bits_per_byte:.3f} |"
    )


def _table(exchanges: Iterable[tuple[str, str]]) -> str:
    rows = [f"| {query} | {reply} |" for query, reply in exchanges]
    return "\n".join(["| people | bot |", "|---|---|", *rows])


_README = """\
# The starter model

A toy. It is here so that a newcomer without a GPU and without a network gets an answer from a real
model that this project trained, within the first minute. It holds friendly small talk for a few
turns; it knows no facts, remembers little, and believes nothing it says. It is a bot and says so.

A GPT-2 (`GPT2LMHeadModel`, 5 layers, width 320, 7.5 million parameters in fp16) with a byte-level
BPE of 4,096 tokens of its own and a context of 256 tokens. Nothing in it comes from another model.

## How it was made

    python -m models.training.starter --corpora DIR --out models/starter

`DIR` holds `personality-chat/` (Microsoft's small talk) and `self-dialogue.jsonl.gz` (dialogues on
films, music and sport); see `LICENSES.md`. The command makes a dataset of them and trains on it as
`botdaemon train` does on a chat export: all of the weights, with the loss on the bot's replies
alone. Three sessions of four are manners: small talk of both personalities, typed as carelessly as
people type it, the hand-written scenes of `models/training/manners.txt`, letters at random, and
bits of self-dialogue, chained into conversations so that each answer is learned behind many
histories. The fourth is self-dialogue, which keeps its English. Dialogues that swear or touch sex,
violence or politics are left out, and so are replies in which the bot would claim a life it does
not have.

It goes on from the weights that are there. The first ones came out of a training loop of their own,
which read 15.6 million tokens; the tokenizer, the chat template and `format.json` are still theirs.
The training read another {millions:.1f} million ({samples:,} samples, {updates:,} updates), in
{minutes:.0f} minutes on less than one core of a busy two-core machine. The weights here are the
mean of those before and those after it, which keeps more of what they knew
(`models/training/starter.py`).

## Speaking to it

The chat template does it. The system message is the bot's description; if it contains the word
"comic", the comic personality answers, otherwise the friendly one. That is all a model this small
takes from it. `<|` in what people write is broken up, or anybody could end the bot's turn by typing
`<|end|>`; and shouting is read as talking: to the tokenizer, HI has nothing in common with hi.
`format.json` holds the rest: what ends a reply, the sampling to show it at its best, and that names
stand before what people say (`Ann: hi`) only where there are several.

## How well it does

{queries} questions of personality-chat were never shown to it as such, in no spelling (compared
without case, spaces and punctuation); {overheard} of them are phrases that also occur in
self-dialogue, where the first weights have read them, without the answer wanted here. Many are
paraphrases of others that it was shown, and none is a line of `manners.txt`, which is always
learned. Greedy replies; "exact": the very reply the corpus gives; "known": word for word one of the
replies it was taught, so at least a whole sentence. "Before" is the model that this one was trained
from, asked by the same code.

| asked | queries | exact, before | exact | known, before | known |
|---|---|---|---|---|---|
{asked}

"After other talk": the same question behind a conversation of some other kind. The comic's own file
asks only some 650 questions; its answers to the others are derived (`corpora.py`).

Held-out likelihood (the dialogues are {dialogues} that were left out whole):

| text | perplexity, before | perplexity | bits per byte, before | bits per byte |
|---|---|---|---|---|
{read}

None of this was learned, but some of it was looked at: half of what is held out chose the update of
the training that is kept ({kept:,} of {updates:,}), and the mean of the weights was taken after
those of the training had been asked the same questions.

## What it is bad at

It says what sounds right. The manners cost it conversation (the last row above): on films, music
and sport it agrees with nearly everything, names people and films that fit only roughly, and loses
the thread after two or three turns. It takes up words and names from what it is told, and now and
then the wrong one; names it forgets as soon as the talk moves on. It may answer a long or unusual
sentence with a reply meant for another. Arithmetic, facts, other languages and anything that needs
a plan are beyond it, and it mostly says so. Some replies of personality-chat are puns that only
half fit. It never learns from what it is told.

## Fifty exchanges, unedited

The lines are those of `models/training/card.py`, asked once, with the sampling of `format.json` and
a fixed seed. Friendly, each as the first line of a conversation:

{singles}

Conversations:

{talks}
"""

_LICENSES = """\
# Licences of what the starter model learned from

The weights are part of this project and under its licence. The two corpora are not in the
repository; these are their notices.
"""
