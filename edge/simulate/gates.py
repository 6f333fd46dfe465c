"""Pressure and admission of all nodes at once. Pure.

The same rules as `edge.overload.PressureGauge` and `edge.overload.Admission`, over arrays; a test holds the two
together. The only signal is the number of calls, in calls of capacity.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from edge.overload import OverloadParams
from edge.simulate.world import Bools, Floats, Ints

ACCEPTING: Final = 0
RETRYING: Final = 1
REFUSING: Final = 2

LOW: Final = 0
MIDDLE: Final = 1
HIGH: Final = 2


class Gates:
    """[N] nodes, whose ``calls / capacity`` in the beginning has lasted for long.

    Those that do not ``shed`` accept everybody until they are full.
    """

    def __init__(self, params: OverloadParams, fraction: Floats, step_s: float, *, shed: bool = True) -> None:
        nodes = len(fraction)
        self._params = params
        self._weight = -math.expm1(-step_s / params.tau_s)
        self._slopes = np.array([-1 / params.ramp_down_s, 0.0, 1 / params.ramp_up_s]) * step_s
        self._shed = shed
        self.pressure: Floats = fraction.copy()
        self._state: Ints = np.full(nodes, ACCEPTING)
        self._band: Ints = np.full(nodes, LOW)
        self._band_since: Floats = np.zeros(nodes)
        self._ramped: Floats = np.zeros(nodes)
        self._full: Bools = np.zeros(nodes, dtype=np.bool_)
        # What each step of the last window saw: refused and all newcomers.
        window = math.ceil(params.refusal_window_s / step_s)
        self._refused: Floats = np.zeros((window, nodes))
        self._newcomers: Floats = np.zeros((window, nodes))
        self._slot = 0

    @property
    def shedding(self) -> Bools:
        return np.not_equal(self._state, ACCEPTING)

    @property
    def refuse_probability(self) -> Floats:
        """[N] 0 to 1."""
        return np.where(self._full, 1.0, self._ramped)

    @property
    def refusal_ratio(self) -> Floats:
        """[N] refused / all newcomers of the last window; 0 where nobody came."""
        newcomers = self._newcomers.sum(axis=0)
        ratio: Floats = self._refused.sum(axis=0) / np.where(newcomers > 0, newcomers, 1.0)
        return ratio

    def update(self, fraction: Floats, now: float) -> None:
        """Take calls / capacity in, one step after the last time."""
        self.pressure += self._weight * (fraction - self.pressure)
        self._full = fraction >= 1.0
        refusing = self._state == REFUSING
        moved = np.clip(self._ramped + self._slopes[self._band], 0.0, 1.0)
        self._ramped = np.where(refusing, moved, self._ramped)
        band = (self.pressure >= self._params.fall).astype(np.int64) + (self.pressure >= self._params.rise)
        self._band_since = np.where(band == self._band, self._band_since, now)
        self._band = band
        if self._shed:
            self._advance(now)

    def count(self, refused: Floats, newcomers: Floats) -> None:
        """Count what happened in the step that ends now."""
        self._slot = (self._slot + 1) % len(self._refused)
        self._refused[self._slot] = refused
        self._newcomers[self._slot] = newcomers

    def warm_up(self, nodes: Ints | Bools) -> None:
        """Let newcomers in little by little, from nobody."""
        if self._shed:
            self._state[nodes] = REFUSING
            self._ramped[nodes] = 1.0

    def restart(self, nodes: Ints | Bools) -> None:
        """Nodes that have just started know nothing."""
        self.pressure[nodes] = 0.0
        self._state[nodes] = ACCEPTING
        self._ramped[nodes] = 0.0
        self._refused[:, nodes] = 0.0
        self._newcomers[:, nodes] = 0.0

    def _advance(self, now: float) -> None:
        params, state, band = self._params, self._state, self._band
        still = self._ramped == 0.0
        lasted = now - self._band_since
        self._state = np.select(
            [
                (state == ACCEPTING) & (band == HIGH) & still & (lasted >= params.retry_after_s),
                (state == RETRYING) & (band == HIGH) & still & (lasted >= params.refuse_after_s),
                (state == RETRYING) & (band == LOW) & still & (lasted >= params.accept_after_s),
                (state == REFUSING) & (band == LOW) & still,
            ],
            [RETRYING, REFUSING, ACCEPTING, RETRYING],
            state,
        )
