"""What Prometheus is shown: what was counted (`metrics`), and states as they are at that moment.
Knows every part that has one, and counts nothing itself but how late the event loop is."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

import botdaemon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from prometheus_client.metrics_core import Metric

    from botdaemon.dispatcher.turns import Turns
    from botdaemon.metrics import Metrics
    from botdaemon.ports import Adapter
    from botdaemon.store import Store
    from botdaemon.store.letters import Backlog

#: seconds between two looks at how late the event loop is
LOOK = 0.5
#: of the text that `Gauges.page` makes
CONTENT_TYPE = CONTENT_TYPE_LATEST


async def watch_lag(metrics: Metrics) -> None:
    """Until cancelled."""
    clock = asyncio.get_running_loop().time
    while True:
        due = clock() + LOOK
        await asyncio.sleep(LOOK)
        metrics.lag.observe(max(0.0, clock() - due))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Whose state is shown."""

    store: Store
    turns: Turns
    #: turns that may wait
    queue: int
    adapters: Mapping[str, Adapter]
    #: whether an adapter works, by its name
    up: Callable[[str], bool]
    #: of each model process a `models.process.Status`
    processes: Callable[[], Sequence[Any]]


class Gauges:
    """`sources` are there once the daemon has begun; before, only counters are shown."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.sources: Sources | None = None

    async def page(self) -> bytes:
        """Everything, in Prometheus' text format."""
        states: Iterable[Metric] = ()
        if (sources := self.sources) is not None:
            backlog = await sources.store.backlog()
            states = chain(
                _daemon(sources), _outbox(backlog, sources), _models(sources.processes())
            )
        return generate_latest(_All(self._metrics, list(states)))


@dataclass(frozen=True, slots=True)
class _All:
    """A collector of what was counted and what is."""

    metrics: Metrics
    states: Sequence[Metric]

    def collect(self) -> Iterator[Metric]:
        for family in self.metrics.registry.collect():
            # When each series began is OpenMetrics' affair; here it would double their number.
            family.samples = [one for one in family.samples if not one.name.endswith("_created")]
            yield family
        yield from self.states


def _gauge(name: str, help: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"botdaemon_{name}", f"{help}.", labels=labels)


def _one(name: str, help: str, value: float) -> Metric:
    return GaugeMetricFamily(f"botdaemon_{name}", f"{help}.", value=value)


def _daemon(sources: Sources) -> Iterator[Metric]:
    yield InfoMetricFamily("botdaemon", "What runs.", value={"version": botdaemon.__version__})
    up = _gauge("adapter_up", "1 while an adapter is connected, else 0", "adapter")
    for name in sources.adapters:
        up.add_metric([name], sources.up(name))
    yield up
    queue = _gauge("queue_turns", "Turns that were accepted and have not ended", "state")
    queue.add_metric(["waiting"], sources.turns.waiting)
    queue.add_metric(["running"], sources.turns.running)
    yield queue
    yield _one("queue_limit_turns", "Waiting turns from which on more are refused", sources.queue)
    directory = sources.store.directory
    database = directory / "botdaemon.db"
    size = database.stat().st_size
    log = database.with_name("botdaemon.db-wal")
    yield _one("database_size_bytes", "Size of the database file", size)
    yield _one(
        "database_log_size_bytes",
        "Size of the database's write-ahead log",
        log.stat().st_size if log.exists() else 0,
    )
    disk = shutil.disk_usage(directory)
    yield _one("data_disk_size_bytes", "Size of the disk with the data directory", disk.total)
    yield _one("data_disk_free_bytes", "What is left of it for the daemon", disk.free)


def _outbox(backlog: Sequence[Backlog], sources: Sources) -> Iterator[Metric]:
    letters = _gauge("outbox_letters", "Letters that wait to be delivered", "adapter")
    age = _gauge(
        "outbox_oldest_age_seconds",
        "For how long the oldest of them has been due, 0 when none waits",
        "adapter",
    )
    waiting = {one.adapter: one for one in backlog}
    # Also of adapters that left the configuration: their letters wait for their return.
    for name in sorted(waiting.keys() | sources.adapters.keys()):
        one = waiting.get(name)
        letters.add_metric([name], one.letters if one else 0)
        age.add_metric([name], one.age if one else 0.0)
    yield letters
    yield age


def _models(processes: Sequence[Any]) -> Iterator[Metric]:
    up = _gauge("model_process_up", "1 while a model process answers, else 0", "device")
    resident = _gauge("model_process_resident_bytes", "Memory of a model process in RAM", "device")
    requests = _gauge("model_requests", "Requests that a model process has", "device")
    restarts = CounterMetricFamily(
        "botdaemon_model_process_restarts", "Times it was started again.", labels=["device"]
    )
    loaded = _gauge("model_loaded", "1 while a model is on its device, else 0", "model", "device")
    memory = _gauge(
        "model_memory_bytes",
        "What a model takes on its device: at rest, and on top of that at work",
        *("model", "device", "when"),
    )
    evictions = CounterMetricFamily(
        "botdaemon_model_evictions",
        "Times a model left its device: for another, for a newer version, or since it was idle.",
        labels=["model", "device"],
    )
    size = _gauge("device_memory_bytes", "Memory of a device", "device")
    used = _gauge("device_memory_used_bytes", "What is in use of it, by whomever", "device")
    celsius = _gauge("device_temperature_celsius", "Temperature, where it can be read", "device")
    busy = _gauge(
        "device_utilisation_ratio", "Share of the time it computes, where it can be read", "device"
    )
    for process in processes:
        at = [process.name]
        up.add_metric(at, process.ready)
        resident.add_metric(at, process.memory)
        requests.add_metric(at, process.requests)
        restarts.add_metric(at, process.restarts)
        for model, footprint in process.footprints.items():
            loaded.add_metric([model, *at], process.models.get(model) == "loaded")
            memory.add_metric([model, *at, "rest"], footprint.load)
            memory.add_metric([model, *at, "work"], footprint.peak)
            evictions.add_metric([model, *at], process.evictions[model])
        if (read := process.device) is not None:
            size.add_metric(at, read.memory)
            used.add_metric(at, read.used)
            if read.celsius is not None:
                celsius.add_metric(at, read.celsius)
            if read.utilisation is not None:
                busy.add_metric(at, read.utilisation)
    yield from (up, resident, requests, restarts, loaded, memory, evictions)
    yield from (size, used, celsius, busy)
