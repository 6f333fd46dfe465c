"""BIRD 2 as the transit routers: the configuration that follows from the topology. Pure but for `executable`.

The policy of a transit provider, in three lines: from an edge we take the anycast prefixes and nothing else;
to the other transit systems we give what our customers announced and where they live; to an edge we give
nothing, for it has a default route. Routes that are equally good share the load (merge paths).

A session that carries the graceful shutdown community makes its routes the last resort (RFC 8326). Graceful
restart is off: it would keep the routes of a dead edge for as long as that edge once asked for.
"""

from pathlib import Path

from edge.lab import programs
from edge.lab.parts import VERSIONS, Adjacency, Bgp, Protection, Role
from edge.lab.rib import session_name
from edge.lab.topology import Topology

HEAD = """\
log stderr all;
router id {router_id};
protocol device {{ }}
template bgp neighbour {{
  hold time 9; keepalive time 3;
  graceful restart off; long lived graceful restart off;
  connect delay time 1; connect retry time 1; error wait time 1, 4;
}}
"""

FORWARDING = """\
protocol direct { ipv4; ipv6; }
protocol kernel kernel_v4 { merge paths on; ipv4 { import none; export where source = RTS_BGP; }; }
protocol kernel kernel_v6 { merge paths on; ipv6 { import none; export where source = RTS_BGP; }; }
"""

BFD = 'protocol bfd { interface "*" { interval 100 ms; multiplier 3; }; }\n'

_SESSION = """\
protocol bgp {name} from neighbour {{
  local {own.ip} as {own_asn};
  neighbor {peer.ip} as {peer_asn};{options}
  {channel} {{ import filter {{ {judgement} accept; }}; export {export}; }};
}}
"""

_EXPORTS = {Role.EDGE: "none", Role.ROUTER: "where source ~ [ RTS_DEVICE, RTS_BGP ]"}


def executable() -> str:
    """Where BIRD is; raises UnreachableError naming the Debian package if it is not."""
    return programs.find("bird", "bird2")


def arguments(config: Path, control: Path) -> list[str]:
    """The command line of a router, in the foreground."""
    return [executable(), "-f", "-c", str(config), "-s", str(control), "-P", f"{control}.pid"]


def config(topology: Topology, router: str) -> str:
    """The text of a router's bird.conf."""
    neighbours = [(one, one.link.bgp) for one in topology.adjacencies(router) if one.link.bgp is not None]
    return "".join(
        (
            HEAD.format(router_id=topology.addresses(router).v4),
            FORWARDING,
            BFD if any(bgp.bfd for _, bgp in neighbours) else "",
            *(_session(topology, one, bgp, version) for one, bgp in neighbours for version in VERSIONS),
        )
    )


def protection(protected: Protection) -> str:
    """The options of a session that protect it."""
    options = "" if protected.md5 is None else f'\n  password "{protected.md5}";'
    return options + ("\n  ttl security on;" if protected.gtsm else "")


def _session(topology: Topology, adjacency: Adjacency, bgp: Bgp, version: str) -> str:
    link, own, peer = adjacency
    role = topology.node(peer.node).role
    # Of two speakers one dials: an edge always, of two routers the first end of the link.
    options = "\n  passive on;" if role is Role.EDGE or own is link.b else ""
    options += protection(bgp)
    if bgp.bfd:
        options += "\n  bfd on;"
    judgement = ""
    if role is Role.EDGE:
        service = getattr(topology, f"service_{version}").network
        judgement += f"if net != {service} then reject; "
    if bgp.local_pref is not None:
        judgement += f"bgp_local_pref = {bgp.local_pref}; "
    if bgp.honour_graceful_shutdown:
        judgement += "if (65535, 0) ~ bgp_community then bgp_local_pref = 0;"
    return _SESSION.format(
        name=session_name(peer.node, version),
        own=getattr(own, version),
        own_asn=topology.node(own.node).asn,
        peer=getattr(peer, version),
        peer_asn=topology.node(peer.node).asn,
        options=options,
        channel=f"ip{version}",
        judgement=judgement,
        export=_EXPORTS[role],
    )
