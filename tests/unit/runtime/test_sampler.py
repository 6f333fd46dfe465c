"""Arithmetic on made-up readings; a loop whose clock the test turns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import pytest

from edge.overload import LoadSample, Signal
from edge.runtime import sampler
from edge.runtime.sampler import LoadMeter, LoopLag, Readings, cpu_seconds, node_load


def readings(
    *, cpu_s: float = 0, handshakes: int = 0, socket_drops: int = 0, loop_lag_s: float = 0, calls: int = 0
) -> Readings:
    return Readings(
        cpu_s=cpu_s,
        handshakes=handshakes,
        socket_drops=socket_drops,
        loop_lag_s=loop_lag_s,
        calls=calls,
        backend_queue=2 * calls,
    )


def test_totals_become_rates_and_the_rest_stays() -> None:
    meter = LoadMeter(readings(cpu_s=10, handshakes=100, socket_drops=7), now=50.0)
    later = readings(cpu_s=10.3, handshakes=130, socket_drops=8, loop_lag_s=0.01, calls=4)
    sample = meter.update(later, now=50.5)
    assert sample.cpu == pytest.approx(0.6)
    assert msgspec.structs.replace(sample, cpu=0) == LoadSample(
        cpu=0, loop_lag_s=0.01, handshakes_per_s=60, calls=4, socket_drops_per_s=2, backend_queue=8
    )


def test_each_update_measures_from_the_one_before() -> None:
    """Measuring from the start would smooth a surge away."""
    meter = LoadMeter(readings(), now=0.0)
    meter.update(readings(handshakes=10), now=10.0)
    assert meter.update(readings(handshakes=20), now=10.5).handshakes_per_s == 20


def test_a_node_is_as_busy_as_its_busiest_worker_and_has_the_calls_of_all() -> None:
    one = LoadSample(
        cpu=0.9, loop_lag_s=0.0, handshakes_per_s=5, calls=3, socket_drops_per_s=0, backend_queue=1
    )
    two = LoadSample(
        cpu=0.1, loop_lag_s=0.2, handshakes_per_s=6, calls=4, socket_drops_per_s=1, backend_queue=0
    )
    assert node_load([one, two]) == LoadSample(
        cpu=0.9, loop_lag_s=0.2, handshakes_per_s=11, calls=7, socket_drops_per_s=1, backend_queue=1
    )


def test_a_node_without_workers_has_no_load() -> None:
    assert node_load([]) == LoadSample()


def test_every_signal_has_a_rule_for_several_workers() -> None:
    assert set(sampler._NODE_LOAD) == {signal.value for signal in Signal}


def test_cpu_seconds_counts_work() -> None:
    before = cpu_seconds()
    while cpu_seconds() == before:  # ends by itself: this loop is the work
        pass


class Handle:
    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self._when = when
        self.callback = callback
        self.cancelled = False

    def when(self) -> float:
        return self._when

    def cancel(self) -> None:
        self.cancelled = True


class TurnedLoop:
    """As much of an event loop as `LoopLag` uses."""

    def __init__(self) -> None:
        self.now = 100.0
        self.handle: Handle

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], None]) -> Handle:
        self.handle = Handle(self.now + delay, callback)
        return self.handle

    def run_late(self, late_s: float) -> None:
        self.now = self.handle.when() + late_s
        self.handle.callback()


def test_lag_is_the_worst_since_it_was_taken() -> None:
    loop = TurnedLoop()
    lag = LoopLag(loop, interval_s=0.02)  # type: ignore[arg-type]
    for late_s in (0.001, 0.3, 0.002):
        loop.run_late(late_s)
    assert lag.take() == pytest.approx(0.3)
    assert lag.take() == 0.0
    loop.run_late(0.004)
    assert lag.take() == pytest.approx(0.004)


def test_a_stall_that_is_not_over_counts() -> None:
    """The callback that takes the lag may run before the overdue tick of the same wake-up."""
    loop = TurnedLoop()
    lag = LoopLag(loop, interval_s=0.02)  # type: ignore[arg-type]
    loop.now += 1.02
    assert lag.take() == pytest.approx(1.0)


def test_close_ends_the_ticking() -> None:
    loop = TurnedLoop()
    LoopLag(loop).close()  # type: ignore[arg-type]
    assert loop.handle.cancelled


def test_a_blocked_loop_is_late() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        lag = LoopLag(loop, interval_s=0.001)
        until = loop.time() + 0.05
        while loop.time() < until:  # what a slow callback does to its loop
            pass
        await asyncio.sleep(0)
        lag.close()
        return lag.take()

    assert 0.04 < asyncio.run(main()) < 5
