"""Scenario `node-loss`: a node is killed with all its workers, and its cable is pulled, while people talk on it.

At the site that it serves some talk with an echo, over IPv4 and IPv6, one of them with an implementation that stays on
the anycast address; others listen to a story. Nobody is there any more to hand their calls over: each caller notices,
dials again, reaches the other node, and shows what it was given to go on with.

What was said to the dead node nobody can be asked. But of every utterance that it had confirmed it had said how much it
had heard; every other is said again in whole, to the other node, whose counts are compared. Each listener has to hear
the story to its end, every frame of it once. Calls on the other node must not notice anything.

With the fault *no-tokens* the nodes have different keys, so what a caller shows is worth nothing.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import Any, Final

from edge.lab import strikes
from edge.lab.callers import Caller
from edge.lab.faults import Fault
from edge.lab.nodes import FleetOptions
from edge.lab.report import Check
from edge.lab.scenarios import counts
from edge.lab.scenarios.scenario import Order, Tell, played
from edge.lab.scenarios.stage import PATIENT, Stage, staged
from edge.lab.topologies import default_topology

FAULTS: Final = {"no-tokens": Fault(check="calls_resumed", one_ring=False)}
DEAD: Final = "e1"
STRUCK, OTHER = "c1", "c2"
BEFORE_S: Final = 8.0
PATIENCE_S: Final = 20.0
"""For all callers to be back: the routers' hold time, and some redials."""
AFTER_S: Final = 20.0
"""The story takes a minute; who listens to it is waited for behind that."""
RESUMED_WITHIN_S: Final = 2.0
"""Of the end of the outage, which lasts until there is another way."""


def play(argument: Any, tell: Tell) -> Any:
    """See `played`."""
    return played(story, argument, tell)


async def story(order: Order, tell: Tell) -> list[Check]:
    topology = default_topology()
    fault = FAULTS[order.fault] if order.fault else Fault(check="")
    options = FleetOptions(fault=fault, policy=PATIENT)
    async with staged(order, tell, topology, options, callers=(STRUCK, OTHER)) as stage:
        struck, others = stage.callers[STRUCK], stage.callers[OTHER]
        hit, missed = await _place(stage, STRUCK), await _place(stage, OTHER)
        await asyncio.sleep(BEFORE_S)
        at = strikes.destroy(stage.lab, DEAD)
        stage.timeline.event(f"{DEAD} is killed, and its cable is pulled", mark=True)
        coming = [asyncio.create_task(_back(struck, name)) for name in struck.standing]
        await stage.lab.cut(stage.lab.topology.uplink(DEAD).link.name)
        outage_s = await stage.gone(stage.router_of(DEAD), DEAD, at, PATIENCE_S)
        back_at = await asyncio.gather(*coming)
        stage.timeline.event("somebody is missing" if None in back_at else "everybody is back", mark=True)
        await asyncio.sleep(AFTER_S)
        await stage.hang_up()
        calls = counts.finished([struck])
        resumed = [
            # One that comes back by a WebSocket has another connection over QUIC some seconds later.
            call
            for call in calls
            if call.ending == "hung_up" and call.resumed == call.reconnects >= 1
        ]
        told = [*struck.told.values(), *others.told.values()]
        elsewhere = sum(node not in ("", DEAD) for node in missed)
        return [
            Check("struck", hit.count(DEAD), len(hit), "calls"),
            Check("not_struck", elsewhere, len(missed), "calls"),
            Check("outage_s", outage_s, PATIENCE_S, "s", "at_most"),
            Check("calls_resumed", len(resumed) / len(hit), 1, "of the calls"),
            Check("resume_p95_s", _p95(back_at, at, outage_s), RESUMED_WITHIN_S, "s", "at_most"),
            Check("said_twice", counts.said_twice(calls) if calls else None, 0, "utterances"),
            Check("told_wrong", told.count(False) if told else None, 0, "stories"),
            Check("frames_missing", counts.missing_at_last(calls), 0, "frames"),
            Check("frames_altered", counts.altered_at_last(calls), 0, "calls"),
            Check("others_lost", counts.lost([others]), 0, "calls"),
            Check("others_missing", counts.missing(counts.finished([others])), 0, "frames"),
        ]


async def _place(stage: Stage, site: str) -> list[str]:
    """The nodes that serve them."""
    return [
        await stage.call(site, f"{site} echo IPv4", version=4),
        await stage.call(site, f"{site} echo IPv6", version=6),
        await stage.call(site, f"{site} echo pinned", version=4, migrate=False),
        await stage.call(site, f"{site} story IPv4", version=4, backend="story"),
    ]


async def _back(caller: Caller, name: str) -> float | None:
    """When a call is on another node (monotonic), as its caller says several times a second; None: not in time."""

    def is_back() -> bool:
        call = caller.standing[name]
        return name in caller.failed or (call.reconnects > 0 and call.node not in ("", DEAD))

    return time.monotonic() if await caller.until(is_back, PATIENCE_S) and name not in caller.failed else None


def _p95(back_at: list[float | None], at: float, outage_s: float | None) -> float | None:
    """Seconds, beyond the time in which the routes led to the dead node."""
    known = sorted(when for when in back_at if when is not None)
    if outage_s is None or len(known) < len(back_at):
        return None
    return known[math.ceil(len(known) * 0.95) - 1] - at - outage_s
