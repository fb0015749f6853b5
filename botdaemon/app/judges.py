"""The classifiers that the configuration has look through texts and pictures, made. Knows no life
of any part."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from botdaemon.config import ImageBotConfig
from botdaemon.dispatcher import Judge
from botdaemon.errors import BotdaemonError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from botdaemon.config import (
        CheckerConfig,
        ClassifierFilterConfig,
        Config,
        FiltersConfig,
    )
    from botdaemon.ports import Classifier
    from botdaemon.types import ClassifierCard

log = logging.getLogger(__name__)

#: seconds that what people say may wait for a classifier, and what bots say
_HEARD_PATIENCE, _SAID_PATIENCE = 5.0, 30.0

Where = tuple[str, ...]


def classifiers(config: Config) -> Iterator[str]:
    """The names of the models that are used to look through something."""
    for _, table in _filters(config):
        yield table.model
    for _, checker in _checkers(config):
        yield checker.model


def label_problems(
    config: Config, card: Callable[[str], ClassifierCard]
) -> Iterator[tuple[Where, str]]:
    """Where a table asks for a label that its model has not, or has the wrong things classified."""
    for where, table in _filters(config):
        for way, least in (("heard", table.heard), ("said", table.said)):
            yield from _misfits((*where, way), least, table.model, "texts", card)
    for where, checker in _checkers(config):
        yield from _misfits((*where, "labels"), checker.labels, checker.model, "pictures", card)


def _misfits(
    where: Where,
    least: Mapping[str, float],
    model: str,
    of: str,
    card: Callable[[str], ClassifierCard],
) -> Iterator[tuple[Where, str]]:
    if not least:
        return
    told = card(model)
    if told.of != of:
        yield (*where[:-1], "model"), f'"{model}" classifies {told.of}, name one that does {of}'
        return
    for label in least:
        if label not in told.labels:
            known = ", ".join(told.labels[:20])
            yield (*where, label), f'models.{model} has no label "{label}"; its labels: {known}'


def needs_labels(config: Config, models: Mapping[str, Classifier]) -> None:
    """Raises `ConfigError`."""
    problems = [
        config.problem(where, what)
        for where, what in label_problems(config, lambda name: models[name].card)
    ]
    if problems:
        raise ConfigError(*problems)


def of_what_is_heard(filters: FiltersConfig, models: Mapping[str, Classifier]) -> tuple[Judge, ...]:
    """Who looks through what people say. One that does not answer lets everything pass: people are
    not to fall silent because a model is broken."""
    table = filters.classifier
    if table is None or not table.heard:
        return ()
    return (_judge(table, table.heard, models, certain=False),)


def of_what_is_said(models: Mapping[str, Classifier], *several: FiltersConfig) -> tuple[Judge, ...]:
    """Who looks through what a bot says. What cannot be looked through is held back: nobody has
    promised that a bot says something."""
    return tuple(
        _judge(table, table.said, models, certain=True)
        for filters in several
        if (table := filters.classifier) is not None and table.said
    )


def _judge(
    table: ClassifierFilterConfig,
    least: Mapping[str, float],
    models: Mapping[str, Classifier],
    *,
    certain: bool,
) -> Judge:
    patience = _SAID_PATIENCE if certain else _HEARD_PATIENCE
    return Judge(models[table.model], least, table.stand_in, certain=certain, patience=patience)


def make_checker(
    table: CheckerConfig, model: Classifier
) -> Callable[[bytes], Awaitable[bool | None]]:
    """Says whether a picture is unsafe; None when that cannot be told."""

    async def unsafe(picture: bytes) -> bool | None:
        try:
            labels = await model.classify(picture)
        except BotdaemonError as error:
            log.warning(
                "a picture could not be checked: %s", error, extra={"event": "not_classified"}
            )
            return None
        return any(labels.get(label, 0.0) >= least for label, least in table.labels.items())

    return unsafe


def _filters(config: Config) -> Iterator[tuple[Where, ClassifierFilterConfig]]:
    if config.filters.classifier is not None:
        yield ("filters", "classifier"), config.filters.classifier
    for name, bot in config.bots.items():
        if bot.filters.classifier is not None:
            yield ("bots", name, "filters", "classifier"), bot.filters.classifier


def _checkers(config: Config) -> Iterator[tuple[Where, CheckerConfig]]:
    for name, bot in config.bots.items():
        if isinstance(bot, ImageBotConfig) and bot.checker is not None:
            yield ("bots", name, "checker"), bot.checker
