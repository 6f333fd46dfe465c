"""Scenario `matrix`: everything that can happen to a node, one row after the other, each with its deadline.

Every row is a story of its own, in one lab, and judged by itself: what goes wrong in one leaves the others alone.
First come the rows that want quiet, or the whole fleet; then those that strike one node each, side by side, for much
of their time is waiting; then the last node is to be drained.

Nodes behind t1 take its patience for endless, or they would have to wait for a quarter of an hour between two blows.
Those behind t2, which damps, count what they cost; so each of them has a row or two, and no more.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, Final

from edge.errors import EdgeError, RefusedError
from edge.lab.nodes import FleetOptions
from edge.lab.report import SIGN, Check, Rule
from edge.lab.scenarios.matrix_blows import SPEAKER_BACK_S, Blow, speaker_killed, struck, unplugged
from edge.lab.scenarios.matrix_faults import LACKS, NOTHING
from edge.lab.scenarios.matrix_moves import (
    CALL_CAPACITY,
    SITES,
    all_overloaded,
    drain_last,
    long_overload,
    restart_loop,
    view_lost,
    withdraw,
    worker_killed,
)
from edge.lab.scenarios.scenario import Order, Tell, played
from edge.lab.scenarios.stage import Stage, staged
from edge.lab.strikes import Part
from edge.lab.topologies import matrix_topology

PATIENCE_READY_S: Final = 30.0

SHORT_HOLDS: Final = {"deprefer_hold_s": 0.5, "withdraw_hold_s": 0.5, "calm_s": 1.0}
"""What has to keep a node in place is the guard and the ledger, row by row, and not that it has just moved."""

UNPLUGGED_S: Final = 10.0
"""Hold time, and a second on top. It begins with the last keepalive that arrives, which may be on its way when the cable
is pulled, and the routers' timers are late when the machine is busy: both BIRD and FRR were seen to take 9.1 s."""
FLAPS: Final = 2
"""A death while announcing costs 1000 of a budget of 1500. The second is one too many, and it stays out."""

Story = Callable[[Stage], Awaitable[float | None]]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the matrix. ``edges`` must announce before it begins; its story returns seconds where ``unit`` is a time."""

    name: str
    limit: float
    unit: str
    rule: Rule
    edges: tuple[str, ...]
    story: Story

    def check(self, found: float | None) -> Check:
        """The verdict on what the story has returned."""
        scale = 1000.0 if self.unit == "ms" else 1.0
        return Check(
            self.name, None if found is None else round(found * scale, 3), self.limit, self.unit, self.rule
        )


def _blow(name: str, limit: float, unit: str, blow: Blow) -> Row:
    return Row(name, limit, unit, "at_most", (blow.edge,), lambda stage: struck(stage, blow))


EVERY_EDGE: Final = ("e1", "e2", "e3", "e4", "e5")

ALONE: Final = (
    Row("withdraw", 100, "ms", "at_most", EVERY_EDGE, withdraw),
    Row("worker_killed", 3.0, "s", "at_most", EVERY_EDGE, worker_killed),
    Row("all_overloaded", 0, "nodes", "equals", EVERY_EDGE, all_overloaded),
    Row("view_lost", 0, "nodes", "equals", EVERY_EDGE, view_lost),
    Row("long_overload", 0, "routes", "equals", EVERY_EDGE, long_overload),
)

SIDE_BY_SIDE: Final = (
    (
        Row("unplugged_bfd", 0.5, "s", "at_most", ("e1",), lambda stage: unplugged(stage, "e1")),
        Row("speaker_killed", 250, "ms", "at_most", ("e1",), speaker_killed),
    ),
    (
        _blow("data_plane_dead", 4.0, "s", Blow("e2", Part.WORKER, signal.SIGSTOP)),
        _blow("daemon_hung", 3.0, "s", Blow("e2", Part.SUPERVISOR, signal.SIGSTOP)),
        # A second speaker that dies in one life of its supervisor waits 30 s: so here begins a new life.
        _blow("daemon_killed", 250, "ms", Blow("e2", Part.SUPERVISOR, signal.SIGKILL)),
        _blow("bridge_killed", 250, "ms", Blow("e2", Part.BRIDGE, signal.SIGKILL, SPEAKER_BACK_S)),
    ),
    (
        _blow("speaker_hung", 9.0, "s", Blow("e3", Part.SPEAKER, signal.SIGSTOP)),
        Row(
            "unplugged",
            UNPLUGGED_S,
            "s",
            "at_most",
            ("e3", "e4"),
            lambda stage: unplugged(stage, "e3", "e4"),
        ),
    ),
    (Row("restart_loop", FLAPS, "flaps", "at_most", ("e5",), restart_loop),),
)

LAST: Final = (Row("drain_last", RefusedError.exit_code, "exit code", "equals", ("e2",), drain_last),)

ROWS: Final = (*ALONE, *chain.from_iterable(SIDE_BY_SIDE), *LAST)


def play(argument: Any, tell: Tell) -> Any:
    """Inside the lab: every row, or those that were asked for; the checks as JSON values."""
    return played(_play, argument, tell)


async def _play(order: Order, tell: Tell) -> list[Check]:
    lack = LACKS[order.fault] if order.fault else NOTHING
    options = FleetOptions(
        speaker=order.speaker,
        damping=lack.damping,
        policy={**SHORT_HOLDS, **lack.policy},
        calls=CALL_CAPACITY,
    )
    topology = matrix_topology(bfd=lack.bfd)
    async with staged(order, tell, topology, options, callers=SITES) as stage:
        told = partial(_told, stage, order.only)
        checks = await told(ALONE)
        for more in await asyncio.gather(*map(told, SIDE_BY_SIDE)):
            checks += more
        return checks + await told(LAST)


async def _told(stage: Stage, only: Sequence[str], rows: Sequence[Row]) -> list[Check]:
    """One row after the other, of those that were asked for (() for all)."""
    return [await _judged(stage, row) for row in rows if not only or row.name in only]


async def _judged(stage: Stage, row: Row) -> Check:
    began = time.monotonic()
    try:
        await _ready(stage, row.edges)
        began = time.monotonic()
        stage.timeline.event(f"{row.name} begins")
        found = await row.story(stage)
    except EdgeError as error:
        stage.timeline.event(f"{row.name}: {error}")
        found = None
    check = row.check(found)
    value = "not measured" if check.value is None else f"{check.value:g} {row.unit}"
    verdict = "pass" if check.passed else "FAIL"
    stage.timeline.event(f"{row.name}: {value}, limit {SIGN[row.rule]} {row.limit:g}, {verdict}")
    stage.timeline.row(row.name, began=began, passed=check.passed)
    return check


async def _ready(stage: Stage, edges: Sequence[str]) -> None:
    """Until all of them announce, and their routers send packets there. DeadlineError if they do not in time."""
    began = time.monotonic()
    await stage.announced(edges)
    for edge in edges:
        if await stage.back(stage.router_of(edge), edge, began, PATIENCE_READY_S) is None:
            raise EdgeError(f"{stage.router_of(edge)} does not route to {edge}")
