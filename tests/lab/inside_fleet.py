"""What nodes of a fleet know of each other and of themselves, and who serves whom; run inside a lab by `test_lab_fleet`.

Three nodes with two upstreams each, between BIRD and FRR, and two reflectors. Every result is made of JSON.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

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

Seen = TypeVar("Seen")


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

    async def view(edge: str) -> Any:
        return (await stage.explain(edge))["view"]

    def is_complete(view: Any) -> bool:
        steady, nodes = view["others"]["announcing"], view["nodes"]
        complete = steady == len(nodes) == len(EDGES) - 1 and not view["problem"]
        return complete and all(set(node["seen_by"]) == tellers for node in nodes)

    views = [patiently(lambda edge=edge: view(edge), is_complete) for edge in EDGES]  # type: ignore[misc]
    return dict(zip(EDGES, await asyncio.gather(*views), strict=True))


async def listened_to(stage: Stage, edge: str) -> None:
    """Until whatever a reflector says counts, in both families: before, nobody can time how a route goes away."""
    await own_paths(stage, edge)

    async def sessions() -> Any:
        document: Any = (await stage.ask(edge, "GET", "/bgp/peers")).checked()
        return [peer["since_s"] for peer in document["peers"] if peer["role"] == "fleet"]

    await patiently(sessions, lambda ages: min(ages) > EchoParams().sync_s)


async def own_paths(stage: Stage, edge: str) -> list[tuple[str, str]]:
    """From whom a node hears of itself, and what, once both reflectors have said all they can."""

    async def paths() -> list[tuple[str, str]]:
        document: Any = (await stage.ask(edge, "GET", "/bgp/routes")).checked()
        return sorted({(path["neighbor"], path["prefix"]) for path in document["received"] if path["own"]})

    return await patiently(paths, lambda paths: len(paths) >= OWN_PATHS)


async def converged(stage: Stage, edge: str) -> float:
    """How many changes of its own route a node has seen come back, once both families have."""

    async def count() -> float:
        text = (await stage.ask(edge, "GET", "/metrics")).checked()
        assert isinstance(text, str)
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "edge_bgp_convergence_seconds_count"
        )

    return await patiently(count, lambda count: count >= FAMILIES)


async def patiently(look: Callable[[], Awaitable[Seen]], is_enough: Callable[[Seen], bool]) -> Seen:
    """What ``look`` finds once that is enough."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        seen = await look()
        if is_enough(seen):
            return seen
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {PATIENCE_S:g} s still {seen}")
        await asyncio.sleep(POLL_S)
