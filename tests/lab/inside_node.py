"""What happens to a real node when it dies, hangs or is told to leave; run inside a lab by `test_node_failures`.

One router, one edge behind it, one client. Everything measured is seen by the router's kernel or by the
client, and told as JSON: times in seconds, since the event.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from inside_lab import part, quiet

from edge.lab import namespaces, strikes
from edge.lab.callers import Caller
from edge.lab.fib import FibWatcher, RouteChange
from edge.lab.lab import Lab
from edge.lab.nodes import SERVICE_NAME, SERVICE_PORT, Fleet, FleetOptions, start_fleet, start_node
from edge.lab.process import Process
from edge.lab.strikes import Part
from edge.lab.topology import Topology
from edge.runtime.admin_client import admin_request

EDGE, ROUTER, CLIENT = "e1", "t1", "c1"
REASON = "a new disk"
PATIENCE_S = 12.0  # far above any limit, so that a late answer is measured and not only missed
POLL_S = 0.01


def one_edge() -> Topology:
    """The part of the usual network that these tests look at."""
    return part(quiet(), EDGE, ROUTER, CLIENT)


class Stage:
    """The edge's node as the router, the client and an operator see it."""

    def __init__(self, lab: Lab, fleet: Fleet, watcher: FibWatcher) -> None:
        self.lab = lab
        self.watcher = watcher
        self._fleet = fleet

    @property
    def node(self) -> Process:
        """The supervisor that was started last."""
        return strikes.supervisor(self.lab, EDGE)

    @property
    def config(self) -> Path:
        """Its configuration file."""
        return self.lab.log_dir / f"{EDGE}.toml"

    async def start(self) -> float:
        """Start the node again; how long until it is routed to."""
        began = time.monotonic()
        await start_node(self.lab, EDGE, self.config)
        return await self.back(began)

    async def gone(self, since: float) -> float:
        """How long until the router sent packets of neither family to the edge."""
        return await self._routed(since, lambda change: EDGE not in change.neighbours)

    async def back(self, since: float) -> float:
        """How long until it sent packets of both families there."""
        return await self._routed(since, lambda change: EDGE in change.neighbours)

    async def _routed(self, since: float, holds: Callable[[RouteChange], bool]) -> float:
        changes = [
            await self.watcher.wait(prefix, holds, since=since, timeout=PATIENCE_S)
            for prefix in self.lab.anycast_prefixes
        ]
        return max(change.at for change in changes) - since

    def kept(self, since: float) -> bool:
        """Whether the router has not moved anything since."""
        return all(change.at < since for change in self.watcher.changes)

    async def status(self) -> dict[str, Any]:
        status = await self._fleet.status(EDGE)
        assert status is not None
        return status

    async def drain(self) -> float:
        """Take the node out as an operator does; how long until it is gone."""
        return await self.gone(await self._order("/drain", {"reason": REASON, "force": True}))

    async def undrain(self) -> float:
        """Put it back; how long until it is."""
        return await self.back(await self._order("/undrain"))

    async def _order(self, target: str, body: object = None) -> float:
        at = time.monotonic()
        (await admin_request(self._fleet.sockets[EDGE], "POST", target, body)).checked()
        return at

    async def right_after_a_probe(self) -> None:
        """The moment from which a failure takes longest to be noticed."""
        passed = (await self.status())["probe"]["passed"]
        await until(lambda: self._has_passed_more_than(passed))

    async def _has_passed_more_than(self, passed: int) -> bool:
        return int((await self.status())["probe"]["passed"]) > passed

    async def call(self, caller: Caller, name: str) -> str:
        """Place a call from the client's site; the node that answers."""
        host = str(self.lab.topology.service_v4.ip)
        await caller.place(name, host, SERVICE_PORT, SERVICE_NAME, self._fleet.certificate, None)
        await caller.until(lambda: name in {*caller.standing, *caller.failed}, PATIENCE_S)
        return caller.standing[name].node if name in caller.standing else caller.failed[name]

    def strike(self, part: Part, number: signal.Signals) -> float:
        """Send a signal to a part of the node; when."""
        return strikes.strike(self.lab, EDGE, part, number)

    def processes(self) -> list[str]:
        """Everything that runs on the edge."""
        return list(strikes.processes(EDGE).values())

    async def cleared(self, since: float) -> float:
        """How long until nothing runs on the edge."""

        async def empty() -> bool:
            return not self.processes()

        await until(empty)
        return time.monotonic() - since

    def service_sockets(self) -> int:
        """UDP sockets on the edge that callers can reach."""
        with namespaces.inside(EDGE):
            tables = [Path(f"/proc/thread-self/net/{name}").read_text() for name in ("udp", "udp6")]
        local_ends = [line.split()[1] for table in tables for line in table.splitlines()[1:]]
        return sum(end.endswith(f":{SERVICE_PORT:04X}") for end in local_ends)

    async def addresses(self) -> list[str]:
        """Those on ``lo`` but the loopback's own."""
        done = await self.lab.exec(EDGE, ["ip", "-o", "address", "show", "dev", "lo"])
        found = [line.split()[3] for line in done.stdout.decode().splitlines()]
        return [address for address in found if address not in ("127.0.0.1/8", "::1/128")]

    def files(self) -> list[str]:
        """What the node has in its directory."""
        directory = self.lab.run_dir / EDGE
        return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir())


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await holds():  # noqa: ASYNC110 - nobody would tell
            await asyncio.sleep(POLL_S)


