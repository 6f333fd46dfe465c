"""Scenario `drain`: a node is emptied while people talk, by the command that an operator types, and nobody hears it.

Callers at both sites speak and are answered: at the site that is routed to the node some have moved to its unicast
address, some stay on anycast, over IPv4 and IPv6. ``edgectl drain`` withdraws the node, waits for the routers, and asks
its callers to go on at the two others. Then it is taken back, and announces again.

With the fault *no-hand-over* the operator lets the calls end instead, and closes them when his patience is over.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, Final

import msgspec

from edge.errors import EdgeError
from edge.lab.nodes import FleetOptions
from edge.lab.report import Check
from edge.lab.scenarios import counts
from edge.lab.scenarios.scenario import Order, Tell, played
from edge.lab.scenarios.stage import PATIENT, Stage, staged
from edge.lab.topologies import default_topology
from edge.runtime.documents import DrainReport

NODE: Final = "e1"
SITES: Final = ("c1", "c2")
NO_HAND_OVER: Final = "no-hand-over"
FAULTS: Final = {NO_HAND_OVER: "calls_moved"}
DEADLINE: Final = "20s"
ORDERS: Final = {None: ("--deadline", DEADLINE), NO_HAND_OVER: ("--let-end", "--deadline", "5s")}
LISTEN_S: Final = 5.0
"""Before and after: a sentence and its answer."""
LIMIT_TOOK_MS: Final = 10_000.0
"""Of the 20 s, callers are given half at first, to find a pause in what is said."""
PATIENCE_S: Final = 60.0
PATIENCE_ROUTE_S: Final = 10.0


def play(argument: Any, tell: Tell) -> Any:
    """See `played`."""
    return played(story, argument, tell)


async def story(order: Order, tell: Tell) -> list[Check]:
    topology = default_topology()
    async with staged(order, tell, topology, FleetOptions(policy=PATIENT), callers=SITES) as stage:
        served = {}
        for site in SITES:
            for version in (4, 6):
                for migrate in (True, False):
                    name = f"{site} IPv{version}{'' if migrate else ' pinned'}"
                    served[name] = await stage.call(site, name, version=version, migrate=migrate)
        to_move = [name for name, node in served.items() if node == NODE]
        await asyncio.sleep(LISTEN_S)
        code, report = await _drain(stage, ORDERS[order.fault])
        left = await stage.fleet.status(NODE)
        newcomer = await stage.call(SITES[0], "newcomer")
        await asyncio.sleep(LISTEN_S)
        elsewhere = [name for name in to_move if _node(stage, name) not in ("", NODE)]
        back_s = await _undrain(stage)
        await stage.hang_up()
        callers = list(stage.callers.values())
        calls = counts.finished(callers)
        complete = len(calls) == len(served) + 1
        moved = [call for call in report.calls if call.fate == "moved"]
        took = [call.took_ms for call in moved if call.took_ms is not None]
        return [
            Check("drained", code, 0, "exit code"),
            Check("calls_moved", len(moved), max(len(to_move), 1), "calls"),
            Check("calls_left", None if left is None else left["calls"], 0, "calls"),
            Check("served_elsewhere", len(elsewhere), max(len(to_move), 1), "calls"),
            Check("slowest_ms", max(took, default=None), LIMIT_TOOK_MS, "ms", "at_most"),
            Check("calls_lost", counts.lost(callers), 0, "calls"),
            Check("frames_missing", counts.missing(calls) if complete else None, 0, "frames"),
            Check("frames_altered", counts.altered(calls) if complete else None, 0, "calls"),
            Check("new_calls_elsewhere", float(newcomer not in ("", NODE)), 1, "calls"),
            Check("reannounced", float(back_s is not None), 1, "nodes"),
        ]


def _node(stage: Stage, name: str) -> str:
    """Which node serves that call now."""
    standing = (caller.standing[name] for caller in stage.callers.values() if name in caller.standing)
    return next((call.node for call in standing), "")


async def _drain(stage: Stage, options: tuple[str, ...]) -> tuple[int, DrainReport]:
    """What an operator types; the exit code, and what came of it."""
    words = ["drain", NODE, *options, "--wait", "--reason", "to see who minds", "-o", "json"]
    stage.timeline.event(f"edgectl {' '.join(words[:-2])}", mark=True)
    argv = [sys.executable, "-P", "-m", "edge.cli", *words]
    done = await stage.lab.exec(NODE, argv, timeout=PATIENCE_S)
    for line in done.stderr.decode().splitlines():
        stage.timeline.event(line)
    try:
        report = msgspec.json.decode(done.stdout, type=DrainReport)
    except msgspec.DecodeError as error:
        raise EdgeError(f"edgectl drain told no report ({error}): {done.stderr.decode()}") from error
    for call in report.calls:
        stage.timeline.event(
            f"{call.call_id}: {call.fate} {call.node or call.to}, {call.took_ms} ms, {call.frames_missing} missing"
        )
    return done.returncode, report


async def _undrain(stage: Stage) -> float | None:
    """How long until its router sends callers to it again; None: not in time."""
    at = await stage.order(NODE, "/undrain")
    stage.timeline.event("edgectl undrain", mark=True)
    return await stage.back(stage.router_of(NODE), NODE, at, PATIENCE_ROUTE_S)
