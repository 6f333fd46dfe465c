"""The router's configuration: BIRD, with a session to each node for IPv4 and one for IPv6. Pure.

From a node it takes the service's prefixes and nothing else; what several announce it shares among them by flows.
The nodes dial; all sessions have the same MD5 key (RFC 2385), and a neighbour who speaks BFD is heard.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bed.plan import NODE_AS, NODES, ROUTER_AS, ROUTER_ID, SERVICE

from edge.lab.bird import BFD, FORWARDING, HEAD
from edge.lab.namespaces import RUN_DIR
from edge.lab.rib import session_name

CONTROL: Final[Path] = RUN_DIR / "bird.ctl"
"""Where it can be asked."""
SYSCTLS: Final = {
    "net/ipv4/ip_forward": 1,
    "net/ipv6/conf/all/forwarding": 1,
    "net/ipv4/fib_multipath_hash_policy": 1,
    "net/ipv6/fib_multipath_hash_policy": 1,
}

_SESSION: Final = """\
protocol bgp {name} from neighbour {{
  local {own} as {own_as};
  neighbor {peer} as {peer_as};
  passive on;
  bfd on;
  password "{md5}";
  {channel} {{ import filter {{ if net != {prefix} then reject; accept; }}; export none; }};
}}
"""


def config(md5: str) -> str:
    """The text of bird.conf. ``md5`` is in it: a file for the owner only."""
    sessions = (
        _SESSION.format(
            name=session_name(node.name, f"v{service.version}"),
            own=own,
            own_as=ROUTER_AS,
            peer=peer,
            peer_as=NODE_AS,
            md5=md5,
            channel=f"ipv{service.version}",
            prefix=service.network,
        )
        for node in NODES
        for service, own, peer in zip(SERVICE, (node.router_v4, node.router_v6), node.addresses, strict=True)
    )
    return "".join((HEAD.format(router_id=ROUTER_ID), FORWARDING, BFD, *sessions))
