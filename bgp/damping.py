"""How routers count flaps, and how much of their patience we allow ourselves to use up.

Flap damping (RFC 2439): a router keeps a *penalty* for each prefix and neighbor. Every change adds to it, and
time halves it. At ``suppress`` the prefix is ignored until the penalty has sunk below ``reuse``; a ceiling on the
penalty bounds how long that takes. Nobody tells the one who is being ignored.

The numbers are the vendors' defaults, which RFC 7196 compares: Cisco's, which FRR has too, and those of JunOS
(statement ``damping``); and the suppress threshold of at least 6000 that RIPE-580 and RFC 7196 ask for instead.
They leave the rest to the router, whose make we do not know, so that profile charges what the stricter one does.

The *budget* is ours: both rungs of the ladder fit (one change, one withdrawal), and what we choose to do never
reaches ``suppress``. A failure on top of that can; a budget with room for it would allow no move at all. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from bgp.conf import Damping


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One way of counting. Times in seconds, all else in points of penalty."""

    withdraw: float = 1000.0
    announce: float = 0.0
    """Again, after a withdrawal. What was never heard before costs nothing to announce."""
    change: float = 500.0
    """Of any attribute: path, communities, next hop."""
    half_life_s: float = 900.0
    suppress: float
    reuse: float = 750.0
    max_suppress_s: float = 3600.0
    budget: float

    @property
    def ceiling(self) -> float:
        """No penalty exceeds this: from here it takes ``max_suppress_s`` to sink to ``reuse``."""
        return self.reuse * math.exp2(self.max_suppress_s / self.half_life_s)

    def suppresses(self, penalty: float) -> bool:
        """Probably: routers let penalties sink in steps (FRR: of 5 s), so theirs may be a little above ours."""
        return penalty >= 0.99 * self.suppress

    def decayed(self, penalty: float, elapsed_s: float) -> float:
        return penalty * math.exp2(-elapsed_s / self.half_life_s)

    def decay_s(self, penalty: float, target: float) -> float:
        """How long until ``penalty`` has sunk to ``target`` (above 0); 0 if it has.

        A billionth too much counts as reached, or rounding would leave somebody who waited a little to wait.
        """
        if penalty <= target * (1 + 1e-9):
            return 0.0
        return self.half_life_s * math.log2(penalty / target)


# `off` has no profile: such a neighbor counts nothing.
PROFILES: Final[Mapping[Damping, Profile]] = MappingProxyType(
    {
        "cisco": Profile(suppress=2000.0, budget=1500.0),
        "junos": Profile(suppress=3000.0, budget=2400.0, announce=1000.0),
        "ripe580": Profile(suppress=6000.0, budget=4500.0, announce=1000.0),
    }
)
