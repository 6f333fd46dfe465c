"""The network that everything crosses: callers, a transit system and one edge with a real node, and the peers' servers.

    c1, c2, ... --(delay, loss)-- t1 -- e1

All that a caller's packets meet is on its own link, whose delay is half a round trip. The node is started as the lab
starts its fleet; the peers' servers run beside it, in the same namespace.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from voice.backend import NAME, Heard

from edge.errors import DeadlineError, EdgeError
from edge.lab.certificates import write_certificate
from edge.lab.faults import Fault
from edge.lab.lab import Lab
from edge.lab.nodes import SERVICE_NAME, SERVICE_PORT, FleetOptions, node_config, start_node, toml_text
from edge.lab.parts import Bgp, End, Link, Node, Role
from edge.lab.topologies import FLEET_AS
from edge.lab.topology import Topology
from edge.lab.wire import Way, WayCounters
from edge.runtime.admin_client import admin_request

EDGE = "e1"
TRANSIT = "t1"
PATIENCE_S = 40.0
WSS_PORT, WEBRTC_PORT = 9001, 9002
BURST_MS = 60.0
"""How long a link is bad, on average: three frames."""

T = TypeVar("T")


class Places(msgspec.Struct, frozen=True):
    """Where a caller finds everybody, and whom it trusts."""

    service: str
    port: int
    server_name: str
    peers: str
    certificate: str


def topology(callers: int) -> Topology:
    """So many client nodes, `c1` and on."""

    def pair(a: str, b: str, number: int) -> tuple[End, End]:
        v4, v6 = IPv4Interface(f"203.0.113.{2 * number}/31"), f"2001:db8:{number}"
        return (
            End(a, v4, IPv6Interface(f"{v6}::1/64")),
            End(b, IPv4Interface((v4.ip + 1, 31)), IPv6Interface(f"{v6}::2/64")),
        )

    names = caller_names(callers)
    return Topology(
        nodes=(
            Node(TRANSIT, Role.ROUTER, 64501),
            Node(EDGE, Role.EDGE, FLEET_AS),
            *(Node(name, Role.CLIENT) for name in names),
        ),
        links=(
            Link(*pair(TRANSIT, EDGE, 1), bgp=Bgp()),
            *(Link(*pair(TRANSIT, name, number)) for number, name in enumerate(names, 2)),
        ),
    )


def caller_names(callers: int) -> list[str]:
    return [f"c{number}" for number in range(1, callers + 1)]


@dataclass(frozen=True, slots=True)
class Rig:
    """Everybody is up."""

    lab: Lab
    places: Places
    logs: Sequence[Path]

    async def shape(self, caller: str, *, rtt_ms: float, loss: float = 0.0) -> None:
        """How the caller's link is from now on, in both directions."""
        await self.lab.impair(
            f"{TRANSIT}-{caller}", delay_ms=rtt_ms / 2, loss=loss, burst_ms=BURST_MS if loss else None
        )

    async def run(self, caller: str, module: str, order: Any, kind: type[T], timeout_s: float) -> T:
        """Run a program of this folder at a caller's; what it prints. Raises `EdgeError`."""
        argv = [sys.executable, "-P", "-m", f"voice.{module}", msgspec.json.encode(order).decode()]
        done = await self.lab.exec(caller, argv, timeout=timeout_s)
        if done.returncode != 0:
            raise EdgeError(f"{module} at {caller}: {done.stderr.decode(errors='replace')[-2000:]}")
        return msgspec.json.decode(done.stdout, type=kind)

    def heard(self) -> list[Heard]:
        """What the servers have noted of the calls that are over."""
        lines = [line for log in self.logs if log.exists() for line in log.read_bytes().splitlines()]
        return [msgspec.json.decode(line, type=Heard) for line in lines]

    async def upward(self, caller: str) -> WayCounters:
        """What has become of the caller's packets on its link."""
        name = f"{TRANSIT}-{caller}"
        return next(way for way in await self.lab.counters() if (way.link, way.way) == (name, Way.BA))


@asynccontextmanager
async def rig(folder: Path, callers: int, seed: int) -> AsyncIterator[Rig]:
    """The lab with the node and the peers' servers; recordings are in ``folder``, where logs are written, too."""
    async with Lab(topology(callers), folder / "lab", seed=seed) as lab:
        certificate, key = lab.run_dir / "cert.pem", lab.run_dir / "key.pem"
        own, service = lab.addresses(EDGE).v4, lab.topology.service_v4.ip
        write_certificate(
            certificate,
            key,
            [SERVICE_NAME],
            [service, lab.topology.service_v6.ip, *lab.addresses(EDGE)],
        )
        logs = {name: folder / f"{name}.jsonl" for name in ("edge", "wss", "webrtc")}
        await _start_node(lab, folder, certificate, key, logs["edge"])
        for name, port in (("wss", WSS_PORT), ("webrtc", WEBRTC_PORT)):
            arguments = [name, str(own), str(port), certificate, key, logs[name], folder / "recordings"]
            argv = [sys.executable, "-P", "-m", "voice.peers", *map(str, arguments)]
            await lab.spawn(EDGE, argv, name=name)
        places = Places(str(service), SERVICE_PORT, SERVICE_NAME, str(own), str(certificate))
        await _until_up(lab, lab.run_dir / EDGE / "admin.sock", [WSS_PORT, WEBRTC_PORT])
        yield Rig(lab, places, list(logs.values()))
        lab.check()


async def _start_node(lab: Lab, folder: Path, certificate: Path, key: Path, log: Path) -> None:
    directory = lab.run_dir / EDGE
    directory.mkdir(mode=0o700)
    # It only observes: a machine that is busy measuring shall not make it withdraw in the middle.
    options = FleetOptions(calls=1000, fault=Fault("", policy_mode="observe", backend=NAME))
    document = node_config(lab.topology, EDGE, 1, directory, certificate, key, options)
    document["backends"] = {NAME: {"log": str(log), "recordings": str(folder / "recordings")}}
    config = folder / "node.toml"
    config.write_text(toml_text(document))
    await start_node(lab, EDGE, config)


async def _until_up(lab: Lab, admin: Path, ports: Sequence[int]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not (await _announced(admin) and await _listening(lab, ports)):
        lab.check()
        if time.monotonic() > deadline:
            raise DeadlineError(f"the node and its peers are not up within {PATIENCE_S:g} s: {lab.log_dir}")
        await asyncio.sleep(0.1)


async def _announced(admin: Path) -> bool:
    try:
        found: Mapping[str, Any] = (await admin_request(admin, "GET", "/status", timeout_s=5)).checked()
    except EdgeError:
        return False
    return found["state"] == "announced"


async def _listening(lab: Lab, ports: Sequence[int]) -> bool:
    listening = await lab.exec(EDGE, ["cat", "/proc/net/tcp"])
    return all(f":{port:04X} 00000000:0000 0A".encode() in listening.stdout for port in ports)


def machine_load() -> float:
    """The 1-minute load average, by which to judge what was measured meanwhile."""
    return os.getloadavg()[0]
