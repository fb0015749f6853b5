"""Lets a running daemon live by a changed configuration, wholly or not at all.

Everything that the new one describes is made first; what cannot be made, or needs a restart, leaves
all as it was. Then the store takes it over in one transaction, and between two steps of the event
loop the dispatcher, the clock and the adapters see the new house. Knows no part's inside.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from botdaemon import logs, systemd
from botdaemon.app import judges, parts, told
from botdaemon.app.engines import wanted
from botdaemon.config import ChatConfig, load
from botdaemon.errors import BotdaemonError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from botdaemon.app.beside import Beside
    from botdaemon.app.engines import Engines
    from botdaemon.config import Config
    from botdaemon.dispatcher import Dispatcher
    from botdaemon.metrics import Metrics
    from botdaemon.ports import Adapter
    from botdaemon.schedule import Clock
    from botdaemon.store import Store

log = logging.getLogger(__name__)

ANSWERING = "answering"
"""How the daemon is while nothing is wrong, for `systemctl status`."""

#: tables that may change while the daemon runs; any other one needs a restart
_LIVE = {"bots", "rooms", "schedules", "governor", "filters"}
#: keys of other tables that may
_LIVE_KEYS = {"daemon": {"log_level", "grace_seconds"}, "adapters": {"access", "bots"}}
#: keys of `limits` that may not: platforms and pages have been told
_FIXED_LIMITS = ("message_characters", "file_megabytes")


def needs_restart(started: Config, new: Config) -> list[str]:
    """The tables and keys of a new configuration that a daemon cannot take over while it runs;
    `started` is the one that it was started with."""
    return sorted(set(_fixed(started, new)))


def _fixed(started: Config, new: Config) -> Iterator[str]:
    for key in type(new).model_fields:
        if key not in {*_LIVE, "daemon", "adapters", "models", "limits"}:
            yield from _tables(key, getattr(started, key), getattr(new, key))
    yield from _keys("daemon", started.daemon, new.daemon, _LIVE_KEYS["daemon"])
    for key in _FIXED_LIMITS:
        if getattr(started.limits, key) != getattr(new.limits, key):
            yield f"limits.{key}"
    yield from _fixed_adapters(started, new)
    running = wanted(started)
    for model in wanted(new):
        if model not in running or started.models[model] != new.models[model]:
            yield f"models.{model}"


def _fixed_adapters(started: Config, new: Config) -> Iterator[str]:
    for name in started.adapters.keys() | new.adapters.keys():
        before, after = started.adapters.get(name), new.adapters.get(name)
        if before is None or after is None or type(before) is not type(after):
            yield f"adapters.{name}"
            continue
        yield from _keys(f"adapters.{name}", before, after, _LIVE_KEYS["adapters"])
        if isinstance(after, ChatConfig):
            if told.served(started, name)[0] != told.served(new, name)[0]:
                yield f"adapters.{name}.bots (another default bot)"
            if told.commands(started) != told.commands(new):
                yield "bots (the first that draws or speaks, or the last: other commands)"


def _tables(key: str, before: object, after: object) -> Iterator[str]:
    """What differs: of a table of tables each that does."""
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for name in before.keys() | after.keys():
            if before.get(name) != after.get(name):
                yield f"{key}.{name}"
    else:
        yield key


def _keys(table: str, before: object, after: object, live: set[str]) -> Iterator[str]:
    for key in type(after).model_fields:  # type: ignore[attr-defined]  # both are tables
        if key not in live and getattr(before, key) != getattr(after, key):
            yield f"{table}.{key}"


def changed(old: Config, new: Config) -> list[str]:
    """The tables in which two configurations differ."""
    return sorted(
        table
        for key in type(new).model_fields
        for table in _tables(key, getattr(old, key), getattr(new, key))
    )


class Reload:
    """Takes over what is in the file now, as often as it is asked to."""

    def __init__(
        self,
        config: Config,
        store: Store,
        dispatcher: Dispatcher,
        clock: Clock,
        engines: Engines,
        adapters: Mapping[str, Adapter],
        adapters_told: told.Told,
        beside: Beside,
        metrics: Metrics,
    ) -> None:
        self._started = config
        #: what the daemon lives by
        self.config = config
        self._store = store
        self._dispatcher = dispatcher
        self._clock = clock
        self._engines = engines
        self._adapters = adapters
        self._told = adapters_told
        self._beside = beside
        self._metrics = metrics
        self._one_at_a_time = asyncio.Lock()

    async def __call__(self) -> str:
        """Take it over, and say what is different now. Raises `BotdaemonError` with the reason when
        all stays as it was. The log and systemd are told either way."""
        async with self._one_at_a_time:
            systemd.reloading("reading the configuration anew")
            try:
                words = await self._take_over()
            except BotdaemonError as error:
                log.error(
                    "the new configuration was refused, nothing has changed: %s",
                    error,
                    extra={"event": "reload_refused"},
                )
                systemd.ready(f"{ANSWERING}; the new configuration was refused: {error}")
                raise
            except Exception:
                log.exception("reloading failed", extra={"event": "reload_failed"})
                systemd.ready(f"{ANSWERING}; reloading failed, see the log")
                raise
            log.info("%s", words, extra={"event": "reloaded"})
            systemd.ready(ANSWERING)
            return words

    async def _take_over(self) -> str:
        old, started = self.config, self._started
        new = await asyncio.to_thread(load, started.path)
        new.needs_bots()
        if fixed := needs_restart(started, new):
            raise ConfigError(
                f"{started.path}: only a restart takes over what changed in {', '.join(fixed)};"
                " restart the daemon, or take that back and reload"
            )
        # 1. All of it is made before any of it is used.
        judges.needs_labels(new, self._engines.classifiers)
        bots = parts.make_bots(new, self._engines, self._store)
        house = parts.make_house(
            new, bots, self._adapters, self._engines, self._clock.wake, self._metrics
        )
        govern = parts.make_governor(new)
        # 2. On disk: all or nothing.
        await parts.settle(new, self._store)
        # 3. In memory: nothing is awaited from here on.
        self._told.renew(new)
        self._metrics.expect(adapters=(), bots=bots, reasons=())
        self._dispatcher.move_into(house)
        self._clock.live_by(govern, bots=house.bots, painters=house.painters)
        self._beside.live_by(new)
        if new.daemon.log_level != old.daemon.log_level:
            logs.configure(new.daemon.log_level, new.daemon.log_format)
        self.config = new
        tables = changed(old, new)
        return f"taken over: {', '.join(tables)}" if tables else "nothing has changed in it"