@asynccontextmanager
async def staged(argument: Any) -> AsyncIterator[Stage]:
    """A lab with a node that is routed to."""
    async with Lab(one_edge(), Path(argument["log_dir"])) as lab, lab.watch(ROUTER) as watcher:
        began = time.monotonic()
        # Nobody here waits for the damping that the blows cost: routes are to be back as soon as the node is well.
        stage = Stage(lab, await start_fleet(lab, options=FleetOptions(damping="off")), watcher)
        await stage.back(began)
        yield stage
        lab.check()


def daemon(argument: Any, tell: Callable[[Any], None]) -> Any:
    """The supervisor is killed; a worker of its successor hangs, then that one itself."""
    return asyncio.run(_daemon(argument))


async def _daemon(argument: Any) -> Any:
    async with staged(argument) as stage:
        running = len(stage.processes())
        killed = stage.strike(Part.SUPERVISOR, signal.SIGKILL)
        found: dict[str, Any] = {
            "running": running,
            "killed_gone": await stage.gone(killed),
            "killed_cleared": await stage.cleared(killed),
            "killed_left": await stage.addresses(),
        }
        found["restarted_back"] = await stage.start()

        await stage.right_after_a_probe()
        stopped = stage.strike(Part.WORKER, signal.SIGSTOP)
        found["worker_gone"] = await stage.gone(stopped)
        status = await stage.status()
        found["worker_status"] = [status["state"], status["probe"]["problem"], status["bgp"]["neighbors"]]
        resumed = stage.strike(Part.WORKER, signal.SIGCONT)
        found["worker_back"] = await stage.back(resumed)

        stopped = stage.strike(Part.SUPERVISOR, signal.SIGSTOP)
        found["hung_gone"] = await stage.gone(stopped)
        resumed = stage.strike(Part.SUPERVISOR, signal.SIGCONT)
        found["hung_back"] = await stage.back(resumed)

        stage.strike(Part.SUPERVISOR, signal.SIGTERM)
        found["exit"] = await stage.node.wait()
        found["left"] = [*await stage.addresses(), *stage.processes()]
        return found


def parts(argument: Any, tell: Callable[[Any], None]) -> Any:
    """The speaker is killed, then the worker with a call on it."""
    return asyncio.run(_parts(argument))


async def _parts(argument: Any) -> Any:
    async with staged(argument) as stage:
        caller = Caller(stage.lab, CLIENT)
        await caller.start()
        found: dict[str, Any] = {"answered": [await stage.call(caller, "before")]}

        speaker = strikes.find(EDGE, Part.SPEAKER)
        killed = stage.strike(Part.SPEAKER, signal.SIGKILL)
        found["speaker_gone"] = await stage.gone(killed)
        found["speaker_back"] = await stage.back(killed)
        found["speaker_replaced"] = strikes.find(EDGE, Part.SPEAKER) != speaker

        worker = strikes.find(EDGE, Part.WORKER)
        killed = stage.strike(Part.WORKER, signal.SIGKILL)
        await caller.until(lambda: caller.standing["before"].reconnects == 1, PATIENCE_S)
        found["call_resumed"] = time.monotonic() - killed
        found["worker_replaced"] = strikes.find(EDGE, Part.WORKER) != worker
        found["answered"].append(await stage.call(caller, "behind"))
        found["route_kept"] = stage.kept(killed)
        await caller.hang_up(PATIENCE_S)
        found["endings"] = {name: summary.ending for name, summary in caller.finished.items()} | caller.failed
        return found


def operator(argument: Any, tell: Callable[[Any], None]) -> Any:
    """An operator takes the node out, puts it back, restarts it while it is out, and stops it for good."""
    return asyncio.run(_operator(argument))


async def _operator(argument: Any) -> Any:
    async with staged(argument) as stage:
        caller = Caller(stage.lab, CLIENT)
        await caller.start()
        found: dict[str, Any] = {"answered": await stage.call(caller, "through it all")}
        found["drained_gone"], found["undrained_back"] = [], []
        for _ in range(3):
            found["drained_gone"].append(await stage.drain())
            found["undrained_back"].append(await stage.undrain())
        await caller.hang_up(PATIENCE_S)
        found["call"] = msgspec.to_builtins(caller.finished["through it all"])

        await stage.drain()
        stopped = stage.strike(Part.SUPERVISOR, signal.SIGTERM)
        found["held_exit"] = await stage.node.wait()
        found["held_took"] = time.monotonic() - stopped
        await start_node(stage.lab, EDGE, stage.config)
        await until(lambda: _probed(stage, 5))
        status = await stage.status()
        found["held_status"] = [status["state"], status["announced"], status["hold"]["reason"]]
        found["held_kept"] = stage.kept(stopped)
        found["released_back"] = await stage.undrain()

        found["serving"] = [await stage.addresses(), stage.service_sockets()]
        stopped = stage.strike(Part.SUPERVISOR, signal.SIGTERM)
        found["stopped_gone"] = await stage.gone(stopped)
        found["sockets_when_gone"] = stage.service_sockets()
        found["stopped_exit"] = await stage.node.wait()
        found["stopped_took"] = time.monotonic() - stopped
        found["changes"] = sum(change.at >= stopped for change in stage.watcher.changes)
        found["left"] = [await stage.addresses(), stage.service_sockets(), stage.processes(), stage.files()]
        return found


async def _probed(stage: Stage, times: int) -> bool:
    try:
        return int((await stage.status())["probe"]["passed"]) >= times
    except AssertionError:  # not up yet
        return False
