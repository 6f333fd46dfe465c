"""How loaded this process is: running totals read from the kernel and the endpoint, turned into a `LoadSample`.

`LoadMeter` is arithmetic over `Readings` and takes time from outside; `cpu_seconds` and `LoopLag` are the
instruments.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from edge.overload import LoadSample

LAG_INTERVAL_S = 0.02  # one audio frame: a loop that is later than this delays speech


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """One look at the instruments. Totals only grow while the process lives."""

    cpu_s: float  # total
    handshakes: int  # total begun
    socket_drops: int  # total
    loop_lag_s: float  # worst since the look before
    calls: int  # now
    backend_queue: int  # now


class LoadMeter:
    """Turns successive readings of one process into load."""

    def __init__(self, readings: Readings, now: float) -> None:
        self._before = readings
        self._read_at = now

    def update(self, readings: Readings, now: float) -> LoadSample:
        """The load since the readings before; ``now`` must be later than theirs."""
        elapsed_s = now - self._read_at
        before, self._before, self._read_at = self._before, readings, now
        return LoadSample(
            cpu=(readings.cpu_s - before.cpu_s) / elapsed_s,
            loop_lag_s=readings.loop_lag_s,
            handshakes_per_s=(readings.handshakes - before.handshakes) / elapsed_s,
            calls=readings.calls,
            socket_drops_per_s=(readings.socket_drops - before.socket_drops) / elapsed_s,
            backend_queue=readings.backend_queue,
        )


# How the loads of several workers make the load of the node. A worker is one core and one loop: if the busiest
# can do no more, the others cannot help it. What they do together is measured against the node's capacity.
_NODE_LOAD: Mapping[str, Callable[[Iterable[float]], float]] = {
    "cpu": max,
    "loop_lag_s": max,
    "handshakes_per_s": sum,
    "calls": sum,
    "socket_drops_per_s": sum,
    "backend_queue": sum,
}


def node_load(workers: Iterable[LoadSample]) -> LoadSample:
    """The load of a node from that of its workers; without workers, none."""
    samples = list(workers)
    if not samples:
        return LoadSample()
    return LoadSample(
        **{
            signal: combine(getattr(sample, signal) for sample in samples)
            for signal, combine in _NODE_LOAD.items()
        }
    )


def cpu_seconds() -> float:
    """CPU time that this process has used, user and system, all threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class LoopLag:
    """How late the event loop runs what is due: a callback asks to be called and looks at the clock.

    A loop that has more to do than time is late for everything, long before its CPU share can tell.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, interval_s: float = LAG_INTERVAL_S) -> None:
        self._loop = loop
        self._interval_s = interval_s
        self._worst_s = 0.0
        self._arm()

    def take(self) -> float:
        """The worst lag since the last call, in seconds, one still going on included."""
        worst_s = max(self._worst_s, self._loop.time() - self._timer.when())
        self._worst_s = 0.0
        return worst_s

    def close(self) -> None:
        self._timer.cancel()

    def _arm(self) -> None:
        self._timer = self._loop.call_later(self._interval_s, self._tick)

    def _tick(self) -> None:
        self._worst_s = max(self._worst_s, self._loop.time() - self._timer.when())
        self._arm()
