"""The inside of a bed: builds it, keeps it up until a signal comes, and does what is asked of it meanwhile."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from bed import controller, messages, network, router
from bed.machine import CGROUPS, Machine
from bed.plan import NODES, PLACES, ROUTER

from edge.errors import EdgeError, UsageError
from edge.lab import bird, namespaces
from edge.lab.process import Process, start

_BOOT_S: Final = 120.0  # a second where nothing else runs; three boot at once, beside whatever else does


def stand(argument: Any, tell: Callable[[Any], None]) -> None:
    """The target for `edge.lab.enclosure`: tells the namespaces' inodes once every node has booted."""
    asyncio.run(_stand(msgspec.convert(argument, messages.Order), tell))


async def _stand(order: messages.Order, tell: Callable[[Any], None]) -> None:
    namespaces.unified_cgroups(CGROUPS)
    bed = _Bed(order)
    try:
        await bed.start()
        server = await asyncio.start_unix_server(bed.answer, messages.SOCKET)
        async with server:
            tell(namespaces.netns_inodes())
            await server.serve_forever()
    finally:
        await bed.stop()


class _Bed:
    def __init__(self, order: messages.Order) -> None:
        self._directory, self._home = Path(order.directory), order.home
        self._log = self._directory / "log"
        cgroup = CGROUPS / order.cgroup
        cgroup.mkdir(exist_ok=True)
        binds = {Path(order.packages): "/srv/apt", order.home / "releases": "/srv/releases"}
        self._machines = {
            node.name: Machine(
                node,
                Path(order.image),
                namespaces.RUN_DIR / "layers",
                cgroup / node.name,
                self._log / f"{node.name}.log",
                binds,
                functools.partial(network.clear, node.name),
            )
            for node in NODES
        }
        self._daemons: dict[str, Process] = {}

    async def start(self) -> None:
        host_keys = self._directory / "host-keys"
        self._log.mkdir()
        controller.furnish(self._home, host_keys)
        controller.move_in(self._home, self._directory)
        await network.build()
        self._start_router()
        operator_key = (self._home / ".ssh" / f"{controller.KEY}.pub").read_text()
        for machine in self._machines.values():
            machine.furnish(host_keys / machine.node.name / controller.HOST_KEY, operator_key)
            await machine.switch_on()
        await asyncio.gather(*(machine.booted(1, _BOOT_S) for machine in self._machines.values()))

    async def stop(self) -> None:
        """The namespaces take everything else along when they go."""
        await asyncio.gather(*(machine.switch_off() for machine in self._machines.values()))

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, one answer."""
        error = None
        try:
            await self._do(msgspec.json.decode(await reader.readline(), type=messages.Request))
        except (EdgeError, OSError) as problem:
            error = str(problem)
        writer.write(msgspec.json.encode(messages.Answer(error, self._look())))
        writer.close()

    async def _do(self, request: messages.Request) -> None:
        match request:
            case messages.Await(node, boots, timeout_s):
                await self._machine(node).booted(boots, timeout_s)
            case messages.Plug(place, connected):
                if place not in {one.name for one in PLACES}:
                    raise UsageError(f"{place!r} has no cable")
                await network.plug(place, connected=connected)
            case messages.Power(node, on):
                switch: Awaitable[None] = (
                    self._machine(node).switch_on() if on else self._machine(node).switch_off()
                )
                await switch
            case messages.Spawn(place, name, argv, env):
                await self._stop_daemon(name)
                self._spawn(place, name, argv, controller.environment(self._home) | env)
            case messages.Stop(name):
                await self._stop_daemon(name)
            case messages.Ask():
                pass

    def _look(self) -> messages.Machines:
        return messages.Machines(
            {name: machine.boots for name, machine in self._machines.items()},
            {name: machine.leader for name, machine in self._machines.items()},
            {name: process.returncode for name, process in self._daemons.items()},
        )

    def _machine(self, name: str) -> Machine:
        if name not in self._machines:
            raise UsageError(f"no node {name!r} in this bed; there are {', '.join(self._machines)}")
        return self._machines[name]

    def _start_router(self) -> None:
        md5 = (self._home / "secrets" / "bgp-md5.key").read_text()
        config = self._directory / "bird.conf"
        controller.write_secret(config, router.config(md5))
        self._spawn(ROUTER, "bird", bird.arguments(config, router.CONTROL), dict(os.environ))

    def _spawn(self, place: str, name: str, argv: list[str], env: dict[str, str]) -> None:
        self._daemons[name] = start(
            place, name, argv, self._log / f"{name}.log", append=True, finite=False, env=env, pass_fds=()
        )

    async def _stop_daemon(self, name: str) -> None:
        if (daemon := self._daemons.pop(name, None)) is not None:
            await daemon.stop()
