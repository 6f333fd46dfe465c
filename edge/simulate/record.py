"""Adds up what happens in a run, step by step, and makes an `Outcome` of it. Pure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edge.simulate.outcome import Calls, Dark, Load, Outcome, Routing, Series
from edge.simulate.routers import DEPREFERRED, NONE, PLAIN, Routers
from edge.simulate.world import HOUR_S, Bools, Floats, Ints, World

MAX_POINTS = 480


class Step(NamedTuple):
    """What one step has brought, in calls unless it says otherwise."""

    offered: float
    carried: float
    refused: float
    unanswered: float
    no_route: float
    """Those three gave up; who dials again is in none of them."""
    away: float
    cut: float
    dark: Bools
    """[P]"""
    moved: int
    """Populations that reach another site than in the step before."""
    site_routes: Ints
    """[S] as they are used."""
    pressure: Floats
    """[N]"""
    suppressed: Bools
    """[N]"""


class Record:
    """Feed it every step of a run, in order."""

    def __init__(self, world: World, steps: int, step_s: float, rise: float) -> None:
        self._world, self._step_s, self._rise = world, step_s, rise
        self._weights = world.peak_calls / max(float(world.peak_calls.sum()), 1e-9)
        self._span = max(1, -(-steps // MAX_POINTS))
        self._steps = 0
        self._sums = np.zeros(7)
        self._dark_steps = np.zeros(world.populations, dtype=np.int64)
        self._service_dark_steps = 0
        self._moved = 0
        self._suppressed_steps = np.zeros(world.nodes, dtype=np.int64)
        self._peak = 0.0
        self._overloaded_steps = 0
        self._points: list[tuple[float, ...]] = []
        self._in_span = np.zeros(4)

    def add(self, step: Step) -> None:
        self._steps += 1
        failed = step.refused + step.unanswered + step.no_route
        self._sums += (
            step.offered, step.carried, step.refused, step.unanswered, step.no_route, step.away, step.cut
        )  # fmt: skip
        self._dark_steps += step.dark
        service_dark = not (step.site_routes != NONE).any()
        self._service_dark_steps += service_dark
        self._moved += step.moved
        self._suppressed_steps += step.suppressed
        self._peak = max(self._peak, float(step.pressure.max()))
        self._overloaded_steps += int(np.count_nonzero(step.pressure >= self._rise))
        self._in_span += (step.offered, failed, float(self._weights @ step.dark) / self._span, service_dark)
        if self._steps % self._span == 0:
            self._points.append(self._point(step))
            self._in_span[:] = 0.0

    def _point(self, step: Step) -> tuple[float, ...]:
        offered, failed, dark, service_dark = self._in_span.tolist()
        median, high = np.quantile(step.pressure, (0.5, 0.95)).tolist()
        return (
            self._steps * self._step_s / HOUR_S,
            float(np.mean(step.site_routes == PLAIN)),
            float(np.mean(step.site_routes == DEPREFERRED)),
            median,
            high,
            float(step.pressure.max()),
            failed / offered if offered else 0.0,
            dark,
            float(service_dark) / self._span,
        )

    def outcome(self, policy: str, routers: Routers, redialling: float) -> Outcome:
        """After the last step."""
        offered, carried, refused, unanswered, no_route, away, cut = self._sums.tolist()
        world, hour_steps = self._world, HOUR_S / self._step_s
        worst_node = int(routers.updates.argmax())
        worst_dark = int(self._dark_steps.argmax())
        return Outcome(
            policy=policy,
            calls=Calls(
                offered=round(offered),
                carried=round(carried),
                refused=round(refused),
                unanswered=round(unanswered),
                no_route=round(no_route),
                redialling=round(redialling),
                dropped_ratio=_ratio(refused + unanswered + no_route, offered),
                away_ratio=_ratio(away, carried),
                cut=round(cut),
            ),
            dark=Dark(
                service_s=self._service_dark_steps * self._step_s,
                worst_population_s=int(self._dark_steps[worst_dark]) * self._step_s,
                worst_population=world.population_names[worst_dark] if self._dark_steps[worst_dark] else "",
                ratio=_ratio(float(self._weights @ self._dark_steps), self._steps),
            ),
            routing=Routing(
                updates=int(routers.updates.sum()),
                withdrawals=int(routers.withdrawals.sum()),
                worst_updates=int(routers.updates[worst_node]),
                worst_site=world.site_names[world.node_site[worst_node]]
                if routers.updates[worst_node]
                else "",
                suppressed_nodes=int(np.count_nonzero(self._suppressed_steps)),
                suppressed_h=round(int(self._suppressed_steps.sum()) / hour_steps, 2),
                catchment_changes=round(self._moved / world.populations, 2),
            ),
            load=Load(
                peak_pressure=round(self._peak, 3), overloaded_h=round(self._overloaded_steps / hour_steps, 2)
            ),
            series=self._series(),
        )

    def _series(self) -> Series:
        columns = ([round(value, 4) for value in column] for column in zip(*self._points, strict=True))
        return Series(**dict(zip(Series.__struct_fields__, columns, strict=True)))


def _ratio(part: float, whole: float) -> float:
    return round(part / whole, 5) if whole else 0.0
