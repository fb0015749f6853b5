"""Turns a conversation into the tokens a model was trained on. Knows no model library, no device.

What a model was trained with is a file in its directory, `format.json`, written by training and
read here, so that training and serving cannot disagree:

    {"kind": "chat", "context": 256, "names": "never", "stop": ["<|end|>"],
     "sampling": {"temperature": 0.4, "top_p": 0.9, "max_tokens": 40}}

Every key may be left out, and so may the file: what is missing follows from the tokenizer and
from config.json. The daemon reads it too (to count tokens), hence no torch and no transformers.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from tokenizers import AddedToken, Tokenizer

from botdaemon.errors import ModelUnusable
from botdaemon.types import ModelCard, Sampling, TextRequest
from models import json_files, prompts

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Kind = Literal["chat", "speakers", "reddit"]

_DEFAULT_NAMES: dict[Kind, prompts.Names] = {
    "chat": "rooms",
    "speakers": "always",
    "reddit": "never",
}
_DEFAULT_STOPS: dict[Kind, tuple[str, ...]] = {
    "chat": (),
    # Each line of a text is written as a line of its speaker, so a reply is one line too.
    "speakers": ("\n",),
    # The end of a reply, and whatever else of this family of tags can only come after one.
    "reddit": ("<|eor|>", "<|eoopr|>", "<|eoocr|>", "<|so"),
}
_CONTEXT_KEYS = ("n_positions", "max_position_embeddings", "n_ctx", "max_seq_len", "seq_length")


class _SamplingTable(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=0)
    min_p: float | None = Field(default=None, ge=0, le=1)
    repetition_penalty: float | None = Field(default=None, gt=0)
    no_repeat_ngram: int | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, ge=1)
    seed: int | None = None


class _FormatFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    kind: Kind | None = None
    context: int | None = Field(default=None, ge=2)
    names: prompts.Names | None = None
    stop: list[str] | None = None
    sampling: _SamplingTable = Field(default_factory=_SamplingTable)


@dataclass(frozen=True)
class Format:
    """How one model is spoken to. Safe to use from several threads at once."""

    kind: Kind
    card: ModelCard
    #: the model's own choices; what is None is left to its generation config
    sampling: Sampling
    stop: tuple[str, ...]
    tokenizer: Tokenizer
    write: prompts.Writer
    #: the tokens that the model itself ends a reply with
    end_ids: frozenset[int]
    #: makes what people typed safe to stand in a prompt
    quote: prompts.Quoter

    def encode(self, request: TextRequest) -> list[int]:
        """The prompt's tokens."""
        return self.tokens(self.write(request))

    def tokens(self, text: str) -> list[int]:
        """Of a prompt as `write` writes it, or of a text that begins with one."""
        # A template writes the opening token itself; the other formats leave it to the tokenizer.
        opening = self.kind != "chat"
        ids: list[int] = []
        for piece in text.split(prompts.BREAK):
            ids += self.tokenizer.encode(piece, add_special_tokens=opening).ids
            if opening:  # some tokenizers also close what they encode, and a prompt is open
                while ids and ids[-1] in self.end_ids and len(ids) > 1:
                    ids.pop()
            opening = False
        return ids

    def ends(self, stop: Iterable[str] = ()) -> frozenset[int]:
        """The tokens that end a reply, given the request's own stop strings. Control tokens have
        no text in a reply, so a stop string that one begins with is recognised by its id."""
        stops = tuple(filter(None, (*self.stop, *stop)))
        return self.end_ids | {i for i, t in self._added.items() if t.content.startswith(stops)}

    @cached_property
    def _added(self) -> dict[int, AddedToken]:
        return self.tokenizer.get_added_tokens_decoder()


def merge(*choices: Sampling) -> Sampling:
    """One out of several, the first to choose having its way in each option."""
    merged: dict[str, Any] = {}
    for field in fields(Sampling):
        values = (getattr(choice, field.name) for choice in choices)
        merged[field.name] = next((value for value in values if value is not None), None)
    return Sampling(**merged)


