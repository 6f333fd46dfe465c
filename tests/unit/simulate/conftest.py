"""Small worlds for the tests of the simulator."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from edge.simulate.contenders import NAMES
from edge.simulate.outcome import Outcome, Report
from edge.simulate.run import Run, simulate
from edge.simulate.schema import SimulationFile
from edge.simulate.world import World, build

# Everything that can happen, to few.
EVENTFUL: dict[str, Any] = {
    "hours": 2.2,
    "sites": [{"name": "site", "count": 8, "planned_load": [0.5, 0.7], "position": [48, 8], "spread_deg": 5}],
    "populations": [
        {
            "name": "people",
            "count": 60,
            "calls": [20, 80],
            "position": [48, 8],
            "spread_deg": 5,
            "convergence_s": [5, 30],
            "deaf_ratio": 0.1,
        },
        {
            "name": "crowd",
            "count": 10,
            "calls": 40,
            "prefers": ["site-1"],
            "position": [48, 8],
            "spread_deg": 5,
        },
    ],
    "surges": [{"populations": ["crowd-*"], "start_h": 0.5, "lasts_h": 1.5, "factor": 9}],
    # Claims that stand for long see more change meanwhile.
    "policy": {"claim_spread_s": 60},
    "events": [
        {"kind": "site-down", "sites": ["site-2"], "start_h": 1, "lasts_h": 0.2},
        {"kind": "site-down", "sites": ["site-6"], "start_h": 1.4, "lasts_h": 0.01},
        {"kind": "link-flap", "sites": ["site-3"], "start_h": 1.5, "lasts_h": 0.3},
        {"kind": "broken", "sites": ["site-4"], "start_h": 0.7, "lasts_h": 0.1},
        {"kind": "view-lost", "sites": ["site-5"], "start_h": 0.5, "lasts_h": 0.5},
    ],
}

# Two sites and those who prefer the first; the simplest world in which somebody can go elsewhere.
PAIR: dict[str, Any] = {
    "hours": 1,
    "sites": [{"name": "one", "capacity": 100}, {"name": "two", "capacity": 100}],
    "populations": [{"name": "all", "calls": 50, "prefers": ["one", "two"], "convergence_s": 0}],
}


class Worlds:
    """Makes files, worlds and runs, all of one seed."""

    eventful = EVENTFUL

    def file(self, base: dict[str, Any] = PAIR, **keys: Any) -> SimulationFile:
        return msgspec.convert({"title": "test"} | base | keys, SimulationFile)

    def world(self, file: SimulationFile) -> World:
        return build(file, self.dice())

    def run(self, file: SimulationFile, policy: str = "ours", *, ask_always: bool = False) -> Run:
        return Run(file, self.world(file), policy, self.dice(), ask_always=ask_always)

    def report(self, file: SimulationFile, *policies: str) -> Report:
        return simulate(file, policies or NAMES, self.dice, seed=7)

    def outcome(self, file: SimulationFile, policy: str = "ours") -> Outcome:
        return self.report(file, policy).policies[0]

    @staticmethod
    def dice() -> np.random.Generator:
        return np.random.default_rng(7)


@pytest.fixture(scope="session")
def worlds() -> Worlds:
    return Worlds()
