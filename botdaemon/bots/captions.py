"""The words around pictures: while one is drawn, under it, and about what can be drawn.

All of it is Markdown. What people typed, and what comes from models and pictures, is escaped. Knows
no engine and no thread.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdaemon.types import ImageCard, ImageRequest, Picture, Progress

#: Beginnings of "draw me a cat", which as a prompt is "a cat".
_ASKED = re.compile(
    r"(?:please\s+)?(?:(?:can|could|will|would)\s+you\s+)?(?:please\s+)?"
    r"(?:(?:draw|paint|show|make)\s+(?:me|us)|draw)\s+",
    re.IGNORECASE,
)
#: Words that are said to somebody who draws without asking for a picture.
_TALK = (
    "again all are awesome bye can cool do fine good great ha haha hallo hello help hey hi hola how"
    " is it lol me much nice no of oh ok okay really so sorry sure test thank thanks that the there"
    " thx to ty very well what who wow yeah yes yo you your"
)
_SMALL_TALK = frozenset(_TALK.split())
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
#: What Markdown, or a platform that reads almost Markdown, could take for markup within a line.
_MARKUP = re.compile(r"[\\`*_~\[\]<>&]")
#: Characters of a prompt that are shown under a picture, and unknown words that are named.
_PROMPT = 300
_UNKNOWN = 5
_EXAMPLES = 3
_SLUG = 40


def literal(text: str) -> str:
    """Text in one line that formats nothing."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(text.split()))


def sentence(text: str) -> str:
    """An error's words as a sentence."""
    text = literal(text)
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"


def asked_for(text: str) -> str:
    """What somebody asks to be drawn; "" for small talk and questions. A model can draw anything,
    so only what is certainly no description counts as talk."""
    if asked := _ASKED.match(text):
        return text[asked.end() :].strip().rstrip("?!.").removesuffix("please").strip(" ,")
    if text.rstrip().endswith("?") or all(word in _SMALL_TALK for word in words_of(text)):
        return ""
    return text


def words_of(text: str) -> list[str]:
    """The words of a prompt in lower case, without punctuation."""
    return [word.casefold() for word in _WORD.findall(text)]


def unknown_words(prompt: str, card: ImageCard) -> list[str]:
    """The words of a prompt that the model never learned, each once; none when it takes any."""
    if not card.words:
        return []
    return [word for word in dict.fromkeys(words_of(prompt)) if word not in card.words]


# --- instead of a picture --------------------------------------------------------------------


def what_i_draw(card: ImageCard) -> str:
    """Said to somebody who asked for nothing in particular."""
    can = f"I draw {literal(card.draws)}." if card.draws else "I draw what you describe."
    examples = card.examples[:_EXAMPLES] or ("a lighthouse at dusk, oil painting",)
    tries = "\n".join(f"- {literal(example)}" for example in examples)
    return (
        f"{can} Try for example:\n\n{tries}\n\n"
        "Options may follow, such as `--number 2 --no clouds --seed 4`. To change a picture, reply"
        " to it with what it should become."
    )


def not_in_my_world(unknown: Sequence[str], prompt: str, card: ImageCard) -> str:
    """Said to somebody whose prompt has words that the model never learned; the example is the one
    nearest to what they asked for."""
    named = ", ".join(f"“{literal(word)}”" for word in unknown[:_UNKNOWN])
    if len(unknown) > _UNKNOWN:
        named += f" and {len(unknown) - _UNKNOWN} more"
    said = [f"I never learned the word{'s' * (len(unknown) > 1)} {named}."]
    if card.draws:
        said.append(f"I draw {literal(card.draws)}.")
    if card.examples:
        asked = set(words_of(prompt))
        nearest = max(card.examples, key=lambda example: len(asked.intersection(words_of(example))))
        said.append(f"Try for example “{literal(nearest)}”.")
    return " ".join(said)


# --- while it is drawn, and under it ---------------------------------------------------------


def drawing(progress: Progress) -> str:
    """How far a picture is."""
    left = ""
    if progress.left >= 90:
        left = f", about {progress.left / 60:.0f} min"
    elif progress.left >= 1:
        left = f", about {progress.left:.0f} s"
    return f"*drawing, step {progress.step} of {progress.steps}{left}*"


def caption(
    words: str, pictures: Sequence[Picture], hidden: int, improved: str, notes: Sequence[str]
) -> str:
    """Under finished pictures: what was asked for, how they were drawn, a line for each note.
    `hidden` are those of them that are not shown."""
    lines = [f"**{literal(_short(words))}**"] if words.strip() else []
    if improved:
        lines.append(f"improved: {literal(_short(improved))}")
    request = pictures[0].request
    seeds = [picture.request.seed for picture in pictures if picture.request.seed is not None]
    facts = [f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"] if seeds else []
    if request.width and request.height:
        facts.append(f"{request.width}x{request.height}")
    if request.steps:
        facts.append(f"{request.steps} step{'s' * (request.steps > 1)}")
    lines += [", ".join(facts)] if facts else []
    if hidden:
        what = "this picture" if len(pictures) == 1 else f"{hidden} of {len(pictures)} pictures"
        lines.append(
            f"The model's safety checker hid {what}. Another seed or other words may help."
        )
    drawn = (sentence(note) for picture in pictures for note in picture.notes)
    return "\n".join((*lines, *dict.fromkeys((*notes, *drawn))))


def settings(request: ImageRequest, source: str) -> str:
    """Everything that a picture was drawn with; `source` is the SHA-256 of the one it was begun
    with, "" for none."""
    facts = [("prompt", literal(request.prompt))]
    if request.negative:
        facts.append(("without", literal(request.negative)))
    facts += [
        (name, str(value))
        for name, value in (
            ("seed", request.seed),
            ("steps", request.steps),
            ("guidance", request.guidance),
            ("size", f"{request.width}x{request.height}" if request.width else None),
            ("model", literal(request.model)),
        )
        if value is not None
    ]
    if request.adapters:
        used = (f"{literal(name)} {weight:g}" for name, weight in request.adapters)
        facts.append(("LoRA adapters", ", ".join(used)))
    if request.strength is not None:
        facts.append(("strength", f"{request.strength:g}"))
    if request.enlarge > 1:
        facts.append(("enlarged", f"{request.enlarge} times"))
    if source:
        facts.append(("drawn from", f"`{source[:12]}`"))
    return "\n".join(f"- {name}: {value}" for name, value in facts)


def file_name(prompt: str, seed: int | None) -> str:
    """A name for a picture: "a-small-red-circle-42.png". Only letters that every platform and
    file system keeps as they are."""
    plain = unicodedata.normalize("NFKD", prompt).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z0-9]+", plain.replace("'", ""))
    slug = "-".join(words)[:_SLUG].strip("-") or "picture"
    return f"{slug}.png" if seed is None else f"{slug}-{seed}.png"


def _short(text: str) -> str:
    return text if len(text) <= _PROMPT else f"{text[: _PROMPT - 1]}…"
