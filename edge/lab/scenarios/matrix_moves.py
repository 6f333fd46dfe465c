"""Rows of the failure matrix about what nodes decide, are told, or go on doing.

Overload here is callers who dial a node's own address: whatever routers do, they stay, and nobody else is hit.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from bgp.policy import PolicyParams
from edge.errors import DeadlineError
from edge.lab import strikes
from edge.lab.nodes import start_node
from edge.lab.parts import Role
from edge.lab.scenarios.matrix_blows import PATIENCE_S
from edge.lab.scenarios.penalties import watched
from edge.lab.scenarios.stage import POLL_S, Stage
from edge.lab.strikes import Part

SITES: Final = ("c1", "c2")
"""Both behind t1, and so routed to nodes that nobody punishes: the rows about t2's nodes begin with a clean slate."""
CALL_CAPACITY: Final = 4
CALLERS: Final = 8
"""At an overloaded node: those it can take, and as many that are refused, once a second each."""

WITHDRAWALS: Final = 5
BETWEEN_S: Final = 0.5
"""For everybody to have heard of one move before the next."""

OVERLOAD_S: Final = 9.0
"""Twice what the ladder takes to its last rung: 30 s and 60 s, a twentieth of them."""
LONG_OVERLOAD_S: Final = 30.0
"""Ten minutes, on the lab's clock."""
WAVES_S: Final = (30.0, 12.0)
"""At most. The first ends when the node has withdrawn, which takes it 7 s, or longer while the view is young. The second
is what the ledger must not let through, and so are those that follow."""
RESTARTS: Final = 5
PATIENCE_OVERLOAD_S: Final = 20.0
PATIENCE_START_S: Final = 40.0
PATIENCE_VIEW_S: Final = 10.0
PATIENCE_COMMAND_S: Final = 30.0


# --- what callers notice ------------------------------------------------------------------------------------


async def withdraw(stage: Stage) -> float | None:
    """Median seconds until a node with a call on it is gone; None if the call has lost a frame."""
    site, name = SITES[0], "withdraw"
    edge = await _call(stage, site, name)
    router = stage.router_of(edge)
    await _until_view(stage, edge, lambda view: not view["problem"] and view["others"]["announcing"] > 0)
    took = []
    for _ in range(WITHDRAWALS):
        at = await stage.order(edge, "/withdraw", reason="the failure matrix")
        took.append(await stage.gone(router, edge, at, PATIENCE_S))
        await asyncio.sleep(BETWEEN_S)
        await stage.back(router, edge, await stage.order(edge, "/announce"), PATIENCE_S)
        await asyncio.sleep(BETWEEN_S)
    caller = stage.callers[site]
    await caller.hang_up(PATIENCE_S)
    call = caller.finished.get(name)
    if call is None or not call.flawless or call.reconnects:
        stage.timeline.event(f"the call on {edge} has not come through unharmed: {call}")
        return None
    stage.timeline.event(f"the call on {edge} heard and was heard, frame by frame: {call.frames_sent} said")
    return None if None in took else statistics.median(seconds for seconds in took if seconds is not None)


async def worker_killed(stage: Stage) -> float | None:
    """Seconds until a call on the worker goes on, there or elsewhere.

    The route is kept where other workers serve. Here is only one: if it takes longer to come back than three
    self-probes, the node answers nobody, and is fenced as it should be.
    """
    site, name = SITES[1], "worker_killed"
    edge = await _call(stage, site, name)
    caller = stage.callers[site]
    at = strikes.strike(stage.lab, edge, Part.WORKER)
    resumed = await caller.until(lambda: caller.standing[name].reconnects > 0, PATIENCE_S)
    took_s = time.monotonic() - at
    await caller.hang_up(PATIENCE_S)
    if stage.departures(edge, at):
        stage.timeline.event(
            f"{stage.router_of(edge)} has turned away from {edge}, whose only worker was gone"
        )
    return took_s if resumed else None


async def _call(stage: Stage, site: str, name: str) -> str:
    """A call from there, settled; who serves it. DeadlineError if nobody does."""
    edge = await stage.call(site, name)
    if not edge:
        raise DeadlineError(f"nobody serves {name} at {site}")
    return edge


# --- overload -----------------------------------------------------------------------------------------------


async def all_overloaded(stage: Stage) -> float | None:
    """How many nodes have left or stepped back, with too many callers at each; None if any of them took all callers."""
    edges = stage.lab.topology.names(Role.EDGE)
    async with _overloaded(stage, edges) as since:
        await asyncio.sleep(OVERLOAD_S)
        shedding = await stage.until_all(edges, _is_shedding, PATIENCE_S)
        moved = [edge for edge in edges if await _has_moved(stage, edge, since)]
    return len(moved) if shedding else None


async def view_lost(stage: Stage) -> float | None:
    """How often a node has left that is overloaded and can't see the others; None if it does not say that as the reason."""
    edge, reflectors = "e2", stage.lab.topology.names(Role.REFLECTOR)
    for reflector in reflectors:
        await stage.lab.halt(reflector)
    try:
        async with _overloaded(stage, [edge]) as since:
            await asyncio.sleep(OVERLOAD_S)
            found = await stage.explain(edge)
            moved = await _has_moved(stage, edge, since)
    finally:
        for reflector in reflectors:
            await stage.lab.resume(reflector)
    reasons = found["explanation"]["held_by"]
    stage.timeline.event(f"{edge}: {'; '.join(reasons)}")
    problem = found["view"]["problem"]
    explained = problem and any(problem in reason for reason in reasons)
    await _until_view(stage, edge, lambda view: not view["problem"])
    return float(moved) if explained or moved else None


