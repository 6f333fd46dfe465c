"""What every node knows of the others: the numbers of `bgp.view.View`, for all nodes at once. Pure.

A node's sum over the others is the sum over all less its own part; the lowest node that claims and the latest
two moves are enough to answer for everybody. What is published is known to all others at the same time, after a
delay of at least one step.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

import numpy as np

from bgp.view import Others
from edge.simulate.routers import NONE
from edge.simulate.world import Bools, Floats, Ints

_LOST: Final = Others("the fleet is not heard", synced=True)


class _Published(NamedTuple):
    """How the nodes stood at one time: totals, and each node's part in them."""

    routes: Ints
    spare: Floats
    claimant: int
    announcing_total: int
    spare_total: float


class FleetView:
    """[N] nodes, of which none has moved for long in the beginning."""

    def __init__(self, capacity: Floats, delay_s: float, step_s: float) -> None:
        self._capacity = capacity
        self._pending: deque[_Published] = deque(maxlen=max(1, round(delay_s / step_s)))
        self._tenths: Floats = np.zeros(len(capacity))
        self._moved_at = np.full(len(capacity), -np.inf)
        self._latest, self._second = 0, -np.inf

    def publish(self, routes: Ints, load: Floats, claims: Bools, now: float) -> None:
        """Say how each node stands at ``now``, at the end of each step; ``load`` is a fraction of the capacity."""
        before = self._pending[0].routes if self._pending else routes
        announcing = routes != NONE
        self._tenths = _tenths(load, self._tenths)
        spare = np.where(announcing, np.maximum(10 - self._tenths, 0.0) / 10 * self._capacity, 0.0)
        claimants = np.flatnonzero(claims)
        self._pending.append(
            _Published(
                routes,
                spare,
                int(claimants[0]) if len(claimants) else len(claims),
                int(np.count_nonzero(announcing)),
                float(spare.sum()),
            )
        )
        self._note_moves(before != self._seen.routes, now)

    @property
    def _seen(self) -> _Published:
        return self._pending[0]

    def _note_moves(self, moved: Bools, now: float) -> None:
        if not moved.any():
            return
        self._moved_at[moved] = now
        self._latest = int(self._moved_at.argmax())
        self._second = float(np.delete(self._moved_at, self._latest).max(initial=-np.inf))

    def announcing(self) -> Ints:
        """[N] how many others announce."""
        others: Ints = self._seen.announcing_total - (self._seen.routes != NONE)
        return others

    def spare(self) -> Floats:
        """[N] calls that the others can still take."""
        return self._seen.spare_total - self._seen.spare

    def others(self, node: int, now: float, *, lost: bool) -> Others:
        """What ``node`` knows at ``now``; ``lost``: nothing any more."""
        if lost:
            return _LOST
        seen = self._seen
        last_move = self._second if node == self._latest else self._moved_at[self._latest]
        return Others(
            problem="",
            synced=True,
            announcing=seen.announcing_total - int(seen.routes[node] != NONE),
            spare=seen.spare_total - float(seen.spare[node]),
            claimant=f"node {seen.claimant}" if seen.claimant < node else "",
            settled_s=now - last_move,
        )


def _tenths(load: Floats, told: Floats) -> Floats:
    """[N] load as it is published: rounded up, and lower only by more than half a step (`bgp.control_route`)."""
    tenths = np.round(load * 10, 6)
    lower = np.minimum(told, np.ceil(tenths + 0.5))
    return np.where(tenths <= told, lower, np.ceil(tenths))
