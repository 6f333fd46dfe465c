"""The nodes as servers: who of the newcomers is let in, who is refused, who finds nobody. Pure.

Calls are a fluid that arrives evenly within a step and ends at the rate 1 / duration. It stays where it is, whatever
happens to routes, until it ends or its node dies.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from edge.overload import OverloadParams
from edge.simulate.gates import Gates
from edge.simulate.happenings import Conditions
from edge.simulate.routers import NONE
from edge.simulate.world import Floats, Ints, World


class Served(NamedTuple):
    """What became of a step's newcomers. [N] accepted; the rest [S]: refused, and came to nobody who answers."""

    accepted: Floats
    refused: Floats
    unanswered: Floats


class Servers:
    """All nodes. In the beginning each has carried ``calls`` for long."""

    def __init__(
        self,
        world: World,
        params: OverloadParams,
        calls: Floats,
        *,
        step_s: float,
        duration_s: float,
        shed: bool,
    ) -> None:
        self._site = world.node_site
        self._first = np.searchsorted(world.node_site, np.arange(world.sites))
        self._capacity = world.capacity
        # Of the calls at the beginning of a step, and of those accepted in it, so many are left at its end.
        self._stays = math.exp(-step_s / duration_s)
        self._stays_of_new = (1 - self._stays) * duration_s / step_s
        self.calls: Floats = calls.copy()
        """[N] in progress."""
        self.gates = Gates(params, calls / world.capacity, step_s, shed=shed)

    def of_sites(self, values: Floats) -> Floats:
        """[N] -> [S] sums."""
        return np.add.reduceat(values, self._first)

    def best_routes(self, routes: Ints) -> Ints:
        """[N] -> [S] how a site looks from outside: as good as the best of its nodes."""
        return np.maximum.reduceat(routes, self._first)

    def lose(self, conditions: Conditions) -> float:
        """Cut the calls of nodes that are dead or broken; returns how many."""
        gone = conditions.dead | conditions.broken
        cut = float(self.calls[gone].sum())
        self.calls[gone] = 0.0
        return cut

    def serve(self, arrivals: Floats, routes: Ints, conditions: Conditions, now: float) -> Served:
        """Let the step that begins at ``now`` pass: [S] ``arrivals`` at sites whose nodes' ``routes`` [N] are used."""
        newcomers = self._shared(arrivals, routes, conditions)
        answers = ~(conditions.dead | conditions.broken | conditions.cut)
        answered = newcomers * answers
        self.calls *= self._stays
        admitted = answered * (1 - self.gates.refuse_probability)
        room = np.maximum(self._capacity - self.calls, 0.0)
        accepted = np.minimum(admitted, room / self._stays_of_new)
        self.calls += accepted * self._stays_of_new
        refused = answered - accepted
        self.gates.count(refused, answered)
        self.gates.update(self.calls / self._capacity, now)
        refused_of_site = self.of_sites(refused)
        unanswered = np.maximum(arrivals - self.of_sites(accepted) - refused_of_site, 0.0)
        return Served(accepted, refused_of_site, unanswered)

    def _shared(self, arrivals: Floats, routes: Ints, conditions: Conditions) -> Floats:
        """[N] newcomers: the nodes with a site's best route share equally (ECMP).

        Callers who are still sent to a site without a route are forwarded to its nodes all the same, if any live.
        """
        best = self.best_routes(routes)[self._site]
        takes = np.where(best != NONE, routes == best, ~conditions.dead).astype(np.float64)
        takers = self.of_sites(takes)
        return takes * (arrivals / np.maximum(takers, 1.0))[self._site]
