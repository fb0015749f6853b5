"""Reads how a directory of sentence-transformers wants its vectors made. Knows no torch.

The format is that of sentence-transformers 2 to 6
(https://sbert.net/docs/sentence_transformer/usage/custom_models.html): `modules.json` lists what
follows what; `sentence_bert_config.json`, beside the weights, says how much of a text is read;
`config_sentence_transformers.json` what is put before it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from botdaemon.errors import ModelUnusable
from botdaemon.types import EmbedderCard
from models.json_files import read

if TYPE_CHECKING:
    from pathlib import Path

Pooling = Literal["mean", "cls", "lasttoken"]

_POOLINGS: dict[str, Pooling] = {"mean": "mean", "cls": "cls", "lasttoken": "lasttoken"}
#: tokens where nothing says how many
_CONTEXT = 512
#: Where a tokenizer knows no bound it says 10^30.
_UNBOUNDED = 10**6
#: the flags that older directories have instead of "pooling_mode"
_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_lasttoken": "lasttoken",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
}
#: as sentence-transformers looks for the prompt of what is looked through
_DOCUMENT = ("document", "passage", "corpus")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How vectors are made with a model."""

    card: EmbedderCard
    #: the directory of the transformer itself
    body: Path
    pooling: Pooling
    #: whether the directory says that texts are to be in small letters
    lower: bool
    #: put before what people ask, and before what is looked through
    question: str
    passage: str


def body(directory: Path) -> Path:
    """The directory of the transformer itself. Raises `ModelUnusable`."""
    return directory / str(_modules(directory)[0].get("path", ""))


def load(directory: Path) -> Layout:
    """Raises `ModelUnusable` for what is no directory of sentence-transformers, or one with parts
    that are not known here."""
    modules = _modules(directory)
    inner = body(directory)
    pooling = read(directory / str(modules[1].get("path", "")) / "config.json")
    config, reading = read(inner / "config.json"), read(inner / "sentence_bert_config.json")
    general = read(directory / "config_sentence_transformers.json")
    dimension = (
        pooling.get("embedding_dimension")
        or pooling.get("word_embedding_dimension")
        or config.get("hidden_size")
    )
    if not isinstance(dimension, int):
        raise ModelUnusable(f"{directory} does not say how many numbers its vectors have")
    return Layout(
        card=EmbedderCard(
            dimension=dimension,
            context=_context(reading, read(inner / "tokenizer_config.json"), config),
            identity=_identity(directory, inner),
        ),
        body=inner,
        pooling=_pooling(directory, pooling),
        lower=bool(reading.get("do_lower_case")),
        question=_prompt(general, ("query",)),
        passage=_prompt(general, _DOCUMENT),
    )


def _modules(directory: Path) -> list[dict[str, Any]]:
    path = directory / "modules.json"
    try:
        modules = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ModelUnusable(
            f"{directory} is no directory of sentence-transformers: it has no modules.json"
        ) from None
    except OSError as error:
        raise ModelUnusable(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ModelUnusable(f"{path} is not valid JSON: {error}") from error
    if not isinstance(modules, list) or not all(isinstance(one, dict) for one in modules):
        raise ModelUnusable(f"{path} must hold a list of objects")
    kinds = [str(one.get("type", "")).rpartition(".")[2] for one in modules]
    # Whether it ends in Normalize says nothing: what is compared by its direction always is.
    if kinds[:2] != ["Transformer", "Pooling"] or set(kinds[2:]) - {"Normalize"}:
        raise ModelUnusable(
            f"{path} has the parts {', '.join(kinds) or 'nothing'}; what is known here are a"
            " Transformer, then a Pooling, and perhaps a Normalize"
        )
    return modules


def _pooling(directory: Path, config: dict[str, Any]) -> Pooling:
    mode = config.get("pooling_mode") or [name for flag, name in _FLAGS.items() if config.get(flag)]
    modes = mode if isinstance(mode, list) else [mode]
    if len(modes) == 1 and modes[0] in _POOLINGS and config.get("include_prompt", True):
        return _POOLINGS[modes[0]]
    how = " and ".join(map(str, modes)) or "nothing"
    without = "" if config.get("include_prompt", True) else ", without the prompt"
    raise ModelUnusable(
        f"the model in {directory} pools by {how}{without}; what is known here are"
        f" {', '.join(_POOLINGS)}"
    )


def _context(reading: dict[str, Any], tokenizer: dict[str, Any], config: dict[str, Any]) -> int:
    said = reading.get("max_seq_length")
    if isinstance(said, int):
        return said
    bounds = (tokenizer.get("model_max_length"), config.get("max_position_embeddings"))
    known = [int(bound) for bound in bounds if isinstance(bound, int | float)]
    return min((bound for bound in known if bound < _UNBOUNDED), default=_CONTEXT)


def _prompt(general: dict[str, Any], names: tuple[str, ...]) -> str:
    prompts = general.get("prompts")
    found = prompts if isinstance(prompts, dict) else {}
    wanted = (*names, general.get("default_prompt_name"))
    return next((found[name] for name in wanted if isinstance(found.get(name), str)), "")


def _identity(directory: Path, inner: Path) -> str:
    """Of everything small, and of the weights their size, beginning and end. A copy is the same
    model, and megabytes need not be read to know it."""
    digest = hashlib.sha256()
    small = [*directory.glob("*.json"), *directory.glob("*_Pooling/*.json"), *inner.glob("*.json")]
    for path in sorted(set(small)):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    for path in sorted(inner.glob("*.safetensors")):
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(2**16)
            file.seek(max(0, size - 2**16))
            digest.update(f"{path.name} {size}".encode() + start + file.read())
    return digest.hexdigest()
