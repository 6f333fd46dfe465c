"""Rows of the failure matrix in which a part of a node dies or hangs, or its cable is pulled.

What counts is when the kernel of the node's router has no route to it any more, in neither family. Each row puts
right what it has broken, and does not wait until the node is well again: the next row for that node does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from edge.lab import strikes
from edge.lab.birdc import Birdc
from edge.lab.nodes import start_node
from edge.lab.parts import VERSIONS
from edge.lab.rib import session_name
from edge.lab.scenarios.stage import Stage
from edge.lab.strikes import Part

PATIENCE_S: Final = 15.0
"""Far above any limit, so that a late answer is measured and not only missed."""
SPEAKER_BACK_S: Final = 5.0
"""How long a speaker that died may be away."""


@dataclass(frozen=True, slots=True)
class Blow:
    """A signal for a part of a node. With ``back_s`` its routes must be back by themselves, so long after they went."""

    edge: str
    part: Part
    number: signal.Signals
    back_s: float | None = None


async def struck(stage: Stage, blow: Blow) -> float | None:
    """Seconds until the routes are gone; None if they are not, or not back in time."""
    edge, router = blow.edge, stage.router_of(blow.edge)
    await _right_after_a_probe(stage, edge)
    pid = strikes.find(edge, blow.part)
    at = strikes.strike(stage.lab, edge, blow.part, blow.number)
    gone_s = await stage.gone(router, edge, at, PATIENCE_S)
    if gone_s is not None and blow.back_s is not None:
        back_s = await stage.back(router, edge, at + gone_s, blow.back_s)
        if back_s is None:
            return None
        stage.timeline.event(f"{router} routes to {edge} again {back_s:.1f} s after that")
    if blow.number is signal.SIGSTOP:
        with contextlib.suppress(ProcessLookupError):  # replaced meanwhile
            os.kill(pid, signal.SIGCONT)
    elif blow.part is Part.SUPERVISOR:
        await start_node(stage.lab, edge, stage.lab.log_dir / f"{edge}.toml")
    return gone_s


async def speaker_killed(stage: Stage) -> float | None:
    """The same for e1's speaker, behind BIRD; None also if its successor has said anything but what it should."""
    edge = "e1"
    gone_s = await struck(stage, Blow(edge, Part.SPEAKER, signal.SIGKILL, SPEAKER_BACK_S))
    strange = [said async for said in _strange(stage, edge)]
    for said in strange:
        stage.timeline.event(f"{stage.router_of(edge)} hears from {edge}: {said}")
    return None if strange else gone_s


async def unplugged(stage: Stage, *edges: str) -> float | None:
    """Seconds until the last of them is gone; none of them is told that its cable is pulled."""
    links = [stage.lab.topology.uplink(edge).link.name for edge in edges]
    at = time.monotonic()
    await asyncio.gather(*(stage.lab.cut(link) for link in links))
    routers = [stage.router_of(edge) for edge in edges]
    took = await asyncio.gather(
        *(stage.gone(router, edge, at, PATIENCE_S) for router, edge in zip(routers, edges, strict=True))
    )
    await asyncio.gather(*(stage.lab.mend(link) for link in links))
    known = [seconds for seconds in took if seconds is not None]
    for router, seconds in zip(routers, took, strict=True):
        if seconds is not None:
            software = stage.lab.topology.node(router).software
            stage.timeline.event(f"{router}, which runs {software}, noticed after {seconds:.2f} s")
    return max(known) if len(known) == len(edges) else None


async def _right_after_a_probe(stage: Stage, edge: str) -> None:
    """The moment from which a failure of the data plane takes longest to be noticed."""
    status = await stage.until(edge, lambda _: True, PATIENCE_S)
    if status is not None:
        passed = status["probe"]["passed"]
        await stage.until(edge, lambda later: later["probe"]["passed"] > passed, PATIENCE_S)


async def _strange(stage: Stage, edge: str) -> AsyncIterator[str]:
    """What the router has from an edge that is not the plain announcement of a service prefix."""
    router = stage.lab.router(stage.router_of(edge))
    assert isinstance(router, Birdc)  # FRR does not tell what it has filtered
    for version, prefix in zip(VERSIONS, stage.lab.anycast_prefixes, strict=True):
        session = session_name(edge, version)
        filtered = await router.filtered(session)
        if filtered:
            yield f"{filtered} routes that are none of the service"
        for route in await router.routes(prefix):
            plain = len(route.as_path) == 1 and not route.communities and not route.large_communities
            if route.session == session and not plain:
                yield str(route)
