"""BIRD 2 as the fleet's route reflectors (RFC 4456): the configuration that follows from the topology. Pure.

A reflector takes from each edge the anycast prefixes and the edge's own unicast address, with that edge as the
next hop: nobody can speak for another. It passes on every path, not the best alone (add-path, RFC 7911), and it
has no routes in its kernel but the default: no packet is forwarded here.

The reflectors are peers of each other, each its own cluster. So an edge hears its own routes again, of which BIRD
sends none back into the session it came from: what one reflector was told comes back from the other one. BIRD
would not tell an edge of a route whose next hop is that edge (RFC 4271, 5.1.3), and makes a withdrawal of it; an
edge's own route therefore comes back with the reflector as its next hop, and is known by its originator.

Graceful restart is ``aware`` and no more: nobody here restarts gracefully, so no route is kept for the dead. But only
who is aware of it has BIRD tell the end of what it knew at the start (End-of-RIB), for which edges wait.
"""

from edge.lab import bird
from edge.lab.parts import VERSIONS, Role
from edge.lab.rib import session_name
from edge.lab.topology import Topology

_PEER = """\
protocol bgp {name} from neighbour {{
  local {own} as {asn};
  neighbor {peer} as {asn};{options}
  multihop {hops}; rr cluster id {cluster}; graceful restart aware;
  {channel} {{ import all; export all; add paths on; }};
}}
"""

_CLIENT = """\
protocol bgp {name} from neighbour {{
  local {own} as {asn};
  neighbor {peer} as {asn};{options}
  multihop {hops}; rr client; rr cluster id {cluster}; graceful restart aware;
  {channel} {{
    import limit 2 action block;
    import filter {{ if net ~ [ {service}, {peer}/{bits} ] && bgp_next_hop = {peer} then accept; reject; }};
    export filter {{ if bgp_next_hop = {peer} then bgp_next_hop = {own}; accept; }};
    add paths tx;
  }};
}}
"""


def config(topology: Topology, reflector: str) -> str:
    """The text of a reflector's bird.conf."""
    return bird.HEAD.format(router_id=topology.addresses(reflector).v4) + "".join(
        _session(topology, reflector, peer, version)
        for peer in topology.fleet_peers(reflector)
        for version in VERSIONS
    )


def dials(topology: Topology, reflector: str, peer: str) -> bool:
    """Of two speakers one dials: an edge always, of two reflectors the first in the topology."""
    reflectors = topology.names(Role.REFLECTOR)
    return peer in reflectors and reflectors.index(reflector) < reflectors.index(peer)


def _session(topology: Topology, reflector: str, peer: str, version: str) -> str:
    is_client = topology.node(peer).role is Role.EDGE
    own, theirs = (getattr(topology.addresses(name), version) for name in (reflector, peer))
    options = "" if dials(topology, reflector, peer) else "\n  passive on;"
    return (_CLIENT if is_client else _PEER).format(
        name=session_name(peer, version),
        own=own,
        peer=theirs,
        asn=topology.node(reflector).asn,
        hops=topology.fleet_hops,
        options=options + bird.protection(topology.fleet),
        cluster=topology.addresses(reflector).v4,
        channel=f"ip{version}",
        service=getattr(topology, f"service_{version}").network,
        bits=own.max_prefixlen,
    )
