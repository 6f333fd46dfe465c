"""What the policy knows at one moment: what it is told, and how long things have been so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from bgp.ledger import UNLIMITED, Allowance
from bgp.params import PolicyParams
from bgp.state import ANNOUNCING, State
from bgp.view import NO_VIEW, Others


# A struct, for it is made for every decision, and one of these takes a tenth of the time of a frozen dataclass.
class PolicyInput(msgspec.Struct, frozen=True, kw_only=True):
    """What is known at ``now``.

    ``probes_passed`` and ``probes_failed`` count self-probes in a row up to now, so one of them is 0;
    ``unicast_failed`` counts those through the node's own addresses that failed in a row. ``defect`` says what makes
    every call fail although probes pass, like an expired certificate; empty for none.

    ``refusal_ratio`` is the part of new connections refused; ``shedding`` says that admission is refusing at all;
    ``load`` is what the node carries, in calls.

    ``hold`` is the operator's word: "withdraw" keeps the node out; "announce" keeps it in, unless it is broken.
    ``start_wait_s`` is what is left of the wait of a node that kept dying, before its first announcement.
    """

    now: float
    probes_passed: int
    probes_failed: int
    unicast_failed: int = 0
    defect: str = ""
    pressure: float
    refusal_ratio: float
    shedding: bool
    load: float = 0.0
    hold: Literal["none", "withdraw", "announce"] = "none"
    start_wait_s: float = 0.0
    others: Others = NO_VIEW
    allowance: Allowance = UNLIMITED


@dataclass(slots=True)
class Situation:
    """All that a condition may look at. Times are those of the inputs; None and infinity mean "not so".

    It changes in two ways only: `take` brings in what is known now, `enter` makes a move.
    """

    params: PolicyParams
    given: PolicyInput
    began_at: float
    state: State
    since: float
    overloaded_since: float | None = None
    calm_since: float | None = None
    hold_ends_at: float = float("-inf")
    claim_ends_at: float | None = None
    """When our claim to be the next that leaves will have stood long enough; None while there is none."""
    away_for_load: bool = False
    """From a withdrawal for load until the return from it, with fences and operators in between or not."""

    @classmethod
    def at_start(cls, params: PolicyParams, given: PolicyInput) -> Situation:
        return cls(params, given, began_at=given.now, state=State.STARTING, since=given.now)

    def take(self, given: PolicyInput) -> None:
        """Let time pass until ``given.now``, which never goes backwards."""
        params = self.params
        self.given = given
        if given.pressure < params.pressure_rise or (
            params.shed_first and not (given.shedding and given.refusal_ratio > params.refusals_min_ratio)
        ):
            self.overloaded_since = None
        elif self.overloaded_since is None:
            self.overloaded_since = given.now
        if given.pressure >= params.pressure_fall:
            self.calm_since = None
        elif self.calm_since is None:
            self.calm_since = given.now

    def enter(self, state: State) -> None:
        """Be in ``state`` from now on. Overload before a move does not count towards the next one."""
        self.state, self.since = state, self.given.now
        self.claim_ends_at = None
        if self.overloaded_since is not None:
            self.overloaded_since = self.given.now
        if state in ANNOUNCING:
            self.away_for_load = False

    @property
    def overloaded_s(self) -> float:
        """How long overloaded without a break; below 0 when it is not."""
        return -1.0 if self.overloaded_since is None else self.given.now - self.overloaded_since

    @property
    def calm_s(self) -> float:
        """How long calm without a break; below 0 when it is not."""
        return -1.0 if self.calm_since is None else self.given.now - self.calm_since

    @property
    def hold_left_s(self) -> float:
        return max(0.0, self.hold_ends_at - self.given.now)

    @property
    def broken(self) -> bool:
        return self.given.probes_failed >= self.params.probes_to_fence

    @property
    def proven(self) -> bool:
        given, params = self.given, self.params
        sound = not given.defect and given.probes_failed < params.probes_to_fence
        return sound and given.probes_passed >= params.probes_to_announce

    @property
    def alone(self) -> bool:
        """Known for sure to be the only one; without a view it is not known.

        A reflector that begins anew looks for a moment like a fleet that is gone, so that moment has to pass.
        """
        others = self.given.others
        sure = not others.problem and others.synced and others.settled_s >= self.params.settle_s
        return sure and not others.announcing
