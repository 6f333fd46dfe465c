"""Scenario `pinned`: callers that never leave the anycast address, while the route there comes and goes.

Their implementation takes no notice of a preferred address, as browsers over WebTransport do not. For a minute the
route to the edge that serves them goes away and comes back every ten seconds, so that half of what they say arrives
elsewhere. There it is seen whose it is, and passed on. Callers of one edge get their answers from it directly, those of
the other through whatever edge their packets reach. A third edge, which their router holds to be as good as that one,
stays out of the way until they are placed, and is the one that their packets reach.

At the end both sides of every call compare what they counted. What was passed on is counted by the edges.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from edge.forward import ReturnPath
from edge.lab.faults import Fault
from edge.lab.nodes import FleetOptions
from edge.lab.report import Check
from edge.lab.scenarios import counts
from edge.lab.scenarios.scenario import Order, Tell, played
from edge.lab.scenarios.stage import PATIENT, Stage, staged
from edge.lab.topologies import default_topology

EDGES: Final = ("e1", "e2")
HELPER: Final = "e3"
SITE_OF: Final = {"e1": "c1", "e2": "c2"}
RETURN_PATHS: Final = {"e1": ReturnPath.DIRECT, "e2": ReturnPath.INGRESS}
FLAPS: Final = 6
PERIOD_S: Final = 10.0
AWAY_S: Final = 5.0
PATIENCE_ROUTE_S: Final = 4.0
FAULTS: Final = {"no-forwarding": Fault(check="calls_lost", forwarding=False)}
MIN_FORWARDED: Final = 500
"""Of one call that speaks 17 times a second and is answered, half of a minute away from home."""


def play(argument: Any, tell: Tell) -> Any:
    """See `played`."""
    return played(story, argument, tell)


async def story(order: Order, tell: Tell) -> list[Check]:
    topology = default_topology()
    fault = FAULTS[order.fault] if order.fault else Fault(check="")
    options = FleetOptions(fault=fault, policy=PATIENT, return_paths=RETURN_PATHS)
    async with staged(order, tell, topology, options, callers=tuple(SITE_OF.values())) as stage:
        callers = list(stage.callers.values())
        served = {}
        await _away(stage, HELPER, "/withdraw")
        for site in SITE_OF.values():
            for version in (4, 6):
                name = f"{site} IPv{version}"
                served[name] = await stage.call(site, name, version=version, migrate=False)
        await _away(stage, HELPER, "/announce")
        began = time.monotonic()
        for flap in range(FLAPS):
            next_at = began + (flap + 1) * PERIOD_S
            await asyncio.gather(*(_away(stage, edge, "/withdraw") for edge in EDGES))
            stage.timeline.event("the routes are gone", mark=True)
            await asyncio.sleep(max(0.0, next_at - PERIOD_S + AWAY_S - time.monotonic()))
            await asyncio.gather(*(_away(stage, edge, "/announce") for edge in EDGES))
            stage.timeline.event("the routes are back", mark=True)
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))
        departures = sum(stage.departures(edge, began) for edge in EDGES)
        await stage.hang_up()
        strays = await stage.counted("edge_forwarded_packets_total", kind="stray", direction="received")
        answers = await stage.counted("edge_forwarded_packets_total", kind="answer", direction="received")
        dropped = await stage.counted("edge_forward_dropped_total")
        dropped += await stage.counted("edge_packets_dropped_total", reason="looped")
        calls = counts.finished(callers)
        complete = len(calls) == len(served)
        return [
            Check("calls_lost", counts.lost(callers), 0, "calls"),
            Check("frames_missing", counts.missing(calls) if complete else None, 0, "frames"),
            Check("frames_altered", counts.altered(calls) if complete else None, 0, "calls"),
            Check("migrated", sum(call.last.migrated for call in calls), 0, "calls"),
            Check("departures", departures, 2 * FLAPS * len(EDGES), "routes", "at_least"),
            Check("strays_forwarded", strays, MIN_FORWARDED, "packets", "at_least"),
            Check("answers_forwarded", answers, MIN_FORWARDED, "packets", "at_least"),
            Check("forwards_dropped", dropped, 0, "packets"),
        ]


async def _away(stage: Stage, edge: str, target: str) -> None:
    """Take the routes to ``edge`` away, or give them back, and see the router's kernel do it."""
    leaves = target == "/withdraw"
    words = {"reason": "to see who minds", "who": "operator"}
    at = await stage.order(edge, target, **words, **({"force": True} if leaves else {"hold": True}))
    router = stage.router_of(edge)
    await (stage.gone if leaves else stage.back)(router, edge, at, PATIENCE_ROUTE_S)
