"""What routers beyond the nodes make of a route that changes: penalty, suppression, reuse (RFC 2439). Pure.

Every change of a node's route adds to a penalty that time halves. At the suppress limit the routers stop using
the route, whatever is announced, until the penalty has sunk below the reuse limit (`bgp.damping`). This is what
the ledger of a node tries to stay clear of; here it happens.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from bgp.conf import Damping
from bgp.damping import PROFILES
from edge.simulate.world import Bools, Floats, Ints

NONE: Final = 0
DEPREFERRED: Final = 1
PLAIN: Final = 2
"""How a route stands, in the order of preference."""


class Routers:
    """The damping state of ``nodes`` routes, all of which have been announced plainly for long."""

    def __init__(self, damping: Damping, nodes: int, step_s: float) -> None:
        self._profile = PROFILES.get(damping)
        self._step_s = step_s
        self._route: Ints = np.full(nodes, PLAIN)
        self._penalty: Floats = np.zeros(nodes)
        self.suppressed: Bools = np.zeros(nodes, dtype=np.bool_)
        self.updates: Ints = np.zeros(nodes, dtype=np.int64)
        """[N] changes heard so far."""
        self.withdrawals: Ints = np.zeros(nodes, dtype=np.int64)

    def hear(self, route: Ints) -> Ints:
        """[N] what is announced in this step -> [N] what is used. Call once each step."""
        before, self._route = self._route, route.copy()
        changed, gone = before != route, (before != NONE) & (route == NONE)
        self.updates += changed
        self.withdrawals += gone
        if self._profile is None:
            return route
        profile = self._profile
        self._penalty *= profile.decayed(1.0, self._step_s)
        if changed.any():
            back = changed & (before == NONE)
            self._penalty += gone * profile.withdraw + back * profile.announce
            self._penalty += (changed & ~gone & ~back) * profile.change
            np.minimum(self._penalty, profile.ceiling, out=self._penalty)
            self.suppressed |= changed & (self._penalty >= profile.suppress)
        self.suppressed &= self._penalty >= profile.reuse
        return np.where(self.suppressed, NONE, route)
