"""The way to each node of a fleet, as its file tells it."""

from __future__ import annotations

from edge.fleet.model import Fleet, Node
from edge.fleet.ssh import SshTransport
from edge.fleet.tls import TlsTransport
from edge.fleet.transport import Transport
from edge.fleet.unix import UnixTransport


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
