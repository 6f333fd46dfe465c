"""Where the calls of a node can go: to the others, in proportion to what each of them can still take."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

MOST: Final = 64
"""Entries in one spread; nodes whose share is less are left out of it."""


@dataclass(frozen=True, slots=True)
class Target:
    """One other node, by URLs that callers of each family can reach; None is the service address."""

    node: str
    v4: str | None
    v6: str | None


SERVICE: Final = Target("", None, None)
"""Wherever the routes lead now."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """``spare`` is what it can take, in calls: 0 if it asks callers to stay away; None if nothing is known of it.

    ``announces``: whether it is seen to attract callers; None if nobody could say.
    """

    target: Target
    announces: bool | None
    spare: float | None


def spread(candidates: Iterable[Candidate]) -> Sequence[Target]:
    """Targets to be taken in turn, again from the first after the last; the same node is not twice in a row if it can be.

    Those that announce, by their room; if none of them has any, all alike. If nobody can say who announces, all alike.
    Without any, the service address.
    """
    known = list(candidates)
    announcing = [one for one in known if one.announces] or [one for one in known if one.announces is None]
    weights = {one.target: one.spare or 0.0 for one in announcing}
    if not any(weights.values()):
        weights = dict.fromkeys(weights, 1.0)
    return _in_turn({target: weight for target, weight in weights.items() if weight > 0}) or [SERVICE]


def _in_turn(weights: dict[Target, float]) -> list[Target]:
    """Smooth weighted round robin, as long as it takes for the smallest weight to have its turn."""
    if not weights:
        return []
    total = sum(weights.values())
    turns = round(min(float(MOST), total / min(weights.values())))
    credit = dict.fromkeys(weights, 0.0)
    chosen = []
    for _ in range(max(turns, 1)):
        for target, weight in weights.items():
            credit[target] += weight
        best = max(credit, key=credit.__getitem__)
        credit[best] -= total
        chosen.append(best)
    return chosen
