"""What a node tells Prometheus; the metrics themselves are declared in `edge.runtime.metric_table`.

Workers count for themselves and report running totals; `NodeMetrics` adds up what grew, so that a total
neither jumps nor falls when a worker is replaced.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import prometheus_client as prometheus

from edge.runtime.metric_table import (
    BUILD_INFO,
    CALLS,
    CARRIERS,
    CONNECTIONS,
    CONNECTIONS_OF_KEYS,
    GENERATIONS,
    KEYS_VERSION,
    LOOP_LAG,
    METRICS,
    OUTCOMES,
    WORKER_COUNTERS,
    WORKER_OBSERVATIONS,
    Counter,
    Gauge,
    Histogram,
    Info,
    Metric,
    State,
)

CONTENT_TYPE: Final = prometheus.CONTENT_TYPE_PLAIN_0_0_4

# Without this, every counter brings a second series with the time of its creation.
prometheus.disable_created_metrics()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class WorkerTotals:
    """What one worker process says of itself: counters since it started, the rest as it is now."""

    process: int
    counters: Mapping[str, int] = field(default_factory=dict)
    connections: Mapping[str, int] = field(default_factory=dict)
    calls: Mapping[str, int] = field(default_factory=dict)
    generations: Mapping[int, int] = field(default_factory=dict)
    keys: int = 0
    loop_lag_s: float = 0.0


class NodeMetrics:
    """The metrics of one node, in a registry of their own."""

    def __init__(self, version: str) -> None:
        self._registry = prometheus.CollectorRegistry(auto_describe=False)
        self._collectors = {metric.name: _collector(metric, self._registry) for metric in METRICS}
        self._workers: dict[int, WorkerTotals] = {}
        self._infos: dict[tuple[str, ...], str] = {}
        for metric in METRICS:
            if isinstance(metric, Counter):
                for values in metric.known_label_sets():
                    self.increment(metric, *values, by=0)
        self.set(BUILD_INFO, 1, version)

    def increment(self, metric: Counter, *values: str, by: float = 1) -> None:
        """``values`` are those of the metric's labels, here and below."""
        self._series(metric, values).inc(by)

    def set(self, metric: Gauge, value: float, *values: str) -> None:
        self._series(metric, values).set(value)

    def set_state(self, metric: State, state: str, *values: str) -> None:
        """``state`` is the value of the last label, ``values`` those of the others."""
        for other in metric.states:
            self._series(metric, (*values, other)).set(0)
        self._series(metric, (*values, state)).set(1)

    def set_info(self, metric: Info, *values: str) -> None:
        """The last of ``values`` takes the place of the one that was there with the others."""
        place = (metric.name, *values[:-1])
        before = self._infos.get(place)
        if before == values[-1]:
            return
        self._series(metric, values).set(1)
        if before is not None:
            self._collectors[metric.name].remove(*values[:-1], before)
        self._infos[place] = values[-1]

    def observe(self, metric: Histogram, value: float, *values: str) -> None:
        self._series(metric, values).observe(value)

    def worker_reported(self, worker: int, totals: WorkerTotals) -> None:
        """Take in what worker number ``worker`` says; another process under that number counts from 0."""
        before = self._workers.get(worker)
        known = before.counters if before is not None and before.process == totals.process else {}
        for key, total in totals.counters.items():
            if key in WORKER_COUNTERS:  # a worker of a newer version may count more
                metric, values = WORKER_COUNTERS[key]
                # A total that falls is a slip of the worker's. It must not end the node, and with it every call.
                self.increment(metric, *values, by=max(0, total - known.get(key, 0)))
        self._workers[worker] = totals
        self._set_worker_gauges()

    def worker_observed(self, observations: Mapping[str, Sequence[float]]) -> None:
        """Take in what a worker has measured since it was last asked, in milliseconds."""
        for key in observations.keys() & WORKER_OBSERVATIONS.keys():
            for value in observations[key]:
                self.observe(WORKER_OBSERVATIONS[key], value / 1000)

    def workers_left(self, there: Collection[int]) -> None:
        """Those that are not ``there`` are gone."""
        for worker in self._workers.keys() - there:
            self.worker_left(worker)

    def worker_left(self, worker: int) -> None:
        """A worker is gone: what it has counted stays, what it had open is no more."""
        self._workers.pop(worker, None)
        self._set_worker_gauges()

    def _set_worker_gauges(self) -> None:
        workers = self._workers.values()
        for outcome in OUTCOMES:
            self.set(CONNECTIONS, sum(worker.connections.get(outcome, 0) for worker in workers), outcome)
        for carrier in CARRIERS:
            self.set(CALLS, sum(worker.calls.get(carrier, 0) for worker in workers), carrier)
        for generation in range(GENERATIONS):
            self.set(
                CONNECTIONS_OF_KEYS,
                sum(worker.generations.get(generation, 0) for worker in workers),
                str(generation),
            )
        versions = {worker.keys for worker in workers}
        self.set(KEYS_VERSION, versions.pop() if len(versions) == 1 else 0)
        self.set(LOOP_LAG, max((worker.loop_lag_s for worker in workers), default=0.0))

    def render(self) -> bytes:
        """All series in Prometheus' text format, of content type `CONTENT_TYPE`."""
        return prometheus.generate_latest(self._registry)

    def _series(self, metric: Metric, values: tuple[str, ...]) -> Any:
        metric.check(values)
        collector = self._collectors[metric.name]
        return collector.labels(*values) if values else collector


def _collector(metric: Metric, registry: prometheus.CollectorRegistry) -> Any:
    labels = tuple(metric.labels)
    match metric:
        case Counter():
            return prometheus.Counter(metric.name, metric.help, labels, registry=registry)
        case Histogram():
            return prometheus.Histogram(
                metric.name, metric.help, labels, registry=registry, buckets=metric.buckets
            )
        case _:
            return prometheus.Gauge(metric.name, metric.help, labels, registry=registry)
