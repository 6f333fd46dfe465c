"""The inside of a standing lab: keeps it up until a signal comes, and answers who connects with its status."""

import asyncio
import functools
import importlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from edge.lab import namespaces, topology
from edge.lab.lab import Lab, Service
from edge.lab.status import LabStatus, NodeStatus, ProcessStatus, SessionStatus

SOCKET = namespaces.RUN_DIR / "status.sock"


class Order(msgspec.Struct, frozen=True):
    """What lab to keep up. ``services`` are named ``package.module:function``."""

    name: str
    topology: Any
    log_dir: str
    seed: int
    services: tuple[str, ...]


def stand(argument: Any, tell: Callable[[Any], None]) -> None:
    """The target for `edge.lab.enclosure`: tells the node namespaces' inodes once the lab is up."""
    asyncio.run(_stand(msgspec.convert(argument, Order), tell))


async def _stand(order: Order, tell: Callable[[Any], None]) -> None:
    since = datetime.now(UTC)
    services = tuple(map(_service, order.services))
    shape = topology.decode(order.topology)
    async with Lab(shape, Path(order.log_dir), seed=order.seed, services=services) as lab:
        server = await asyncio.start_unix_server(functools.partial(_answer, order.name, since, lab), SOCKET)
        async with server:
            tell(namespaces.netns_inodes())
            await server.serve_forever()


async def _answer(
    name: str, since: datetime, lab: Lab, _: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    writer.write(msgspec.json.encode(await _look(name, since, lab)))
    writer.close()


def _service(path: str) -> Service:
    module, function = path.split(":")
    service: Service = getattr(importlib.import_module(module), function)
    return service


async def _look(name: str, since: datetime, lab: Lab) -> LabStatus:
    """The state of a lab now."""
    addresses = {node.name: lab.addresses(node.name) for node in lab.topology.nodes}
    return LabStatus(
        "edge/v1",
        "LabStatus",
        name,
        since,
        datetime.now(UTC),
        tuple(
            NodeStatus(node.name, node.role, node.asn, *map(str, addresses[node.name]))
            for node in lab.topology.nodes
        ),
        tuple(ProcessStatus(p.node, p.name, p.pid, p.returncode) for p in lab.processes),
        await lab.counters(),
        tuple(
            SessionStatus(router, session.name, session.state, session.since)
            for router, sessions in (await lab.sessions()).items()
            for session in sessions
        ),
    )
