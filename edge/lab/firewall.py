"""A firewall in front of a site, as callers have them who cannot choose their network: it lets no UDP pass.

It stands on the site's router and drops without a word, which is what callers have to find out by waiting. All else
goes on: TCP, and the router's own business.
"""

from __future__ import annotations

from edge.errors import EdgeError
from edge.lab import programs
from edge.lab.lab import Lab

_RULES = """\
table inet no_udp_{site} {{
  chain forward {{
    type filter hook forward priority filter; policy accept;
    meta l4proto udp iifname "{site}" drop
    meta l4proto udp oifname "{site}" drop
  }}
}}
"""


async def block_udp(lab: Lab, site: str) -> None:
    """From now on no UDP passes to or from a client site. EdgeError where the kernel has no such firewall.

    Raises UnreachableError that names the Debian package if nft is not there.
    """
    await apply(lab, _router_of(lab, site), _RULES.format(site=site))


async def let_udp_pass(lab: Lab, site: str) -> None:
    """Undo `block_udp`."""
    await apply(lab, _router_of(lab, site), f"delete table inet no_udp_{site}\n")


async def apply(lab: Lab, node: str, rules: str) -> None:
    """Give commands to the nftables of a node. Raises as `block_udp`."""
    nft = programs.find("nft", "nftables")
    done = await lab.exec(node, [nft, "-f", "-"], stdin=rules.encode())
    if done.returncode != 0:
        raise EdgeError(f"nft on {node}: {done.stderr.decode(errors='replace').strip()}")


def _router_of(lab: Lab, site: str) -> str:
    return lab.topology.uplink(site).peer.node
