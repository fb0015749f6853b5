"""What adapters are told of the house, and kept up to date while they run. Knows no adapter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdaemon.app.sound import speaking
from botdaemon.commands import offered
from botdaemon.config import ChatConfig, ImageBotConfig, TerminalConfig
from botdaemon.ports import Surroundings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botdaemon.config import Config
    from botdaemon.ports import PromptOf, Shelf
    from botdaemon.types import CommandSpec


class Told:
    """The surroundings of each chat platform's adapter, and what pages know of bots."""

    def __init__(
        self,
        config: Config,
        shelf: Shelf,
        prompt_of: PromptOf | None = None,
        beats: Mapping[str, Callable[[], None]] | None = None,
    ) -> None:
        """`beats`: what each adapter calls as long as it is in order."""
        #: a line about each bot
        self.about: dict[str, str] = {}
        self._bots: dict[str, dict[str, str]] = {}
        self._pictures: dict[str, dict[str, str]] = {}
        self._shared: dict[str, set[str]] = {}
        around: dict[str, Surroundings] = {}
        for name, table in config.adapters.items():
            if isinstance(table, ChatConfig):
                around[name] = Surroundings(
                    shelf=shelf,
                    bots=self._bots.setdefault(name, {}),
                    pictures=self._pictures.setdefault(name, {}),
                    commands=commands(config),
                    shared=self._shared.setdefault(name, set()),
                    file_limit=file_limit(config),
                    prompt_of=prompt_of,
                    beat=(beats or {}).get(name, lambda: None),
                )
        self.around: Mapping[str, Surroundings] = around
        self.renew(config)

    def renew(self, config: Config) -> None:
        """This is what holds from now on. Adapters look at the very same collections."""
        _refill(self.about, {bot: table.about for bot, table in config.bots.items()})
        for name in self.around:
            bots = served(config, name)
            _refill(self._bots[name], {bot: config.bots[bot].about for bot in bots})
            _refill(
                self._pictures[name],
                {bot: url for bot in bots if (url := config.bots[bot].picture)},
            )
            self._shared[name].clear()
            self._shared[name].update(shared(config, name))


def _refill(there: dict[str, str], wanted: Mapping[str, str]) -> None:
    there.clear()
    there.update(wanted)


def commands(config: Config) -> tuple[CommandSpec, ...]:
    """What chat platforms offer people to type."""
    draws = any(isinstance(table, ImageBotConfig) for table in config.bots.values())
    return offered(draws=draws, speaks=bool(speaking(config)))


def file_limit(config: Config) -> int:
    """Bytes of the largest file that is taken in."""
    return config.limits.file_megabytes * 1_000_000


def served(config: Config, adapter: str) -> tuple[str, ...]:
    """The bots that an adapter's account speaks for, the default first."""
    table = config.adapters.get(adapter)
    if isinstance(table, TerminalConfig):
        return (table.bot,)
    named = table.bots if isinstance(table, ChatConfig) else ()
    return tuple(named or config.bots)


def shared(config: Config, adapter: str) -> frozenset[str]:
    """The channels of an adapter that are part of a room."""
    channels = (
        channel.split(":", 1) for room in config.rooms.values() for channel in room.channels
    )
    return frozenset(channel for owner, channel in channels if owner == adapter)
