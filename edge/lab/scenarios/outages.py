"""How long callers heard nothing, and how long that went on when nothing was wrong any more. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edge.lab.callers import Caller


@dataclass(frozen=True, slots=True)
class Change:
    """From when something was wrong with a site's network, and from when nothing was any more (monotonic)."""

    began_at: float
    over_at: float


def waits_s(caller: Caller, change: Change) -> list[float]:
    """How long after a change was over each of the site's callers heard its edge again; 0 if it never ceased to."""
    waits_s = dict.fromkeys(caller.finished, 0.0)
    for silence in caller.silences:
        if silence.name in waits_s and silence.began_at <= change.over_at and silence.at >= change.began_at:
            waits_s[silence.name] = max(waits_s[silence.name], silence.at - change.over_at)
    return list(waits_s.values())


def p95(values: Sequence[float]) -> float | None:
    """The nearest rank; None of nothing."""
    return round(values[math.ceil(0.95 * len(values)) - 1], 3) if values else None
