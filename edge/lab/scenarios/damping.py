"""Scenario `damping`: an edge is overloaded in waves, and its router is one of those that punish flaps.

The router runs FRR with its default ``bgp dampening`` (RFC 2439) and ignores the graceful shutdown community, so in
the first wave the edge climbs both rungs of the ladder: one change and one withdrawal, 1500 of the 2000 points at
which the router would ignore the prefix for 21 minutes or more. When the next wave comes nothing is left to spend.
The edge stays and sheds until it is over, and at the end it is where it was.

What protects here is to be the ledger alone. So the holds, which in production keep the waves apart as well, are
shortened beyond the lab's factor, to where they no longer matter.
"""

from __future__ import annotations

import time
from typing import Any, Final

from edge.client.load import Profile
from edge.lab.nodes import FleetOptions
from edge.lab.parts import Software
from edge.lab.report import Check
from edge.lab.scenarios.penalties import Penalties, watched
from edge.lab.scenarios.scenario import LEDGER_ON, Order, Tell, played
from edge.lab.scenarios.stage import PATIENT, Stage, staged
from edge.lab.topologies import default_topology

HOT, ITS_ROUTER, ITS_SITE = "e2", "t2", "c2"
CAPACITY_CALLS = 8
CALLERS = 16
"""So many too many that some are refused at any moment, and few enough for another edge to take those."""

HOLDS: Final = {"deprefer_hold_s": 1.0, "withdraw_hold_s": 3.0, "calm_s": 2.0}
WAVES = 3
RAMP_S = 4.0
PATIENCE_REFUSING_S = 20.0
WAVE_S = 12.0
"""From the first refusal: time for both rungs, with their two claims; a wave ends when the edge has withdrawn. All
together they last for half a minute or more: ten minutes on the lab's clock."""
CALM_S = 12.0

PATIENCE_HELD_S = 3.0
"""Moves are wanted and not wanted by turns, when for a moment nobody calls."""

LIMIT_PENALTY_ERROR = 0.1
"""The router lets penalties sink in steps of 5 s and rounds them; a whole change too few or too many is a third."""


def play(argument: Any, tell: Tell) -> Any:
    """See `played`."""
    return played(story, argument, tell)


async def story(order: Order, tell: Tell) -> list[Check]:
    topology = (
        default_topology()
        .with_node(ITS_ROUTER, software=Software.FRR, damping=True)
        .with_bgp(f"{ITS_ROUTER}-{HOT}", local_pref=200, honour_graceful_shutdown=False)
    )
    options = FleetOptions(
        calls=CAPACITY_CALLS,
        damping={ITS_ROUTER: "cisco"} if order.ledger == LEDGER_ON else "off",
        policy={**HOLDS, **PATIENT},
    )
    async with staged(order, tell, topology, options) as stage, watched(stage, ITS_ROUTER, HOT) as penalties:
        began = time.monotonic()
        errors, sat_out = [], 0
        for _ in range(WAVES):
            sat_out += await _wave(stage)
            errors.append(await _penalty_error(stage, penalties))
        routed = sum(
            HOT in stage.watchers[ITS_ROUTER].current(prefix).neighbours
            for prefix in stage.lab.anycast_prefixes
        )
        families = len(stage.lab.anycast_prefixes)
        known = [error for error in errors if error is not None]
        return [
            Check("suppressed", len(penalties.suppressed), 0, "routes"),
            Check("departures", stage.departures(HOT, began), families, "routes"),
            Check("waves_sat_out", sat_out, WAVES - 1, "waves"),
            Check(
                "penalty_error_ratio",
                round(max(known), 3) if len(known) == WAVES else None,
                LIMIT_PENALTY_ERROR,
                "ratio",
                "at_most",
            ),
            Check("routed_at_end", routed, families, "routes"),
            Check("dark_s", round(stage.dark_s(began, time.monotonic()), 3), 0, "s"),
        ]


async def _wave(stage: Stage) -> bool:
    """Too many callers for a while, and then none; whether the edge stayed, because of the ledger."""
    load = await stage.load(ITS_SITE, CALLERS, ramp_s=RAMP_S, profile=Profile.IDLE)
    await stage.until(HOT, lambda status: bool(status["admission"] == "refusing"), PATIENCE_REFUSING_S)
    left = await stage.until(HOT, lambda status: status["state"] == "withdrawn", WAVE_S)
    held = left is None and await stage.held_by(HOT, "ledger", PATIENCE_HELD_S)
    await load.stop()
    stage.timeline.event("the wave is over", mark=True)
    await stage.until(HOT, _is_well, CALM_S)
    return held


async def _penalty_error(stage: Stage, penalties: Penalties) -> float | None:
    """By how much the node's own figures and the router's differ, at most; None if there are not two."""
    ledger = {entry["prefix"]: entry["penalty"] for entry in (await stage.explain(HOT))["ledger"]["entries"]}
    await penalties.look()
    errors = [
        abs(damped.penalty / ledger[str(prefix)] - 1)
        for prefix, damped in penalties.now.items()
        if ledger.get(str(prefix))
    ]
    return max(errors) if len(errors) == len(penalties.now) else None


def _is_well(status: dict[str, Any]) -> bool:
    return bool(status["state"] == "announced" and status["admission"] == "accepting")
