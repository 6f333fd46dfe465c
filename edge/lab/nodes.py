"""The fleet in the lab: real nodes, each started as an operator would start it, from a configuration file."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import msgspec

from bgp.policy import PolicyParams
from edge.errors import EdgeError
from edge.lab.certificates import write_certificate
from edge.lab.faults import NONE, Fault
from edge.lab.lab import Lab
from edge.lab.process import Process
from edge.lab.parts import Role
from edge.lab.topology import Topology
from edge.overload import OverloadParams
from edge.runtime.admin_client import admin_request

SERVICE_NAME = "voice.example"
SERVICE_PORT = 443

TIME_FACTOR = 0.05
"""Every time of overload control and policy, as a fraction of its production default."""

CALL_CAPACITY = 24
LOOP_LAG_CAPACITY_S = 1.0
"""Ten times the default: a lab is a dozen processes on two cores, and its scenarios bring their own load."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The edges of a lab, and where to find what they need."""

    certificate: Path
    sockets: dict[str, Path]

    async def status(self, node: str) -> dict[str, Any] | None:
        """What a node says of itself; None if it does not answer."""
        try:
            answer = await admin_request(self.sockets[node], "GET", "/status")
            found = answer.checked()
        except EdgeError:
            return None
        assert isinstance(found, dict)
        return found


async def start_fleet(lab: Lab, *, fault: Fault = NONE) -> Fleet:
    """Start a node on every edge of the topology."""
    edges = lab.topology.names(Role.EDGE)
    directories = {name: lab.run_dir / name for name in edges}
    for directory in directories.values():
        directory.mkdir(mode=0o700)
    certificate, key = lab.run_dir / "cert.pem", lab.run_dir / "key.pem"
    service = (lab.topology.service_v4.ip, lab.topology.service_v6.ip)
    unicast = [address for name in edges for address in lab.addresses(name)]
    write_certificate(certificate, key, [SERVICE_NAME], [*service, *unicast])
    for number, name in enumerate(edges, 1):
        config = lab.log_dir / f"{name}.toml"
        document = node_config(lab.topology, name, number, directories[name], certificate, key, fault)
        config.write_text(_toml(document))
        await start_node(lab, name, config)
    return Fleet(certificate, {name: directory / "admin.sock" for name, directory in directories.items()})


async def serve(lab: Lab) -> None:
    """The fleet as a service of a standing lab."""
    await start_fleet(lab)


async def start_node(lab: Lab, name: str, config: Path) -> Process:
    """Start one node; it takes a moment until it announces."""
    return await lab.spawn(
        name, [sys.executable, "-P", "-m", "edge.cli", "node", "run", "--config", str(config)], name="node"
    )


def node_config(
    topology: Topology, name: str, number: int, directory: Path, certificate: Path, key: Path, fault: Fault
) -> dict[str, Any]:
    """The configuration of edge ``name`` as TOML values; its times are shortened by `TIME_FACTOR`."""
    uplink = topology.uplink(name)
    bgp = uplink.link.bgp
    assert bgp is not None  # edges are joined to routers by BGP
    secret: dict[str, Any] = {"ttl_security": bgp.gtsm}
    if bgp.md5 is not None:
        md5_file = directory / "bgp.md5"
        md5_file.touch(mode=0o600)
        md5_file.write_text(bgp.md5)
        secret["md5_file"] = str(md5_file)
    peer_as, local_as = topology.node(uplink.peer.node).asn, topology.node(name).asn
    sessions = ((uplink.own.v4.ip, uplink.peer.v4.ip), (uplink.own.v6.ip, uplink.peer.v6.ip))
    overload = OverloadParams().scaled(TIME_FACTOR)
    policy = PolicyParams().scaled(TIME_FACTOR)
    return {
        "node": {"name": name, "site": uplink.peer.node, "server_id": f"{number:016x}"},
        "service": {
            "addresses": _texts(topology.service_v4.ip, topology.service_v6.ip),
            "port": SERVICE_PORT,
        },
        "unicast": {"addresses": _texts(*topology.addresses(name))},
        "tls": {"certificate": str(certificate), "private_key": str(key)},
        "quic": {"preferred_address": fault.preferred_address},
        "voice": {"backend": fault.backend},
        "overload": {
            **msgspec.to_builtins(overload),
            "capacity": {"calls": float(CALL_CAPACITY), "loop_lag_s": LOOP_LAG_CAPACITY_S},
        },
        "policy": {**msgspec.to_builtins(policy), "mode": fault.policy_mode},
        "shutdown": {"grace_s": 1.0},
        "bgp": {
            "router_id": str(topology.addresses(name).v4),
            "local_as": local_as,
            "prefixes": [str(topology.service_v4.network), str(topology.service_v6.network)],
            "neighbors": [
                {"address": str(theirs), "local_address": str(ours), "peer_as": peer_as, **secret}
                for ours, theirs in sessions
            ],
        },
        "admin": {"socket": str(directory / "admin.sock")},
        "state": {"directory": str(directory)},
    }


def _texts(*addresses: IPv4Address | IPv6Address) -> list[str]:
    return [str(address) for address in addresses]


def _toml(document: dict[str, Any], path: str = "") -> str:
    """TOML text of nested tables, arrays of tables and plain values."""
    lines, tables = [], []
    for key, value in document.items():
        where = f"{path}{key}"
        if isinstance(value, dict):
            tables.append(f"\n[{where}]\n" + _toml(value, f"{where}."))
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            tables += [f"\n[[{where}]]\n" + _toml(entry, f"{where}.") for entry in value]
        else:
            # JSON's strings, numbers, booleans and arrays of them are TOML's too.
            lines.append(f"{key} = {msgspec.json.encode(value).decode()}\n")
    return "".join(lines + tables)
