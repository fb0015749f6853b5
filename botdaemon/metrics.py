"""What is counted while the daemon runs, for Prometheus. Knows no part of the house: whoever counts
something is handed a `Metrics`, and what is a state is read when it is asked for (`app.gauges`).

Labels are names of the configuration and words of ours, never people, rooms or texts. Counters
begin at 0 with the process, as Prometheus expects; what is taken up again after a crash is counted
once, by the process that finishes it. Names follow https://prometheus.io/docs/practices/naming/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

#: seconds; upper ends of the classes in which times are counted
WAITING = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
WRITING = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
LAGGING = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)

#: how a turn can end, see ARCHITECTURE.md; "left" is one that the next process takes up
OUTCOMES = ("answered", "silent", "stopped", "refused", "failed", "dead", "gone", "left")
#: why a letter is tried again: the platform asked to wait, it was certainly not sent, or nobody
#: knows whether it was
POSTPONED = ("rate limit", "not sent", "unknown")
#: why an adapter's connection ended
ENDED = ("down", "fault", "refused")


class Metrics:
    """The counters of one daemon, in a registry of their own: two daemons in one process share
    nothing. May be told things from any thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.received = self._counter(
            "messages_received",
            "Messages that people and bots sent and that were recorded, once each",
            "adapter",
        )
        self.sent = self._counter(
            "messages_sent",
            "Messages of ours that a platform took, or that a page was given",
            "adapter",
        )
        self.postponed = self._counter(
            "letters_postponed",
            "Attempts to deliver a letter that have to be made again",
            *("adapter", "reason"),
        )
        self.dead = self._counter("letters_dead", "Letters given up as undeliverable", "adapter")
        self.connections_ended = self._counter(
            "adapter_connections_ended",
            "Lives of an adapter that ended; it connects again unless it was refused",
            *("adapter", "reason"),
        )
        self.turns = self._counter("turns", "Turns that ended", "bot", "outcome")
        self.turn_queue = self._histogram(
            "turn_queue_seconds", "From a turn's acceptance to its beginning", WAITING, "bot"
        )
        self.first_token = self._histogram(
            "turn_first_token_seconds",
            "From a turn's acceptance to the first token of its answer",
            *(WAITING, "bot"),
        )
        self.turn = self._histogram(
            "turn_seconds", "From a turn's acceptance to its answer on disk", WAITING, "bot"
        )
        self.prompt_tokens = self._counter("prompt_tokens", "Tokens that models read", "bot")
        self.tokens = self._counter("generated_tokens", "Tokens that models wrote", "bot")
        self.pictures = self._counter(
            "pictures", "Pictures that were drawn and answered with", "bot"
        )
        self.decisions = self._counter(
            "schedule_decisions", "What was decided about the slots of schedules", "reason"
        )
        self.commit = self._histogram(
            "store_commit_seconds", "One commit, of all the transactions it holds", WRITING
        )
        self.transactions = self._counter("store_transactions", "Transactions that are on disk")
        self.failures = self._counter(
            "store_failed_transactions", "Transactions that could not be recorded"
        )
        self.lag = self._histogram(
            "loop_lag_seconds", "By how much later than due the event loop did something", LAGGING
        )

    def expect(
        self, *, adapters: Collection[str], bots: Collection[str], reasons: Iterable[str]
    ) -> None:
        """Show these with 0 from the start: what begins at 1 looks to Prometheus as if nothing had
        happened."""
        for adapter in adapters:
            for counter in (self.received, self.sent, self.dead):
                counter.labels(adapter)
            for reason in POSTPONED:
                self.postponed.labels(adapter, reason)
            for reason in ENDED:
                self.connections_ended.labels(adapter, reason)
        for bot in bots:
            for metric in (self.turn_queue, self.first_token, self.turn):
                metric.labels(bot)
            for counter in (self.prompt_tokens, self.tokens, self.pictures):
                counter.labels(bot)
            for outcome in OUTCOMES:
                self.turns.labels(bot, outcome)
        for reason in reasons:
            self.decisions.labels(reason)

    def turn_ended(
        self,
        bot: str,
        outcome: str,
        *,
        queued: float,
        first_token: float,
        total: float,
        prompt_tokens: int,
        tokens: int,
        pictures: int,
    ) -> None:
        """Times are seconds since the turn was accepted; `first_token` is 0 when there was none.
        How long it took is told of answers only: a refusal would make the median look good."""
        self.turns.labels(bot, outcome).inc()
        self.prompt_tokens.labels(bot).inc(prompt_tokens)
        self.tokens.labels(bot).inc(tokens)
        if outcome == "answered":
            self.turn_queue.labels(bot).observe(queued)
            self.turn.labels(bot).observe(total)
            self.pictures.labels(bot).inc(pictures)
            if first_token:
                self.first_token.labels(bot).observe(first_token)

    def committed(self, seconds: float, transactions: int, *, failed: int) -> None:
        """A batch of transactions took so long; so many of them are on disk."""
        self.commit.observe(seconds)
        self.transactions.inc(transactions)
        self.failures.inc(failed)

    def _counter(self, name: str, help: str, *labels: str) -> Counter:
        return Counter(name, f"{help}.", labels, namespace="botdaemon", registry=self.registry)

    def _histogram(
        self, name: str, help: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(
            name, f"{help}.", labels, namespace="botdaemon", buckets=buckets, registry=self.registry
        )
