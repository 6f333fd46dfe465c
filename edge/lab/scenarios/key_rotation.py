"""Scenario `key-rotation`: the fleet's keys are replaced while people talk, by the command that an operator types.

Callers at both sites speak all the while, one of each address family on its unicast address and one that stays on
anycast. Others come and go. The routes to one edge are away, so that what its callers on anycast say arrives at others.
``edgectl keys rotate`` adds a generation, has the nodes use it, waits until the last connection has connection IDs of
it, and drops the one before.

With the fault *hasty* somebody gives a ring with nothing but a new generation to every edge but that one.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from datetime import UTC, datetime
from secrets import token_bytes
from typing import Any, Final

from edge.config.key_file import read_ring, write_ring
from edge.keys import SECRET_BYTES
from edge.lab.nodes import KEYS, FleetOptions
from edge.lab.report import Check
from edge.lab.scenarios import counts
from edge.lab.scenarios.scenario import Order, Tell, played
from edge.lab.scenarios.stage import PATIENT, Stage, staged
from edge.lab.topologies import default_topology

HASTY: Final = "hasty"
FAULTS: Final = {HASTY: "calls_lost"}
SITES: Final = ("c1", "c2")
AWAY: Final = "e1"
PATIENCE_ROUTE_S: Final = 4.0
NEW_CALLS_S: Final = 2.0
PATIENCE_S: Final = 60.0
LISTEN_S: Final = 5.0
"""Before and after."""


def play(argument: Any, tell: Tell) -> Any:
    """See `played`."""
    return played(story, argument, tell)


async def story(order: Order, tell: Tell) -> list[Check]:
    topology = default_topology()
    async with staged(order, tell, topology, FleetOptions(policy=PATIENT), callers=SITES) as stage:
        placed = 0
        for site in SITES:
            for version in (4, 6):
                for migrate in (True, False):
                    name = f"{site} IPv{version}{'' if migrate else ' pinned'}"
                    await stage.call(site, name, version=version, migrate=migrate)
                    placed += 1
        before = read_ring(stage.lab.run_dir / KEYS)
        at = await stage.order(AWAY, "/withdraw", reason="for the while", who="operator", force=True)
        await stage.gone(stage.router_of(AWAY), AWAY, at, PATIENCE_ROUTE_S)
        stage.timeline.event(f"the routes to {AWAY} are gone", mark=True)
        await asyncio.sleep(LISTEN_S)
        enough = asyncio.Event()
        newcomers = asyncio.create_task(_come(stage, enough))
        code = await (_hasty(stage) if order.fault == HASTY else rotate(stage))
        stage.timeline.event("the keys are new", mark=True)
        await asyncio.sleep(LISTEN_S)
        enough.set()
        came = await newcomers
        after = read_ring(stage.lab.run_dir / KEYS)
        statuses = [await stage.fleet.status(edge) for edge in stage.fleet.sockets]
        agreed = sum(
            status is not None and status["keys"]["in_use"] == [after.version] for status in statuses
        )
        await stage.hang_up()
        callers = list(stage.callers.values())
        calls = counts.finished(callers)
        complete = len(calls) == placed + len(came)
        return [
            Check("rotated", float(code == 0), 1, "rotations"),
            Check("generations_kept", len({*before} & {*after}), 0, "generations"),
            Check("nodes_agree", agreed, len(statuses), "nodes"),
            Check("calls_lost", counts.lost(callers), 0, "calls"),
            Check("frames_missing", counts.missing(calls) if complete else None, 0, "frames"),
            Check("frames_altered", counts.altered(calls) if complete else None, 0, "calls"),
            Check("newcomers_served", sum(node != "" for node in came), max(1, len(came)), "calls"),
        ]


async def _come(stage: Stage, enough: asyncio.Event) -> list[str]:
    """Which nodes serve those who call until it is ``enough``."""
    served: list[str] = []
    while not enough.is_set():
        site = SITES[len(served) % len(SITES)]
        served.append(await stage.call(site, f"{site} newcomer {len(served)}"))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(enough.wait(), NEW_CALLS_S)
    return served


async def rotate(stage: Stage) -> int:
    """What an operator types; its exit code."""
    stage.timeline.event("edgectl keys rotate", mark=True)
    file = stage.lab.run_dir / KEYS
    copies = [stage.lab.run_dir / edge / KEYS for edge in stage.fleet.sockets]
    push = " && ".join(f"install -m 600 {file} {copy}.new && mv {copy}.new {copy}" for copy in copies)
    nodes = [word for path in stage.fleet.sockets.values() for word in ("--node", str(path))]
    argv = [sys.executable, "-P", "-m", "edge.cli", "keys", "rotate", str(file), *nodes, "--push", push]
    process = await stage.lab.spawn(AWAY, [*argv, "--timeout", str(PATIENCE_S)], name="rotate", finite=True)
    code = await process.wait()
    for line in process.log.read_text().splitlines():
        stage.timeline.event(line)
    return code


async def _hasty(stage: Stage) -> int:
    ring = read_ring(stage.lab.run_dir / KEYS).add(token_bytes(SECRET_BYTES), datetime.now(UTC))
    for edge in set(stage.fleet.sockets) - {AWAY}:
        write_ring(stage.lab.run_dir / edge / KEYS, ring.use(ring.generations[-1].number).drop(ring.issue))
    await asyncio.sleep(LISTEN_S)
    return 0
