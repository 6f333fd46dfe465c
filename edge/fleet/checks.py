"""What no single table of a fleet file can get wrong, but the nodes together can. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple

from edge.config.fleet_file import is_origin
from edge.fleet.derive import REFUSED, md5_origins, socket_of
from edge.fleet.merge import Merged
from edge.fleet.model import Node
from edge.fleet.places import KeyPath, spelled
from edge.fleet.schema import MD5_SECRET, Document, NodeTables
from edge.quic import BEHIND_NLB


def group_name(site: str) -> str:
    """What the group of a site's nodes is called in an Ansible inventory."""
    return "site_" + re.sub(r"[^A-Za-z0-9_]", "_", site)


class Finding(NamedTuple):
    """``path`` in the fleet file. A ``note`` is no mistake, but what the operator may not have thought of."""

    path: KeyPath
    what: str
    note: bool = False


def check_document(document: Document) -> Iterator[Finding]:
    """What can be seen before the nodes' configurations are put together."""
    yield from _sites(document)
    yield from _all_different(document)
    yield from _each_node(document)
    for origin, tables in _node_tables(document):
        yield from _refused(origin, tables)


def check_tables(merged: Merged) -> Iterator[Finding]:
    """What can be seen in a node's own, once they are put together."""
    used = md5_origins(merged)
    for origin in used[1:]:
        others = spelled(used[0])
        yield Finding(
            origin, f"a node has one key for TCP MD5, and another session of the same node has {others}"
        )
    neighbors = merged.get("bgp", "neighbors")
    for number, neighbor in enumerate(neighbors if isinstance(neighbors, list) else ()):
        given = neighbor.get("md5_file") if isinstance(neighbor, dict) else None
        origin = merged.origin(("bgp", "neighbors", number, "md5_file"))
        if given is not None and origin not in used:
            yield Finding(
                origin,
                # Not quoted: it may be the password itself.
                f"is not the name of a secret; write that of one, {MD5_SECRET} in [secrets] or any in [secrets.md5]",
            )


def check_nodes(nodes: Sequence[Node]) -> Iterator[Finding]:
    """What can be seen after; ``nodes`` are in the order of the file."""
    yield from _service_addresses(nodes)
    yield from _common_port(nodes)
    yield from _quorum(nodes)


def _node_tables(document: Document) -> Iterator[tuple[KeyPath, NodeTables]]:
    yield ("defaults",), document.defaults
    for name, site in document.sites.items():
        yield ("sites", str(name), "defaults"), site.defaults
    for index, entry in enumerate(document.nodes):
        yield ("nodes", index, "config"), entry.config


def _sites(document: Document) -> Iterator[Finding]:
    for index, entry in enumerate(document.nodes):
        if entry.site not in document.sites:
            known = ", ".join(map(str, document.sites)) or "none"
            yield Finding(
                ("nodes", index, "site"),
                f"there is no site {entry.site!r}; add [sites.{entry.site}] (known: {known})",
            )
    groups: dict[str, str] = {}
    for name in map(str, document.sites):
        other = groups.setdefault(group_name(name), name)
        if other != name:
            yield Finding(
                ("sites", name), f"is {group_name(name)} to Ansible, and so is {other!r}; rename one"
            )
    inhabited = {entry.site for entry in document.nodes}
    for name in document.sites:
        if name not in inhabited:
            yield Finding(("sites", str(name)), "no node is at this site", note=True)


def _all_different(document: Document) -> Iterator[Finding]:
    named: list[tuple[str, list[list[str]]]] = [
        ("name", [[str(entry.name)] for entry in document.nodes]),
        ("server_id", [[bytes(entry.server_id).hex()] for entry in document.nodes]),
        ("addresses", [list(map(str, entry.addresses)) for entry in document.nodes]),
        ("url", [[entry.url.lower()] if entry.url else [] for entry in document.nodes]),
    ]
    for key, of_nodes in named:
        seen: dict[str, int] = {}
        for index, values in enumerate(of_nodes):
            for number, value in enumerate(values):
                path: KeyPath = ("nodes", index, key)
                if value in seen:
                    other = seen[value]
                    yield Finding(
                        (*path, number) if key == "addresses" else path,
                        f"{value} is that of nodes[{other}] ({document.nodes[other].name}), too; "
                        "each node has its own",
                    )
                seen.setdefault(value, index)


def _each_node(document: Document) -> Iterator[Finding]:
    for index, entry in enumerate(document.nodes):
        if entry.url is not None and not is_origin(entry.url):
            yield Finding(("nodes", index, "url"), f"{entry.url!r} is not like https://NAME:PORT")
    if document.access.transport == "unix":
        yield from _different_sockets(document)
    yield from _different_ways(document)


