"""The programs of routers and reflectors: started, asked, and ended one by one."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from edge.errors import EdgeError, UsageError
from edge.lab import bird, frr, reflector
from edge.lab.birdc import Birdc
from edge.lab.parts import VERSIONS, Role, Software
from edge.lab.process import Process
from edge.lab.rib import Router, Session, session_name
from edge.lab.topology import Topology
from edge.lab.vty import Vty

Spawn = Callable[[str, list[str]], Awaitable[Process]]

_POLL_S = 0.01


def require(topology: Topology) -> None:
    """Raise UnreachableError if this machine lacks a program that the topology needs."""
    software = {node.software for node in topology.nodes}
    if Software.BIRD in software:
        bird.executable()
    if Software.FRR in software:
        for program in frr.PROGRAMS:
            frr.executable(program)


class Routers:
    """All of a lab. ``log_dir`` gets their configurations, ``run_dir`` their sockets."""

    def __init__(self, topology: Topology, log_dir: Path, run_dir: Path, spawn: Spawn) -> None:
        self.names = topology.names(Role.ROUTER, Role.REFLECTOR)
        self._topology = topology
        self._log_dir = log_dir
        self._run_dir = run_dir
        self._spawn = spawn

    async def start(self, name: str) -> None:
        """Start one; it takes a moment until it has sessions."""
        node = self._topology.node(name)
        if node.software is Software.FRR:
            await self._start_frr(name)
            return
        module = reflector if node.role is Role.REFLECTOR else bird
        config = self._log_dir / f"{name}.bird.conf"
        config.write_text(module.config(self._topology, name))
        await self._spawn(name, bird.arguments(config, self._control(name)))

    def ask(self, name: str) -> Router:
        """A client of one."""
        return self.vty(name) if self._is_frr(name) else Birdc(self._control(name))

    def vty(self, name: str) -> Vty:
        """A client of one that runs FRR; UsageError if it does not."""
        if not self._is_frr(name):
            raise UsageError(f"{name} does not run FRR")
        return Vty(self._control(name))

    async def sessions(self) -> dict[str, tuple[Session, ...]]:
        """The BGP sessions of all, by name; () for one that does not answer."""
        found: dict[str, tuple[Session, ...]] = {}
        for name in self.names:
            try:
                found[name] = await self.ask(name).sessions()
            except EdgeError:
                found[name] = ()
        return found

    async def met(self) -> bool:
        """Whether all sessions among them are up; those with edges wait for the edges."""
        found = await self.sessions()
        up = {(name, session.name) for name, each in found.items() for session in each if session.established}
        return all(found.values()) and set(self._among_themselves()) <= up

    def _among_themselves(self) -> Iterator[tuple[str, str]]:
        for name in self.names:
            neighbours = {
                one.peer.node for one in self._topology.adjacencies(name) if one.link.bgp is not None
            }
            neighbours |= set(self._topology.fleet_peers(name))
            for neighbour in neighbours & set(self.names):
                for version in VERSIONS:
                    yield name, session_name(neighbour, version)

    async def _start_frr(self, name: str) -> None:
        config = self._log_dir / f"{name}.frr.conf"
        config.write_text(frr.config(self._topology, name))
        directory = self._control(name)
        directory.mkdir(exist_ok=True)
        zserv = frr.zserv(directory)
        zserv.unlink(missing_ok=True)
        zebra = await self._spawn(name, frr.arguments("zebra", Path(os.devnull), directory))
        while not zserv.exists():  # bgpd would look for zebra again only after seconds
            if zebra.returncode is not None:
                raise EdgeError(f"{zebra} ended with {zebra.returncode}: {zebra.last_words()}")
            await asyncio.sleep(_POLL_S)
        await self._spawn(name, frr.arguments("bgpd", config, directory))

    def _is_frr(self, name: str) -> bool:
        return self._topology.node(name).software is Software.FRR

    def _control(self, name: str) -> Path:
        """A socket of BIRD, a directory of sockets of FRR."""
        return self._run_dir / f"{name}.{self._topology.node(name).software}"
