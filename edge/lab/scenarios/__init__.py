"""Stories that the lab can play; each is judged by counting at its ends."""

from __future__ import annotations

from edge.lab.faults import FAULTS
from edge.lab.scenarios.scenario import Scenario

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "overload",
            "a node is overloaded, withdraws its route, and nobody on it misses a frame",
            "edge.lab.scenarios.overload:play",
            faults=tuple(FAULTS),
        ),
    )
}
