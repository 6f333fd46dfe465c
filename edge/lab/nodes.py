"""The fleet in the lab: real nodes, each started as an operator would start it, from a configuration file."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from secrets import token_bytes
from typing import Any, Literal

import msgspec

from bgp.conf import Damping
from bgp.policy import PolicyParams
from bgp.starts import DELAYS_S, STABLE_S
from bgp.view import ViewParams
from edge.backend.demo import installed
from edge.config.key_file import write_ring
from edge.errors import EdgeError
from edge.forward import ReturnPath
from edge.keys import SECRET_BYTES, KeyRing
from edge.lab.certificates import write_certificate
from edge.lab.faults import NONE, Fault
from edge.lab.lab import Lab
from edge.lab.parts import VERSIONS, Adjacency, Protection, Role
from edge.lab.process import Process
from edge.lab.topology import Topology
from edge.overload import OverloadParams
from edge.quic import BEHIND_NLB
from edge.runtime.admin_client import admin_request

KEYS, FLEET = "keys.toml", "fleet.toml"
SERVICE_NAME = "voice.example"
SERVICE_PORT = 443
HEALTH_PORT = 9464
"""Where Prometheus finds a node's metrics, and a balancer asks whether it is ready."""

TIME_FACTOR = 0.05
"""Every time of overload control and policy, as a fraction of its production default."""

CALL_CAPACITY = 24
LOOP_LAG_CAPACITY_S = 1.0
"""Ten times the default: a lab is a dozen processes on two cores, and its scenarios bring their own load."""


@dataclass(frozen=True, slots=True)
class FleetOptions:
    """How the nodes of a lab are configured, where it differs from one lab to the other.

    ``policy`` has keys of ``[policy]`` beside those that `TIME_FACTOR` shortens; ``calls`` is what one node can take.
    ``damping`` is how a node supposes that its upstreams count, all alike or each by name; those left out do not.
    ``return_paths``: by node, where not directly. ``named``: each has a host name for its unicast addresses, see `name_of`.
    ``restart_delays_s`` is how long it waits before it announces, after no, one, two, ... lives that ended badly.
    """

    speaker: Literal["exabgp", "bird"] = "exabgp"
    damping: Damping | Mapping[str, Damping] = "cisco"
    policy: Mapping[str, Any] = field(default_factory=dict)
    calls: int = CALL_CAPACITY
    workers: int = 1
    restart_delays_s: tuple[float, ...] = tuple(delay_s * TIME_FACTOR for delay_s in DELAYS_S)
    return_paths: Mapping[str, ReturnPath] = field(default_factory=dict)
    named: bool = False
    fault: Fault = NONE

    def damping_of(self, upstream: str) -> Damping:
        """How a node supposes that this router counts."""
        return self.damping if isinstance(self.damping, str) else self.damping.get(upstream, "off")


USUAL = FleetOptions()


@dataclass(frozen=True, slots=True)
class Fleet:
    """The edges of a lab, and where to find what they need."""

    certificate: Path
    sockets: dict[str, Path]

    async def status(self, node: str, *, timeout_s: float = 5.0) -> dict[str, Any] | None:
        """What a node says of itself; None if it does not answer."""
        try:
            answer = await admin_request(self.sockets[node], "GET", "/status", timeout_s=timeout_s)
            found = answer.checked()
        except EdgeError:
            return None
        assert isinstance(found, dict)
        return found


async def start_fleet(lab: Lab, *, options: FleetOptions = USUAL) -> Fleet:
    """Start a node on every edge of the topology."""
    edges = lab.topology.names(Role.EDGE)
    directories = {name: lab.run_dir / name for name in edges}
    for directory in directories.values():
        directory.mkdir(mode=0o700)
    certificate, key = lab.run_dir / "cert.pem", lab.run_dir / "key.pem"
    service = (lab.topology.service_v4.ip, lab.topology.service_v6.ip)
    unicast = [address for name in edges for address in lab.addresses(name)]
    write_certificate(certificate, key, [SERVICE_NAME], [*service, *unicast])
    ring = KeyRing.new(token_bytes(SECRET_BYTES), datetime.now(UTC))
    # Every node has a copy of its own, as on machines of its own.
    for place in (lab.run_dir, *directories.values()):
        own = ring if options.fault.one_ring else KeyRing.new(token_bytes(SECRET_BYTES), datetime.now(UTC))
        write_ring(place / KEYS, own)
    (lab.run_dir / FLEET).write_text(toml_text(fleet_file(lab.topology)))
    for number, name in enumerate(edges, 1):
        config = lab.log_dir / f"{name}.toml"
        document = node_config(lab.topology, name, number, directories[name], certificate, key, options)
        document |= {"keys": {"file": str(directories[name] / KEYS)}}
        if options.fault.forwarding:
            document |= {
                "fleet": {"file": str(lab.run_dir / FLEET)},
                "forward": {"return_path": options.return_paths.get(name, _return_path(lab.topology, name))},
            }
        config.write_text(toml_text(document))
        await start_node(lab, name, config)
    return Fleet(certificate, {name: directory / "admin.sock" for name, directory in directories.items()})


