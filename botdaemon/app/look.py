"""Looking at models and platforms without starting the daemon, for `botdaemon check` and `setup`.
Imports no model library."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from botdaemon.app import imports, judges
from botdaemon.app.parts import tokens
from botdaemon.app.personas import weighed
from botdaemon.commands import COMMANDS
from botdaemon.config import (
    ChatConfig,
    ClassifierConfig,
    Config,
    DiffusersConfig,
    EchoConfig,
    EmbedderConfig,
    ModelConfig,
    OpenAIConfig,
    SpeechConfig,
    TextBotConfig,
    TransformersConfig,
    WhisperConfig,
)
from botdaemon.errors import ConfigError
from botdaemon.types import (
    ClassifierCard,
    EmbedderCard,
    Finding,
    ImageCard,
    ModelCard,
    TextRequest,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from botdaemon.bots.packing import Count
    from botdaemon.check import Overhead
    from botdaemon.ports import TextEngine
    from botdaemon.types import ChatLine


def setup_guide(platform: str, table: ChatConfig | None) -> str:
    """What to do to connect a platform, from nothing to the table to write."""
    return str(imports.named(imports.GUIDES[platform])(table, COMMANDS))


async def probe(config: Config) -> AsyncIterator[Finding]:
    """Log in to every chat platform, and compare what is granted with what is needed."""
    for name, table in config.adapters.items():
        if not isinstance(table, ChatConfig):
            continue
        try:
            secrets = tokens(config, name)
        except ConfigError as error:
            yield Finding(Verdict.PROBLEM, str(error))
            continue
        async for finding in imports.named(imports.PROBES[table.kind])(
            name, table, *secrets, COMMANDS
        ):
            yield finding


def inspect_model(config: Config, table: ModelConfig) -> str:
    """What a model is, in a few words. Raises `ModelUnusable`; imports no model library."""
    match table:
        case EchoConfig():
            return "echo"
        case OpenAIConfig():
            return f"{table.model} on {' and '.join(table.servers)}"
        case TransformersConfig():
            card = _format(config, table).card
            return f"{table.hub or table.path}, a context of {card.context} tokens"
        case EmbedderConfig():
            made: EmbedderCard = imports.named(imports.EMBEDDER)(_directory(config, table)).card
            return (
                f"{table.hub or table.path}, vectors of {made.dimension} numbers for"
                f" {made.context} tokens"
            )
        case WhisperConfig():
            imports.named(imports.FIND_WHISPER)(table.path)
            return f"{table.path}, writes down what is said in recordings"
        case SpeechConfig():
            imports.named(imports.FIND_SPEECH)(str(table.path or ""), table.language)
            return f"{table.path or f'espeak-ng ({table.language})'}, speaks"
        case DiffusersConfig():
            drawn = _image_card(config, table)
            return (
                f"{table.hub or table.path}, pictures of {drawn.width} x {drawn.height} pixels in "
                f"{drawn.steps} steps"
            )
        case ClassifierConfig():
            told = _labels(config, table)
            return f"{table.hub or table.path}, a classifier of {told.of}: {', '.join(told.labels)}"


def label_problems(config: Config) -> Iterator[tuple[tuple[str, ...], str]]:
    """Where a label is asked for that a classifier has not. Raises `ModelUnusable`."""

    def card(name: str) -> ClassifierCard:
        table = config.models[name]
        if not isinstance(table, ClassifierConfig):
            raise TypeError(f"{name} is no classifier")
        return _labels(config, table)

    return judges.label_problems(config, card)


def weigh(config: Config, bot: str) -> Overhead:
    """Where the context of a text bot's model goes."""
    table = config.bots[bot]
    if not isinstance(table, TextBotConfig):
        raise TypeError(f"{bot} is no text bot")
    count, card = _counting(config, bot, table.model)
    reply = min(table.sampling.max_tokens or card.max_tokens, card.context // 2)
    return asyncio.run(weighed(config, table, count, card.context, reply))


def _counting(config: Config, bot: str, name: str) -> tuple[Count, ModelCard]:
    """How a model counts the tokens of a bot's prompts, and what is to be known of it."""
    model = config.models[name]

    def request(lines: Sequence[ChatLine]) -> TextRequest:
        return TextRequest(model=name, speaker=bot, lines=tuple(lines))

    if isinstance(model, TransformersConfig):
        form = _format(config, model)
        most = model.sampling.max_tokens or form.card.max_tokens

        async def encoded(lines: Sequence[ChatLine]) -> int:
            return len(form.encode(request(lines)))

        return encoded, replace(form.card, max_tokens=most)
    if isinstance(model, OpenAIConfig):
        estimate = imports.named(imports.ESTIMATE)

        async def estimated(lines: Sequence[ChatLine]) -> int:
            # Its server counts; until it runs, what a token is can only be guessed.
            return int(estimate([line.text for line in lines]))

        return estimated, ModelCard(context=model.context)
    engine: TextEngine = imports.named(imports.ECHO)()

    async def counted(lines: Sequence[ChatLine]) -> int:
        return await engine.count(request(lines))

    return counted, engine.card


def _format(config: Config, table: TransformersConfig) -> Any:
    return imports.named(imports.FORMAT)(_directory(config, table))


def _image_card(config: Config, table: DiffusersConfig) -> ImageCard:
    card: ImageCard = imports.named(imports.MANNERS)(_directory(config, table))
    return card


def _labels(config: Config, table: ClassifierConfig) -> ClassifierCard:
    card: ClassifierCard = imports.named(imports.LABELS)(_directory(config, table))
    return card


def _directory(
    config: Config,
    table: TransformersConfig | DiffusersConfig | EmbedderConfig | ClassifierConfig,
) -> Any:
    kinds = {"diffusers": "image", "transformers": "text"}
    return imports.named(imports.RESOLVE)(
        str(table.path or table.hub),
        base=config.path.parent,
        revision=table.revision,
        kind=kinds.get(table.kind, table.kind),
    )
