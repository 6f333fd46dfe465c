"""The document behind ``edgectl explain``: what every part of the node has to say about where it stands."""

from __future__ import annotations

from math import isfinite

import msgspec

from edge.config import NodeConfig
from edge.node.control import Control, Evidence
from edge.node.routing import Routing
from edge.runtime import documents
from edge.runtime.holds import Hold
from edge.runtime.probe import SelfProbe


def of_node(
    *,
    config: NodeConfig,
    control: Control,
    routing: Routing | None,
    evidence: Evidence,
    hold: Hold | None,
    probe: SelfProbe,
    now: float,
    wall: float,
) -> documents.NodeExplanation:
    """``now`` is of the event loop's clock, ``wall`` the same moment in seconds since 1970."""
    found = control.explain(evidence, now)
    return documents.NodeExplanation(
        node=str(config.node.name),
        site=str(config.node.site),
        time=wall,
        state=found.state.value,
        since_s=found.since_s,
        announced=control.announced,
        deprefer=control.deprefer,
        reason=found.reason,
        hold=hold,
        explanation=msgspec.convert(msgspec.to_builtins(found), documents.PolicyExplanation),
        numbers=control.numbers(now),
        view=_view(routing, evidence, now),
        ledger=_ledger(routing, evidence, now),
        probe=documents.Probing(passed=probe.passed, failed=probe.failed, problem=probe.problem),
        bgp=None if routing is None else documents.Sessions(neighbors=routing.peers.sessions()),
        decisions=tuple(
            documents.DecisionTaken(
                at_wall=wall - (now - decision.at),
                before=decision.before.value,
                after=decision.after.value,
                carried_out=decision.carried_out,
                reason=decision.reason,
            )
            for decision in control.decisions
        ),
    )


def _view(routing: Routing | None, evidence: Evidence, now: float) -> documents.FleetView:
    others = evidence.others
    return documents.FleetView(
        problem=others.problem,
        nodes=tuple(
            documents.SeenNode(
                address=str(node.address),
                state=node.state.value,
                claim=node.claim,
                load=node.load,
                capacity=node.capacity,
                since_s=node.since_s,
                seen_by=tuple(map(str, node.sources)),
            )
            for node in (routing.nodes_seen(now) if routing else ())
        ),
        others=documents.OthersSum(
            synced=others.synced,
            announcing=others.announcing,
            spare=others.spare,
            claimant=others.claimant,
            settled_s=_finite(others.settled_s),
        ),
    )


def _ledger(routing: Routing | None, evidence: Evidence, now: float) -> documents.LedgerSum:
    allowance = evidence.allowance
    return documents.LedgerSum(
        penalty=allowance.penalty,
        budget=_finite(allowance.budget),
        where=allowance.where,
        entries=routing.costs.entries(now) if routing else (),
    )


def _finite(number: float) -> float | None:
    return number if isfinite(number) else None
