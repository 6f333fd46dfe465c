"""Which site a population's new calls reach, and what becomes of them there. Pure.

A population goes to the first site of its ranking that is announced plainly, and to a de-preferred one only if
there is no plain one anywhere: prepending and the graceful-shutdown community (RFC 8326) make a route the worst
of all that a network knows, not the worst of its neighbourhood. The *deaf* part of a population sits behind
networks whose local preference looks at neither, and takes the first that is announced at all. Each population
follows a change when its ``convergence_s`` have passed, withdrawals and announcements alike.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from edge.simulate.routers import NONE, PLAIN
from edge.simulate.world import Bools, Floats, Ints, World

_NEAREST: Final = 4
_WIDER: Final = 4
"""So many sites of each ranking are looked at first, and so many times as many after that."""


class Targets(NamedTuple):
    """[P] the site each population reaches, -1 for none: those that hear a de-preference, and the deaf."""

    hearing: Ints
    deaf: Ints


class Fates(NamedTuple):
    """Calls of each population [P] that did not get through, by reason; ``away`` were carried by a second choice."""

    refused: Floats
    unanswered: Floats
    no_route: Floats
    away: float


class Catchment:
    """All populations, step by step. In the beginning every site has been announced for long."""

    def __init__(self, world: World, step_s: float) -> None:
        self._ranking = world.ranking
        self._lag = np.round(world.convergence_s / step_s).astype(np.int64)
        self._depth = int(self._lag.max()) + 1
        self._history = np.full((self._depth, world.sites), PLAIN, dtype=np.int8)
        self._step = -1
        self._changed_at = 0
        self._targets = Targets(world.ranking[:, 0], world.ranking[:, 0])

    def follow(self, routes: Ints) -> Targets:
        """[S] how each site is announced in this step -> where the calls of this step go. Call once each step."""
        self._step += 1
        if not np.array_equal(routes, self._history[(self._step - 1) % self._depth]):
            self._changed_at = self._step
        self._history[self._step % self._depth] = routes
        if self._step - self._changed_at < self._depth:
            self._targets = self._look()
        return self._targets

    def _look(self) -> Targets:
        """The best site of each population's ranking; the few who find none among the nearest look farther."""
        populations, sites = self._ranking.shape
        hearing, deaf = np.full((2, populations), -1)
        seen_at = (self._step - self._lag) % self._depth
        rows, first = np.arange(populations), 0
        while len(rows) and first < sites:
            last = first * _WIDER or _NEAREST
            nearest = self._ranking[rows, first:last]
            seen = self._history[seen_at[rows, None], nearest]
            plain, is_plain = _first(seen == PLAIN, nearest)
            some, is_some = _first(seen != NONE, nearest)
            hearing[rows] = np.where(is_plain, plain, hearing[rows])
            deaf[rows] = np.where((deaf[rows] < 0) & is_some, some, deaf[rows])
            rows, first = rows[~is_plain], last
        return Targets(np.where(hearing < 0, deaf, hearing), deaf)


def _first(fits: Bools, ranking: Ints) -> tuple[Ints, Bools]:
    """[rows] the first site of each ranking that fits, and whether one does."""
    place = fits.argmax(axis=1)
    rows = np.arange(len(place))
    return ranking[rows, place], fits[rows, place]


class Journeys:
    """The new calls of one step on their way: [P] ``calls`` to their targets."""

    def __init__(self, world: World, targets: Targets, calls: Floats) -> None:
        self._first_choice = world.ranking[:, 0]
        self._sites = world.sites
        self._parts = [
            (targets.hearing, calls * (1 - world.deaf_ratio)),
            (targets.deaf, calls * world.deaf_ratio),
        ]

    def arrivals(self) -> Floats:
        """[S] who arrives where; those without a target arrive nowhere."""
        arrived = np.zeros(self._sites)
        for target, calls in self._parts:
            reached = target >= 0
            arrived += np.bincount(target[reached], weights=calls[reached], minlength=self._sites)
        return arrived

    def fates(self, refused_ratio: Floats, unanswered_ratio: Floats) -> Fates:
        """[S] what part of the arrivals did not get through at each site -> who these were."""
        refused, unanswered, no_route = np.zeros((3, len(self._first_choice)))
        away = 0.0
        for target, calls in self._parts:
            reached = target >= 0
            no_route += calls * ~reached
            refused += calls * reached * refused_ratio[target]
            unanswered += calls * reached * unanswered_ratio[target]
            carried = calls * reached * (1 - refused_ratio[target] - unanswered_ratio[target])
            away += float(carried[target != self._first_choice].sum())
        return Fates(refused, unanswered, no_route, away)