def _return_path(topology: Topology, name: str) -> ReturnPath:
    return ReturnPath.INGRESS if is_balanced(topology, name) else ReturnPath.DIRECT


async def serve(lab: Lab) -> None:
    """The fleet as a service of a standing lab."""
    await start_fleet(lab)


async def start_node(lab: Lab, name: str, config: Path) -> Process:
    """Start one node; it takes a moment until it announces."""
    return await lab.spawn(
        name, [sys.executable, "-P", "-m", "edge.cli", "node", "run", "--config", str(config)], name="node"
    )


def node_config(
    topology: Topology,
    name: str,
    number: int,
    directory: Path,
    certificate: Path,
    key: Path,
    options: FleetOptions,
) -> dict[str, Any]:
    """The configuration of edge ``name`` as TOML values; its times are shortened by `TIME_FACTOR`."""
    overload = OverloadParams().scaled(TIME_FACTOR)
    policy = PolicyParams().scaled(TIME_FACTOR)
    fault = options.fault
    return {
        "node": _member(topology, name, number),
        **_place(topology, name, options),
        "tls": {"certificate": str(certificate), "private_key": str(key)},
        "voice": {
            "backend": fault.backend,
            "backends": offered_backends(),
            "lead_ms": fault.lead_ms,
            "resume_s": fault.resume_s,
        },
        "overload": {
            **msgspec.to_builtins(overload),
            "capacity": {"calls": float(options.calls), "loop_lag_s": LOOP_LAG_CAPACITY_S},
        },
        # All callers of a site have the site's one address.
        "limits": {"per_address": 10_000, "per_address_per_s": 10_000.0},
        "policy": {**msgspec.to_builtins(policy), "mode": fault.policy_mode, **options.policy},
        "view": msgspec.to_builtins(ViewParams().scaled(TIME_FACTOR)),
        "restart": {
            "delays_s": options.restart_delays_s,
            "stable_s": STABLE_S * TIME_FACTOR,
        },
        "shutdown": {"grace_s": 1.0},
        **_routing(topology, name, directory, options),
        "workers": {"count": options.workers},
        "admin": {"socket": str(directory / "admin.sock")},
        "metrics": {"listen": f"{topology.addresses(name).v4}:{HEALTH_PORT}"},
        "state": {"directory": str(directory)},
    }


def is_balanced(topology: Topology, name: str) -> bool:
    """Whether an edge is behind a balancer, which speaks IPv4 alone."""
    return topology.node(topology.uplink(name).peer.node).role is Role.MIDDLEBOX


def _place(topology: Topology, name: str, options: FleetOptions) -> dict[str, Any]:
    """Where the node listens, and how callers and the other nodes find it."""
    if is_balanced(topology, name):
        own = _unicast(topology, name)
        return {
            "service": {"addresses": own, "port": SERVICE_PORT, "manage_addresses": False},
            "unicast": {"addresses": own, "name": str(topology.service_v4.ip)},
            "cid": {"profile": BEHIND_NLB},
            "quic": {"preferred_address": False},
            "drain": {"settle_s": 3.0},  # the balancer asks every second, and believes it the second time
        }
    return {
        "service": {
            "addresses": _texts(topology.service_v4.ip, topology.service_v6.ip),
            "port": SERVICE_PORT,
        },
        "unicast": {
            "addresses": _unicast(topology, name),
            **({"name": name_of(name)} if options.named else {}),
        },
        "quic": {
            "preferred_address": options.fault.preferred_address,
            "unicast_goaway": options.fault.preferred_address,
        },
    }


def name_of(node: str) -> str:
    """The host name of its unicast addresses, for `names.publish`."""
    return f"{node}.{SERVICE_NAME}"


