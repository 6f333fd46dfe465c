"""A lab's network as data: who is there, how they are joined, which addresses they have. Pure.

The default, with one-way delays::

    c1 --10 ms-- t1 --5 ms-- e1            AS 64501 t1, AS 64502 t2 (transit, BIRD)
                 |                         AS 64600 e1, e2, e3 (the fleet)
               5 ms
                 |
    c2 --10 ms-- t2 --5 ms-- e2, e3        t2 shares flows over e2 and e3 (ECMP by layer 4)

A unicast address is the node's own end of its link; what is behind a router hears of it by BGP. The service
addresses are not given to anybody here: a node puts them on its own ``lo`` when it is ready to serve.
"""

import enum
import itertools
import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from edge.errors import ConfigError, UsageError
from edge.lab.impairment import Impairment

# An interface carries the name of the neighbour it leads to, and the kernel allows 15 characters.
_NAME = re.compile(r"[a-z][a-z0-9-]{0,14}")
RESERVED_NAMES = frozenset({"lo", "all", "default", "wire"})


class Role(enum.StrEnum):
    """What a node is for."""

    ROUTER = "router"
    EDGE = "edge"
    CLIENT = "client"


class Node(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A network namespace. Routers and edges belong to an autonomous system."""

    name: str
    role: Role
    asn: int | None = None


class End(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One end of a link: a node and its addresses there."""

    node: str
    v4: IPv4Interface
    v6: IPv6Interface


class Bgp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the ends of a link speak BGP: one session per address family, TCP MD5 (RFC 2385), GTSM (RFC 5082)."""

    md5: str | None = None
    gtsm: bool = False


class Link(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A cable between two nodes, without a limit of bandwidth."""

    a: End
    b: End
    impairment: Impairment = Impairment()
    bgp: Bgp | None = None

    @property
    def name(self) -> str:
        """``a-b``, as in ``t1-e1``."""
        return f"{self.a.node}-{self.b.node}"

    @property
    def ends(self) -> tuple[End, End]:
        """Both ends, ``a`` first."""
        return self.a, self.b


class Addresses(NamedTuple):
    """The unicast addresses of a node."""

    v4: IPv4Address
    v6: IPv6Address


class Adjacency(NamedTuple):
    """A link as one of its ends sees it."""

    link: Link
    own: End
    peer: End


class Topology(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nodes and links. ``service_v4`` and ``service_v6`` are the service address within the anycast prefix.

    Raises ConfigError if the parts do not fit together.
    """

    nodes: tuple[Node, ...]
    links: tuple[Link, ...]
    service_v4: IPv4Interface = IPv4Interface("198.51.100.1/24")
    service_v6: IPv6Interface = IPv6Interface("2001:db8:a::1/48")

    def __post_init__(self) -> None:
        for where, problem in _problems(self):
            raise ConfigError(where, problem)

    def node(self, name: str) -> Node:
        """The node of that name; UsageError if there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise UsageError(f"no node {name!r} in this lab; there are {', '.join(n.name for n in self.nodes)}")

    def names(self, role: Role) -> tuple[str, ...]:
        """The nodes of one role."""
        return tuple(node.name for node in self.nodes if node.role is role)

    def link(self, name: str) -> Link:
        """The link of that name, in either direction; UsageError if there is none."""
        for link in self.links:
            if name in (link.name, f"{link.b.node}-{link.a.node}"):
                return link
        raise UsageError(f"no link {name!r} in this lab; there are {', '.join(li.name for li in self.links)}")

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


def default_topology(
    *,
    client_delay_ms: float = 10.0,
    edge_delay_ms: float = 5.0,
    transit_delay_ms: float = 5.0,
    jitter_ms: float = 1.0,
    loss: float = 0.0,
) -> Topology:
    """Two transit systems, three edges, two client sites; see the picture above."""

    def impaired(delay_ms: float) -> Impairment:
        return Impairment(delay_ms, min(jitter_ms, delay_ms), loss)

    def stub(router: str, node: str, v4: str, v6: str, host: int) -> tuple[End, End]:
        return (
            End(router, IPv4Interface(f"{v4}.{host - 1}/31"), IPv6Interface(f"{v6}::1/64")),
            End(node, IPv4Interface(f"{v4}.{host}/31"), IPv6Interface(f"{v6}::2/64")),
        )

    client, edge = impaired(client_delay_ms), impaired(edge_delay_ms)
    secured = Bgp(md5="between-neighbours", gtsm=True)
    return Topology(
        nodes=(
            Node("t1", Role.ROUTER, 64501),
            Node("t2", Role.ROUTER, 64502),
            *(Node(name, Role.EDGE, 64600) for name in ("e1", "e2", "e3")),
            *(Node(name, Role.CLIENT) for name in ("c1", "c2")),
        ),
        links=(
            Link(
                End("t1", IPv4Interface("203.0.113.2/31"), IPv6Interface("2001:db8:1::1/64")),
                End("t2", IPv4Interface("203.0.113.3/31"), IPv6Interface("2001:db8:1::2/64")),
                impaired(transit_delay_ms),
                Bgp(),
            ),
            Link(*stub("t1", "c1", "192.0.2", "2001:db8:11", 11), client),
            Link(*stub("t2", "c2", "192.0.2", "2001:db8:12", 21), client),
            Link(*stub("t1", "e1", "203.0.113", "2001:db8:21", 11), edge, secured),
            Link(*stub("t2", "e2", "203.0.113", "2001:db8:22", 21), edge, secured),
            Link(*stub("t2", "e3", "203.0.113", "2001:db8:23", 31), edge, secured),
        ),
    )


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
        raise UsageError(f"{path}: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise ConfigError(str(path), str(error)) from None


def _problems(topology: Topology) -> Iterator[tuple[str, str]]:
    yield from _node_problems(topology)
    yield from _link_problems(topology)
    yield from _address_problems(topology)


def _node_problems(topology: Topology) -> Iterator[tuple[str, str]]:
    linked = {end.node for link in topology.links for end in link.ends}
    seen: set[str] = set()
    for index, node in enumerate(topology.nodes):
        where = f"$.nodes[{index}]"
        if not _NAME.fullmatch(node.name) or node.name in RESERVED_NAMES:
            yield f"{where}.name", f"{node.name!r} cannot be the name of a network interface"
        if node.name in seen:
            yield f"{where}.name", f"there is another node {node.name!r}"
        if (node.role is Role.CLIENT) != (node.asn is None):
            yield f"{where}.asn", "routers and edges have an AS number, clients have none"
        if node.asn is not None and not 0 < node.asn < 2**32:
            yield f"{where}.asn", "an AS number is between 1 and 4294967295"
        if node.name not in linked:
            yield where, f"{node.name!r} has no link"
        seen.add(node.name)


def _link_problems(topology: Topology) -> Iterator[tuple[str, str]]:
    nodes = {node.name: node for node in topology.nodes}
    seen: set[frozenset[str]] = set()
    for index, link in enumerate(topology.links):
        where = f"$.links[{index}]"
        for side, end in zip("ab", link.ends, strict=True):
            if end.node not in nodes:
                yield f"{where}.{side}.node", f"there is no node {end.node!r}"
                return
        a, b = (nodes[end.node] for end in link.ends)
        pair = frozenset((a.name, b.name))
        if len(pair) == 1:
            yield where, f"{a.name!r} is joined to itself"
        if pair in seen:
            yield where, f"there is another link between {a.name!r} and {b.name!r}"
        if Role.ROUTER not in (a.role, b.role):
            yield where, "neither end is a router"
        if link.bgp is None and Role.EDGE in (a.role, b.role):
            yield f"{where}.bgp", "an edge announces its prefixes over BGP; add an empty table"
        if link.bgp is not None and (None in (a.asn, b.asn) or a.asn == b.asn):
            yield f"{where}.bgp", "BGP here is between two autonomous systems"
        if link.bgp is not None and not re.fullmatch(r"[!#-~]{0,80}", link.bgp.md5 or ""):
            yield f"{where}.bgp.md5", "a password is at most 80 printable ASCII characters, no quotes"
        seen.add(pair)


def _address_problems(topology: Topology) -> Iterator[tuple[str, str]]:
    for version in ("v4", "v6"):
        taken = [(f"$.service_{version}", getattr(topology, f"service_{version}").network)]
        for index, link in enumerate(topology.links):
            a, b = (getattr(end, version) for end in link.ends)
            where = f"$.links[{index}].b.{version}"
            if a.network != b.network or a.ip == b.ip:
                yield where, f"{a} and {b} are not two addresses of one network"
            taken.append((where, a.network))
        for (one, network), (other, later) in itertools.combinations(taken, 2):
            if network.overlaps(later):
                yield other, f"{later} overlaps {network} of {one}"
