"""Finds a model's directory and says what is wrong with it. Knows no network and never loads it.

`botdaemon check` and the daemon's start call `resolve`, so that a mistake is one clear sentence
there and not a traceback out of a model library later.
"""

from __future__ import annotations

import difflib
import json
import re
from pathlib import Path
from typing import Any

from botdaemon.errors import ModelUnusable

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_LFS = b"version https://git-lfs"


def resolve(path_or_id: str, *, base: Path, revision: str | None = None) -> Path:
    """The directory of a local model (relative ones are looked for in `base`) or of a hub id in
    this machine's cache, after a look at its files. Raises `ModelUnusable`."""
    local = base / Path(path_or_id).expanduser()
    try:
        there = local.exists()
    except OSError as error:
        raise ModelUnusable(f"{local} cannot be looked into: {error.strerror}") from error
    if there:
        directory = local
    elif _HUB_ID.fullmatch(path_or_id):
        directory = _cached(path_or_id, revision, local)
    else:
        raise ModelUnusable(f"there is no model directory {local}{_near(local)}")
    try:
        _examine(directory)
    except PermissionError as error:
        raise ModelUnusable(
            f"{error.filename} cannot be read by this user; make it readable with:"
            f" chmod -R a+rX {directory}"
        ) from error
    except OSError as error:
        raise ModelUnusable(f"{error.filename} cannot be read: {error.strerror}") from error
    return directory


def _cached(hub_id: str, revision: str | None, local: Path) -> Path:
    try:
        from huggingface_hub import errors, snapshot_download
    except ImportError as error:
        raise ModelUnusable(
            f"there is no model directory {local}{_near(local)}; for models from the hub install"
            " botdaemon[text]"
        ) from error
    try:
        return Path(snapshot_download(hub_id, revision=revision, local_files_only=True))
    except (errors.LocalEntryNotFoundError, errors.HFValidationError) as error:
        wanted = f"{hub_id} --revision {revision}" if revision else hub_id
        raise ModelUnusable(
            f'there is no model directory {local}{_near(local)}, and the hub model "{hub_id}"'
            f" is not on this machine; if that is what you mean, fetch it first with:"
            f" hf download {wanted}"
        ) from error


def _near(missing: Path) -> str:
    """What lies beside a directory that is not there."""
    try:
        siblings = sorted(p.name for p in missing.parent.iterdir() if (p / "config.json").exists())
    except FileNotFoundError:
        return f" (not even {missing.parent})"
    except OSError:
        return ""
    close = difflib.get_close_matches(missing.name, siblings, n=1)
    if close:
        return f' (did you mean "{close[0]}"?)'
    return f" (beside it: {', '.join(siblings[:5])})" if siblings else ""


def _examine(directory: Path) -> None:
    if not directory.is_dir():
        raise ModelUnusable(f"{directory} is a file; name the directory that holds the model")
    names = {path.name for path in directory.iterdir()}
    if "config.json" not in names:
        raise ModelUnusable(f"{directory} is no text model: {_instead(names)}")
    config = _json(directory / "config.json")
    if config.get("is_encoder_decoder"):
        raise ModelUnusable(
            f"{directory} is no text model that continues a conversation, but a"
            f" {config.get('model_type', 'sequence-to-sequence')} model (encoder and decoder)"
        )
    for weights in _weights(directory, names):
        _examine_safetensors(weights)
    if "tokenizer.json" not in names:
        raise ModelUnusable(
            f"{directory} has no tokenizer.json; write it once with:"
            f" {_rewrite('Tokenizer', directory)}"
        )
    _json(directory / "tokenizer.json")


def _instead(names: set[str]) -> str:
    if not names:
        return "the directory is empty"
    if "adapter_config.json" in names:
        return "it has no config.json, but an adapter (LoRA); merge it into its base model first"
    if "model_index.json" in names:
        return "it has no config.json, but model_index.json: it is an image model"
    if any(name.endswith(".gguf") for name in names):
        return (
            "it has no config.json, but a GGUF file; take the model in transformers' form instead"
        )
    return f"it has no config.json (it has {', '.join(sorted(names)[:5])})"


def _weights(directory: Path, names: set[str]) -> list[Path]:
    if "model.safetensors" in names:
        return [directory / "model.safetensors"]
    if "model.safetensors.index.json" in names:
        index = directory / "model.safetensors.index.json"
        shards = sorted(set(_json(index).get("weight_map", {}).values()))
        missing = [shard for shard in shards if shard not in names]
        if missing or not shards:
            what = f"{missing[0]} is missing" if missing else "it names no files"
            raise ModelUnusable(f"{index} names {len(shards)} files of weights, but {what}")
        return [directory / shard for shard in shards]
    pickles = sorted(name for name in names if name.endswith(_PICKLES) and "training" not in name)
    if pickles:
        raise ModelUnusable(
            f"{directory} has its weights only as a pickle ({pickles[0]}), which can run any code"
            " when it is loaded; convert it once to safetensors with:"
            f" {_rewrite('ModelForCausalLM', directory)}"
        )
    raise ModelUnusable(f"{directory} has no weights (model.safetensors)")


def _rewrite(auto_class: str, directory: Path) -> str:
    """A command that loads (pickles without running their code) and saves in the present form."""
    return (
        f'python -c "from transformers import Auto{auto_class} as A;'
        f" A.from_pretrained('{directory}').save_pretrained('{directory}')\""
    )


def _examine_safetensors(path: Path) -> None:
    """Compare the file's size with what its header promises."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if _LFS.startswith(start) and start:
            raise _pointer(path)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > size - 8:
            raise ModelUnusable(f"{path} is incomplete ({size} bytes); copy or fetch it again")
        header = file.read(length)
    try:
        tensors = json.loads(header)
        ends = [t["data_offsets"][1] for name, t in tensors.items() if name != "__metadata__"]
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise ModelUnusable(f"{path} is not a safetensors file; copy or fetch it again") from error
    whole = 8 + length + max(ends, default=0)
    if size < whole:
        raise ModelUnusable(
            f"{path} is incomplete: {size} of {whole} bytes; copy or fetch it again"
        )


def _pointer(path: Path) -> ModelUnusable:
    return ModelUnusable(
        f"{path} is a git-lfs pointer, not the file itself; fetch it with: git lfs pull"
    )


def _json(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    if content.startswith(_LFS):
        raise _pointer(path)
    try:
        data = json.loads(content)
    except ValueError as error:
        raise ModelUnusable(f"{path} is not valid JSON: {error}") from error
    if not isinstance(data, dict):
        raise ModelUnusable(f"{path} must hold a JSON object")
    return data
