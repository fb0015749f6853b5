"""Keeps LoRA adapters beside a model, several at once. Knows no requests and no rows.

Adapters are loaded when they are first asked for, and again when their files have changed or a link
to their directory has moved: whoever speaks with the old ones then goes on with them to the end. As
long as the new ones cannot be used, the old ones are.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import safetensors

from botdaemon.errors import EngineFailed
from models.measure import out_of_memory

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    import torch

log = logging.getLogger(__name__)

MOST = 8
"""Adapters that stay loaded; those least recently asked for go first."""

_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
_BASE = "__base__"
"""What peft calls a row without an adapter."""

Stamp = tuple[tuple[int, int, int], ...]
"""Of each file its inode, bytes, and time of change in nanoseconds."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    #: what peft and the rows call it; another one for each version of the files
    key: str
    stamp: Stamp
    #: that of files which were found since and cannot be used; () for none at all
    refused: Stamp | None = None


class Adapters:
    """The adapters of one model."""

    def __init__(self, network: Any, model: str, directories: Mapping[str, Path]) -> None:
        self._base = network
        self._model = model
        self._directories = dict(directories)
        #: by their names in the configuration, the least recently asked for first
        self._loaded: dict[str, _Loaded] = {}
        #: versions whose files have changed since, or that were not asked for
        self._old: set[str] = set()
        self._peft: Any = None
        self._worn: list[str] = []
        self._hooked: set[Any] = set()
        self._versions = 0

    def key(self, name: str, used: Collection[str]) -> str:
        """Load the adapter if it is not. Returns what `wear` calls it; "" is the model itself.
        `used` are the keys that rows still need. Raises `EngineFailed` when it cannot be had."""
        if not name:
            return ""
        directory = self._directories.get(name)
        if directory is None:
            known = ", ".join(f'"{n}"' for n in self._directories) or "none"
            raise EngineFailed(
                f'model "{self._model}" has no adapter "{name}"; it has {known}: add it under'
                f" models.{self._model}.adapters"
            )
        loaded = self._loaded.pop(name, None)
        try:
            # Resolved once: the link may move while the files are read.
            loaded = self._as_it_is_now(name, directory.resolve(), loaded)
        finally:
            if loaded:
                self._loaded[name] = loaded
        self._forget(used)
        return loaded.key

    def wear(self, keys: list[str]) -> None:
        """The adapter of each line of the next forward."""
        self._worn = [key or _BASE for key in keys]

    def _as_it_is_now(self, name: str, directory: Path, loaded: _Loaded | None) -> _Loaded:
        stamp: Stamp = ()
        try:
            stamp = self._stamp(name, directory)
            if loaded is None or stamp not in (loaded.stamp, loaded.refused):
                return self._load(name, directory, stamp, loaded)
        except EngineFailed as error:
            if loaded is None:
                raise
            if loaded.refused != stamp:
                log.error("%s; it goes on as it was", error)
            return replace(loaded, refused=stamp)
        return loaded

    def _stamp(self, name: str, directory: Path) -> Stamp:
        try:
            stats = [(directory / file).stat() for file in (_CONFIG, _WEIGHTS)]
        except OSError as error:
            raise self._unusable(
                name, f"{error.filename} cannot be read: {error.strerror}"
            ) from error
        return tuple((stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats)

    def _load(self, name: str, directory: Path, stamp: Stamp, old: _Loaded | None) -> _Loaded:
        self._examine(name, directory)
        import peft

        self._versions += 1
        key = f"{self._versions}:{name}".replace(".", "_")  # torch allows no dots in names
        try:
            if self._peft is None:
                self._peft = peft.PeftModel.from_pretrained(self._base, directory, adapter_name=key)
            else:
                self._peft.load_adapter(directory, adapter_name=key)
        except Exception as error:
            if self._peft is not None and key in self._peft.peft_config:
                self._peft.delete_adapter(key)
            if out_of_memory(error):
                raise
            raise self._unusable(name, f"peft cannot load it: {error}") from error
        self._peft.set_adapter(key)  # or peft would complain when the old one is deleted
        self._peft.eval()
        self._hook()
        if old:
            self._old.add(old.key)
        log.info('model "%s": adapter "%s" loaded%s', self._model, name, " again" if old else "")
        return _Loaded(key, stamp)

    def _hook(self) -> None:
        """Tell each layer which line wears what. peft's own `adapter_names` would do it too, but
        its hooks stay behind when a forward raises."""
        from peft.tuners.lora import LoraLayer

        def wearing(_: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            return args, {**kwargs, "adapter_names": self._worn}

        layers: list[Any] = [m for m in self._base.modules() if isinstance(m, LoraLayer)]
        for layer in layers:
            if layer not in self._hooked:
                layer.register_forward_pre_hook(wearing, with_kwargs=True)
                self._hooked.add(layer)

    def _forget(self, used: Collection[str]) -> None:
        for name in list(self._loaded)[:-MOST]:
            self._old.add(self._loaded.pop(name).key)
        for key in self._old - set(used):
            self._peft.delete_adapter(key)
            self._old.remove(key)

    # --- what may be wrong with the files --------------------------------------------------------

    def _examine(self, name: str, directory: Path) -> None:
        """Compare it with the model, before peft does and says it less clearly."""
        try:
            config = json.loads((directory / _CONFIG).read_text(encoding="utf-8"))
            with safetensors.safe_open(directory / _WEIGHTS, "pt") as file:
                shapes = {key: file.get_slice(key).get_shape() for key in _keys(file)}
        except (ValueError, OSError, safetensors.SafetensorError) as error:
            raise self._unusable(
                name, f"{directory} is incomplete or damaged ({error}); copy it again"
            ) from error
        kind = config.get("peft_type") if isinstance(config, dict) else None
        if kind != "LORA":
            raise self._unusable(name, f"{directory} holds {kind or 'something else'}, not LORA")
        for option in (
            "use_dora",
            "modules_to_save",
            "trainable_token_indices",
            "target_parameters",
        ):
            if config.get(option):
                raise self._unusable(
                    name,
                    f'{directory} was trained with "{option}", which no batch can mix with'
                    " others; merge it into the model, or train it without",
                )
        modules = dict(self._base.named_modules())
        for key, shape in shapes.items():
            path, side, _ = key.removeprefix(_PREFIX).rpartition(".lora_A")
            axis = "takes"
            if not side:
                path, side, _ = key.removeprefix(_PREFIX).rpartition(".lora_B")
                axis = "gives"
            if not side:
                continue
            module = modules.get(path)
            if module is None:
                raise self._unusable(
                    name,
                    f"it changes {path}, which the model does not have; it was trained on"
                    f" another ({config.get('base_model_name_or_path')})",
                )
            has = _features(module)[axis]
            wants = shape[1] if axis == "takes" else shape[0]
            if has != wants:
                raise self._unusable(
                    name,
                    f"its {path} {axis} {wants} numbers, the model's {has}; it was trained on"
                    f" another ({config.get('base_model_name_or_path')})",
                )

    def _unusable(self, name: str, why: str) -> EngineFailed:
        return EngineFailed(f'adapter "{name}" of model "{self._model}" cannot be used: {why}')


def _features(module: torch.nn.Module) -> dict[str, int]:
    """How many numbers a layer takes and gives. GPT-2's Conv1D has its weight the other way."""
    base: Any = getattr(module, "base_layer", module)
    gives, takes = base.weight.shape
    if type(base).__name__ == "Conv1D":
        gives, takes = takes, gives
    return {"takes": takes, "gives": gives}


def _keys(file: Any) -> list[str]:
    """The names of the tensors in a safetensors file, whose types do not say that it has them."""
    return list(file.keys())
