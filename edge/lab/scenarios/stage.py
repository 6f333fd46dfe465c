"""What stories about routing have in common: a lab with its fleet, the routers' kernels watched, and load to order.

Everything that a check counts comes from outside the node it is about: the routers' forwarding tables, the callers'
counts. What nodes say of themselves only tells the story when to go on.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from edge.client.dialing import CarrierChoice
from edge.client.load import LoadReport, Profile
from edge.errors import DeadlineError, EdgeError
from edge.lab.callers import Caller
from edge.lab.fib import FibWatcher, RouteChange
from edge.lab.lab import Lab
from edge.lab.nodes import SERVICE_NAME, SERVICE_PORT, Fleet, FleetOptions, start_fleet
from edge.lab.parts import Role
from edge.lab.process import Process
from edge.lab.scenarios.scenario import Order, Tell
from edge.lab.scenarios.timeline import Timeline, observe
from edge.lab.topology import Topology
from edge.runtime.admin_client import Answer, admin_request

POLL_S = 0.02
PATIENCE_ANNOUNCE_S = 40.0
PATIENCE_CALL_S = 8.0
PATIENCE_HANG_UP_S = 40.0

PATIENT: Final[Mapping[str, Any]] = {"probes_to_fence": 10}
"""A policy for stories that nobody breaks in: on a machine that is too busy, self-probes are late like all else."""

Holds = Callable[[dict[str, Any]], bool]


class Stage:
    """See the module. Times are monotonic, in seconds."""

    def __init__(
        self,
        lab: Lab,
        fleet: Fleet,
        watchers: dict[str, FibWatcher],
        timeline: Timeline,
        callers: list[Caller],
    ) -> None:
        self.lab = lab
        self.fleet = fleet
        self.watchers = watchers
        self.timeline = timeline
        self.callers = {caller.site: caller for caller in callers}

    # --- what routers do ----------------------------------------------------------------------------------

    def router_of(self, edge: str) -> str:
        """The router at the other end of the edge's first link."""
        return self.lab.topology.uplink(edge).peer.node

    async def gone(self, router: str, edge: str, since: float, timeout_s: float) -> float | None:
        """How long after ``since`` the router's kernel sent packets of neither family to ``edge``; None: not in time."""
        return await self._routed(router, since, timeout_s, lambda change: edge not in change.neighbours)

    async def back(self, router: str, edge: str, since: float, timeout_s: float) -> float | None:
        """How long until it sent packets of both families there."""
        return await self._routed(router, since, timeout_s, lambda change: edge in change.neighbours)

    async def _routed(
        self, router: str, since: float, timeout_s: float, holds: Callable[[RouteChange], bool]
    ) -> float | None:
        watcher = self.watchers[router]
        last = since
        for prefix in self.lab.anycast_prefixes:
            if holds(watcher.at(prefix, since)):
                continue
            try:
                change = await watcher.wait(prefix, holds, since=since, timeout=timeout_s)
            except DeadlineError as error:
                self.timeline.event(str(error))
                return None
            last = max(last, change.at)
        return last - since

    def departures(self, edge: str, since: float) -> int:
        """How often any watched router's kernel ceased to send packets of either family to ``edge``."""
        return sum(
            edge in before.neighbours and edge not in after.neighbours
            for before, after in self._steps()
            if after.at >= since
        )

    def dark_s(self, since: float, until: float, routers: Sequence[str] = ()) -> float:
        """For how long in all some watched router, or one of these, had nowhere to send packets of some family."""
        edges = {*self.lab.topology.names(Role.EDGE), *self.watchers}
        dark = 0.0
        for watcher in (self.watchers[router] for router in routers or self.watchers):
            for prefix in self.lab.anycast_prefixes:
                changes = [change for change in watcher.changes if change.prefix == prefix]
                ends = [change.at for change in changes[1:]] + [until]
                for change, end in zip(changes, ends, strict=True):
                    if not edges & {*change.neighbours}:
                        dark += max(0.0, min(end, until) - max(change.at, since))
        return dark

    def _steps(self) -> Iterator[tuple[RouteChange, RouteChange]]:
        for watcher in self.watchers.values():
            for prefix in self.lab.anycast_prefixes:
                changes = [change for change in watcher.changes if change.prefix == prefix]
                yield from itertools.pairwise(changes)

    # --- what nodes say -----------------------------------------------------------------------------------

    async def until(self, edge: str, holds: Holds, timeout_s: float) -> dict[str, Any] | None:
        """The node's status once ``holds`` for it; None if that is not so in time."""
        return await _until(partial(self.fleet.status, edge), holds, timeout_s)

    async def until_explained(self, edge: str, holds: Holds, timeout_s: float) -> dict[str, Any] | None:
        """The same of its explanation."""

        async def explained() -> dict[str, Any] | None:
            try:
                return await self.explain(edge)
            except EdgeError:
                return None

        return await _until(explained, holds, timeout_s)

    async def until_all(self, edges: Sequence[str], holds: Holds, timeout_s: float) -> bool:
        """Whether ``holds`` came to be for each of them in time."""
        found = await asyncio.gather(*(self.until(edge, holds, timeout_s) for edge in edges))
        return None not in found

    async def announced(self, edges: Sequence[str] = ()) -> None:
        """Every edge is announced, and hears of all the others. Raises DeadlineError."""
        for edge in edges or self.lab.topology.names(Role.EDGE):
            status = await self.until(
                edge, lambda status: status["state"] == "announced", PATIENCE_ANNOUNCE_S
            )
            if status is None:
                raise DeadlineError(f"{edge} is not announced within {PATIENCE_ANNOUNCE_S:g} s")

    async def ask(self, edge: str, method: str, target: str, body: object = None) -> Answer:
        """What its admin socket answers. Raises as `admin_request`."""
        return await admin_request(self.fleet.sockets[edge], method, target, body)

    async def counted(self, metric: str, **labels: str) -> float:
        """The sum over all edges of a counter's series that have these labels."""
        total = 0.0
        for edge in self.fleet.sockets:
            text = (await self.ask(edge, "GET", "/metrics")).checked()
            assert isinstance(text, str)
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    if sample.name == metric and labels.items() <= sample.labels.items():
                        total += sample.value
        return total

    async def explain(self, edge: str) -> dict[str, Any]:
        """Why it is where it is, see `edge.runtime.documents.NodeExplanation`. Raises as `admin_request`."""
        found = (await self.ask(edge, "GET", "/explain")).checked()
        assert isinstance(found, dict)
        return found

    async def held_by(self, edge: str, guard: str, timeout_s: float) -> bool:
        """Whether this guard comes to keep it from a move that it wants to make; what it says of that is told."""
        found = await self.until_explained(edge, lambda found: guard in refusals(found), timeout_s)
        if found is not None:
            self.timeline.event(f"{edge} {'; '.join(found['explanation']['held_by'])}")
        return found is not None

    async def order(self, edge: str, target: str, **body: Any) -> float:
        """Order something of a node; when. Raises what the node answered."""
        at = time.monotonic()
        (await self.ask(edge, "POST", target, body)).checked()
        return at

    # --- callers and load ---------------------------------------------------------------------------------

    async def call(
        self,
        site: str,
        name: str,
        *,
        version: int = 4,
        host: str | None = None,
        migrate: bool = True,
        carrier: CarrierChoice = "auto",
        **manner: Any,
    ) -> str:
        """Place a call that speaks until `hang_up`; the node that serves it, empty if none does in time.

        By then it has moved to a unicast address, if it ever will. ``host`` is by default the service address; for the
        ``manner`` of the caller see `edge.lab.callers.Place`.
        """
        caller = self.callers[site]
        host = host or str(getattr(self.lab.topology, f"service_v{version}").ip)
        where = (host, SERVICE_PORT, SERVICE_NAME, self.fleet.certificate, None)
        await caller.place(name, *where, migrate=migrate, carrier=carrier, **manner)
        stands = caller.settled if migrate and carrier != "websocket" else caller.answered
        await caller.until(lambda: stands(name), PATIENCE_CALL_S)
        node = caller.standing[name].node if name in caller.standing else ""
        self.timeline.event(f"{name} at {site} is served by {node or 'nobody'}")
        return node

    async def hang_up(self) -> None:
        """Let everybody whom `call` placed finish their sentence and compare counts with their edge."""
        self.timeline.event("the callers finish their sentences")
        await asyncio.gather(*(caller.hang_up(PATIENCE_HANG_UP_S) for caller in self.callers.values()))
        for caller in self.callers.values():
            for name, error in caller.failed.items():
                self.timeline.event(f"{name} at {caller.site} failed: {error}")

    async def load(
        self,
        site: str,
        calls: int,
        *,
        host: str | None = None,
        ramp_s: float = 2.0,
        profile: Profile = Profile.BATCH,
        name: str = "load",
    ) -> Process:
        """So many callers of one site that go on until the process is stopped, and call again when refused.

        Two at a time at one site need two names.
        """
        target = host or str(self.lab.topology.service_v4.ip)
        argv = [
            *(sys.executable, "-P", "-m", "edge.cli", "load", f"{target}:{SERVICE_PORT}"),
            *("--calls", str(calls), "--ramp", str(ramp_s), "--hold", "600"),
            *("--profile", str(profile), "-o", "json"),
            *("--ca", str(self.fleet.certificate), "--server-name", SERVICE_NAME),
        ]
        self.timeline.event(f"{calls} callers at {site}" + (f" for {host}" if host else ""), mark=True)
        return await self.lab.spawn(site, argv, name=name, finite=True)


