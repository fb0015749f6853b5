"""Reads the two corpora and keeps what may be shown to a friend. Knows nothing of tokens or models.

The corpora stay outside the repository (`--corpora DIR`):

    DIR/personality-chat/qna_chitchat_*.tsv     question -> answer, one file a personality
    DIR/self-dialogue.jsonl.gz                  one dialogue a line: topic, turns
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

Personality = Literal["friendly", "comic"]
PERSONALITIES: tuple[Personality, ...] = ("friendly", "comic")

_FILES: dict[Personality, str] = {
    "friendly": "qna_chitchat_friendly.tsv",
    "comic": "qna_chitchat_the_comic.tsv",
}


@dataclass(frozen=True, slots=True)
class Exchange:
    """One thing said to the bot and one fitting answer."""

    personality: Personality
    query: str
    reply: str


def fold(text: str) -> str:
    """What is left of a line when case, spaces and punctuation do not count.

    The held-out split compares folded lines: "Are you a grown up?" and "are you a grownup" are one
    question, and a model that saw the one has seen the other.
    """
    return "".join(c for c in text.casefold() if c.isalnum())


def tidy(text: str) -> str:
    """One line, plain quotes, single spaces: the alphabet the small vocabulary is spent on."""
    for fancy, plain in (
        ("\u2019", "'"),
        ("\u2018", "'"),
        ("\u201c", '"'),
        ("\u201d", '"'),
        ("\u2026", "..."),
    ):
        text = text.replace(fancy, plain)
    return " ".join(text.split())


# --- personality-chat -----------------------------------------------------------------------------


def read_personality_chat(corpora: Path) -> list[Exchange]:
    """Every question with its answer, in both personalities.

    The comic's file asks only a tenth of what the friendly one asks, but it asks the same things: a
    friendly answer and the comic answer that share a question share an intent. So the comic learns
    the friendly file's paraphrases too, each with the comic answer most often given to its intent.
    """
    friendly = _read_tsv(corpora, "friendly")
    comic = _read_tsv(corpora, "comic")
    comic_reply = {fold(e.query): e.reply for e in comic}
    votes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for e in friendly:
        if fold(e.query) in comic_reply:
            votes[e.reply][comic_reply[fold(e.query)]] += 1
    for e in friendly:
        if fold(e.query) not in comic_reply and votes[e.reply]:
            best, _ = votes[e.reply].most_common(1)[0]
            comic.append(Exchange("comic", e.query, best))
    return friendly + comic


def _read_tsv(corpora: Path, personality: Personality) -> list[Exchange]:
    path = corpora / "personality-chat" / _FILES[personality]
    # utf-8-sig: one file of the four starts with a byte order mark; one calls its columns Questions
    # and Answers. Columns are read by place, so neither matters.
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    found: dict[str, Exchange] = {}
    for row in rows:
        query, reply = tidy(_unquote(row[0])), tidy(_unquote(row[1]))
        if fold(query) and reply:
            found.setdefault(fold(query), Exchange(personality, query, _SPELLING.sub(_mend, reply)))
    return list(found.values())


def _unquote(cell: str) -> str:
    """A cell as a spreadsheet exported it: quoted only when it holds a quote itself."""
    if len(cell) > 1 and cell[0] == cell[-1] == '"':
        return cell[1:-1].replace('""', '"')
    return cell


_MENDED = {"inteligent": "intelligent", "brillant": "brilliant"}
_SPELLING = re.compile("|".join(_MENDED))


def _mend(match: re.Match[str]) -> str:
    return _MENDED[match[0]]


def hold_out(exchanges: list[Exchange], count: int, never: Collection[str] = ()) -> set[str]:
    """The folded queries kept from training: the `count` smallest by hash, so a fixed choice.

    `never` names folded lines that stay in training whatever their hash: the hand-written everyday
    lines, which a chat bot must not be asked to guess.
    """
    folded = {fold(e.query) for e in exchanges if e.personality == "friendly"} - set(never)
    return set(sorted(folded, key=lambda f: hashlib.sha256(f.encode()).digest())[:count])


# --- self-dialogue --------------------------------------------------------------------------------

# Dialogues that touch these are left out whole. A toy that greets newcomers has no business there,
# and it cannot know when it is being tactless.
_UNFRIENDLY = re.compile(
    r"\b(?:f+u+c+k\w*|\w*shit\w*|bitch\w*|bastard\w*|ass|asses|asshole\w*|damn\w*|crap\w*|piss\w*"
    r"|sex\w*|porn\w*|nude\w*|naked|slut\w*|whore\w*|dicks?|cock|boobs?|pussy|horny|rap(?:e|ed|ist)"
    r"|suicid\w*|kill(?:ed|ing)? (?:him|her|my|your)sel\w*|overdos\w*|abus\w*|molest\w*|drugs?"
    r"|cocaine|heroin|meth|drunk|murder\w*|shoot(?:ing|er)s?|terror\w*|nazis?|hitler|racis\w*"
    r"|nigg\w*|fag\w*|retard\w*|gay|slave\w*|trump|obama|hillary|clinton|republicans?|democrats?"
    r"|politic\w*|abortion|jesus|god|hell|cancer|died|dead|death|gun|guns|stupid|idiot\w*|hate you"
    r"|mturk|turkers?|requester|hit)\b",
    re.IGNORECASE,
)
_PLAIN = re.compile(r"""[A-Za-z0-9 .,!?'"$%&:;()/-]+""")


def read_self_dialogue(corpora: Path) -> Iterator[list[str]]:
    """The dialogues of two voices, written by one person each, that may be shown to a friend."""
    with gzip.open(corpora / "self-dialogue.jsonl.gz", "rt", encoding="utf-8") as file:
        for line in file:
            turns = [tidy(turn) for turn in json.loads(line)["turns"]]
            if len(turns) < 4 or any(_UNFRIENDLY.search(turn) for turn in turns):
                continue
            if any(len(turn.split()) > 40 for turn in turns):
                continue
            if all(turn and _PLAIN.fullmatch(turn) for turn in turns):
                yield turns


# What people leave out when they type fast. The bot's side of a dialogue is put right, because the
# bot writes as it has read; the other side stays as it came, because people write like that.
_CARELESS = {
    "i": "I", "im": "I'm", "i'm": "I'm", "ive": "I've", "i've": "I've", "i'd": "I'd",
    "i'll": "I'll",
    "dont": "don't", "doesnt": "doesn't", "didnt": "didn't", "cant": "can't", "wont": "won't",
    "isnt": "isn't", "wasnt": "wasn't", "arent": "aren't", "wouldnt": "wouldn't",
    "couldnt": "couldn't", "shouldnt": "shouldn't", "havent": "haven't", "hasnt": "hasn't",
    "thats": "that's", "whats": "what's", "hes": "he's", "shes": "she's", "theyre": "they're",
    "youre": "you're", "theres": "there's", "youve": "you've", "theyve": "they've",
}  # fmt: skip
_CARELESS_WORD = re.compile(
    rf"\b(?:{'|'.join(sorted(_CARELESS, key=len, reverse=True))})\b(?!')", re.I
)
_QUESTION = re.compile(
    r"^(?:(?:and|so|but|oh|well|yeah|really)\b[, ]*)?(?:who|whom|whose|what|what's|when|where|why"
    r"|which|how|do|does|did|is|are|was|were|can|could|would|will|have|has|should)\b",
    re.IGNORECASE,
)


def polish(turn: str) -> str:
    """The same turn as a careful writer would have typed it."""

    def careful(match: re.Match[str]) -> str:
        word = _CARELESS[match[0].lower()]
        return word[0].upper() + word[1:] if match[0][0].isupper() else word

    turn = _CARELESS_WORD.sub(careful, turn)
    turn = re.sub(r"\s+([.,!?])", r"\1", turn)
    turn = re.sub(r"([!?])[.!?]+", r"\1", re.sub(r"\.{2,}$", ".", turn))
    turn = re.sub(r"(^|[.!?] )([a-z])", lambda m: m[1] + m[2].upper(), turn)
    if turn[-1].isalnum():
        turn += "?" if _QUESTION.match(turn) else "."
    return turn


# A bot has no mother, no job and no seat at the concert. What a reply claims of its writer's life
# is good English to learn from, and bad manners to learn.
_A_LIFE = re.compile(
    r"\b(?:my (?:wife|husband|kids?|son|sons|daughters?|mom|mother|dad|father|parents|brothers?"
    r"|sisters?|girlfriend|boyfriend|friends?|family|house|home|car|job|work|school|childhood"
    r"|niece|nephew|uncle|aunt|grand\w+|birthday|city|town|state|roommate|cousins?"
    r"|phone|computer|collection)"
    r"|i (?:went|grew|bought|live|lived|work|worked|was born|drove|met|used to|own|ate|drank|played"
    r"|saw|am from|have tickets)|when i was|growing up|years old|years ago|as a kid|last (?:night"
    r"|week|year|weekend|month)|yesterday|in concert|we (?:went|saw|should|could))\b",
    re.IGNORECASE,
)
_ODD = re.compile(
    r"""["():;$%&/]|\d{3,}|\b[A-Z]{2,}\b|\.\.|\b(?:u|ur|lol|omg|lmao|haha\w*|hmm*)\b"""
)


def proper(reply: str) -> bool:
    """Whether a polished turn is good English for a bot, and no longer than what a bot says."""
    return 2 <= len(reply.split()) <= 25 and not _ODD.search(reply) and not _A_LIFE.search(reply)


def presentable(reply: str) -> bool:
    """Whether it may stand among the manners: proper, short and of short words."""
    words = reply.split()
    return proper(reply) and len(words) <= 16 and all(len(word) <= 14 for word in words)
