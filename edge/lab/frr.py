"""FRR as a transit router: the configuration that follows from the topology. Pure but for `executable`.

The policy is that of `edge.lab.bird`, in another language. Two things differ. FRR honours the graceful shutdown
community by itself and cannot be told not to, so where a session should not, the community is taken off. And it
can damp (RFC 2439), which BIRD cannot.

Two programs make a router: zebra owns the kernel's table, bgpd speaks BGP and hands it routes. Both run as root
within the lab and keep everything in a directory of the router.
"""

from pathlib import Path

from edge.errors import UnreachableError
from edge.lab.parts import VERSIONS, Adjacency, Bgp, Role
from edge.lab.rib import session_name
from edge.lab.topology import Topology

PROGRAMS = ("zebra", "bgpd")

# Where Debian and everybody who builds FRR by its own recipes keep the daemons.
_DIRECTORIES = (Path("/usr/lib/frr"), Path("/usr/libexec/frr"), Path("/usr/local/sbin"))

_HEAD = """\
hostname {router}
bgp community-list standard graceful-shutdown permit graceful-shutdown
route-map nothing deny 10
ip prefix-list service permit {topology.service_v4.network}
ipv6 prefix-list service permit {topology.service_v6.network}
"""

# Routes of a neighbour that is dead are not kept for it: graceful restart is off.
_BGP = """\
router bgp {asn}
 bgp router-id {router_id}
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 bgp graceful-restart-disable
 bgp bestpath as-path multipath-relax
 timers bgp 3 9
"""

_FAMILY = {"v4": "ipv4", "v6": "ipv6"}
_IP = {"v4": "ip", "v6": "ipv6"}  # the same, in route-maps


def executable(program: str) -> str:
    """Where a program of FRR is; raises UnreachableError naming the Debian package if it is not."""
    for directory in _DIRECTORIES:
        if (directory / program).exists():
            return str(directory / program)
    raise UnreachableError(f"{program}: not found; install the Debian package frr")


def arguments(program: str, config: Path, directory: Path) -> list[str]:
    """The command line of ``zebra`` or ``bgpd``, in the foreground; ``directory`` gets its sockets."""
    return [
        executable(program),
        # Without a user to become, FRR asks for groups that do not exist in an ordinary user's lab.
        *("-u", "root", "-g", "frrvty"),
        *("-f", str(config), "-i", str(directory / f"{program}.pid")),
        *("-z", str(zserv(directory)), "--vty_socket", str(directory), "--vty_port", "0"),
        *("--log", "stdout", "--log-level", "informational"),
    ]


def zserv(directory: Path) -> Path:
    """The socket by which bgpd finds zebra."""
    return directory / "zserv.api"


def config(topology: Topology, router: str) -> str:
    """The text of a router's frr.conf."""
    node = topology.node(router)
    neighbours = [(one, one.link.bgp) for one in topology.adjacencies(router) if one.link.bgp is not None]
    sessions = [(one, bgp, version) for version in VERSIONS for one, bgp in neighbours]
    lines = [
        _HEAD.format(router=router, topology=topology),
        *(_judgement(topology, *session) for session in sessions),
        _BGP.format(asn=node.asn, router_id=topology.addresses(router).v4),
        *(_session(topology, *session) for session in sessions),
    ]
    for version in VERSIONS:
        lines += [
            f" address-family {_FAMILY[version]} unicast\n",
            "  redistribute connected\n",
            "  maximum-paths 64\n",
            "  bgp dampening\n" if node.damping else "",
            *(_activation(topology, one, version) for one, _ in neighbours),
            " exit-address-family\n",
        ]
    return "".join(lines)


def _judgement(topology: Topology, adjacency: Adjacency, bgp: Bgp, version: str) -> str:
    """The route-map for what a neighbour says."""
    lines = [f"route-map from-{session_name(adjacency.peer.node, version)} permit 10"]
    if topology.node(adjacency.peer.node).role is Role.EDGE:
        lines.append(f" match {_IP[version]} address prefix-list service")
    if bgp.local_pref is not None:
        lines.append(f" set local-preference {bgp.local_pref}")
    if not bgp.honour_graceful_shutdown:
        lines.append(" set comm-list graceful-shutdown delete")
    return "\n".join(lines) + "\n"


def _session(topology: Topology, adjacency: Adjacency, bgp: Bgp, version: str) -> str:
    link, own, peer = adjacency
    node = topology.node(peer.node)
    statements = [
        f"remote-as {node.asn}",
        f"description {session_name(peer.node, version)}",
        "timers connect 1",
    ]
    # Of two speakers one dials: an edge always, of two routers the first end of the link.
    if node.role is Role.EDGE or own is link.b:
        statements.append("passive")
    if bgp.md5 is not None:
        statements.append(f"password {bgp.md5}")
    if bgp.gtsm:
        statements.append("ttl-security hops 1")
    return "".join(f" neighbor {getattr(peer, version).ip} {statement}\n" for statement in statements)


def _activation(topology: Topology, adjacency: Adjacency, version: str) -> str:
    peer = adjacency.peer
    address = getattr(peer, version).ip
    lines = [
        f"  neighbor {address} activate",
        f"  neighbor {address} route-map from-{session_name(peer.node, version)} in",
    ]
    if topology.node(peer.node).role is Role.EDGE:
        lines.append(f"  neighbor {address} route-map nothing out")
    return "\n".join(lines) + "\n"
