"""Scenario `crash-loop`: an edge that is killed again and again, and each time started again at once.

Each life ends soon after it has announced, or after a while if it has not. To the edge's router every one that
announces would be a flap, and the router runs FRR with its default ``bgp dampening`` (RFC 2439). But each start
waits longer before it announces, and the ledger, which outlives them all, allows no more withdrawals than the router
forgives. So after the second death the edge keeps out of the way while others serve. When whoever operates it has
found the cause they order it to announce, whatever the ledger says, and it is routed to again.

"Eager" edges wait for nothing and count nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

from bgp.damping import PROFILES
from edge.lab import strikes
from edge.lab.nodes import FleetOptions, start_node
from edge.lab.parts import Software
from edge.lab.report import Check
from edge.lab.scenarios import counts
from edge.lab.scenarios.penalties import watched
from edge.lab.scenarios.scenario import Order, Tell, played
from edge.lab.scenarios.stage import PATIENT, Stage, staged
from edge.lab.strikes import Part
from edge.lab.topologies import default_topology

VICTIM, ITS_ROUTER, ITS_SITE = "e2", "t2", "c2"

DELAYS_S: Final = (0.0, 0.0, 1.5, 4.0, 8.0)
"""On the lab's clock the last two would be 15 s and 90 s."""
OPTIONS: Final = FleetOptions(damping={ITS_ROUTER: "cisco"}, policy=PATIENT, restart_delays_s=DELAYS_S)
FAULTS: Final[Mapping[str, FleetOptions]] = {
    "eager": FleetOptions(damping="off", policy=PATIENT, restart_delays_s=(0.0,))
}

DEATHS = 6
AFTER_ANNOUNCING_S = 1.0
LIFE_S = 5.0
"""Of those that do not announce, once they are up; a node that may has proved itself within 3 s."""
PATIENCE_UP_S = 30.0
PATIENCE_BACK_S = 30.0

_CISCO = PROFILES["cisco"]
LIMIT_FLAPS = int(_CISCO.budget // _CISCO.withdraw) + 1
"""A failure may exceed the budget, once; the route does not come back before there is room again."""


def play(argument: Any, tell: Tell) -> Any:
    """See `played`."""
    return played(story, argument, tell)


async def story(order: Order, tell: Tell) -> list[Check]:
    topology = default_topology().with_node(ITS_ROUTER, software=Software.FRR, damping=True)
    options = FAULTS[order.fault] if order.fault else OPTIONS
    async with (
        staged(order, tell, topology, options, callers=(ITS_SITE,)) as stage,
        watched(stage, ITS_ROUTER, VICTIM) as penalties,
    ):
        began = time.monotonic()
        too_short = served = 0
        for death in range(1, DEATHS + 1):
            await _live(stage)
            strikes.strike(stage.lab, VICTIM, Part.SUPERVISOR)
            stage.timeline.event(f"{VICTIM} dies, {death} of {DEATHS}", mark=True)
            started_at = time.monotonic()
            await start_node(stage.lab, VICTIM, stage.lab.log_dir / f"{VICTIM}.toml")
            node = await stage.call(ITS_SITE, f"call {death}")
            served += node not in ("", VICTIM)
            too_short += await _waits_s(stage, started_at) < DELAYS_S[min(death, len(DELAYS_S) - 1)]
        stage.timeline.event(f"the cause is found: {VICTIM} is to announce whatever it costs", mark=True)
        ordered_at = await stage.order(VICTIM, "/announce", hold=True, reason="mended", who="operator")
        back_s = await stage.back(ITS_ROUTER, VICTIM, ordered_at, PATIENCE_BACK_S)
        if back_s is not None:
            stage.timeline.event(f"{ITS_ROUTER} routes to {VICTIM} again", at=ordered_at + back_s, mark=True)
        ended = time.monotonic()
        await stage.hang_up()
        callers = list(stage.callers.values())
        families = len(stage.lab.anycast_prefixes)
        return [
            Check("departures", stage.departures(VICTIM, began), LIMIT_FLAPS * families, "routes", "at_most"),
            Check("suppressed", len(penalties.suppressed), 0, "routes"),
            Check("waits_too_short", too_short, 0, "lives"),
            Check("dark_s", round(stage.dark_s(began, ended), 3), 0, "s"),
            Check("served_meanwhile", served, DEATHS, "calls"),
            Check("calls_lost", counts.lost(callers), 0, "calls"),
            Check("back_s", None if back_s is None else round(back_s, 1), PATIENCE_BACK_S, "s", "at_most"),
        ]


async def _live(stage: Stage) -> None:
    """Until a moment after it has announced, or for as long as nobody waits for that any longer."""
    if await stage.until(VICTIM, lambda status: bool(status["announced"]), LIFE_S) is not None:
        await asyncio.sleep(AFTER_ANNOUNCING_S)


async def _waits_s(stage: Stage, started_at: float) -> float:
    """How long after its start it announces at the earliest, because of the lives before."""
    found = await stage.until_explained(VICTIM, lambda found: found["bgp"] is not None, PATIENCE_UP_S)
    if found is None:
        return 0.0
    conditions = [one for way in found["explanation"]["ways"] for one in way["conditions"]]
    left_s = sum(one["left_s"] or 0.0 for one in conditions if one["name"] == "back_off")
    stage.timeline.event(f"{VICTIM} {'; '.join(found['explanation']['held_by'])}")
    return time.monotonic() - started_at + left_s
