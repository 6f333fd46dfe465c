"""BIRD 2 as the transit routers: the configuration that follows from the topology. Pure but for `executable`.

The policy of a transit provider, in three lines: from an edge we take the anycast prefixes and nothing else;
to the other transit systems we give what our customers announced and where they live; to an edge we give
nothing, for it has a default route. Routes that are equally good share the load (merge paths).

A session that carries the graceful shutdown community makes its routes the last resort (RFC 8326). Graceful
restart is off: it would keep the routes of a dead edge for as long as that edge once asked for.
"""

import os
import shutil
from pathlib import Path

from edge.errors import UnreachableError
from edge.lab.topology import Adjacency, Role, Topology

# Debian keeps it where ordinary users do not look.
_SYSTEM_DIRECTORIES = ("/usr/sbin", "/usr/local/sbin")

_HEAD = """\
log stderr all;
router id {router_id};
protocol device {{ }}
protocol direct {{ ipv4; ipv6; }}
protocol kernel kernel_v4 {{ merge paths on; ipv4 {{ import none; export where source = RTS_BGP; }}; }}
protocol kernel kernel_v6 {{ merge paths on; ipv6 {{ import none; export where source = RTS_BGP; }}; }}
filter from_edge {{
  if net != {service_v4} && net != {service_v6} then reject;
  if (65535, 0) ~ bgp_community then bgp_local_pref = 0;
  accept;
}}
template bgp neighbour {{
  hold time 9; keepalive time 3;
  graceful restart off; long lived graceful restart off;
  connect delay time 1; connect retry time 1; error wait time 1, 4;
}}
"""

_SESSION = """\
protocol bgp {name} from neighbour {{
  local {own.ip} as {own_asn};
  neighbor {peer.ip} as {peer_asn};{options}
  {channel} {{ {policy} }};
}}
"""

_POLICY = {
    Role.EDGE: "import filter from_edge; export none;",
    Role.ROUTER: "import all; export where source ~ [ RTS_DEVICE, RTS_BGP ];",
}


def executable() -> str:
    """Where BIRD is; raises UnreachableError naming the Debian package if it is not."""
    path = shutil.which("bird", path=os.pathsep.join((os.environ.get("PATH", ""), *_SYSTEM_DIRECTORIES)))
    if path is None:
        raise UnreachableError("bird: not found; install the Debian package bird2")
    return path


def arguments(config: Path, control: Path) -> list[str]:
    """The command line of a router, in the foreground."""
    return [executable(), "-f", "-c", str(config), "-s", str(control), "-P", f"{control}.pid"]


def session_name(neighbour: str, version: str) -> str:
    """What the session with a neighbour is called in BIRD; ``version`` is ``v4`` or ``v6``."""
    return f"{neighbour.replace('-', '_')}_{version}"


def config(topology: Topology, router: str) -> str:
    """The text of a router's bird.conf."""
    return _HEAD.format(
        router_id=topology.addresses(router).v4,
        service_v4=topology.service_v4.network,
        service_v6=topology.service_v6.network,
    ) + "".join(
        _session(topology, adjacency, version)
        for adjacency in topology.adjacencies(router)
        if adjacency.link.bgp is not None
        for version in ("v4", "v6")
    )


def _session(topology: Topology, adjacency: Adjacency, version: str) -> str:
    link, own, peer = adjacency
    assert link.bgp is not None
    options = ""
    role = topology.node(peer.node).role
    # Of two speakers one dials: an edge always, of two routers the first end of the link.
    if role is Role.EDGE or own is link.b:
        options += "\n  passive on;"
    if link.bgp.md5 is not None:
        options += f'\n  password "{link.bgp.md5}";'
    if link.bgp.gtsm:
        options += "\n  ttl security on;"
    return _SESSION.format(
        name=session_name(peer.node, version),
        own=getattr(own, version),
        own_asn=topology.node(own.node).asn,
        peer=getattr(peer, version),
        peer_asn=topology.node(peer.node).asn,
        options=options,
        channel=f"ip{version}",
        policy=_POLICY[role],
    )
