"""The filters and manners that the configuration describes, made. Knows no life of any part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdaemon.app import judges
from botdaemon.config import ImageBotConfig
from botdaemon.dispatcher import Manners
from botdaemon.filters import Filter, Rule
from botdaemon.posts import Several

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from botdaemon.config import Config, FilterConfig
    from botdaemon.ports import Classifier


def make_manners(
    config: Config, classifiers: Mapping[str, Classifier]
) -> Iterator[tuple[str, Manners]]:
    """How each bot hears and speaks."""
    for name, table in config.bots.items():
        several = table.messages
        yield (
            name,
            Manners(
                heard=make_filter(table.filters.heard),
                said=make_filter(config.filters.said, table.filters.said),
                most_heard=table.most_characters.heard or 0,
                most_said=table.most_characters.said or 0,
                several=Several(
                    most=several.most,
                    separator=several.separator,
                    characters_per_second=several.characters_per_second,
                    longest_pause=several.longest_pause_seconds,
                ),
                heard_judges=judges.of_what_is_heard(table.filters, classifiers),
                said_judges=judges.of_what_is_said(classifiers, config.filters, table.filters),
                crowd=not isinstance(table, ImageBotConfig) and table.crowd is not None,
            ),
        )


def make_filter(*tables: FilterConfig) -> Filter:
    """What all of the tables hold back."""
    return Filter(
        Rule(
            words=table.words,
            patterns=table.patterns,
            action=table.action,
            stand_in=table.stand_in,
        )
        for table in tables
    )
