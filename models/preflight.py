"""Finds a model's directory and says what is wrong with it. Knows no network and never loads it.

`botdaemon check` and the daemon's start call `resolve`, so that a mistake is one clear sentence
there and not a traceback out of a model library later.
"""

from __future__ import annotations

import difflib
import json
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from botdaemon.errors import ModelUnusable
from models import labels
from models.embed import layout

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind = Literal["text", "image", "embedder", "classifier", "hearing", "speech"]
"""What a model is for. The files of the last two are looked at by `models.sound.files`."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_LFS = b"version https://git-lfs"
#: what weights are called, before ".safetensors": by transformers, by diffusers
_WEIGHTS = ("model", "diffusion_pytorch_model")
_VARIANTS = ("fp16", "bf16")
# The parts of a pipeline that have no weights, by the names of their classes.
_WEIGHTLESS = re.compile(
    r"(Scheduler|Tokenizer(Fast)?|TokenizersBackend|Processor(Fast|Pil)?|Extractor)$"
)


def resolve(
    path_or_id: str,
    *,
    base: Path,
    revision: str | None = None,
    kind: Kind = "text",
) -> Path:
    """The directory of a local model (relative ones are looked for in `base`) or of a hub id in
    this machine's cache, after a look at its files. A text model or a classifier is a directory of
    transformers, an image model a pipeline directory of diffusers, an embedder one of
    sentence-transformers. Raises `ModelUnusable`."""
    local = base / Path(path_or_id).expanduser()
    try:
        there = local.exists()
    except OSError as error:
        raise ModelUnusable(f"{local} cannot be looked into: {error.strerror}") from error
    if there:
        directory = local
    elif _HUB_ID.fullmatch(path_or_id):
        directory = _cached(path_or_id, revision, local, kind)
    else:
        raise ModelUnusable(f"there is no model directory {local}{_near(local)}")
    with _readable(directory):
        if not directory.is_dir():
            raise ModelUnusable(f"{directory} is a file; name the directory that holds the model")
        if kind == "image":
            _examine_pipeline(directory)
        elif kind == "embedder":
            _examine(layout.load(directory).body, rewrite="Model")
        elif kind == "classifier":
            _examine_classifier(directory)
        else:
            _examine(directory)
    return directory


def adapter(path: Path) -> Path:
    """The file of an image model's LoRA adapter: `path` itself, or the only safetensors file in
    it. Raises `ModelUnusable`."""
    with _readable(path):
        if path.is_dir():
            files = sorted(path.glob("*.safetensors"))
            if len(files) != 1:
                found = f"{len(files)} files" if files else "no file"
                raise ModelUnusable(
                    f"{path} holds {found} named *.safetensors; name the one that is the adapter"
                )
            path = files[0]
        elif not path.exists():
            raise ModelUnusable(f"there is no adapter {path}")
        elif path.suffix in _PICKLES:
            raise ModelUnusable(
                f"{path} is a pickle, which can run any code when it is loaded; take the adapter"
                " as safetensors"
            )
        _examine_safetensors(path)
    return path


def variant(directory: Path) -> str | None:
    """The form of the weights to load from a pipeline directory, for one in which a part has not
    the plain one."""
    for part in sorted(directory.iterdir()):
        names = {path.name for path in part.iterdir()} if part.is_dir() else set()
        plain = {f"{name}.safetensors{end}" for name in _WEIGHTS for end in ("", ".index.json")}
        for form in _VARIANTS:
            if not plain & names and any(f".{form}." in name for name in names):
                return form
    return None


@contextmanager
def _readable(directory: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise ModelUnusable(
            f"{error.filename} cannot be read by this user; make it readable with:"
            f" chmod -R a+rX {directory}"
        ) from error
    except OSError as error:
        raise ModelUnusable(f"{error.filename} cannot be read: {error.strerror}") from error


def _cached(hub_id: str, revision: str | None, local: Path, kind: str) -> Path:
    try:
        from huggingface_hub import errors, snapshot_download
    except ImportError as error:
        raise ModelUnusable(
            f"there is no model directory {local}{_near(local)}; for models from the hub install"
            f" botdaemon[{'images' if kind == 'image' else 'text'}]"
        ) from error
    try:
        return Path(snapshot_download(hub_id, revision=revision, local_files_only=True))
    except errors.IncompleteSnapshotError as error:
        # Not all files of the repository, which may be all that is needed: they are looked at next.
        return Path(error.snapshot_path)
    except (errors.LocalEntryNotFoundError, errors.HFValidationError) as error:
        wanted = f"{hub_id} --revision {revision}" if revision else hub_id
        raise ModelUnusable(
            f'there is no model directory {local}{_near(local)}, and the hub model "{hub_id}"'
            f" is not on this machine; if that is what you mean, fetch it first with:"
            f" botdaemon models pull {wanted}"
        ) from error


def _near(missing: Path) -> str:
    """What lies beside a directory that is not there."""
    try:
        siblings = sorted(
            path.name
            for path in missing.parent.iterdir()
            if (path / "config.json").exists() or (path / "model_index.json").exists()
        )
    except FileNotFoundError:
        return f" (not even {missing.parent})"
    except OSError:
        return ""
    close = difflib.get_close_matches(missing.name, siblings, n=1)
    if close:
        return f' (did you mean "{close[0]}"?)'
    return f" (beside it: {', '.join(siblings[:5])})" if siblings else ""


def _examine(directory: Path, rewrite: str = "ModelForCausalLM") -> None:
    """`rewrite`: the class of transformers that the model is one of."""
    names = {path.name for path in directory.iterdir()}
    if "config.json" not in names:
        raise ModelUnusable(f"{directory} is no text model: {_instead(names)}")
    config = _json(directory / "config.json")
    if config.get("is_encoder_decoder"):
        raise ModelUnusable(
            f"{directory} is no text model that continues a conversation, but a"
            f" {config.get('model_type', 'sequence-to-sequence')} model (encoder and decoder)"
        )
    for weights in _weights(directory, names, _rewrite(rewrite, directory)):
        _examine_safetensors(weights)
    if "tokenizer.json" not in names:
        raise ModelUnusable(
            f"{directory} has no tokenizer.json; write it once with:"
            f" {_rewrite('Tokenizer', directory)}"
        )
    _json(directory / "tokenizer.json")


def _examine_classifier(directory: Path) -> None:
    names = {path.name for path in directory.iterdir()}
    if "config.json" not in names:
        raise ModelUnusable(f"{directory} is no classifier: {_instead(names)}")
    texts = labels.card(directory).of == "texts"
    auto = "ModelForSequenceClassification" if texts else "ModelForImageClassification"
    for weights in _weights(directory, names, _rewrite(auto, directory)):
        _examine_safetensors(weights)
    reader = "tokenizer.json" if texts else "preprocessor_config.json"
    if reader not in names:
        raise ModelUnusable(
            f"{directory} has no {reader}; write it once with:"
            f" {_rewrite('Tokenizer' if texts else 'ImageProcessor', directory)}"
        )
    _json(directory / reader)


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


def _examine_pipeline(directory: Path) -> None:
    names = {path.name for path in directory.iterdir()}
    if "model_index.json" not in names:
        raise ModelUnusable(f"{directory} is no image model: {_instead_of_pipeline(names)}")
    index = _json(directory / "model_index.json")
    parts = {
        name: entry
        for name, entry in index.items()
        # Other values are settings; [null, null] is a part that was left out.
        if not name.startswith("_") and isinstance(entry, list) and entry[:1] != [None]
    }
    if not parts or not isinstance(index.get("_class_name"), str):
        raise ModelUnusable(f"{directory / 'model_index.json'} names no pipeline that can be used")
    rewrite = (
        'python -c "from diffusers import DiffusionPipeline as P;'
        f" P.from_pretrained('{directory}').save_pretrained('{directory}')\""
    )
    for name, entry in parts.items():
        folder = directory / name
        if not folder.is_dir():
            raise ModelUnusable(
                f'model_index.json in {directory} names "{name}", but {folder} is'
                " missing; copy or fetch the model again"
            )
        files = {path.name for path in folder.iterdir()}
        if (library := f"{entry[0]}.py") in files or library in names:
            raise ModelUnusable(
                f'"{name}" in {directory} is code of its own ({library}), which is not run here'
            )
        for path in sorted(folder.iterdir()):
            if path.suffix == ".json":
                _json(path)
            elif path.is_file() and _start(path) == _LFS:
                raise _pointer(path)
        if _WEIGHTLESS.search(str(entry[-1])):
            if not files:
                raise ModelUnusable(f"{folder} is empty; copy or fetch the model again")
            continue
        if "config.json" not in files:
            raise ModelUnusable(f"{folder} has no config.json; copy or fetch the model again")
        for weights in _weights(folder, files, rewrite):
            _examine_safetensors(weights)


def _instead_of_pipeline(names: set[str]) -> str:
    if not names:
        return "the directory is empty"
    if "config.json" in names:
        return "it has no model_index.json, but config.json: it is a text model, or one part only"
    single = next((name for name in sorted(names) if name.endswith(".safetensors")), "")
    if single:
        return (
            f"it has no model_index.json, but {single}, a model in one file; take it as a pipeline"
            " directory of diffusers instead"
        )
    return f"it has no model_index.json (it has {', '.join(sorted(names)[:5])})"


def _weights(directory: Path, names: set[str], rewrite: str) -> list[Path]:
    """The files of a model's weights; `rewrite` is the command that makes them safetensors."""
    for form in ("", *(f".{variant}" for variant in _VARIANTS)):
        for name in _WEIGHTS:
            if (single := f"{name}{form}.safetensors") in names:
                return [directory / single]
            if (index := f"{name}.safetensors.index{form}.json") in names:
                return _shards(directory / index, names)
    pickles = sorted(name for name in names if name.endswith(_PICKLES) and "training" not in name)
    if pickles:
        raise ModelUnusable(
            f"{directory} has its weights only as a pickle ({pickles[0]}), which can run any code"
            f" when it is loaded; convert it once to safetensors with: {rewrite}"
        )
    raise ModelUnusable(f"{directory} has no weights (model.safetensors)")


def _shards(index: Path, names: set[str]) -> list[Path]:
    shards = sorted(set(_json(index).get("weight_map", {}).values()))
    missing = [shard for shard in shards if shard not in names]
    if missing or not shards:
        what = f"{missing[0]} is missing" if missing else "it names no files"
        raise ModelUnusable(f"{index} names {len(shards)} files of weights, but {what}")
    return [index.parent / shard for shard in shards]


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


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(_LFS))


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
