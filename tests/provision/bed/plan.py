"""Who is in the bed, and with which addresses. Pure.

    controller ----+
    client --------+-- router ---- ams-1
                   |          +--- fra-1
                   +----------+--- nyc-1

The router is everybody's only neighbour and the internet of the bed; each node is a site of its own. An operator
works on the controller, callers are at the client.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Final

ROUTER: Final = "router"
CONTROLLER: Final = "controller"
CLIENT: Final = "client"

ROUTER_AS: Final = 64500
NODE_AS: Final = 64601
ROUTER_ID: Final = IPv4Address("203.0.113.254")

SERVICE: Final = (IPv4Interface("192.0.2.1/24"), IPv6Interface("2001:db8:1::1/48"))
"""The anycast addresses, with the prefixes that nodes announce."""
SERVICE_NAME: Final = "voice.example"


@dataclass(frozen=True, slots=True)
class Place:
    """One cable to the router. ``mgmt`` is the name it goes by on the controller."""

    name: str
    v4: IPv4Interface
    v6: IPv6Interface
    router_v4: IPv4Address
    router_v6: IPv6Address

    @property
    def addresses(self) -> tuple[IPv4Address, IPv6Address]:
        """Its own, without prefix lengths."""
        return self.v4.ip, self.v6.ip

    @property
    def mgmt(self) -> str:
        return f"{self.name}.mgmt.example"


@dataclass(frozen=True, slots=True)
class Node(Place):
    """A machine of the fleet."""

    site: str
    server_id: str


def _node(number: int, site: str) -> Node:
    """The ``number``-th from 0 on: .11 and ::11 are its addresses, .1 and ::1 the router's."""
    v4, v6 = IPv4Address("198.51.100.0") + 16 * number, IPv6Address(f"2001:db8:a{number + 1}::")
    own = IPv4Interface((v4 + 11, 28)), IPv6Interface((v6 + 0x11, 64))
    return Node(f"{site}-1", *own, v4 + 1, v6 + 1, site, f"{0xA1 + number:016x}")


def _place(number: int, name: str) -> Place:
    v4, v6 = IPv4Address("203.0.113.0") + 16 * number, IPv6Address(f"2001:db8:c{number}::")
    return Place(name, IPv4Interface((v4 + 11, 28)), IPv6Interface((v6 + 0x11, 64)), v4 + 1, v6 + 1)


NODES: Final = tuple(_node(number, site) for number, site in enumerate(("ams", "fra", "nyc")))
PLACES: Final = (_place(0, CONTROLLER), _place(1, CLIENT), *NODES)


def node(name: str) -> Node:
    """The node of that name; KeyError if there is none."""
    return {one.name: one for one in NODES}[name]
