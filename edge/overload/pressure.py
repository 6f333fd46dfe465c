"""From load samples to one number: how near a node is to its limit, and what is the nearest limit.

Each signal is averaged by itself and the worst average is the pressure. Averaging the worst of each sample
would add up signals that were never high for long: a lag spike, then a burst of handshakes, then a queue.
"""

import math

import msgspec

from edge.overload.load import Capacity, LoadSample, Signal


class Pressure(msgspec.Struct, frozen=True):
    """``value`` is 0 for idle, 1 for full and beyond 1 for more than full; ``worst`` names its signal.

    ``full`` is not averaged: the last sample had as many calls as the node can carry.
    """

    value: float
    worst: Signal
    by_signal: dict[Signal, float]
    full: bool


class PressureGauge:
    """Exponentially weighted moving average with time constant ``tau_s``, whatever the sampling interval.

    A sample that comes ``dt`` after the one before gets the weight 1 - exp(-dt / tau): two steps of dt/2
    weigh what one of dt does, so a sampler that is delayed (as it is under load) measures the same pressure.
    """

    def __init__(self, capacity: Capacity, tau_s: float) -> None:
        self._capacity = capacity
        self._tau_s = tau_s
        self._averages: dict[Signal, float] | None = None
        self._sampled_at = 0.0

    def update(self, sample: LoadSample, now: float) -> Pressure:
        """Take a sample in; the first one is the average of itself."""
        fractions = self._capacity.fractions(sample)
        if self._averages is None:
            self._averages = fractions
        else:
            weight = -math.expm1((self._sampled_at - now) / self._tau_s)
            self._averages = {
                signal: average + weight * (fractions[signal] - average)
                for signal, average in self._averages.items()
            }
        self._sampled_at = now
        worst = max(self._averages, key=self._averages.__getitem__)
        return Pressure(
            value=self._averages[worst],
            worst=worst,
            by_signal=self._averages,
            full=sample.calls >= self._capacity.calls,
        )
