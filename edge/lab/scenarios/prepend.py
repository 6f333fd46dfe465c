"""Scenario `prepend`: an edge that is overloaded becomes less preferred, and stays in reserve.

Two autonomous systems: one edge behind the first, two behind the second. The first site is routed to the lone edge,
until that has more callers than it can take. Then it asks to be less preferred: one update with a longer path and the
graceful shutdown community (RFC 8326). Its router sends newcomers on to the other system and keeps the edge's route
as it is told; calls that are up stay where they are. So when the other two edges are taken away, the route is there:
within a moment both systems send everybody to the lone edge. At last the others come back and everything is as it was.

A "deaf" provider prefers its customer's route whatever its path and its communities say.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Final

from edge.client.load import Profile
from edge.lab.nodes import FleetOptions
from edge.lab.process import Process
from edge.lab.report import Check
from edge.lab.rib import session_name
from edge.lab.scenarios import counts
from edge.lab.scenarios.scenario import Order, Tell, played
from edge.lab.scenarios.stage import PATIENT, Stage, staged
from edge.lab.topologies import FLEET_AS, default_topology

LONE, ITS_ROUTER, ITS_SITE = "e1", "t1", "c1"
OTHERS, THEIR_ROUTER = ("e2", "e3"), "t2"
DEAF = "deaf-upstream"

CAPACITY_CALLS = 10
CALLERS = 18
"""So many too many that some are refused at any moment, and few enough for the others to take those."""
RAMP_S = 5.0
LESS_PREFERRED: Final = ((FLEET_AS,) * 3, ((65535, 0),))
PLAIN: Final = ((FLEET_AS,), ())
"""A path and its communities."""

LIMIT_MOVE_MS = 1000.0
"""Nobody waits for this one: until then newcomers are refused, as they were before."""
LIMIT_FALL_BACK_MS = 250.0
"""Routers take single milliseconds, and the links some; two busy cores can keep any process waiting for longer."""
PATIENCE_DEPREFER_S = 40.0
PATIENCE_FIB_S = 2.0
PATIENCE_CALM_S = 12.0
PATIENCE_PLAIN_S = 40.0


@dataclass(slots=True)
class Reserve:
    """What was found of the route that is held in reserve; None is what was not reached."""

    kept: int | None = None
    elsewhere: int | None = None
    fall_back_s: float | None = None
    dark_s: float | None = None
    caught: int | None = None
    plain: int | None = None


def play(argument: Any, tell: Tell) -> Any:
    """See `played`."""
    return played(story, argument, tell)


async def story(order: Order, tell: Tell) -> list[Check]:
    topology = default_topology()
    if order.fault == DEAF:
        topology = topology.with_bgp(f"{ITS_ROUTER}-{LONE}", local_pref=200, honour_graceful_shutdown=False)
    options = FleetOptions(calls=CAPACITY_CALLS, policy=PATIENT)
    async with staged(order, tell, topology, options, callers=(ITS_SITE,)) as stage:
        for version in (4, 6):
            await stage.call(ITS_SITE, f"before IPv{version}", version=version)
        load = await stage.load(ITS_SITE, CALLERS, ramp_s=RAMP_S, profile=Profile.IDLE)
        moved_s = await _moved_s(stage)
        reserve = Reserve() if moved_s is None else await _reserve(stage, load)
        await load.stop()
        await stage.hang_up()
        callers = list(stage.callers.values())
        before = counts.finished(callers, lambda name: name.startswith("before"))
        families = len(stage.lab.anycast_prefixes)
        return [
            Check("moved_at_deprefer", 0 if moved_s is None else families, families, "routes"),
            Check("move_ms", _ms(moved_s), LIMIT_MOVE_MS, "ms", "at_most"),
            Check("kept_in_reserve", reserve.kept, families, "routes"),
            Check("new_calls_elsewhere", reserve.elsewhere, families, "calls"),
            Check("fall_back_ms", _ms(reserve.fall_back_s), LIMIT_FALL_BACK_MS, "ms", "at_most"),
            Check("dark_s", reserve.dark_s, 0, "s"),
            Check("new_calls_caught", reserve.caught, families, "calls"),
            Check("plain_again", reserve.plain, families, "routes"),
            Check("calls_lost", counts.lost(callers), 0, "calls"),
            Check("frames_missing", counts.missing(before) if len(before) == families else None, 0, "frames"),
        ]


async def _moved_s(stage: Stage) -> float | None:
    """How long after the edge has become less preferred its router sends newcomers to the others."""
    status = await stage.until(LONE, lambda status: bool(status["deprefer"]), PATIENCE_DEPREFER_S)
    if status is None:
        return None
    at = float(status["announced_changed_at"])
    moved_s = await stage.gone(ITS_ROUTER, LONE, at, PATIENCE_FIB_S)
    if moved_s is not None:
        stage.timeline.event(f"{ITS_ROUTER} sends newcomers to {THEIR_ROUTER}", at=at + moved_s, mark=True)
    return moved_s


async def _reserve(stage: Stage, load: Process) -> Reserve:
    """From the move to the other system to the end of the story, if all goes well."""
    found = Reserve()
    began = time.monotonic()
    found.elsewhere = await _serve_newcomers(stage, "meanwhile", set(OTHERS))
    found.kept = await _told(stage, LESS_PREFERRED, best=False)
    stage.timeline.event(f"{ITS_ROUTER} keeps {found.kept} routes to {LONE} in reserve")
    await load.stop()
    stage.timeline.event("the load is gone", mark=True)
    await stage.until(LONE, lambda status: bool(status["admission"] == "accepting"), PATIENCE_CALM_S)
    taken_at = 0.0
    for edge in OTHERS:
        taken_at = await stage.order(edge, "/withdraw", force=True, reason="to be taken away", who="operator")
    to_lone = await stage.back(ITS_ROUTER, LONE, taken_at, PATIENCE_FIB_S)
    to_its_router = await stage.back(THEIR_ROUTER, ITS_ROUTER, taken_at, PATIENCE_FIB_S)
    if to_lone is None or to_its_router is None:
        return found
    found.fall_back_s = max(to_lone, to_its_router)
    stage.timeline.event(f"both routers send everybody to {LONE}", at=taken_at + found.fall_back_s, mark=True)
    found.caught = await _serve_newcomers(stage, "caught", {LONE})
    for edge in OTHERS:
        await stage.order(edge, "/announce", reason="mended", who="operator")
    await stage.until(LONE, lambda status: bool(status["state"] == "announced"), PATIENCE_PLAIN_S)
    await stage.back(ITS_ROUTER, LONE, time.monotonic(), PATIENCE_FIB_S)
    found.dark_s = round(stage.dark_s(began, time.monotonic(), [ITS_ROUTER]), 3)
    found.plain = await _told(stage, PLAIN, best=True)
    stage.timeline.event(f"{ITS_ROUTER} uses {found.plain} plain routes to {LONE} again", mark=True)
    return found


async def _serve_newcomers(stage: Stage, name: str, edges: set[str]) -> int:
    """How many of two that call now, over IPv4 and IPv6, are served by one of these."""
    calls = (stage.call(ITS_SITE, f"{name} IPv{version}", version=version) for version in (4, 6))
    return sum(node in edges for node in await asyncio.gather(*calls))


async def _told(stage: Stage, wanted: tuple[object, object], *, best: bool) -> int:
    """How many routes the router has from the lone edge that are as ``wanted``, and are in use or not."""
    count = 0
    for prefix in stage.lab.anycast_prefixes:
        routes = await stage.lab.router(ITS_ROUTER).routes(prefix)
        session = session_name(LONE, f"v{prefix.version}")
        count += any(
            route.session == session and (route.as_path, route.communities) == wanted and route.best is best
            for route in routes
        )
    return count


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
