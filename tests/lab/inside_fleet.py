"""What nodes of a fleet know of each other and of themselves, and who serves whom; run inside a lab by `test_lab_fleet`.

Three nodes with two upstreams each, between BIRD and FRR, and two reflectors. Every result is made of JSON.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from inside_lab import part
from prometheus_client.parser import text_string_to_metric_families

from bgp.echo import EchoParams
from edge.lab.nodes import FleetOptions
from edge.lab.scenarios.scenario import Order
from edge.lab.scenarios.stage import Stage, staged
from edge.lab.topologies import fleet_topology

EDGES = ("e1", "e2", "e3")
SITE, ITS_ROUTER, NEAREST = "c2", "t2", "e3"
HALTED = "rr1"
CALLS = 10
FAMILIES = 2
# Its service prefixes and its own address, from two reflectors.
OWN_PATHS = 2 * 3
PATIENCE_S = 15.0
POLL_S = 0.05


def fleet(argument: Any, tell: Callable[[Any], None]) -> Any:
    """The nodes meet, a reflector leaves and comes back, and one node sends its callers to the others."""
    return asyncio.run(_fleet(argument, tell))


async def _fleet(argument: Any, tell: Callable[[Any], None]) -> Any:
    topology = part(fleet_topology(), *EDGES, "t1", "t2", "t3", SITE, "rr1", "rr2")
    options = FleetOptions(speaker=argument["speaker"], calls=CALLS)
    order = Order(out=argument["log_dir"])
    async with staged(order, tell, topology, options, callers=[SITE]) as stage:
        found: dict[str, Any] = {"views": await told_of_by(stage, ("rr1", "rr2"))}
        found["own"] = {edge: await own_paths(stage, edge) for edge in EDGES}

        halted_at = time.monotonic()
        await stage.lab.halt(HALTED)
        found["with_one"] = await told_of_by(stage, ("rr2",))
        await stage.lab.resume(HALTED)
        found["with_both"] = await told_of_by(stage, ("rr1", "rr2"))
        await listened_to(stage, NEAREST)
        found["moves"] = sum(stage.departures(edge, halted_at) for edge in EDGES)

        found["served"] = [await stage.call(SITE, "before")]
        withdrawn_at = await stage.order(NEAREST, "/withdraw", reason="to see who serves then")
        found["gone_s"] = await stage.gone(ITS_ROUTER, NEAREST, withdrawn_at, PATIENCE_S)
        watcher = stage.watchers[ITS_ROUTER]
        found["then"] = [watcher.current(prefix).neighbours for prefix in stage.lab.anycast_prefixes]
        found["served"] += [
            await stage.call(SITE, f"behind IPv{version}", version=version) for version in (4, 6)
        ]
        found["converged"] = await converged(stage, NEAREST)
        await stage.hang_up()
        caller = stage.callers[SITE]
        found["endings"] = sorted(summary.ending for summary in caller.finished.values())
        found["failed"] = caller.failed
        return found


async def told_of_by(stage: Stage, reflectors: Sequence[str]) -> dict[str, Any]:
    """What every node sees, once these reflectors and no others tell it of all the others, who announce steadily."""
    tellers = {str(stage.lab.addresses(reflector).v4) for reflector in reflectors}

    async def seen_by(edge: str) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                view: dict[str, Any] = (await stage.explain(edge))["view"]
                steady, nodes = view["others"]["announcing"], view["nodes"]
                complete = steady == len(nodes) == len(EDGES) - 1 and not view["problem"]
                if complete and all(set(node["seen_by"]) == tellers for node in nodes):
                    return view
                await asyncio.sleep(POLL_S)

    return dict(zip(EDGES, await asyncio.gather(*map(seen_by, EDGES)), strict=True))


async def listened_to(stage: Stage, edge: str) -> None:
    """Until whatever a reflector says counts, in both families: before, nobody can time how a route goes away."""
    assert len(await own_paths(stage, edge)) == OWN_PATHS
    async with asyncio.timeout(PATIENCE_S):
        while True:
            document: Any = (await stage.ask(edge, "GET", "/bgp/peers")).checked()
            fleet = [peer for peer in document["peers"] if peer["role"] == "fleet"]
            if all(peer["since_s"] > EchoParams().sync_s for peer in fleet):
                return
            await asyncio.sleep(POLL_S)


async def own_paths(stage: Stage, edge: str) -> list[tuple[str, str]]:
    """From whom a node hears of itself, and what, once both reflectors have said all they can or patience ends."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        document: Any = (await stage.ask(edge, "GET", "/bgp/routes")).checked()
        paths = sorted({(path["neighbor"], path["prefix"]) for path in document["received"] if path["own"]})
        if len(paths) >= OWN_PATHS or time.monotonic() > deadline:
            return paths
        await asyncio.sleep(POLL_S)


async def converged(stage: Stage, edge: str) -> float:
    """How many changes of its own route a node has seen come back, once both families have or patience ends."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        text = (await stage.ask(edge, "GET", "/metrics")).checked()
        assert isinstance(text, str)
        count = sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "edge_bgp_convergence_seconds_count"
        )
        if count >= FAMILIES or time.monotonic() > deadline:
            return count
        await asyncio.sleep(POLL_S)
