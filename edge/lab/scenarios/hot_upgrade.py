"""Scenario `hot-upgrade`: the workers of all edges are replaced, one edge after the other, while sixty people talk.

At both sites they call over IPv4 and IPv6, half of them with an implementation that stays on the anycast address. Each
edge has several workers. ``edgectl node reload`` starts a new generation of them, to which new calls go; the workers from
before keep the calls they have, and are gone soon after the last of them has ended. At the last edge they are given a
deadline: there it is the callers who go on with the new workers, and the command waits until the old ones are gone.

At the end both sides of every call compare what they counted. With the fault *cold* the edges are started again instead.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from edge.lab.nodes import FleetOptions, start_node
from edge.lab.parts import Role
from edge.lab.report import Check
from edge.lab.scenarios import counts
from edge.lab.scenarios.scenario import Order, Tell, played
from edge.lab.scenarios.stage import PATIENT, Stage, staged
from edge.lab.strikes import processes
from edge.lab.topologies import default_topology

COLD: Final = "cold"
FAULTS: Final = {COLD: "calls_lost"}
SITES: Final = ("c1", "c2")
CALLS: Final = 60
AT_A_TIME: Final = 4
"""Handshakes that two cores do at once without one having to be repeated."""
PAUSE_S: Final = 8.0
"""Between a caller's sentences: two cores carry sixty callers who listen, and not sixty who talk all the time."""
WORKERS: Final = 2
CAPACITY: Final = 200
"""Of a node, in calls: nobody is to be turned away here."""
NEWCOMERS: Final = 4
"""After each reload, at both sites in turn."""
SPOKEN_S: Final = 5.0
"""Between two reloads."""
PATIENCE_S: Final = 60.0
PATIENCE_LEAVE_S: Final = 20.0
"""For workers without calls to go: 5 s after the last connection, and several processes end on two cores."""


def play(argument: Any, tell: Tell) -> Any:
    """See `played`."""
    return played(story, argument, tell)


async def story(order: Order, tell: Tell) -> list[Check]:
    topology = default_topology()
    # The last one has many calls for certain: it is the only edge at the first site.
    *_, last = edges = sorted(topology.names(Role.EDGE), reverse=True)
    options = FleetOptions(policy=PATIENT, workers=WORKERS, calls=CAPACITY)
    async with staged(order, tell, topology, options, callers=SITES) as stage:
        names = [f"{number}" for number in range(CALLS)]
        served = await _place(stage, names)
        old = {edge: await _workers(stage, edge) for edge in edges}
        took_over = 0
        came: list[str] = []
        reloaded: set[str] = set()
        expected = 0  # of the newcomers, with new workers
        to_move = 0  # calls of the last edge, before its workers are replaced
        for edge in edges:
            await asyncio.sleep(SPOKEN_S)
            if order.fault == COLD:
                took_over += await _cold(stage, edge)
            else:
                took_over += await _reload(
                    stage, edge, *(("--deadline", "1s", "--wait") if edge == last else ())
                )
            to_move = (*served, *came).count(edge)
            reloaded.add(edge)
            nodes = await _place(stage, [f"after {edge} {number}" for number in range(NEWCOMERS)])
            came += nodes
            expected += sum(node in reloaded for node in nodes)
        await asyncio.sleep(SPOKEN_S)
        on_new = await _calls_of_the_newest(stage, edges)
        await stage.hang_up()
        left = await _left(stage, old)
        callers = list(stage.callers.values())
        calls = counts.finished(callers)
        moved = sum(len(call.moves) for call in calls)
        complete = len(calls) == len(served) + len(came)
        return [
            Check("reloaded", took_over, len(edges), "edges"),
            Check("calls_lost", counts.lost(callers), 0, "calls"),
            Check("frames_missing", counts.missing(calls) if complete else None, 0, "frames"),
            Check("frames_altered", counts.altered(calls) if complete else None, 0, "calls"),
            Check("frames_counted", counts.frames(calls), CALLS * 200, "frames", "at_least"),
            Check("served", sum(node != "" for node in (*served, *came)), len(served) + len(came), "calls"),
            Check("moved", moved, to_move, "calls"),
            Check("served_by_the_new", on_new, expected + moved, "calls"),
            Check("old_workers_left", left, 0, "processes"),
        ]


async def _place(stage: Stage, names: Sequence[str]) -> list[str]:
    """Calls from each site in turn, over each family, every second pair pinned; the nodes that serve them."""
    ways = itertools.cycle(itertools.product((True, False), (4, 6), SITES))
    few = asyncio.Semaphore(AT_A_TIME)

    async def place(name: str, way: tuple[bool, int, str]) -> str:
        migrate, version, site = way
        pinned = "" if migrate else " pinned"
        async with few:
            return await stage.call(
                site, f"{name} IPv{version}{pinned}", version=version, migrate=migrate, pause_s=PAUSE_S
            )

    return await asyncio.gather(*(place(name, way) for name, way in zip(names, ways, strict=False)))


async def _reload(stage: Stage, edge: str, *options: str) -> bool:
    """What an operator types; whether it did what it is for."""
    stage.timeline.event(f"edgectl node reload {' '.join((edge, *options))}", mark=True)
    command = ("node", "reload", str(stage.fleet.sockets[edge]), *options)
    argv = [sys.executable, "-P", "-m", "edge.cli", *command]
    process = await stage.lab.spawn(edge, argv, name="reload", finite=True)
    async with asyncio.timeout(PATIENCE_S):
        code = await process.wait()
    for line in process.log.read_text().splitlines():
        stage.timeline.event(line)
    return code == 0


async def _cold(stage: Stage, edge: str) -> bool:
    stage.timeline.event(f"{edge} is stopped and started", mark=True)
    (node,) = (one for one in stage.lab.processes if (one.node, one.name) == (edge, "node"))
    await node.stop(PATIENCE_LEAVE_S)
    await start_node(stage.lab, edge, stage.lab.log_dir / f"{edge}.toml")
    await stage.announced([edge])
    return True


async def _workers(stage: Stage, edge: str) -> set[int]:
    status = await stage.fleet.status(edge)
    return set() if status is None else {worker["pid"] for worker in status["workers"]}


async def _calls_of_the_newest(stage: Stage, edges: Sequence[str]) -> int:
    """Calls that the generations have which were started last; those from before are with older ones."""
    statuses = [await stage.fleet.status(edge) for edge in edges]
    return sum(
        generation["calls"]
        for status in statuses
        if status is not None
        for generation in status["generations"]
        if generation["standing"] == "serving" and generation["generation"] > 1
    )


async def _left(stage: Stage, old: Mapping[str, set[int]]) -> int:
    """Processes of before that are still there, when those without calls have had the time to go."""

    def there() -> int:
        return sum(len(pids & processes(edge).keys()) for edge, pids in old.items())

    await stage.until_all(list(old), lambda status: len(status["generations"]) == 1, PATIENCE_LEAVE_S)
    stage.timeline.event(f"workers of before that are left: {there()}")
    return there()
