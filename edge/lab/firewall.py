"""A firewall in front of a site, as callers have them who cannot choose their network: it lets no UDP pass, or none to
some addresses.

It stands on the site's router and drops without a word, which is what callers have to find out by waiting. All else
goes on: TCP, and the router's own business.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address

from edge.errors import EdgeError
from edge.lab import programs
from edge.lab.lab import Lab

_RULES = """\
table inet no_udp_{site} {{
  chain forward {{
    type filter hook forward priority filter; policy accept;
    {drops}
  }}
}}
"""


async def block_udp(lab: Lab, site: str, *, to: Collection[IPv4Address | IPv6Address] = ()) -> None:
    """From now on no UDP passes to or from a client site, or none that is for one of these addresses.

    Raises EdgeError where the kernel has no such firewall, UnreachableError that names the Debian package if nft is
    not there.
    """
    family = {4: "ip", 6: "ip6"}
    dropped = [f'iifname "{site}" {family[address.version]} daddr {address}' for address in to]
    dropped = dropped or [f'iifname "{site}"', f'oifname "{site}"']
    drops = "\n    ".join(f"meta l4proto udp {packets} drop" for packets in dropped)
    await apply(lab, _router_of(lab, site), _RULES.format(site=site, drops=drops))


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
