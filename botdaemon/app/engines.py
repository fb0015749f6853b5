"""The engines that the configuration describes: models on this machine, on other people's servers,
and the echo. Imports none of them before it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botdaemon import logs
from botdaemon.app import imports, judges
from botdaemon.app.sound import speaking
from botdaemon.config import (
    ClassifierConfig,
    Config,
    DiffusersConfig,
    EchoConfig,
    EmbedderConfig,
    ImageBotConfig,
    ModelConfig,
    OpenAIConfig,
    SpeechConfig,
    TextBotConfig,
    TransformersConfig,
    WhisperConfig,
    read_key,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AsyncExitStack
    from pathlib import Path

    from botdaemon.ports import (
        Classifier,
        Embedder,
        HearingEngine,
        ImageEngine,
        SpeechEngine,
        TextEngine,
    )


#: by the interface of their servers; all others write
_REMOTE = {
    "images": imports.REMOTE_IMAGE,
    "transcriptions": imports.REMOTE_HEARING,
    "speech": imports.REMOTE_SPEECH,
}


@dataclass(frozen=True, slots=True)
class Engines:
    """An engine for each model, and the lines about them for /status."""

    text: Mapping[str, TextEngine]
    image: Mapping[str, ImageEngine]
    embedders: Mapping[str, Embedder]
    classifiers: Mapping[str, Classifier]
    hearing: Mapping[str, HearingEngine]
    speech: Mapping[str, SpeechEngine]
    status: Callable[[], list[str]]
    #: names the model processes that hang
    silent: Callable[[], list[str]] = list
    #: of each model process a `models.process.Status`
    processes: Callable[[], Sequence[Any]] = tuple


def wanted(config: Config) -> set[str]:
    """The models that bots think, look up, hear and speak with, those that answer in their place,
    and those that look through what is said."""
    names = {config.hearing.model} - {""}
    names |= set(judges.classifiers(config))
    for bot in config.bots.values():
        if isinstance(bot, TextBotConfig | ImageBotConfig):
            names.add(bot.model)
        if isinstance(bot, ImageBotConfig) and bot.improve:
            names.add(bot.improve)
        if isinstance(bot, TextBotConfig) and bot.knowledge and bot.knowledge.model:
            names.add(bot.knowledge.model)
        if isinstance(bot, TextBotConfig) and bot.memory is not None:
            names |= {name for name in (bot.memory.facts, bot.memory.summarise) if name}
        if isinstance(bot, TextBotConfig) and bot.enrich is not None:
            names.add(bot.enrich.model)
    names |= {table.model for table in speaking(config).values()}
    further = list(names)
    while further:
        model = config.models[further.pop()]
        if isinstance(model, OpenAIConfig) and model.fall_back and model.fall_back not in names:
            names.add(model.fall_back)
            further.append(model.fall_back)
    return names


async def make_engines(
    config: Config, stack: AsyncExitStack, names: Iterable[str], directory: Path
) -> Engines:
    """Start what these models need. In `directory` is kept what they were measured to take."""
    chosen = {name: config.models[name] for name in sorted(names)}
    text: dict[str, TextEngine] = {}
    image: dict[str, ImageEngine] = {}
    embedders: dict[str, Embedder] = {}
    classifiers: dict[str, Classifier] = {}
    hearing: dict[str, HearingEngine] = {}
    speech: dict[str, SpeechEngine] = {}
    specs = imports.named(imports.SPECS_OF)(chosen)
    fleet: Any = None
    if specs:
        fleet = await stack.enter_async_context(
            imports.named(imports.FLEET)(
                specs,
                base=config.path.parent,
                budgets=imports.named(imports.BUDGETS)(config),
                footprints=footprints_file(directory),
                confined=config.daemon.confine_models,
            )
        )
    for name, table in chosen.items():
        match table:
            case EchoConfig():
                text[name] = imports.named(imports.ECHO)(delay=table.delay_seconds)
            case TransformersConfig():
                text[name] = fleet.text(name)
            case DiffusersConfig():
                image[name] = fleet.image(name)
            case EmbedderConfig():
                embedders[name] = fleet.embedder(name)
            case ClassifierConfig():
                classifiers[name] = fleet.classifier(name)
            case WhisperConfig():
                hearing[name] = fleet.hearing(name)
            case SpeechConfig():
                speech[name] = fleet.speech(name)
            case OpenAIConfig():
                kind = _REMOTE.get(table.api, imports.REMOTE_TEXT)
                key = read_key(config, name)
                if key is not None:
                    logs.redact(key)
                engine = await stack.enter_async_context(imports.named(kind)(name, table, key))
                sorts: dict[str, dict[str, Any]] = {
                    "images": image,
                    "transcriptions": hearing,
                    "speech": speech,
                }
                sorts.get(table.api, text)[name] = engine
    _fall_back(chosen, text, image)
    return Engines(
        text,
        image,
        embedders,
        classifiers,
        hearing,
        speech,
        lambda: _status(chosen, fleet),
        fleet.silent if fleet is not None else list,
        lambda: fleet.status() if fleet is not None else (),
    )


def footprints_file(directory: Path) -> Path:
    """Where it is kept what models were measured to take."""
    return directory / "footprints.json"


def _fall_back(
    chosen: Mapping[str, ModelConfig],
    text: dict[str, TextEngine],
    image: dict[str, ImageEngine],
) -> None:
    """Models that another answers for, the last of each chain first."""

    def linked(name: str, engines: dict[str, Any]) -> Any:
        table = chosen[name]
        if not isinstance(table, OpenAIConfig) or not table.fall_back:
            return engines[name]
        return imports.named(imports.FALL_BACK)(engines[name], linked(table.fall_back, engines))

    for engines in (text, image):
        alone: dict[str, Any] = dict(engines)
        for name in alone:
            engines[name] = linked(name, alone)


def _status(chosen: Mapping[str, ModelConfig], fleet: Any) -> list[str]:
    lines = [f"models: {', '.join(chosen) or 'none'}"]
    for process in fleet.status() if fleet is not None else ():
        state = "ready" if process.ready else "starting"
        models = ", ".join(f"{name} {where}" for name, where in process.models.items())
        lines.append(
            f"model process on {process.name}: {state}, {models or 'nothing loaded yet'}; "
            f"{process.requests} requests, {process.memory / 2**20:.0f} MiB, "
            f"{process.restarts} restarts"
        )
    return lines
