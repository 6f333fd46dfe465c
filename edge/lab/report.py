"""What a scenario found: checks with limits, and a timeline to look at.

A check that could not be measured has no value and therefore fails: silence is never a pass.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

Rule = Literal["equals", "at_most", "at_least"]

_HOLDS: dict[Rule, Callable[[float, float], bool]] = {
    "equals": operator.eq,
    "at_most": operator.le,
    "at_least": operator.ge,
}
SIGN: dict[Rule, str] = {"equals": "=", "at_most": "≤", "at_least": "≥"}


@dataclass(frozen=True, slots=True)
class Check:
    """One measured claim: ``value`` (None: could not be measured) against ``limit``, in ``unit``."""

    name: str
    value: float | None
    limit: float
    unit: str
    rule: Rule = "equals"

    @property
    def passed(self) -> bool:
        return self.value is not None and _HOLDS[self.rule](self.value, self.limit)


@dataclass(slots=True)
class LabReport:
    """The outcome of one scenario; ``timeline`` entries carry ``t`` (seconds since the lab was up) and ``kind``."""

    scenario: str
    seed: int
    checks: list[Check] = field(default_factory=list)
    timeline: list[dict[str, Any]] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return bool(self.checks) and all(check.passed for check in self.checks)

    def document(self) -> dict[str, Any]:
        """The report in its published JSON form."""
        return {
            "apiVersion": "edge/v1",
            "kind": "LabReport",
            "scenario": self.scenario,
            "seed": self.seed,
            "passed": self.passed,
            "checks": [
                {
                    "name": check.name,
                    "passed": check.passed,
                    "value": check.value,
                    "limit": check.limit,
                    "unit": check.unit,
                    "rule": check.rule,
                }
                for check in self.checks
            ],
            "timeline": self.timeline,
        }

    def write(self, path: Path) -> None:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self.document()), indent=1))
