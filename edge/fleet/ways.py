"""The way to each node of a fleet, as its file tells it."""

from __future__ import annotations

from edge.fleet.model import Fleet, Node
from edge.fleet.places import nearest
from edge.fleet.problems import Problem
from edge.fleet.ssh import SshTransport
from edge.fleet.tls import TlsTransport
from edge.fleet.transport import Transport
from edge.fleet.unix import UnixTransport


def require_programs(fleet: Fleet) -> None:
    """Raises `ConfigError` where programs cannot be run on the nodes, as every change of what they run needs."""
    if fleet.access.transport == "tls":
        raise Problem(
            str(fleet.file),
            nearest(fleet.lines, ("access", "transport")) or 0,
            "$.access.transport",
            'over "tls" nodes are asked and given orders, but nothing can be changed on them; use a fleet file with '
            'transport = "ssh" for that, by --fleet, or by a context (edgectl context add NAME FILE, then -c NAME)',
        ).error()


def way_to(fleet: Fleet, node: Node) -> Transport:
    """Nothing is connected yet. Over TLS a node is asked at its first address."""
    access = fleet.access
    match access.transport:
        case "unix":
            return UnixTransport(node.socket)
        case "ssh":
            return SshTransport(node.ssh, node.socket, user=node.user)
        case "tls":
            assert access.ca is not None  # the fleet file is refused without them
            assert access.certificate is not None
            assert access.private_key is not None
            return TlsTransport(
                str(node.addresses[0]),
                access.port,
                ca=access.ca,
                certificate=access.certificate,
                private_key=access.private_key,
            )
