"""Scenario `cascade`: more callers than the whole fleet can take, at every site, and they do not give up.

Whoever leaves now leaves its callers to others who have no room either, and they leave next: so networks go dark.
Here nobody leaves. Each edge turns newcomers away and serves those it has, the routers' tables do not change, and
nobody who calls is left without an answer, be it a refusal. When the flood is over everybody is served again.

The rivals look at their own load only. All of them leave, one after the other, or at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from bgp.params import HYSTERESIS, NAIVE
from edge.client.load import Profile
from edge.lab.nodes import TIME_FACTOR, FleetOptions
from edge.lab.parts import Role
from edge.lab.report import Check
from edge.lab.scenarios import counts
from edge.lab.scenarios.scenario import OUR_POLICY, Order, Tell, played
from edge.lab.scenarios.stage import PATIENT, load_report, staged
from edge.lab.topologies import default_topology

POLICIES: Final[Mapping[str, Mapping[str, Any]]] = {
    OUR_POLICY: {},
    "naive": msgspec.to_builtins(NAIVE.scaled(TIME_FACTOR)),
    "hysteresis": msgspec.to_builtins(HYSTERESIS.scaled(TIME_FACTOR)),
}

CAPACITY_CALLS = 6
FLOOD = {"c2": 18, "c1": 9}
"""Callers by site: one and a half times what the edges that the site is routed to can take."""

RAMP_S = 5.0
PATIENCE_FLOOD_S = 25.0
FLOOD_LASTS_S = 10.0
"""Once everybody sheds: long enough for both rungs of the ladder, with their claims."""
PATIENCE_CALM_S = 20.0
LIMIT_REFUSED = 9
"""As many as there are callers too many, each of them once; they come again every second."""


def play(argument: Any, tell: Tell) -> Any:
    """See `played`."""
    return played(story, argument, tell)


async def story(order: Order, tell: Tell) -> list[Check]:
    topology = default_topology()
    edges = topology.names(Role.EDGE)
    options = FleetOptions(calls=CAPACITY_CALLS, policy={**POLICIES[order.policy], **PATIENT})
    async with staged(order, tell, topology, options, callers=tuple(FLOOD)) as stage:
        callers = list(stage.callers.values())
        for site in FLOOD:
            await stage.call(site, "before the flood")
        began = time.monotonic()
        loads = [
            await stage.load(site, calls, ramp_s=RAMP_S, profile=Profile.IDLE)
            for site, calls in FLOOD.items()
        ]
        waits = (stage.until(edge, is_refusing, PATIENCE_FLOOD_S) for edge in edges)
        shed = sum(status is not None for status in await asyncio.gather(*waits))
        stage.timeline.event(f"{shed} of {len(edges)} edges turn newcomers away", mark=True)
        await asyncio.sleep(FLOOD_LASTS_S)
        for load in loads:
            await load.stop()
        over = time.monotonic()
        stage.timeline.event("the flood is over", mark=True)
        reports = [report for load in loads if (report := load_report(load)) is not None]
        await stage.until_all(edges, is_calm, PATIENCE_CALM_S)
        after = [await stage.call(site, "after the flood") for site in FLOOD]
        await stage.hang_up()
        counted = len(reports) == len(loads)
        early = counts.finished(callers, lambda name: name.startswith("before"))
        return [
            Check("dark_s", round(stage.dark_s(began, over), 3), 0, "s"),
            Check("departures", sum(stage.departures(edge, began) for edge in edges), 0, "routes"),
            Check("edges_shedding", shed, len(edges), "edges"),
            Check("refused", sum(report.refused for report in reports), LIMIT_REFUSED, "calls", "at_least"),
            Check("unanswered", sum(report.failed for report in reports) if counted else None, 0, "calls"),
            Check("calls_lost", counts.lost(callers) + sum(report.lost for report in reports), 0, "calls"),
            Check("frames_missing", counts.missing(early) if len(early) == len(FLOOD) else None, 0, "frames"),
            Check("served_after", sum(node != "" for node in after), len(FLOOD), "calls"),
        ]


def is_refusing(status: dict[str, Any]) -> bool:
    return bool(status["admission"] == "refusing")


def is_calm(status: dict[str, Any]) -> bool:
    return bool(status["announced"] and status["admission"] == "accepting")
