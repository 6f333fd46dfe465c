"""A fleet that is watched; run inside a lab by `test_watching`. Every result is made of JSON."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from inside_lab import quiet

from edge.lab.nodes import FleetOptions, start_node
from edge.lab.scenarios.scenario import Order
from edge.lab.scenarios.stage import PATIENT, Stage, staged
from edge.lab.watching import Watching, watch

WATCHER = "c1"
ALONE, ITS_SITE = "e1", "t1"
ALERT = "EdgeSiteDark"
EXPIRES = "EdgeCertificateExpires"
"""Browsers take no pinned certificate for longer than two weeks, and of less it is warned: in a lab this one always fires."""
PATIENCE_S = 60.0
POLL_S = 0.5

Seen = TypeVar("Seen")


def watched(argument: Any, tell: Callable[[Any], None]) -> Any:
    """Everything that is asked is answered; a site goes dark, and whoever is on call hears of it, and of its return."""
    return asyncio.run(_watched(argument, tell))


async def _watched(argument: Any, tell: Callable[[Any], None]) -> Any:
    order = Order(out=argument["log_dir"])
    async with staged(order, tell, quiet(), FleetOptions(policy=PATIENT), callers=["c1", "c2"]) as stage:
        for site in ("c1", "c2"):
            await stage.call(site, f"talks at {site}")
        watching = await watch(stage.lab, WATCHER)
        found: dict[str, Any] = {}
        found["unanswered"] = await until(lambda: unanswered(watching), lambda lines: lines == [])
        found["firing"] = await until(lambda: firing(watching), lambda names: EXPIRES in names)
        found["announcing"] = await watching.query("site:edge_announcing_nodes:sum")
        await stage.hang_up()
        found |= await dark(stage, watching)
        return found


async def unanswered(watching: Watching) -> list[str]:
    done = await watching.verify()
    return [] if done.returncode == 0 else (done.stdout or done.stderr).decode().splitlines()


async def firing(watching: Watching) -> list[str]:
    said = await watching.query('count by (alertname) (ALERTS{alertstate="firing"})')
    return sorted(line.split('"')[1] for line in said.splitlines())


async def dark(stage: Stage, watching: Watching) -> dict[str, Any]:
    """The only node of a site ends, and is started again."""
    (node,) = (one for one in stage.lab.processes if (one.node, one.name) == (ALONE, "node"))
    await node.stop(grace=15.0)
    found: dict[str, Any] = {"fired": await sent(watching, "firing")}
    await start_node(stage.lab, ALONE, Path(stage.lab.log_dir) / f"{ALONE}.toml")
    found["resolved"] = await sent(watching, "resolved")
    return found


async def sent(watching: Watching, status: str) -> Any:
    async def look() -> Any:
        return watching.received(ALERT, status)

    return await until(look, bool)


async def until(look: Callable[[], Awaitable[Seen]], is_enough: Callable[[Seen], bool]) -> Seen:
    """What ``look`` finds once that is enough, or at last."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        seen = await look()
        if is_enough(seen) or time.monotonic() > deadline:
            return seen
        await asyncio.sleep(POLL_S)
