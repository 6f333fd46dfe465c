"""A running lab: the topology come alive, and what one does with it from inside its namespaces.

Everything here runs in the lab (see `edge.lab.init`): ``run_inside("package.module:function", argument)``
from outside, and then in that function ``async with Lab(topology, log_dir) as lab``.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Self

import msgspec

from edge.errors import DeadlineError, EdgeError
from edge.lab import fib, links
from edge.lab.namespaces import RUN_DIR
from edge.lab.parts import Addresses
from edge.lab.process import Completed, Process, complete, start
from edge.lab.rib import Prefix, Router, Session
from edge.lab.routers import Routers
from edge.lab.topology import Topology
from edge.lab.vty import Vty
from edge.lab.wire import Cable, Way, WayCounters

Service = Callable[["Lab"], Awaitable[None]]

_START_S = 10.0  # how long routers may take to meet on a busy machine; a second is usual
_POLL_S = 0.01


class Lab:
    """Nodes, links and routers while the block lasts (``async with``).

    ``log_dir`` gets a log for each process, and each router's configuration. ``run_dir`` is for sockets and
    generated files: private to the lab, and gone with it. ``services`` are called in order once the routers
    have met. When the block ends, the processes are stopped, routers and links last.
    """

    def __init__(
        self, topology: Topology, log_dir: Path, *, seed: int = 0, services: Sequence[Service] = ()
    ) -> None:
        self.topology = topology
        self.log_dir = log_dir
        self.run_dir = RUN_DIR
        self.processes: list[Process] = []
        self._seed = seed
        self._services = services
        self._routers = Routers(topology, log_dir, RUN_DIR, self.spawn)

    async def __aenter__(self) -> Self:
        self._emulator = links.EmulatorControl()
        self._lost: asyncio.Future[Process] = asyncio.get_running_loop().create_future()
        self.log_dir.mkdir(parents=True, exist_ok=True)
        try:
            await self._start_emulator(await links.build(self.topology))
            await self._start_routers()
            for service in self._services:
                await service(self)
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    def addresses(self, node: str) -> Addresses:
        """The unicast addresses of a node."""
        return self.topology.addresses(node)

    async def spawn(
        self,
        node: str,
        argv: Sequence[str],
        *,
        name: str | None = None,
        finite: bool = False,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> Process:
        """Start a program on a node; its output goes to ``log_dir/NODE.NAME.log``.

        ``finite``: it is meant to end by itself. The end of any other is noticed, see `check`. EdgeError if
        it cannot be started.
        """
        name = name or Path(argv[0]).name
        log = self.log_dir / f"{node}.{name}.log"
        again = any(process.log == log for process in self.processes)
        process = start(node, name, argv, log, append=again, finite=finite, env=env, pass_fds=pass_fds)
        process.ended.add_done_callback(lambda _: self._note_end(process))
        self.processes.append(process)
        return process

    async def exec(
        self,
        node: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        timeout: float = 10.0,
    ) -> Completed:
        """Run a short program on a node to its end.

        EdgeError if it cannot be started, DeadlineError after ``timeout`` seconds.
        """
        return await complete(self.topology.node(node).name, argv, env=env, stdin=stdin, timeout=timeout)

    def check(self) -> None:
        """Raise EdgeError if a process has ended that nobody asked to end."""
        if self._lost.done():
            process = self._lost.result()
            raise EdgeError(f"{process} ended with {process.returncode}: {process.last_words()}")

    async def watch_over(self) -> NoReturn:
        """Raise EdgeError as soon as `check` would."""
        await asyncio.shield(self._lost)
        self.check()
        raise AssertionError("unreachable")

    async def impair(self, link: str, way: Way | None = None, **changes: Any) -> None:
        """Change some values of `Impairment` on a link, one way or both: ``impair("t1-e1", loss=0.01)``."""
        name = self.topology.link(link).name
        for counters in await self._emulator.count():
            if counters.link == name and way in (None, counters.way):
                changed = msgspec.structs.replace(counters.impairment, **changes)
                await self._emulator.impair(name, [counters.way], changed)

    async def cut(self, link: str) -> None:
        """Unplug a link: from now on it loses everything, and neither end is told."""
        await self.impair(link, cut=True)

    async def mend(self, link: str) -> None:
        """Undo `cut`."""
        await self.impair(link, cut=False)

    async def counters(self) -> tuple[WayCounters, ...]:
        """Packets of every link and direction since the lab began."""
        return await self._emulator.count()

    def router(self, name: str) -> Router:
        """What a router or reflector says of itself."""
        return self._routers.ask(name)

    def vty(self, name: str) -> Vty:
        """What a router that runs FRR says of itself, and of penalties for flaps."""
        return self._routers.vty(name)

    async def sessions(self) -> dict[str, tuple[Session, ...]]:
        """The BGP sessions of every router and reflector, by name; () for one that does not answer."""
        return await self._routers.sessions()

    async def halt(self, name: str) -> None:
        """Stop the programs of a router or reflector in order: it takes leave of its neighbours."""
        for process in reversed(self.processes):
            if process.node == self.topology.node(name).name and process.returncode is None:
                await process.stop()

    async def resume(self, name: str) -> None:
        """Start a router or reflector again after `halt`."""
        await self._routers.start(name)

    def watch(self, node: str, prefixes: Sequence[Prefix] = ()) -> fib.FibWatcher:
        """A recorder of how a node's kernel routes some prefixes, by default the anycast prefixes."""
        return fib.FibWatcher(node, prefixes or self.anycast_prefixes)

    async def next_hops(self, node: str, prefix: Prefix) -> tuple[fib.NextHop, ...]:
        """Where a node's kernel sends packets for a prefix at this moment; () for nowhere."""
        return await fib.next_hops(node, prefix)

    @property
    def anycast_prefixes(self) -> tuple[Prefix, Prefix]:
        """What the fleet announces."""
        return self.topology.service_v4.network, self.topology.service_v6.network

    def _note_end(self, process: Process) -> None:
        if process.lost and not self._lost.done():
            self._lost.set_result(process)

    async def _stop(self) -> None:
        infrastructure = {links.WIRE, *self._routers.names}
        programs = [process for process in self.processes if process.node not in infrastructure]
        await asyncio.gather(*(process.stop() for process in programs))
        for process in reversed(self.processes):
            await process.stop()
        self._emulator.close()

    async def _start_emulator(self, cables: Sequence[Cable]) -> None:
        with self._emulator.far_end as control:
            argv = [sys.executable, "-P", "-m", "edge.lab.emulator", str(control.fileno())]
            await self.spawn(links.WIRE, argv, name="emulator", pass_fds=[control.fileno()])
        try:
            await self._emulator.lay(self._seed, cables)
        except ConnectionResetError:
            self.check()
            raise

    async def _start_routers(self) -> None:
        for name in self._routers.names:
            await self._routers.start(name)
        try:
            async with asyncio.timeout(_START_S):
                while not await self._routers.met():
                    await asyncio.sleep(_POLL_S)
                    self.check()
        except TimeoutError:
            problem = f"the routers do not meet within {_START_S:g} s; see {self.log_dir}"
            raise DeadlineError(problem) from None
