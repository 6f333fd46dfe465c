"""Scenario `partition`: edges that are overloaded, and do not see who else is there.

In the first act the fleet falls in two: one edge and its reflector, two edges and theirs. Each half believes that
it is all there is. In the second act the lone edge does not reach its reflector either, and knows nothing of anybody.
Everybody is overloaded all along, and nobody leaves: not those who see too few others, nor the one who sees none.
It says why. When the rifts are mended and the others have room again, it may be less preferred, and is.

"Blind" edges do not look at each other. They leave in both acts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

from edge.client.load import Profile
from edge.lab import rifts
from edge.lab.nodes import FleetOptions
from edge.lab.parts import Role
from edge.lab.report import Check
from edge.lab.scenarios.scenario import Order, Tell, played
from edge.lab.scenarios.stage import PATIENT, Stage, staged
from edge.lab.topologies import default_topology

LONE, ITS_ROUTER, ITS_SITE, ITS_REFLECTOR = "e1", "t1", "c1", "rr1"
THEIR_SITE, THEIR_REFLECTOR = "c2", "rr2"

FAULTS: Final[Mapping[str, Mapping[str, Any]]] = {"blind": {"guard": "off"}}

CAPACITY_CALLS = 8
CALLERS = {THEIR_SITE: 26, ITS_SITE: 16}
"""By site, so many too many for its edges that some are refused at any moment."""
RAMP_S = 6.0
PATIENCE_REFUSING_S = 30.0

APART: Final = (
    (LONE, THEIR_REFLECTOR),
    (ITS_REFLECTOR, THEIR_REFLECTOR),
    ("e2", ITS_REFLECTOR),
    ("e3", ITS_REFLECTOR),
)
ALONE: Final = (LONE, ITS_REFLECTOR)

PATIENCE_APART_S = 20.0
"""Sessions end after their hold time of 9 s."""
OVERLOAD_LASTS_S = 6.0
"""In each act, once it is as it should be: longer than the first rung of the ladder takes, with its claim."""
PATIENCE_HELD_S = 5.0
"""Moves are wanted and not wanted by turns, when for a moment nobody calls."""
LIMIT_WHOLE_S = 15.0
"""Speakers dial again after some seconds, and the view is believed after a moment."""
PATIENCE_WHOLE_S = 20.0
PATIENCE_LEAVE_S = 25.0


def play(argument: Any, tell: Tell) -> Any:
    """See `played`."""
    return played(story, argument, tell)


async def story(order: Order, tell: Tell) -> list[Check]:
    topology = default_topology()
    edges = topology.names(Role.EDGE)
    options = FleetOptions(
        calls=CAPACITY_CALLS, policy={**PATIENT, **(FAULTS[order.fault] if order.fault else {})}
    )
    async with staged(order, tell, topology, options) as stage:
        everybody = dict.fromkeys(edges, len(edges) - 1)
        await _see(stage, everybody, PATIENCE_WHOLE_S)
        began = time.monotonic()
        stage.timeline.event("the fleet falls in two", mark=True)
        for node, other in APART:
            await rifts.tear(stage.lab, node, other)
        halved = await _see(stage, {LONE: 0, "e2": 1, "e3": 1}, PATIENCE_APART_S) is not None
        loads = {
            site: await stage.load(site, calls, ramp_s=RAMP_S, profile=Profile.IDLE)
            for site, calls in CALLERS.items()
        }
        shedding = await stage.until_all(edges, _is_refusing, PATIENCE_REFUSING_S)
        await asyncio.sleep(OVERLOAD_LASTS_S)
        seeing_few = await asyncio.gather(
            *(stage.held_by(edge, "last_site", PATIENCE_HELD_S) for edge in edges)
        )

        stage.timeline.event(f"{LONE} loses the last one that tells it of others", mark=True)
        await rifts.tear(stage.lab, *ALONE)
        await stage.until_explained(LONE, lambda found: found["view"]["problem"] != "", PATIENCE_APART_S)
        await asyncio.sleep(OVERLOAD_LASTS_S)
        seeing_nobody = await stage.held_by(LONE, "view", PATIENCE_HELD_S)
        mended = time.monotonic()
        departures = sum(stage.departures(edge, began) for edge in edges)

        await loads[THEIR_SITE].stop()
        stage.timeline.event("the rifts are mended, and the others have room again", mark=True)
        for node, other in (*APART, ALONE):
            await rifts.heal(stage.lab, node, other)
        whole_s = await _see(stage, everybody, PATIENCE_WHOLE_S)
        if whole_s is not None:
            stage.timeline.event("everybody sees everybody", mark=True)
        left_s = await stage.gone(ITS_ROUTER, LONE, mended, PATIENCE_LEAVE_S)
        if left_s is not None:
            stage.timeline.event(f"{ITS_ROUTER} sends newcomers to the others", at=mended + left_s, mark=True)
        return [
            Check("departures", departures, 0, "routes"),
            Check("dark_s", round(stage.dark_s(began, mended), 3), 0, "s"),
            Check("edges_shedding", len(edges) if shedding else 0, len(edges), "edges"),
            Check("held_by_few", sum(seeing_few) if halved else None, len(edges), "edges"),
            Check("held_by_no_view", int(seeing_nobody), 1, "edges"),
            Check("whole_s", whole_s, LIMIT_WHOLE_S, "s", "at_most"),
            Check("left_after", stage.departures(LONE, mended), len(stage.lab.anycast_prefixes), "routes"),
        ]


async def _see(stage: Stage, others: Mapping[str, int], timeout_s: float) -> float | None:
    """How long until each edge sees so many others announce; None if not in time."""
    began = time.monotonic()

    async def sees(edge: str, announcing: int) -> bool:
        def holds(found: dict[str, Any]) -> bool:
            view = found["view"]
            return not view["problem"] and view["others"]["announcing"] == announcing

        return await stage.until_explained(edge, holds, timeout_s) is not None

    everybody = await asyncio.gather(*(sees(edge, announcing) for edge, announcing in others.items()))
    return round(time.monotonic() - began, 3) if all(everybody) else None


def _is_refusing(status: dict[str, Any]) -> bool:
    return bool(status["admission"] == "refusing")