def _different_sockets(document: Document) -> Iterator[Finding]:
    template = document.access.socket
    shared = [index for index, entry in enumerate(document.nodes) if entry.socket is None]
    if len(shared) > 1 and "{name}" not in template:
        yield Finding(
            ("access", "socket"),
            f"{template} is that of {len(shared)} nodes of this machine; write {{name}} in it, or give each its socket",
        )


def _different_ways(document: Document) -> Iterator[Finding]:
    """Who is reached as another node would get its orders and its files. A template is told of once, above."""
    by_ssh = document.access.transport == "ssh"
    key = "ssh" if by_ssh else "socket"
    seen: dict[tuple[str, str], int] = {}
    for index, entry in enumerate(document.nodes):
        if getattr(entry, key) is None or document.access.transport == "tls":
            continue
        way = (str(entry.ssh).lower() if by_ssh else "", socket_of(document, entry))
        other = seen.setdefault(way, index)
        if other != index:
            yield Finding(
                ("nodes", index, key),
                f"leads to nodes[{other}] ({document.nodes[other].name}), too; each node has its own way",
            )


def _refused(origin: KeyPath, tables: NodeTables) -> Iterator[Finding]:
    for path, reason in REFUSED.items():
        value: Any = tables
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None:
            yield Finding((*origin, *path), f"is not written here: {reason}; remove it")


def _service_addresses(nodes: Sequence[Node]) -> Iterator[Finding]:
    """Whatever is announced, no node's own address may be in it: calls would move with the routes."""
    service = {address: node for node in nodes for address in node.config.service.addresses}
    announced = {
        ip_network(prefix): node for node in nodes if node.config.bgp for prefix in node.config.bgp.prefixes
    }
    for index, node in enumerate(nodes):
        for number, address in enumerate(node.addresses):
            path = ("nodes", index, "addresses", number)
            by = service.get(address)
            if by is not None and (by is not node or node.config.cid.profile != BEHIND_NLB):
                yield Finding(
                    path,
                    f"{address} is a service address of {by.name}, which callers reach anywhere; "
                    "a node's own address is its alone",
                )
                continue
            for prefix, other in announced.items():
                if other is not node and ip_address(address) in prefix:
                    yield Finding(
                        path,
                        f"{address} is in {prefix}, which {other.name} announces; take one outside of it",
                    )
                    break


def _common_port(nodes: Sequence[Node]) -> Iterator[Finding]:
    """Strays are sent to the port at which one listens oneself."""
    usual = Counter(node.config.forward.port for node in nodes).most_common(1)[0][0]
    for index, node in enumerate(nodes):
        if node.config.forward.port != usual:
            path = node.merged.origin(("forward", "port")) or ("nodes", index)
            yield Finding(
                path,
                f"{node.config.forward.port} at {node.name}, and {usual} at others; the nodes find each other at one port",
            )


def _quorum(nodes: Sequence[Node]) -> Iterator[Finding]:
    """A node leaves for load only while ``policy.min_announcing`` others announce: there must be so many."""
    announcing = [node for node in nodes if node.announce]
    told: set[KeyPath] = set()
    for node in announcing:
        policy = node.config.policy
        others = [other for other in announcing if other is not node]
        if policy.guard == "off" or policy.mode == "observe" or not others:
            continue
        path = _said(node, ("policy", "min_announcing"))
        if path in told:
            continue
        if len(others) < policy.min_announcing:
            told.add(path)
            yield Finding(
                path,
                f"{node.name} would need {policy.min_announcing} others that announce, and there are {len(others)}: it could "
                f"never leave for load; set policy.min_announcing = {len(others)}, or add nodes",
            )
            continue
        dark = _site_that_is_needed(node, others, policy.min_announcing)
        if dark is not None:
            told.add(path)
            yield Finding(
                path,
                f"while {dark[0]} is dark, {node.name} cannot leave for load: others that announce are then {dark[1]}, and "
                f"policy.min_announcing is {policy.min_announcing}",
                note=True,
            )


def _said(node: Node, path: KeyPath) -> KeyPath:
    """Where the fleet file says what holds at ``path``; where it says nothing, all nodes are meant."""
    origin = node.merged.origins.get(path)
    return origin if origin is not None else ("nodes",)


def _site_that_is_needed(node: Node, others: Sequence[Node], needed: int) -> tuple[str, int] | None:
    """The site of most others, and how many are left without it, if those are too few."""
    for site, count in Counter(str(other.site) for other in others).most_common(1):
        if site != node.site and len(others) - count < needed:
            return site, len(others) - count
    return None