async def long_overload(stage: Stage) -> float | None:
    """How many routes FRR has suppressed, of a node that is overloaded in waves; None if it never left, or is not back.

    Its holds are short, so that it is the ledger that keeps it in place.
    """
    edge = "e4"
    began = time.monotonic()
    async with watched(stage, stage.router_of(edge), edge) as penalties:
        waves = 0
        while waves < len(WAVES_S) or time.monotonic() < began + LONG_OVERLOAD_S:
            wave_s = WAVES_S[min(waves, len(WAVES_S) - 1)]
            waves += 1
            async with _overloaded(stage, [edge]):
                if await stage.until(edge, lambda status: status["state"] == "withdrawn", wave_s) is None:
                    held_by = (await stage.explain(edge))["explanation"]["held_by"]
                    stage.timeline.event(f"{edge} has not withdrawn: {'; '.join(held_by)}")
            await stage.until(edge, lambda status: status["state"] == "announced", PATIENCE_OVERLOAD_S)
        back = await stage.back(stage.router_of(edge), edge, time.monotonic(), PATIENCE_S)
    suppressed, left = len(penalties.suppressed), stage.departures(edge, began)
    return float(suppressed) if suppressed or (left and back is not None) else None


@asynccontextmanager
async def _overloaded(stage: Stage, edges: Sequence[str]) -> AsyncIterator[float]:
    """More callers than each of them takes, while the block lasts; since when. DeadlineError if one takes all."""
    since = time.monotonic()
    loads = [
        await stage.load(
            SITES[0],
            CALLERS,
            host=str(stage.lab.addresses(edge).v4),
            name=f"load-{edge}",
        )
        for edge in edges
    ]
    try:
        if not await stage.until_all(edges, _is_shedding, PATIENCE_OVERLOAD_S):
            raise DeadlineError(f"not all of {', '.join(edges)} are overloaded")
        yield since
    finally:
        await asyncio.gather(*(load.stop() for load in loads))
    await stage.until_all(edges, lambda status: status["admission"] == "accepting", PATIENCE_OVERLOAD_S)


def _is_shedding(status: dict[str, Any]) -> bool:
    return bool(status["admission"] != "accepting" and status["refusal_ratio"] > 0)


async def _has_moved(stage: Stage, edge: str, since: float) -> bool:
    """Whether routers or it itself say so."""
    status = await stage.fleet.status(edge)
    decided = [] if status is None else [one for one in status["decisions"] if one["at"] >= since]
    return bool(decided) or stage.departures(edge, since) > 0


# --- over and over, and the last ------------------------------------------------------------------------------


async def restart_loop(stage: Stage) -> float | None:
    """How often its router has turned away from a node that is killed again as soon as it announces or has to wait.

    None if it never had to wait, or if it was suppressed.
    """
    edge, began = "e5", time.monotonic()
    router = stage.router_of(edge)
    held_by: list[str] = []
    async with watched(stage, router, edge) as penalties:
        for _ in range(RESTARTS):
            strikes.strike(stage.lab, edge, Part.SUPERVISOR)
            at = time.monotonic()
            await start_node(stage.lab, edge, stage.lab.log_dir / f"{edge}.toml")
            proven = await stage.until(edge, _is_proven, PATIENCE_START_S)
            if proven is not None and proven["announced"]:
                await stage.back(router, edge, at, PATIENCE_S)
            else:
                held_by = (await stage.explain(edge))["explanation"]["held_by"]
                stage.timeline.event(f"{edge}: {'; '.join(held_by)}")
    if not held_by or penalties.suppressed:
        return None
    return stage.departures(edge, began) / len(stage.lab.anycast_prefixes)


def _is_proven(status: dict[str, Any]) -> bool:
    """With one self-probe more than it takes, so that it announces by now, if it may."""
    return bool(status["probe"]["passed"] > PolicyParams().probes_to_announce)


async def drain_last(stage: Stage) -> float | None:
    """The exit code of ``edgectl drain`` for the last that announces; None if it went all the same, or not with force."""
    edge = "e2"
    router = stage.router_of(edge)
    others = [one for one in stage.lab.topology.names(Role.EDGE) if one != edge]
    for other in others:
        await stage.order(other, "/withdraw", reason="the failure matrix", force=True)
    await _until_view(stage, edge, lambda view: view["others"]["announcing"] == 0)
    at = time.monotonic()
    refused = await _drain(stage, edge)
    kept = stage.departures(edge, at) == 0
    forced_at = time.monotonic()
    forced = await _drain(stage, edge, "--force")
    gone_s = await stage.gone(router, edge, forced_at, PATIENCE_S)
    for one in (edge, *others):
        await stage.order(one, "/announce")
    return float(refused) if kept and forced == 0 and gone_s is not None else None


async def _until_view(stage: Stage, edge: str, holds: Callable[[dict[str, Any]], bool]) -> None:
    """Until a node sees the others so. DeadlineError if it does not in time."""
    try:
        async with asyncio.timeout(PATIENCE_VIEW_S):
            while not holds((await stage.explain(edge))["view"]):  # noqa: ASYNC110 - nobody would tell
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        view = (await stage.explain(edge))["view"]
        raise DeadlineError(f"{edge} sees the others as {view['others']} {view['problem']}") from None


async def _drain(stage: Stage, edge: str, *options: str) -> int:
    argv = [sys.executable, "-P", "-m", "edge.cli", "drain", edge, *options]
    done = await stage.lab.exec(edge, argv, timeout=PATIENCE_COMMAND_S)
    said = (done.stdout + done.stderr).decode().strip()
    stage.timeline.event(f"edgectl drain {' '.join((edge, *options))}: {done.returncode}, {said}")
    return done.returncode