def _unicast(topology: Topology, name: str) -> list[str]:
    v4, v6 = topology.addresses(name)
    return _texts(v4) if is_balanced(topology, name) else _texts(v4, v6)


def _routing(topology: Topology, name: str, directory: Path, options: FleetOptions) -> dict[str, Any]:
    uplinks = [one for one in topology.adjacencies(name) if one.link.bgp is not None]
    if not uplinks:
        return {}
    bgp = {
        "speaker": options.speaker,
        "router_id": str(topology.addresses(name).v4),
        "local_as": topology.node(name).asn,
        "prefixes": [str(topology.service_v4.network), str(topology.service_v6.network)],
        "neighbors": [
            *(one for uplink in uplinks for one in _upstreams(topology, uplink, directory, options)),
            *_fleet(topology, name, directory),
        ],
    }
    with_bfd = any(one.link.bgp and one.link.bgp.bfd for one in uplinks)
    return {"bgp": bgp | ({"bfd": {}} if with_bfd else {})}


def fleet_file(topology: Topology) -> dict[str, Any]:
    """Who is in the fleet, as TOML values."""
    return {
        "nodes": [
            _member(topology, name, number) | {"addresses": _unicast(topology, name)}
            for number, name in enumerate(topology.names(Role.EDGE), 1)
        ]
    }


def server_id(number: int) -> bytes:
    """Of the edge that is the ``number``-th of its topology, from 1 on."""
    return number.to_bytes(8, "big")


def _member(topology: Topology, name: str, number: int) -> dict[str, Any]:
    return {"name": name, "site": topology.uplink(name).peer.node, "server_id": server_id(number).hex()}


def offered_backends() -> tuple[str, ...]:
    """What a caller may ask a node for. Without what the demo agent needs there are still nodes, and calls to them."""
    return ("echo", "story") if installed.missing() else ("echo", "story", "demo")


def _upstreams(
    topology: Topology, uplink: Adjacency, directory: Path, options: FleetOptions
) -> Iterator[dict[str, Any]]:
    link = uplink.link
    assert link.bgp is not None
    for version in VERSIONS:
        yield {
            "address": str(getattr(uplink.peer, version).ip),
            "local_address": str(getattr(uplink.own, version).ip),
            "peer_as": topology.node(uplink.peer.node).asn,
            "damping": options.damping_of(uplink.peer.node),
            "ttl_security": link.bgp.gtsm,
            **_secret(link.bgp, directory / f"{link.name}.md5"),
        }


def _fleet(topology: Topology, name: str, directory: Path) -> Iterator[dict[str, Any]]:
    """A session with each reflector, where we are known by the number of the reflector beside our own address.

    One router ID for all would do for ExaBGP. BIRD takes a route for a loop whose originator is itself on the same
    session (RFC 4456, section 8), and our own route has to come back: so we are another one on each session.
    """
    own = topology.addresses(name)
    for number, reflector in enumerate(topology.fleet_peers(name)):
        theirs = topology.addresses(reflector)
        for version in VERSIONS:
            yield {
                "role": "fleet",
                "address": str(getattr(theirs, version)),
                "local_address": str(getattr(own, version)),
                "peer_as": topology.node(reflector).asn,
                "router_id": str(
                    own.v4 if number == 0 else IPv4Address((240 + number) << 24) + int(own.v4) % 2**24
                ),
                "ttl_security": topology.fleet_hops if topology.fleet.gtsm else False,
                **_secret(topology.fleet, directory / "fleet.md5"),
            }


def _secret(protection: Protection, path: Path) -> dict[str, Any]:
    if protection.md5 is None:
        return {}
    path.touch(mode=0o600)
    path.write_text(protection.md5)
    return {"md5_file": str(path)}


def _texts(*addresses: IPv4Address | IPv6Address) -> list[str]:
    return [str(address) for address in addresses]


def toml_text(document: dict[str, Any], path: str = "") -> str:
    """TOML text of nested tables, arrays of tables and plain values."""
    lines, tables = [], []
    for key, value in document.items():
        where = f"{path}{key}"
        if isinstance(value, dict):
            tables.append(f"\n[{where}]\n" + toml_text(value, f"{where}."))
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            tables += [f"\n[[{where}]]\n" + toml_text(entry, f"{where}.") for entry in value]
        else:
            # JSON's strings, numbers, booleans and arrays of them are TOML's too.
            lines.append(f"{key} = {msgspec.json.encode(value).decode()}\n")
    return "".join(lines + tables)