def refusals(found: dict[str, Any]) -> set[str]:
    """The names of what keeps a node, by its explanation, from moves it wants to make now."""
    return {
        condition["name"]
        for way in found["explanation"]["ways"]
        if way["conditions"][0]["met"]
        for condition in way["conditions"]
        if not condition["met"]
    }


async def _until(
    ask: Callable[[], Awaitable[dict[str, Any] | None]], holds: Holds, timeout_s: float
) -> dict[str, Any] | None:
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                answer = await ask()
                if answer is not None and holds(answer):
                    return answer
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        return None


def load_report(load: Process) -> LoadReport | None:
    """The last counts of a load that runs or has ended; None if it has not counted yet."""
    lines = load.log.read_bytes().splitlines(keepends=True)
    whole = [line for line in lines if line.startswith(b"{") and line.endswith(b"\n")]
    return msgspec.json.decode(whole[-1], type=LoadReport) if whole else None


@asynccontextmanager
async def staged(
    order: Order,
    tell: Tell,
    topology: Topology,
    options: FleetOptions,
    *,
    callers: Sequence[str] = (),
) -> AsyncIterator[Stage]:
    """A lab in which every edge is announced, and an observer at work. Raises `EdgeError` when it does not get there."""
    async with AsyncExitStack() as stack:
        lab = await stack.enter_async_context(Lab(topology, order.log_dir, seed=order.seed))
        watchers = {
            router: await stack.enter_async_context(lab.watch(router))
            for router in topology.names(Role.ROUTER)
        }
        sites = [Caller(lab, site) for site in callers]
        for caller in sites:
            await caller.start()
        stage = Stage(lab, await start_fleet(lab, options=options), watchers, Timeline(tell), sites)
        observing = asyncio.create_task(observe(stage.timeline, stage.fleet, sites, list(watchers.values())))
        try:
            await stage.announced()
            stage.timeline.event("all edges are announced", mark=True)
            yield stage
            lab.check()
        finally:
            observing.cancel()
            await asyncio.gather(observing, return_exceptions=True)
