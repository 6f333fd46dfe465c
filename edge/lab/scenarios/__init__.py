"""Stories that the lab can play; each is judged by counting at its ends."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from edge.lab.report import LabReport
from edge.lab.scenarios.overload import Overload


class Scenario(Protocol):
    """``run`` builds a lab, plays, takes the lab away, writes everything into ``out`` and judges.

    ``fault`` names one of the scenario's faults; `UsageError` if it has no such fault.
    """

    def run(self, out: Path, *, seed: int, fault: str | None) -> LabReport: ...


SCENARIOS: dict[str, Scenario] = {"overload": Overload()}
