"""What a node decides: how newcomers are treated, and whether it announces. Deciding is all it does; `Node` acts.

load reports -> pressure -> admission: the gate for every worker
pressure, refusals, self-probes, the operator's hold -> policy: announce or not
"""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from typing import Any

from bgp.policy import Decision, Policy, PolicyInput, State
from edge.config import NodeConfig
from edge.overload import Admission, Condition, Gate, LoadSample, PressureGauge
from edge.runtime import metric_table as metric
from edge.runtime.messages import Report
from edge.runtime.metrics import NodeMetrics
from edge.runtime.sampler import node_load

log = logging.getLogger("edge.control")


class Control:
    """Times are of one clock that does not go backwards. ``announced`` is what was decided last."""

    def __init__(self, config: NodeConfig, now: float) -> None:
        self.announced = False
        self._announced_changed_at: float | None = None
        self._gauge = PressureGauge(config.overload.capacity, config.overload.tau_s)
        self._pressure = self._gauge.update(LoadSample(), now)
        self._admission = Admission(config.overload, now)
        self._policy = Policy(config.policy, mode=config.policy.mode)
        self._counted = (0, 0)  # refusals and newcomers that the admission knows of
        self._unpublished: list[Decision] = []

    @property
    def gate(self) -> Gate:
        """How workers are to treat newcomers."""
        return self._admission.gate

    @property
    def state(self) -> State:
        return self._policy.state

    @property
    def reason(self) -> str:
        """Why the state is what it is; empty before the first decision."""
        return self._policy.decisions[-1].reason if self._policy.decisions else ""

    def take_load(self, reports: Sequence[Report | None], now: float) -> None:
        """Take the latest report of each worker; None of one that has not reported."""
        known = [report for report in reports if report is not None]
        self._pressure = self._gauge.update(node_load(report.load for report in known), now)
        self._admission.update(self._pressure, now)
        refused = sum(report.counters["refused"] for report in known)
        newcomers = sum(report.counters["initials"] for report in known)
        # A worker that was replaced counts from 0 again; what it had counted is known already.
        before_refused, before_newcomers = self._counted
        self._admission.count(max(0, refused - before_refused), max(0, newcomers - before_newcomers), now)
        self._counted = (refused, newcomers)

    def decide(
        self, *, probes_passed: int, probes_failed: int, defect: str, drained: bool, now: float
    ) -> bool:
        """Take at most one step of the policy; whether `announced` has changed by it.

        ``defect`` is what makes every call fail whatever the probes say, empty for none.
        """
        decision = self._policy.decide(
            PolicyInput(
                now=now,
                probes_passed=probes_passed,
                probes_failed=probes_failed,
                defect=defect,
                pressure=self._pressure.value,
                refusal_ratio=self._admission.refusal_ratio(now),
                shedding=self._admission.condition is not Condition.SERVING,
                drained=drained,
            ),
            jitter=random.uniform(-1.0, 1.0),
        )
        if decision is not None:
            self._note(decision)
        if self._policy.announce == self.announced:
            return False
        self.announced = self._policy.announce
        self._announced_changed_at = now
        return True

    def _note(self, decision: Decision) -> None:
        log.info(
            'event=decided from=%s to=%s carried_out=%s reason="%s"',
            decision.before.value,
            decision.after.value,
            decision.carried_out,
            decision.reason,
        )
        self._unpublished.append(decision)
        if decision.before is State.WITHDRAWN and decision.after is State.ANNOUNCED:
            # Routing brings everybody back at once; admission lets them in little by little.
            self._admission.warm_up()

    def publish(self, metrics: NodeMetrics) -> None:
        """Bring the metrics up to date."""
        for decision in self._unpublished:
            metrics.increment(metric.POLICY_DECISIONS, decision.after.value)
        self._unpublished.clear()
        for signal, value in self._pressure.by_signal.items():
            metrics.set(metric.PRESSURE, value, signal.value)
        metrics.set_state(metric.ADMISSION_STATE, self._admission.state.value)
        metrics.set(metric.REFUSE_PROBABILITY, self._admission.refuse_probability)
        metrics.set_state(metric.POLICY_STATE, self._policy.state.value)

    def status(self, now: float) -> dict[str, Any]:
        """Its part of the node's status."""
        return {
            "state": self._policy.state.value,
            "announced": self.announced,
            "announced_changed_at": self._announced_changed_at,
            "pressure": self._pressure.value,
            "pressure_signal": self._pressure.worst.value,
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
