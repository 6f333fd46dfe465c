"""What keeps nodes and links from being a network, and where that stands. Pure.

Every check yields pairs of a place, as in ``$.links[3].bgp``, and a sentence; nothing if all is well.
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Interface, IPv6Interface

from edge.lab.parts import VERSIONS, Bgp, Link, Node, Protection, Role, Software

RESERVED_NAMES = frozenset({"lo", "all", "default", "wire"})

# An interface carries the name of the neighbour it leads to, and the kernel allows 15 characters.
_NAME = re.compile(r"[a-z][a-z0-9-]{0,14}")
_PASSWORD = re.compile(r"[!#-~]{0,80}")
_MAX_ROUTERS_WITH_GTSM = 15  # a node's configuration accepts 16 hops

Problems = Iterator[tuple[str, str]]


def problems(
    nodes: Sequence[Node],
    links: Sequence[Link],
    services: Mapping[str, IPv4Interface | IPv6Interface],
    fleet: Protection,
) -> Problems:
    """Everything that is wrong; ``services`` are the service addresses by their keys."""
    yield from _node_problems(nodes, links)
    yield from _link_problems(nodes, links)
    yield from _address_problems(links, services)
    yield from _fleet_problems(nodes, fleet)


def _node_problems(nodes: Sequence[Node], links: Sequence[Link]) -> Problems:
    linked = {end.node for link in links for end in link.ends}
    seen: set[str] = set()
    for index, node in enumerate(nodes):
        where = f"$.nodes[{index}]"
        if not _NAME.fullmatch(node.name) or node.name in RESERVED_NAMES:
            yield f"{where}.name", f"{node.name!r} cannot be the name of a network interface"
        if node.name in seen:
            yield f"{where}.name", f"there is another node {node.name!r}"
        if (node.role in (Role.CLIENT, Role.MIDDLEBOX)) != (node.asn is None):
            yield f"{where}.asn", "routers, reflectors and edges have an AS number, others have none"
        if node.asn is not None and not 0 < node.asn < 2**32:
            yield f"{where}.asn", "an AS number is between 1 and 4294967295"
        if node.software is not Software.BIRD and node.role is not Role.ROUTER:
            yield f"{where}.software", "only a router has a choice of software"
        if node.damping and node.software is not Software.FRR:
            yield f"{where}.damping", 'only FRR damps; add software = "frr"'
        if node.name not in linked:
            yield where, f"{node.name!r} has no link"
        seen.add(node.name)


def _link_problems(nodes: Sequence[Node], links: Sequence[Link]) -> Problems:
    by_name = {node.name: node for node in nodes}
    seen: set[frozenset[str]] = set()
    for index, link in enumerate(links):
        where = f"$.links[{index}]"
        for side, end in zip("ab", link.ends, strict=True):
            if end.node not in by_name:
                yield f"{where}.{side}.node", f"there is no node {end.node!r}"
                return
        a, b = (by_name[end.node] for end in link.ends)
        pair = frozenset((a.name, b.name))
        if len(pair) == 1:
            yield where, f"{a.name!r} is joined to itself"
        if pair in seen:
            yield where, f"there is another link between {a.name!r} and {b.name!r}"
        if not {Role.ROUTER, Role.MIDDLEBOX} & {a.role, b.role}:
            yield where, "neither end is a router or a middlebox"
        if link.bgp is None and {a.role, b.role} == {Role.EDGE, Role.ROUTER}:
            yield f"{where}.bgp", "an edge announces its prefixes over BGP; add an empty table"
        if link.bgp is not None:
            yield from _bgp_problems(f"{where}.bgp", link.bgp, a, b)
        seen.add(pair)


def _bgp_problems(where: str, bgp: Bgp, a: Node, b: Node) -> Problems:
    if Role.REFLECTOR in (a.role, b.role):
        yield where, "a reflector speaks with the fleet alone; its router knows it without BGP"
    if None in (a.asn, b.asn) or a.asn == b.asn:
        yield where, "BGP here is between two autonomous systems"
    if bgp.local_pref is not None and not 0 <= bgp.local_pref < 2**32:
        yield f"{where}.local_pref", "a local preference is between 0 and 4294967295"
    if bgp.bfd and Software.FRR in (a.software, b.software):
        yield f"{where}.bfd", "here only BIRD speaks BFD"
    yield from _password_problems(where, bgp)


def _password_problems(where: str, protection: Protection) -> Problems:
    if not _PASSWORD.fullmatch(protection.md5 or ""):
        yield f"{where}.md5", "a password is at most 80 printable ASCII characters, no quotes"


def _address_problems(
    links: Sequence[Link], services: Mapping[str, IPv4Interface | IPv6Interface]
) -> Problems:
    for version in VERSIONS:
        taken = [(f"$.service_{version}", services[f"service_{version}"].network)]
        for index, link in enumerate(links):
            a, b = (getattr(end, version) for end in link.ends)
            where = f"$.links[{index}].b.{version}"
            if a.network != b.network or a.ip == b.ip:
                yield where, f"{a} and {b} are not two addresses of one network"
            taken.append((where, a.network))
        for (one, network), (other, later) in itertools.combinations(taken, 2):
            if network.overlaps(later):
                yield other, f"{later} overlaps {network} of {one}"


def _fleet_problems(nodes: Sequence[Node], fleet: Protection) -> Problems:
    systems = {node.asn for node in nodes if node.role is Role.EDGE}
    reflectors = [(index, node) for index, node in enumerate(nodes) if node.role is Role.REFLECTOR]
    for index, node in reflectors:
        if systems - {node.asn}:
            yield f"$.nodes[{index}].asn", "a reflector and all edges are of one autonomous system"
    routers = sum(node.role is Role.ROUTER for node in nodes)
    if reflectors and fleet.gtsm and routers > _MAX_ROUTERS_WITH_GTSM:
        yield "$.fleet.gtsm", f"more than {_MAX_ROUTERS_WITH_GTSM} routers are too long a way for GTSM"
    yield from _password_problems("$.fleet", fleet)
