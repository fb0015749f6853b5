"""Models of the configuration as the fleet wants them described. Starts none of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botdaemon.config import (
    ClassifierConfig,
    DiffusersConfig,
    EmbedderConfig,
    SpeechConfig,
    TransformersConfig,
    WhisperConfig,
)
from models.process import (
    ClassifierSpec,
    EmbedderSpec,
    HearingSpec,
    ImageSpec,
    SpeechSpec,
    TextSpec,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdaemon.config import Config, ModelConfig
    from models.process import ModelSpec


CACHE, SMALL_CACHE = 512, 96
"""MiB for conversations, the small one with int8, so that OPT-350M's size stays within 1 GB."""


def specs_of(models: Mapping[str, ModelConfig]) -> dict[str, ModelSpec]:
    """Those that run on this machine."""
    specs: dict[str, ModelSpec] = {}
    for name, table in models.items():
        match table:
            case TransformersConfig():
                usual = SMALL_CACHE if table.quantize == "int8" else CACHE
                specs[name] = TextSpec(
                    **_common(table),
                    **_adaptable(table),
                    quantize=table.quantize,
                    batch=table.batch,
                    cache=(table.cache_megabytes or usual) * 2**20,
                    sampling=table.sampling.chosen(),
                )
            case DiffusersConfig():
                specs[name] = ImageSpec(
                    **_common(table), **_adaptable(table), checker=table.checker
                )
            case EmbedderConfig():
                specs[name] = EmbedderSpec(**_common(table), batch=table.batch)
            case ClassifierConfig():
                specs[name] = ClassifierSpec(**_common(table), offload=table.offload)
            case WhisperConfig():
                specs[name] = HearingSpec(
                    **_staying(table),
                    path=str(table.path),
                    device=table.device,
                    dtype=table.dtype,
                    language=table.language,
                )
            case SpeechConfig():
                specs[name] = SpeechSpec(
                    **_staying(table),
                    path=str(table.path or ""),
                    device="cpu",
                    language=table.language,
                    speaker=table.speaker,
                    speed=table.speed,
                )
    return specs


def _common(
    table: TransformersConfig | DiffusersConfig | EmbedderConfig | ClassifierConfig,
) -> dict[str, Any]:
    return {
        "path": str(table.path or table.hub),
        "revision": table.revision,
        "device": table.device,
        "dtype": table.dtype,
        **_staying(table),
    }


def _staying(
    table: TransformersConfig
    | DiffusersConfig
    | EmbedderConfig
    | ClassifierConfig
    | WhisperConfig
    | SpeechConfig,
) -> dict[str, Any]:
    """When it is loaded, and when it goes."""
    return {
        "load": table.load == "start",
        "pinned": table.pinned,
        "idle": 60 * table.idle_minutes,
    }


def _adaptable(table: TransformersConfig | DiffusersConfig) -> dict[str, Any]:
    return {
        "adapters": {adapter: str(path) for adapter, path in table.adapters.items()},
        "offload": table.offload,
    }


def budgets(config: Config) -> dict[str, int]:
    """Bytes that models may take, by device, where the configuration says so."""
    return {name: int(table.memory_gigabytes * 2**30) for name, table in config.devices.items()}
