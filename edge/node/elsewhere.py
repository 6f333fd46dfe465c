"""Where else the calls of this node can go: what the fleet file names, and what is seen of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bgp.node_seen import NodeSeen
from bgp.state import State
from edge.config import NodeConfig
from edge.config.fleet_file import FleetFile, FleetNode
from edge.drain import Candidate, Target
from edge.runtime.sockets import host_port


def candidates(
    config: NodeConfig, fleet: FleetFile | None, seen: Sequence[NodeSeen], *, reliable: bool
) -> Iterator[Candidate]:
    """The other nodes of the file. ``seen`` counts if it is ``reliable``: then who is not in it serves nobody."""
    found = {str(node.address): node for node in seen}
    for node in fleet.nodes if fleet is not None else ():
        if node.name == config.node.name:
            continue
        target = _target(node, config.service.port)
        if not reliable:
            yield Candidate(target, None, None)
            continue
        one = next((found[address] for address in node.addresses if address in found), None)
        serves = one is not None and not one.problem
        yield Candidate(target, serves, _spare(one) if one is not None and serves else 0.0)


def _spare(node: NodeSeen) -> float:
    """In calls; nothing where callers are asked to stay away."""
    return max(0.0, node.capacity * (1 - node.load)) if node.state is State.ANNOUNCED else 0.0


def _target(node: FleetNode, port: int) -> Target:
    """Callers come by the family that they have; where a node has one family alone, it has to do for all."""
    if node.url is not None:
        return Target(str(node.name), node.url, node.url)
    urls = {address.version: f"https://{host_port(str(address), port)}" for address in node.addresses}
    return Target(str(node.name), urls.get(4, urls.get(6)), urls.get(6, urls.get(4)))
