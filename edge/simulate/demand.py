"""How many callers pick up the phone, and when: a day, surges, and second attempts. Pure.

The load of a population over a day is a cosine between ``trough_ratio`` and 1 with its top at the peak hour. A
rate of new calls that would keep that many in progress is load / mean duration (Little's law).
"""

from __future__ import annotations

import numpy as np

from edge.simulate.schema import Calls, SimulationFile, Surge, matching
from edge.simulate.world import HOUR_S, Floats, World

_DAY_H = 24.0


class Demand:
    """New calls of each population, per step."""

    def __init__(self, file: SimulationFile, world: World) -> None:
        self._world = world
        self._start_hour = file.start_hour
        self._per_step = world.peak_calls * file.step_s / file.calls.duration_s
        self._surges = [
            (surge, np.array(matching(surge.populations, world.population_names))) for surge in file.surges
        ]

    def new_calls(self, t_s: float) -> Floats:
        """[P] that are placed for the first time in the step that begins at ``t_s``."""
        return self._per_step * self.day(t_s) * self._surge(t_s / HOUR_S)

    def day(self, t_s: float) -> Floats:
        """[P] the load as a fraction of the peak of the day."""
        world = self._world
        angle = (self._start_hour + t_s / HOUR_S - world.peak_utc_h) * (2 * np.pi / _DAY_H)
        return world.trough_ratio + (1 - world.trough_ratio) * (0.5 + 0.5 * np.cos(angle))

    def _surge(self, t_h: float) -> Floats | float:
        factors: Floats | None = None
        for surge, populations in self._surges:
            strength = _strength(surge, t_h)
            if strength:
                factors = np.ones(self._world.populations) if factors is None else factors
                factors[populations] *= 1 + (surge.factor - 1) * strength
        return 1.0 if factors is None else factors


class Redial:
    """Callers who did not get through: some dial again after a while, the others give up."""

    def __init__(self, calls: Calls, step_s: float, populations: int) -> None:
        self._ratio = calls.retry_ratio
        steps = max(1, round(calls.retry_after_s / step_s))
        self._waiting = np.zeros((steps, populations))
        self._now = 0

    @property
    def waiting(self) -> float:
        """Callers who have not dialled again yet."""
        return float(self._waiting.sum())

    def due(self) -> Floats:
        """[P] who dial again in this step."""
        due: Floats = self._waiting[self._now]
        return due

    def give_up(self, failed: Floats) -> Floats:
        """[P] of those who ``failed`` in this step, who give up; ends the step."""
        self._waiting[self._now] = again = failed * self._ratio
        self._now = (self._now + 1) % len(self._waiting)
        return failed - again


def _strength(surge: Surge, t_h: float) -> float:
    """0 before and after a surge, 1 within it, between them on the ramps."""
    since, left = t_h - surge.start_h, surge.start_h + surge.lasts_h - t_h
    if since < 0 or left <= 0:
        return 0.0
    return min(1.0, since / surge.ramp_h, left / surge.ramp_h) if surge.ramp_h else 1.0
