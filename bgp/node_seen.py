"""Another node as the fleet's neighbors show it: what they say of it together, and since when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from typing import Final

from bgp.adj_rib_in import AdjRibIn
from bgp.control_route import CODES, ControlState
from bgp.flap_damper import FlapDamper
from bgp.route import Address
from bgp.state import ANNOUNCING, State
from bgp.view_params import ViewParams


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """One node, for people. ``problem`` says why it does not count as announcing, empty when it does.

    ``load`` is a fraction of ``capacity`` (calls); ``since_s`` is how long it has been in ``state``; ``sources``
    are the neighbors that tell of it.
    """

    address: Address
    state: State
    claim: bool
    load: float
    capacity: int
    since_s: float
    sources: tuple[Address, ...]
    problem: str


@dataclass(frozen=True, slots=True)
class Merged:
    """What all who are believed say of one node together, the worse wherever they disagree.

    ``told`` is None when nobody tells of it. ``is_served`` is true when each of them has its service routes.
    """

    told: ControlState | None = None
    is_served: bool = False

    @property
    def state(self) -> State | None:
        return None if self.told is None else self.told.state

    @property
    def claims(self) -> bool:
        """Only who attracts callers can leave them to others."""
        return self.told is not None and self.told.claim and self.attracts is not None

    @property
    def spare(self) -> float:
        """What it can still take, in calls: nothing when it asks callers to stay away."""
        return self.told.spare if self.told is not None and self.attracts is State.ANNOUNCED else 0.0

    @property
    def attracts(self) -> State | None:
        """The state in which callers come to it; None when they don't."""
        if self.told is None or not self.is_served or self.told.state not in ANNOUNCING:
            return None
        return self.told.state


def merge(node: Address, ribs: Iterable[AdjRibIn]) -> Merged:
    """``ribs`` are those of the neighbors that are believed."""
    told: list[ControlState] = []
    is_served = True
    for rib in ribs:
        states = rib.states(node)
        told.extend(states)
        if states or rib.knows_everybody:
            is_served = is_served and bool(states) and rib.serves(node)
    if not told:
        return Merged()
    least = min(told, key=lambda state: (state.spare, state.capacity))
    worst = ControlState(
        state=max((state.state for state in told), key=CODES.__getitem__),
        claim=any(state.claim for state in told),
        load_tenths=least.load_tenths,
        capacity=least.capacity,
    )
    return Merged(worst, is_served)


# Points for the damper. An honest node makes a handful of moves on its way down the ladder and back, each after a
# claim of some seconds. Where everybody is overloaded it also claims in every round, and makes way for a lower one.
_MOVE: Final = 1.0
_CLAIM: Final = 0.1


class NodeRecord:
    """What has become of one node, and whether it is worth looking at."""

    def __init__(self, params: ViewParams, now: float) -> None:
        self._params = params
        self.merged = Merged()
        # When it last began or ceased to attract callers, or went from one way of doing so to the other.
        self.moved_at = -inf
        self.state_since = now
        # Without a break until now; inf when it does not.
        self._attracts_since = inf
        self._flaps = FlapDamper(params.flap_limit, params.flap_half_life_s)

    def update(self, merged: Merged, now: float, *, is_charged: bool) -> None:
        """``is_charged`` is false for what is not the node's own doing."""
        before, self.merged = self.merged, merged
        if merged == before:
            return
        moves = merged.attracts is not before.attracts
        if moves:
            self.moved_at = now
            if is_charged:
                self._flaps.charge(_MOVE, now)
        if merged.claims is not before.claims:
            if is_charged and merged.claims:
                self._flaps.charge(_CLAIM, now)
            per_s = self._params.flap_limit / self._params.claim_max_s
            self._flaps.charge_per_s(per_s if merged.claims else 0, now)
        if merged.state is not before.state:
            self.state_since = now
        if (merged.attracts is None) is not (before.attracts is None):
            self._attracts_since = inf if merged.attracts is None else now

    def is_ignored(self, now: float) -> bool:
        """It is neither counted upon nor waited for."""
        return self._flaps.is_suppressed(now)

    def is_steady(self, now: float) -> bool:
        """It has attracted callers for long enough, without a break."""
        return now - self._attracts_since >= self._params.steady_s

    def seen(self, address: Address, sources: tuple[Address, ...], now: float) -> NodeSeen | None:
        """None when nobody tells of it."""
        if (told := self.merged.told) is None:
            return None
        return NodeSeen(
            address=address,
            state=told.state,
            claim=told.claim,
            load=told.load_tenths / 10,
            capacity=told.capacity,
            since_s=now - self.state_since,
            sources=sources,
            problem=self._why_not_counted(now),
        )

    def _why_not_counted(self, now: float) -> str:
        if self.is_ignored(now):
            return "comes, goes or claims to leave too often"
        if self.merged.state not in ANNOUNCING:
            return "is not announced"
        if not self.merged.is_served:
            return "its service routes are not seen everywhere"
        return "" if self.is_steady(now) else f"announced for less than {self._params.steady_s:g} s"
