"""Scenario `key-rotation`: the fleet's keys are replaced while people talk, by the command that an operator types.

Callers at both sites speak all the while, one of each address family on its unicast address and one that stays on
anycast. Others come and go. ``edgectl keys rotate`` adds a generation, has the nodes use it, waits until the last
connection has connection IDs of it, and drops the one before.

With the fault *hasty* somebody writes a ring with nothing but a new generation.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from secrets import token_bytes
from typing import Any, Final

from edge.config.key_file import read_ring, write_ring
from edge.keys import SECRET_BYTES
from edge.lab.callers import PINNED, USUAL
from edge.lab.nodes import KEYS, FleetOptions
from edge.lab.report import Check
from edge.lab.scenarios import counts
from edge.lab.scenarios.scenario import Order, Tell, played
from edge.lab.scenarios.stage import PATIENT, Stage, staged
from edge.lab.topologies import default_topology

HASTY: Final = "hasty"
FAULTS: Final = {HASTY: "calls_lost"}
SITES: Final = ("c1", "c2")
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
                    await stage.call(site, name, version=version, manner=USUAL if migrate else PINNED)
                    placed += 1
        before = read_ring(stage.lab.run_dir / KEYS)
        await asyncio.sleep(LISTEN_S)
        newcomers = asyncio.create_task(_come(stage))
        code = await (_hasty(stage) if order.fault == HASTY else _rotate(stage))
        stage.timeline.event("the keys are new", mark=True)
        await asyncio.sleep(LISTEN_S)
        newcomers.cancel()
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


async def _come(stage: Stage) -> list[str]:
    """Who calls meanwhile, and which nodes serve them; until it is cancelled."""
    served: list[str] = []
    while True:
        try:
            site = SITES[len(served) % len(SITES)]
            served.append(await stage.call(site, f"{site} newcomer {len(served)}"))
            await asyncio.sleep(NEW_CALLS_S)
        except asyncio.CancelledError:
            return served


async def _rotate(stage: Stage) -> int:
    """What an operator types."""
    stage.timeline.event("edgectl keys rotate", mark=True)
    nodes = [word for path in stage.fleet.sockets.values() for word in ("--node", str(path))]
    argv = [sys.executable, "-P", "-m", "edge.cli", "keys", "rotate", str(stage.lab.run_dir / KEYS), *nodes]
    process = await stage.lab.spawn("e1", [*argv, "--timeout", str(PATIENCE_S)], name="rotate", finite=True)
    code = await process.wait()
    for line in process.log.read_text().splitlines():
        stage.timeline.event(line)
    return code


async def _hasty(stage: Stage) -> int:
    file = stage.lab.run_dir / KEYS
    ring = read_ring(file).add(token_bytes(SECRET_BYTES), datetime.now(UTC))
    write_ring(file, ring.use(ring.generations[-1].number).drop(ring.issue))
    await asyncio.sleep(LISTEN_S)
    return 0
