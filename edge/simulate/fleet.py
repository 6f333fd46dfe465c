"""The decisions of all nodes: the policy and the ledger that run on a node, one of each per node. Pure.

A policy is a state machine whose conditions ask whether the node is overloaded, calm or broken, for how long,
and what the others can take. So a node need not be asked in every step. It is asked when one of those flags
changes, while its claim stands, while it has not proved itself, and when a move could be due; asking it in
between would change nothing (a test asks always, and compares).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Final, NamedTuple

import numpy as np

from bgp.conf import Damping
from bgp.ledger import UNLIMITED, Allowance, Ledger
from bgp.neighbor import Advertisement
from bgp.policy import Policy
from bgp.situation import PolicyInput
from bgp.state import State
from bgp.view import Others
from edge.simulate.contenders import Contender
from edge.simulate.routers import DEPREFERRED, NONE, PLAIN
from edge.simulate.view import FleetView
from edge.simulate.world import Bools, Floats, Ints

# The documentation prefixes (RFC 5737) stand for every node's own: ledgers are never compared with each other.
_ROUTER: Final = IPv4Address("192.0.2.1")
_PREFIX: Final = IPv4Network("198.51.100.0/24")
_HEARD: Final = {
    NONE: None,
    DEPREFERRED: Advertisement(_PREFIX, IPv4Address("192.0.2.2"), as_path=(64600,) * 3),
    PLAIN: Advertisement(_PREFIX, IPv4Address("192.0.2.2"), as_path=(64600,)),
}
_ROUTES: Final = {State.ANNOUNCED: PLAIN, State.DEPREFERRED: DEPREFERRED}
_ON_THE_LADDER: Final = frozenset({State.ANNOUNCED, State.DEPREFERRED, State.WITHDRAWN})
_LONG_AGO: Final = -86_400.0


class Signals(NamedTuple):
    """[N] what the nodes measure about themselves; ``load`` in calls, ``lost`` who hears nothing of the others."""

    pressure: Floats
    refusal_ratio: Floats
    shedding: Bools
    load: Floats
    broken: Bools
    lost: Bools


class Fleet:
    """[N] nodes, which have all been announced for long. ``ask_always`` gives up the short cut."""

    def __init__(
        self,
        contender: Contender,
        damping: Damping,
        nodes: int,
        dice: np.random.Generator,
        *,
        ask_always: bool = False,
    ) -> None:
        self._params = contender.params
        self._damping: Damping = damping if contender.keeps_ledger else "off"
        self._dice = dice
        self._ask_always = ask_always
        self._policies = [self._proven_policy() for _ in range(nodes)]
        self._ledgers: dict[int, Ledger] = {}
        self._told: Ints = np.full(nodes, PLAIN)
        self.routes: Ints = np.full(nodes, PLAIN)
        """[N] what each wants to be announced."""
        self.claims: Bools = np.zeros(nodes, dtype=np.bool_)
        """[N] who claims to be the next that leaves."""
        self._broken: Bools = np.zeros(nodes, dtype=np.bool_)
        self._unproven: Bools = np.zeros(nodes, dtype=np.bool_)
        self._overloaded_since: Floats = np.full(nodes, np.inf)
        self._calm_since: Floats = np.full(nodes, np.inf)
        self._hold_ends_at: Floats = np.full(nodes, -np.inf)
        """[N] at the earliest: the dice of the policy are its own."""

    def decide(self, signals: Signals, view: FleetView, alive: Bools, now: float) -> Ints:
        """Ask those whose answer may have changed. Returns the nodes that came back from being away for load."""
        # Thrown for all in every step: nobody's luck depends on who else is asked.
        jitter, delay = self._dice.random((2, len(alive)))
        asked = self._stirred(signals, now) | self._move_due(signals, view, now)
        if self._ask_always:
            asked[:] = True
        back = []
        for node in np.flatnonzero(asked & alive).tolist():
            given = self._given(node, signals, view.others(node, now, lost=bool(signals.lost[node])), now)
            if self._ask(node, given, jitter=2 * float(jitter[node]) - 1, delay=float(delay[node])):
                back.append(node)
        return np.array(back, dtype=np.int64)

    def tell(self, routes: Ints, now: float) -> None:
        """[N] what the neighbors of each node hear in this step; the ledgers count it."""
        if self._damping != "off":
            for node in np.flatnonzero(routes != self._told).tolist():
                self._ledger(node).heard(_ROUTER, _PREFIX, _HEARD[int(routes[node])], now)
        self._told = routes.copy()

    def restart(self, nodes: Ints) -> None:
        """These have started anew: all that is left of before is the ledger on their disks."""
        for node in nodes.tolist():
            self._policies[node] = Policy(self._params)
        self.routes[nodes] = NONE
        self.claims[nodes] = False
        self._unproven[nodes] = True
        self._hold_ends_at[nodes] = -np.inf

    def _stirred(self, signals: Signals, now: float) -> Bools:
        """Who became overloaded, calm or broken or ceased to be, or is asked in every step."""
        params = self._params
        overloaded = signals.pressure >= params.pressure_rise
        if params.shed_first:
            overloaded &= signals.shedding & (signals.refusal_ratio > params.refusals_min_ratio)
        calm = signals.pressure < params.pressure_fall
        was_overloaded, was_calm = np.isfinite(self._overloaded_since), np.isfinite(self._calm_since)
        changed = (overloaded != was_overloaded) | (calm != was_calm) | (signals.broken != self._broken)
        self._overloaded_since = _since(self._overloaded_since, overloaded, now)
        self._calm_since = _since(self._calm_since, calm, now)
        self._broken = signals.broken
        asked: Bools = changed | self.claims | self._unproven
        return asked

    def _move_due(self, signals: Signals, view: FleetView, now: float) -> Bools:
        """For whom the times of a move for load have passed, as far as one can tell from outside."""
        params = self._params
        plain, out = self.routes == PLAIN, self.routes == NONE
        held = now < self._hold_ends_at
        needed_s = np.where(plain, params.deprefer_after_s, params.withdraw_after_s)
        down = (now - self._overloaded_since >= needed_s) & ~out & ~(plain & held)
        if params.guard == "on" and down.any():
            down &= ~signals.lost
            down &= view.announcing() >= params.min_announcing
            down &= view.spare() > params.spare_ratio * signals.load
        up = (now - self._calm_since >= params.calm_s) & ~plain & ~held
        if params.guard == "on":
            up |= out & (view.announcing() == 0)
        due: Bools = down | up
        return due

    def _given(self, node: int, signals: Signals, others: Others, now: float) -> PolicyInput:
        broken = bool(signals.broken[node])
        return PolicyInput(
            now=now,
            probes_passed=0 if broken else self._params.probes_to_announce,
            probes_failed=self._params.probes_to_fence if broken else 0,
            unicast_failed=self._params.probes_to_fence if broken else 0,
            pressure=float(signals.pressure[node]),
            refusal_ratio=float(signals.refusal_ratio[node]),
            shedding=bool(signals.shedding[node]),
            load=float(signals.load[node]),
            others=others,
            allowance=self._allowance(node, now),
        )

    def _ask(self, node: int, given: PolicyInput, *, jitter: float, delay: float) -> bool:
        """Whether the node came back."""
        policy, params = self._policies[node], self._params
        decision = policy.decide(given, jitter=jitter, delay=delay)
        self.claims[node] = policy.wants_to_move
        if decision is None:
            return False
        self.routes[node] = _ROUTES.get(decision.after, NONE)
        self._unproven[node] = decision.after not in _ON_THE_LADDER
        if decision.voluntary:
            withdrawn = decision.after is State.WITHDRAWN
            hold_s = params.withdraw_hold_s if withdrawn else params.deprefer_hold_s
            self._hold_ends_at[node] = given.now + hold_s * (1 - params.hold_jitter_ratio)
        return decision.voluntary and decision.after is State.ANNOUNCED

    def _proven_policy(self) -> Policy:
        policy = Policy(self._params)
        proven = PolicyInput(
            now=_LONG_AGO,
            probes_passed=self._params.probes_to_announce,
            probes_failed=0,
            pressure=0.0,
            refusal_ratio=0.0,
            shedding=False,
            others=Others("", synced=True),
        )
        policy.decide(proven, jitter=0.0, delay=0.0)
        return policy

    def _allowance(self, node: int, now: float) -> Allowance:
        # Who has never changed anything has nothing to pay for.
        return self._ledgers[node].allowance(now) if node in self._ledgers else UNLIMITED

    def _ledger(self, node: int) -> Ledger:
        if node not in self._ledgers:
            ledger = Ledger({_ROUTER: self._damping}, [_PREFIX])
            ledger.heard(_ROUTER, _PREFIX, _HEARD[PLAIN], _LONG_AGO)
            self._ledgers[node] = ledger
        return self._ledgers[node]


def _since(since: Floats, lasts: Bools, now: float) -> Floats:
    """[N] when what ``lasts`` began; infinity where it does not."""
    return np.where(lasts, np.minimum(since, now), np.inf)
