"""Scenario `overload`: a node is overloaded, withdraws its route, and nobody on it misses a frame.

Callers at both sites speak to the service address, over IPv4 and IPv6. Then a load generator fills the edge
that the first site is routed to. It sheds, asks to be less preferred, which its provider ignores, and withdraws; new
calls land elsewhere; the load goes, and it announces again. All the while the first callers speak on. At the end both
sides of every call compare what they counted.

The story is played inside the lab; from outside, `Scenario.run` has the last check: that nothing of it is left.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import msgspec

from bgp.state import State
from edge.errors import DeadlineError
from edge.lab.callers import Caller
from edge.lab.faults import FAULTS, NONE
from edge.lab.lab import Lab
from edge.lab.nodes import CALL_CAPACITY, SERVICE_NAME, SERVICE_PORT, FleetOptions, start_fleet
from edge.lab.parts import Role
from edge.lab.report import Check
from edge.lab.scenarios import counts
from edge.lab.scenarios.scenario import AUDIO, Order, Tell
from edge.lab.scenarios.timeline import Timeline, observe
from edge.lab.topologies import default_topology

HOT, ITS_ROUTER, ITS_SITE = "e1", "t1", "c1"
SITES = ("c1", "c2")
LOAD_CALLS = CALL_CAPACITY + 8
"""More than the hot edge can take, so that there are newcomers to refuse for as long as the load lasts."""

CLIENT_DELAY_MS = 20.0
ROUND_TRIPS = 5
LIMIT_WITHDRAW_MS = 250.0
"""Withdrawals take single milliseconds here, plus the link's delay. Two busy cores that run a dozen processes
can keep any one of them waiting for longer than that; a route that nobody withdrew would take 9 s."""

LOAD_STAYS_S = 4.0
"""After the withdrawal, to see that what is on the hot edge stays there."""

PATIENCE_ANNOUNCE_S = 30.0
PATIENCE_MIGRATE_S = 3.0
PATIENCE_WITHDRAW_S = 25.0
PATIENCE_FIB_S = 3.0
PATIENCE_NEW_CALL_S = 8.0
PATIENCE_RETURN_S = 75.0
PATIENCE_HANG_UP_S = 40.0


def play(argument: Any, tell: Tell) -> Any:
    """Inside the lab: the story from beginning to end; the checks as JSON values."""
    story = Story(msgspec.convert(argument, Order), tell)
    return msgspec.to_builtins(asyncio.run(story.tell_it()))


class Story:
    """One playing of the scenario, with what it found out on the way (None: not found out)."""

    def __init__(self, order: Order, tell: Tell) -> None:
        self._order = order
        self._tell = tell
        # Where the provider does what it is asked, no caller would come any more, and no route would be withdrawn.
        self._topology = default_topology(client_delay_ms=CLIENT_DELAY_MS).with_bgp(
            f"{ITS_ROUTER}-{HOT}", local_pref=200, honour_graceful_shutdown=False
        )
        self._routed_to_hot = 0  # routes of the hot edge's router that led to it before
        self._left = self._returned = 0  # of those, how many went and came back
        self._withdraw_ms: float | None = None
        self._elsewhere: int | None = None

    async def tell_it(self) -> list[Check]:
        order = self._order
        async with Lab(self._topology, order.log_dir, seed=order.seed) as lab:
            self._timeline = Timeline(self._tell)
            self._lab = lab
            self._fleet = await start_fleet(
                lab, options=FleetOptions(fault=FAULTS[order.fault] if order.fault else NONE)
            )
            self._callers = {site: Caller(lab, site) for site in SITES}
            for caller in self._callers.values():
                await caller.start()
            routers = self._topology.names(Role.ROUTER)
            async with lab.watch(routers[0]) as first, lab.watch(routers[1]) as second:
                self._watchers = {watcher.node: watcher for watcher in (first, second)}
                observing = asyncio.create_task(
                    observe(self._timeline, self._fleet, list(self._callers.values()), [first, second])
                )
                try:
                    await self._announced()
                    await self._place_calls()
                    load = await self._load()
                    await self._withdrawn()
                    await self._new_calls()
                    await asyncio.sleep(LOAD_STAYS_S)
                    await load.stop()
                    self._timeline.event("the load is gone")
                    await self._announced_again()
                    await self._hang_up()
                finally:
                    observing.cancel()
                    await asyncio.gather(observing, return_exceptions=True)
            lab.check()
        return self._checks()

    # --- the story --------------------------------------------------------------------------------------

    async def _announced(self) -> None:
        """Every edge is routed to, in both address families."""
        for router, watcher in self._watchers.items():
            behind = {
                peer.peer.node
                for peer in self._topology.adjacencies(router)
                if self._topology.node(peer.peer.node).role is Role.EDGE
            }
            for prefix in self._lab.anycast_prefixes:
                await watcher.wait(
                    prefix,
                    lambda change, behind=behind: behind <= set(change.neighbours),  # type: ignore[misc]
                    timeout=PATIENCE_ANNOUNCE_S,
                )
        self._routed_to_hot = len(self._lab.anycast_prefixes)
        self._timeline.event("all edges are routed to", mark=True)

    async def _place_calls(self) -> None:
        """One call for each site and address family; those that must live through everything."""
        for site, caller in self._callers.items():
            for address in (self._topology.service_v4.ip, self._topology.service_v6.ip):
                name = f"{site} IPv{address.version}"
                first = site == ITS_SITE and address.version == 4
                await self._place(caller, name, str(address), save=first)
                # One after the other: what is measured is the network's round trips, not how many handshakes
                # two cores can do at once.
                await caller.until(lambda caller=caller, name=name: caller.settled(name), PATIENCE_MIGRATE_S)
                if name in caller.standing:
                    call = caller.calls()[name]
                    self._timeline.event(f"{name} is served by {call['node']}, on its {call['path']} address")

    async def _place(self, caller: Caller, name: str, host: str, *, save: bool = False) -> None:
        await caller.place(
            name,
            host,
            SERVICE_PORT,
            SERVICE_NAME,
            self._fleet.certificate,
            Path(self._order.out, AUDIO) if save else None,
        )

    async def _load(self) -> Any:
        """Far more callers than the hot edge can carry, from the site that is routed to it."""
        self._timeline.event(f"the load generator wants {LOAD_CALLS} calls at {HOT}", mark=True)
        argv = [
            *(sys.executable, "-P", "-m", "edge.cli", "load"),
            f"{self._topology.service_v4.ip}:{SERVICE_PORT}",
            *("--calls", str(LOAD_CALLS), "--ramp", "4", "--hold", "600", "-o", "json"),
            *("--ca", str(self._fleet.certificate), "--server-name", SERVICE_NAME),
        ]
        return await self._lab.spawn(ITS_SITE, argv, name="load", finite=True)

    async def _withdrawn(self) -> None:
        """The hot edge decides to withdraw, and its router's kernel no longer sends anybody there."""
        decided_at = await self._until_in(State.WITHDRAWN, PATIENCE_WITHDRAW_S)
        if decided_at is None:
            self._timeline.event(f"{HOT} has not withdrawn within {PATIENCE_WITHDRAW_S:g} s", mark=True)
            return
        delays_ms = []
        for prefix in self._lab.anycast_prefixes:
            at = await self._routed(prefix, False, decided_at)
            if at is not None:
                delays_ms.append((at - decided_at) * 1000)
        self._left = len(delays_ms)
        if self._left == self._routed_to_hot:
            self._withdraw_ms = round(max(delays_ms), 1)
            self._timeline.event(
                f"{ITS_ROUTER}'s kernel no longer routes to {HOT}", at=decided_at + self._withdraw_ms / 1000
            )

    async def _new_calls(self) -> None:
        """Whoever calls now, from the same site, must be served by another edge."""
        caller = self._callers[ITS_SITE]
        names = {f"{ITS_SITE} new IPv{version}": version for version in (4, 6)}
        for name, version in names.items():
            address = getattr(self._topology, f"service_v{version}").ip
            await self._place(caller, name, str(address))
        await caller.until(lambda: names.keys() <= {*caller.standing, *caller.failed}, PATIENCE_NEW_CALL_S)
        served_by = [caller.standing[name].node for name in names if name in caller.standing]
        self._elsewhere = sum(node not in ("", HOT) for node in served_by)
        self._timeline.event(
            f"new callers are served by {', '.join(sorted(served_by)) or 'nobody'}", mark=True
        )

    async def _announced_again(self) -> None:
        decided_at = await self._until_in(State.ANNOUNCED, PATIENCE_RETURN_S if self._left else 0.0)
        if decided_at is None or not self._left:
            return
        for prefix in self._lab.anycast_prefixes:
            self._returned += await self._routed(prefix, True, decided_at) is not None
        self._timeline.event(f"{ITS_ROUTER} routes to {HOT} again", mark=True)

    async def _hang_up(self) -> None:
        self._timeline.event("the callers finish their sentences")
        await asyncio.gather(*(caller.hang_up(PATIENCE_HANG_UP_S) for caller in self._callers.values()))
        for caller in self._callers.values():
            for name, error in caller.failed.items():
                self._timeline.event(f"{name} failed: {error}")

    async def _until_in(self, state: State, timeout_s: float) -> float | None:
        """When the hot edge carried out its decision for this state (monotonic); None if it does not in time."""
        announced = state is State.ANNOUNCED
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    status = await self._fleet.status(HOT)
                    if status and (status["state"], status["announced"]) == (state.value, announced):
                        return float(status["announced_changed_at"])
                    await asyncio.sleep(0.05)
        except TimeoutError:
            return None

    async def _routed(self, prefix: Any, wanted: bool, since: float) -> float | None:
        """When the hot edge's router began, or ceased, to send packets there; None if it does not in time."""
        watcher = self._watchers[ITS_ROUTER]
        try:
            change = await watcher.wait(
                prefix,
                lambda change: (HOT in change.neighbours) is wanted,
                since=since,
                timeout=PATIENCE_FIB_S,
            )
        except DeadlineError as error:
            self._timeline.event(str(error))
            return None
        return change.at

    # --- the verdict ------------------------------------------------------------------------------------

    def _checks(self) -> list[Check]:
        callers = list(self._callers.values())
        through = counts.finished(callers, lambda name: "new" not in name)
        everybody = len(SITES) * 2
        complete = len(through) == everybody
        routes = self._routed_to_hot
        return [
            Check("calls_lost", counts.lost(callers), 0, "calls"),
            Check("frames_missing", counts.missing(through) if complete else None, 0, "frames"),
            Check("frames_altered", counts.altered(through) if complete else None, 0, "calls"),
            Check("frames_counted", counts.frames(through), everybody * 500, "frames", "at_least"),
            Check(
                "migrated_ratio",
                sum(summary.last.migrated for summary in through) / everybody if complete else None,
                1.0,
                "ratio",
            ),
            Check(
                "migration_ms",
                counts.median_migration_ms(through),
                self._migration_limit_ms(),
                "ms",
                "at_most",
            ),
            Check("withdrawn", self._left, routes, "routes"),
            Check("withdraw_to_fib_ms", self._withdraw_ms, LIMIT_WITHDRAW_MS, "ms", "at_most"),
            Check("new_calls_elsewhere", self._elsewhere if self._left else None, 2, "calls"),
            Check("reannounced", self._returned if self._left else None, routes, "routes"),
        ]

    def _migration_limit_ms(self) -> float:
        """Five of the longest round trips among the callers' first paths, by the links' delays."""
        one_way = [
            self._topology.uplink(site).link.impairment.delay_ms
            + self._topology.uplink(edge).link.impairment.delay_ms
            for site, edge in (("c1", "e1"), ("c2", "e2"))
        ]
        return ROUND_TRIPS * 2 * max(one_way)
