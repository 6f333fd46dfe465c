"""What a node decides: how newcomers are treated, and whether it announces. Deciding is all it does; `Node` acts.

load reports -> pressure -> admission: the gate for every worker
pressure, refusals, self-probes, the operator's hold, the others, the ledger -> policy: announce, and how
"""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bgp.ledger import UNLIMITED, Allowance
from bgp.policy import Decision, Explanation, GuardName, Policy, PolicyInput, State
from bgp.view import NO_VIEW, Others
from edge.config import NodeConfig
from edge.overload import Admission, Condition, Gate, LoadSample, PressureGauge
from edge.runtime import metric_table as metric
from edge.runtime.documents import Numbers
from edge.runtime.messages import Report
from edge.runtime.metrics import NodeMetrics
from edge.runtime.sampler import node_load

log = logging.getLogger("edge.control")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known beside the load; the fields are those of `PolicyInput`."""

    probes_passed: int = 0
    probes_failed: int = 0
    unicast_failed: int = 0
    defect: str = ""
    hold: Literal["none", "withdraw", "announce"] = "none"
    start_wait_s: float = 0.0
    others: Others = NO_VIEW
    allowance: Allowance = UNLIMITED


class Control:
    """Times are of one clock that does not go backwards."""

    def __init__(self, config: NodeConfig, now: float) -> None:
        self._announced_changed_at: float | None = None
        self._capacity = config.overload.capacity.calls
        self._gauge = PressureGauge(config.overload.capacity, config.overload.tau_s)
        self._pressure = self._gauge.update(LoadSample(), now)
        self._admission = Admission(config.overload, now)
        self._policy = Policy(config.policy, mode=config.policy.mode)
        self._counted = (0, 0)  # refusals and newcomers that the admission knows of
        self._refusals: frozenset[GuardName] = frozenset()
        self._unpublished: list[Decision] = []
        self._unpublished_refusals: list[GuardName] = []

    @property
    def gate(self) -> Gate:
        """How workers are to treat newcomers."""
        return self._admission.gate

    @property
    def state(self) -> State:
        """Where the policy stands; in mode ``observe`` it may differ from what is announced."""
        return self._policy.state

    @property
    def in_effect(self) -> State:
        """The state that routing is to be in, and that the others are told."""
        return self._policy.in_effect

    @property
    def announced(self) -> bool:
        return self._policy.announce

    @property
    def deprefer(self) -> bool:
        return self._policy.deprefer

    @property
    def claims(self) -> bool:
        """Whether the node wants to be the next that leaves."""
        return self._policy.wants_to_move

    @property
    def load(self) -> float:
        """A fraction of capacity, by the worst signal."""
        return self._pressure.value

    def why(self, evidence: Evidence, now: float) -> str:
        """Why the state is what it is; empty where nothing has been decided and nothing but proof is lacking."""
        found = self.explain(evidence, now)
        return found.kept_out_by or found.reason

    def take_load(self, reports: Sequence[Report | None], now: float) -> None:
        """Take the latest report of each worker; None of one that has not reported."""
        known = [report for report in reports if report is not None]
        self._pressure = self._gauge.update(node_load(report.load for report in known), now)
        self._admission.update(self._pressure, now)
        refused = sum(report.counters.get("refused", 0) for report in known)
        newcomers = sum(report.counters.get("initials", 0) for report in known)
        # A worker that was replaced counts from 0 again; what it had counted is known already.
        before_refused, before_newcomers = self._counted
        self._admission.count(max(0, refused - before_refused), max(0, newcomers - before_newcomers), now)
        self._counted = (refused, newcomers)

    def let_in(self, newcomers: bool, now: float) -> None:
        """Whether newcomers are served at all. It is the drain that says so; routes are no concern of it."""
        if newcomers:
            self._admission.end_drain(now)
        else:
            self._admission.drain()

    def decide(self, evidence: Evidence, now: float) -> None:
        """Take at most one step of the policy."""
        before = self.announced, self.deprefer
        decision = self._policy.decide(
            self._input(evidence, now), jitter=random.uniform(-1.0, 1.0), delay=random.random()
        )
        if decision is not None:
            self._note(decision)
        for guard in self._policy.refusals - self._refusals:
            self._unpublished_refusals.append(guard)
            log.info("event=guard_refuses guard=%s state=%s", guard, self._policy.state.value)
        self._refusals = self._policy.refusals
        if before != (self.announced, self.deprefer):
            self._announced_changed_at = now

    def explain(self, evidence: Evidence, now: float) -> Explanation:
        """Why the policy is where it is, and what would change that."""
        return self._policy.explain(self._input(evidence, now))

    def _input(self, evidence: Evidence, now: float) -> PolicyInput:
        return PolicyInput(
            now=now,
            probes_passed=evidence.probes_passed,
            probes_failed=evidence.probes_failed,
            unicast_failed=evidence.unicast_failed,
            defect=evidence.defect,
            pressure=self._pressure.value,
            refusal_ratio=self._admission.refusal_ratio(now),
            shedding=self._admission.condition is not Condition.SERVING,
            load=self._pressure.value * self._capacity,
            hold=evidence.hold,
            start_wait_s=evidence.start_wait_s,
            others=evidence.others,
            allowance=evidence.allowance,
        )

    def _note(self, decision: Decision) -> None:
        log.info(
            'event=decided from=%s to=%s carried_out=%s reason="%s"',
            decision.before.value,
            decision.after.value,
            decision.carried_out,
            decision.reason,
        )
        self._unpublished.append(decision)
        if decision.voluntary and decision.after is State.ANNOUNCED:
            # Routing brings everybody back at once; admission lets them in little by little. Who comes back because
            # nobody else is left, or because the operator says so, is needed at once.
            self._admission.warm_up()

    def publish(self, metrics: NodeMetrics) -> None:
        """Bring the metrics up to date."""
        for decision in self._unpublished:
            metrics.increment(metric.POLICY_DECISIONS, decision.after.value)
        self._unpublished.clear()
        for guard in self._unpublished_refusals:
            metrics.increment(metric.GUARD_REFUSALS, guard.value)
        self._unpublished_refusals.clear()
        for signal, value in self._pressure.by_signal.items():
            metrics.set(metric.PRESSURE, value, signal.value)
        metrics.set_state(metric.ADMISSION_STATE, self._admission.state.value)
        metrics.set(metric.REFUSE_PROBABILITY, self._admission.refuse_probability)
        metrics.set_state(metric.POLICY_STATE, self._policy.state.value)

    def numbers(self, now: float) -> Numbers:
        """Its part of an explanation."""
        return Numbers(
            pressure=self._pressure.value,
            pressure_signal=self._pressure.worst.value,
            by_signal={signal.value: value for signal, value in self._pressure.by_signal.items()},
            admission=self._admission.state.value,
            refusal_ratio=self._admission.refusal_ratio(now),
            load_calls=self._pressure.value * self._capacity,
            capacity_calls=self._capacity,
        )

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return self._policy.decisions

    def status(self, now: float) -> dict[str, Any]:
        """Its part of the node's status."""
        return {
            "state": self._policy.state.value,
            "announced": self.announced,
            "deprefer": self.deprefer,
            "announced_changed_at": self._announced_changed_at,
            "pressure": self._pressure.value,
            "pressure_signal": self._pressure.worst.value,
            "pressures": {signal.value: value for signal, value in self._pressure.by_signal.items()},
            "admission": self._admission.state.value,
            "refuse_probability": self._admission.refuse_probability,
            "refusal_ratio": self._admission.refusal_ratio(now),
            "decisions": [
                {
                    "at": decision.at,
                    "from": decision.before.value,
                    "to": decision.after.value,
                    "carried_out": decision.carried_out,
                    "reason": decision.reason,
                }
                for decision in self._policy.decisions
            ],
        }