def load(directory: Path) -> Format:
    """Read a model directory that `preflight.resolve` has passed. Raises `ModelUnusable`."""
    config = json_files.read(directory / "config.json")
    settings = json_files.read(directory / "tokenizer_config.json")
    chosen = json_files.read_as(directory / "format.json", _FormatFile)
    tokenizer = _tokenizer(directory / "tokenizer.json")

    template, where = _chat_template(directory, settings)
    kind = chosen.kind
    if kind is None and template:
        kind = "chat"
    elif kind is None:
        kind = "speakers" if tokenizer.token_to_id("<|sor|>") is None else "reddit"
    if kind == "chat" and not template:
        raise ModelUnusable(
            f'{directory / "format.json"}: the kind is "chat", but there is no chat template'
            ' (chat_template.jinja) beside it; add it, or say "speakers" or "reddit"'
        )

    names = chosen.names or _DEFAULT_NAMES[kind]
    added = tokenizer.get_added_tokens_decoder().values()
    # Words and blanks added to a vocabulary are no markup, and are left to people.
    quote = prompts.Quoter(
        t.content for t in added if t.special or t.content.startswith(("<", "["))
    )
    if kind == "chat":
        write = prompts.chat(quote, names, template, _named_tokens(settings), where)
    else:
        write = {"speakers": prompts.speakers, "reddit": prompts.reddit}[kind](quote, names)

    context = _context(directory, chosen, config, settings)
    sampling = Sampling(**chosen.sampling.model_dump())
    card = ModelCard(
        context=context,
        names=names,
        max_tokens=min(sampling.max_tokens or min(200, context // 4 or 1), context - 1),
    )
    stop = _DEFAULT_STOPS[kind] if chosen.stop is None else tuple(chosen.stop)
    ends = _end_ids(
        tokenizer, settings, config, json_files.read(directory / "generation_config.json")
    )
    return Format(kind, card, sampling, stop, tokenizer, write, ends, quote)


def _tokenizer(path: Path) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception
        raise ModelUnusable(f"{path} cannot be used: {error}") from error
    # Files saved while training may carry these, and they would cut or fill up every prompt.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _chat_template(directory: Path, settings: dict[str, Any]) -> tuple[str, str]:
    """The template and the file it is from; both empty when there is none."""
    path = directory / "chat_template.jinja"
    try:
        return path.read_text(encoding="utf-8"), str(path)
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError) as error:
        raise ModelUnusable(f"{path} cannot be read: {error}") from error
    template = settings.get("chat_template")
    if isinstance(template, list):  # several, by name
        by_name = {t.get("name"): t.get("template") for t in template if isinstance(t, dict)}
        template = by_name.get("default")
    if isinstance(template, str):
        return template, str(directory / "tokenizer_config.json")
    return "", ""


def _named_tokens(settings: dict[str, Any]) -> dict[str, str]:
    """`bos_token` and its like, which are written as a string or as an object."""
    named = {}
    for key, token in settings.items():
        content = token.get("content") if isinstance(token, dict) else token
        if key.endswith("_token") and isinstance(content, str):
            named[key] = content
    return {"bos_token": "", "eos_token": "", **named}


def _context(
    directory: Path, chosen: _FormatFile, config: dict[str, Any], settings: dict[str, Any]
) -> int:
    inner = config.get("text_config")
    tables = (config, inner if isinstance(inner, dict) else {})
    found = [(k, t[k]) for t in tables for k in _CONTEXT_KEYS if isinstance(t.get(k), int)]
    if chosen.context and found and chosen.context > found[0][1]:
        raise ModelUnusable(
            f"{directory / 'format.json'}: context: {chosen.context} is more than the model has"
            f" ({found[0][0]} in config.json is {found[0][1]})"
        )
    # Tokenizers without a limit write 10**30 there.
    limit = settings.get("model_max_length")
    usual = int(limit) if isinstance(limit, int | float) and 1 < limit < 10**9 else 0
    context = chosen.context or (found[0][1] if found else usual)
    if not context:
        raise ModelUnusable(
            f"{directory}: nothing says how many tokens the model takes; add"
            ' {"context": NUMBER} as format.json'
        )
    return context


def _end_ids(
    tokenizer: Tokenizer, settings: dict[str, Any], *configs: dict[str, Any]
) -> frozenset[int]:
    ids: set[int] = set()
    for config in configs:
        value = config.get("eos_token_id")
        ids.update(i for i in (value if isinstance(value, list) else [value]) if isinstance(i, int))
    named = tokenizer.token_to_id(_named_tokens(settings)["eos_token"])
    return frozenset(ids if named is None else ids | {named})
