"""The policy of one node: the machine that climbs the ladder. What it may do is the table in `bgp.ladder`.

It is asked often and moves seldom, so `Policy.decide` only asks conditions; words are made when a move is taken, or
when somebody asks for them.

Pure: time, probe results, load, what others say, and the dice come in as arguments.
"""

from __future__ import annotations

from collections import deque
from copy import copy
from dataclasses import dataclass
from typing import Final

from bgp import explain as explaining
from bgp.condition import GuardName, duration
from bgp.explain import Explanation, Finding, Way
from bgp.ladder import TRANSITIONS, Row, rows_by_state
from bgp.params import HYSTERESIS, NAIVE, NONE, Mode, PolicyParams
from bgp.situation import PolicyInput, Situation
from bgp.state import ANNOUNCING, State

__all__ = [
    "HYSTERESIS",
    "KEPT_DECISIONS",
    "NAIVE",
    "NONE",
    "TRANSITIONS",
    "Decision",
    "Explanation",
    "Finding",
    "GuardName",
    "Mode",
    "Policy",
    "PolicyInput",
    "PolicyParams",
    "State",
    "Way",
    "duration",
]

KEPT_DECISIONS: Final = 20

_FOR_LOAD: Final = frozenset({State.DEPREFERRED, State.WITHDRAWN})


@dataclass(frozen=True, slots=True)
class Decision:
    """One transition and why. ``carried_out`` is false where mode ``observe`` leaves routing as it is."""

    at: float
    before: State
    after: State
    reason: str
    voluntary: bool
    carried_out: bool


class Policy:
    """See the module. After each `decide`, the properties say what is to be announced and told to the others."""

    def __init__(self, params: PolicyParams, *, mode: Mode = "act") -> None:
        self._params = params
        self._mode = mode
        self._rows = rows_by_state(params)
        self._situation: Situation | None = None
        self._refusals: tuple[GuardName, ...] = ()
        self._decisions: deque[Decision] = deque(maxlen=KEPT_DECISIONS)

    @property
    def state(self) -> State:
        return State.STARTING if self._situation is None else self._situation.state

    @property
    def in_effect(self) -> State:
        """The state that routing is to be in, and that the others are told: ``state``, less what is only observed."""
        return self._effect_of(self.state)

    @property
    def announce(self) -> bool:
        """Whether the service prefix is to be announced now."""
        return self.in_effect in ANNOUNCING

    @property
    def deprefer(self) -> bool:
        """Whether it is to be announced as less preferred: a longer path and 65535:0 (RFC 8326), in one update."""
        return self.in_effect is State.DEPREFERRED

    @property
    def wants_to_move(self) -> bool:
        """Our claim to be the next that leaves, for the others to see."""
        claims = self._situation is not None and self._situation.claim_ends_at is not None
        return claims and self._mode == "act"

    @property
    def refusals(self) -> frozenset[GuardName]:
        """The guards that held a wanted move back at the last `decide`."""
        return frozenset(self._refusals)

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """The last ``KEPT_DECISIONS``, oldest first."""
        return tuple(self._decisions)

    def decide(self, given: PolicyInput, *, jitter: float = 0.0, delay: float = 0.0) -> Decision | None:
        """Take at most one transition; None when nothing changes.

        ``jitter`` (-1 to 1) shortens or lengthens a hold, ``delay`` (0 to 1) lengthens a claim that begins with this
        call. Both are fresh throws of the dice.
        """
        situation = self._situation
        if situation is None:
            situation = self._situation = Situation.at_start(self._params, given)
        situation.take(given)
        refusals: tuple[GuardName, ...] = ()
        claims = False
        for row in self._rows[situation.state]:
            if row.trigger.met(situation):
                refused = tuple([guard.name for guard in row.guards if not guard.met(situation)])
                if not refused:
                    self._refusals = ()
                    return self._take(row, situation, jitter)
                if refused == (GuardName.CLAIM,):
                    claims = True
                elif refused[-1] is GuardName.CLAIM:
                    # It stands last, and a claim is made only when nothing else refuses.
                    refused = refused[:-1]
                refusals += refused
        self._refusals = refusals
        if not claims:
            situation.claim_ends_at = None
        elif situation.claim_ends_at is None:
            spread_s = delay * self._params.claim_spread_s
            situation.claim_ends_at = given.now + self._params.claim_min_s + spread_s
        return None

    def explain(self, given: PolicyInput) -> Explanation:
        """What `decide` would see now, in words. Changes nothing."""
        if self._situation is None:
            situation = Situation.at_start(self._params, given)
        else:
            situation = copy(self._situation)
        situation.take(given)
        return explaining.explain(
            situation,
            self._rows[situation.state],
            in_effect=self.in_effect,
            reason=self._decisions[-1].reason if self._decisions else "",
        )

    def _take(self, row: Row, situation: Situation, jitter: float) -> Decision:
        now, before, acts = situation.given.now, situation.state, self._mode == "act"
        told = (row.trigger, *(guard for guard in row.guards if guard.in_reason))
        decision = Decision(
            at=now,
            before=before,
            after=row.target,
            reason="; ".join(one.says(situation) for one in told),
            voluntary=row.voluntary,
            carried_out=acts or self._effect_of(before) is not self._effect_of(row.target),
        )
        situation.enter(row.target)
        if row.hold is not None:
            lasts_s = getattr(self._params, row.hold) * (1 + jitter * self._params.hold_jitter_ratio)
            situation.hold_ends_at = max(situation.hold_ends_at, now + lasts_s)
        if row.voluntary and acts and row.target is State.WITHDRAWN:
            situation.away_for_load = True
        self._decisions.append(decision)
        return decision

    def _effect_of(self, state: State) -> State:
        return State.ANNOUNCED if self._mode == "observe" and state in _FOR_LOAD else state
