"""A lab's network as data: who is there, how they are joined, which addresses they have. Pure.

A unicast address is the node's own end of its first link; what is behind a router hears of it by BGP. The service
addresses are not given to anybody here: a node puts them on its own ``lo`` when it is ready to serve.

BGP is spoken in two ways. Between two autonomous systems it belongs to a link: an edge has a session with every
router that it is joined to. Within the fleet it belongs to the nodes, who meet by their unicast addresses: every
edge has a session with every reflector, and the reflectors have one with each other.
"""

from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from typing import Any, Self

import msgspec

from edge.errors import ConfigError, UsageError
from edge.lab.parts import Addresses, Adjacency, Link, Node, Protection, Role
from edge.lab.topology_checks import problems


class Topology(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nodes and links. ``service_v4`` and ``service_v6`` are the service address within the anycast prefix.

    ``fleet`` protects the sessions within the fleet. Raises ConfigError if the parts do not fit together.
    """

    nodes: tuple[Node, ...]
    links: tuple[Link, ...]
    service_v4: IPv4Interface = IPv4Interface("198.51.100.1/24")
    service_v6: IPv6Interface = IPv6Interface("2001:db8:a::1/48")
    fleet: Protection = Protection()

    def __post_init__(self) -> None:
        services: dict[str, IPv4Interface | IPv6Interface] = {
            "service_v4": self.service_v4,
            "service_v6": self.service_v6,
        }
        for where, problem in problems(self.nodes, self.links, services, self.fleet):
            raise ConfigError(where, problem)

    def node(self, name: str) -> Node:
        """The node of that name; UsageError if there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise UsageError(f"no node {name!r} in this lab; there are {', '.join(n.name for n in self.nodes)}")

    def names(self, *roles: Role) -> tuple[str, ...]:
        """The nodes of some roles."""
        return tuple(node.name for node in self.nodes if node.role in roles)

    def link(self, name: str) -> Link:
        """The link of that name, in either direction; UsageError if there is none."""
        for link in self.links:
            if name in (link.name, f"{link.b.node}-{link.a.node}"):
                return link
        raise UsageError(f"no link {name!r} in this lab; there are {', '.join(li.name for li in self.links)}")

    def with_bgp(self, link: str, **changes: Any) -> Self:
        """The same, but for how BGP is spoken on one link: ``with_bgp("t1-e1", local_pref=200)``."""
        changed = self.link(link)
        assert changed.bgp is not None  # the caller knows the topology
        spoken = msgspec.structs.replace(changed, bgp=msgspec.structs.replace(changed.bgp, **changes))
        links = tuple(spoken if one is changed else one for one in self.links)
        return msgspec.structs.replace(self, links=links)

    def with_node(self, name: str, **changes: Any) -> Self:
        """The same, but for one node: ``with_node("t2", software=Software.FRR)``."""
        changed = self.node(name)
        nodes = (msgspec.structs.replace(one, **changes) if one is changed else one for one in self.nodes)
        return msgspec.structs.replace(self, nodes=tuple(nodes))

    def adjacencies(self, name: str) -> Iterator[Adjacency]:
        """The links of a node, in the order of the topology."""
        for link in self.links:
            for own, peer in (link.ends, link.ends[::-1]):
                if own.node == name:
                    yield Adjacency(link, own, peer)

    def uplink(self, name: str) -> Adjacency:
        """The first link of a node: the way out, and where its unicast addresses are."""
        return next(self.adjacencies(self.node(name).name))

    def addresses(self, name: str) -> Addresses:
        """The unicast addresses of a node."""
        own = self.uplink(name).own
        return Addresses(own.v4.ip, own.v6.ip)

    def fleet_peers(self, name: str) -> tuple[str, ...]:
        """With whom a node has sessions within the fleet; () if it is no member of it."""
        match self.node(name).role:
            case Role.EDGE:
                return self.names(Role.REFLECTOR)
            case Role.REFLECTOR:
                return tuple(peer for peer in self.names(Role.REFLECTOR, Role.EDGE) if peer != name)
            case _:
                return ()

    @property
    def fleet_hops(self) -> int:
        """Links between two members of the fleet at most: the way leads through a router only once."""
        return len(self.names(Role.ROUTER)) + 1


def encode(topology: Topology) -> Any:
    """As JSON values; `decode` reads them back."""
    return msgspec.to_builtins(topology, enc_hook=str)


def decode(value: Any) -> Topology:
    """From JSON or TOML values. Raises ConfigError naming the key."""
    try:
        return msgspec.convert(value, Topology, dec_hook=lambda kind, text: kind(text))
    except msgspec.ValidationError as error:
        problem, _, where = str(error).partition(" - at ")
        raise ConfigError(where.strip("`") or "$", problem) from None


def load(path: Path) -> Topology:
    """From a TOML file. Raises ConfigError naming the key."""
    try:
        return decode(msgspec.toml.decode(path.read_bytes()))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; check the path") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), f"is not TOML: {error}") from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.where}", error.problem) from None
