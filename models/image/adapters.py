"""Puts LoRA adapters on a pipeline and takes them off. Knows no request.

They are loaded when first asked for and again when their file has changed; the few used last stay
loaded.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from botdaemon.errors import EngineFailed
from models import preflight
from models.measure import out_of_memory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

#: adapters that stay loaded; each takes up to some hundred MB
MOST_LOADED = 4


class Adapters:
    """The LoRA adapters of one pipeline: their names, and the files or directories they are in."""

    def __init__(self, model: str, pipeline: Any, paths: Mapping[str, Path]) -> None:
        self._model = model
        self._pipeline = pipeline
        self._paths = paths
        #: what was loaded, as its file was then; used last at the end
        self._loaded: dict[str, tuple[int, int]] = {}

    def use(self, wanted: Sequence[tuple[str, float]]) -> None:
        """Draw with these, each with its weight, and no others. Raises `EngineFailed` for one that
        does not exist or was made for another model."""
        weights = dict(wanted)
        for name in weights:
            self._have(name)
        for name in list(self._loaded)[: max(0, len(self._loaded) - MOST_LOADED)]:
            if name not in weights:
                self._forget(name)
        if weights:
            self._pipeline.enable_lora()
            self._pipeline.set_adapters(list(weights), list(weights.values()))
        elif self._loaded:
            self._pipeline.disable_lora()

    def _have(self, name: str) -> None:
        if name not in self._paths:
            there = f"it has {', '.join(sorted(self._paths))}" if self._paths else "it has none"
            raise EngineFailed(f'model "{self._model}" has no adapter "{name}"; {there}')
        file = preflight.adapter(self._paths[name])
        state = file.stat()
        version = (state.st_mtime_ns, state.st_size)
        if self._loaded.pop(name, version) != version:
            self._forget(name)
        if name not in self._held():
            self._load(name, file)
        self._loaded[name] = version

    def _load(self, name: str, file: Path) -> None:
        try:
            self._pipeline.load_lora_weights(
                file.parent, weight_name=file.name, adapter_name=name, local_files_only=True
            )
            reason = "none of its weights belongs to a part of the model"
        except Exception as error:  # the libraries raise nearly anything for a wrong base
            if out_of_memory(error):
                raise
            reason = " ".join(str(error).split())[:300]
            self._forget(name)
        if name not in self._held():
            raise EngineFailed(
                f'the adapter "{name}" ({file}) does not fit model "{self._model}": {reason}'
            )

    def _held(self) -> set[str]:
        """The adapters that any part of the pipeline has."""
        return {name for names in self._pipeline.get_list_adapters().values() for name in names}

    def _forget(self, name: str) -> None:
        self._loaded.pop(name, None)
        with contextlib.suppress(ValueError, KeyError):  # it was never there, or in some parts only
            self._pipeline.delete_adapters(name)
