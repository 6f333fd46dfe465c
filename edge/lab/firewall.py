"""A firewall in front of a site, as callers have them who cannot choose their network: it lets no UDP pass.

It stands on the site's router and drops without a word, which is what callers have to find out by waiting. All else
goes on: TCP, and the router's own business.
"""

from __future__ import annotations

import os
import shutil

from edge.errors import EdgeError, UnreachableError
from edge.lab.lab import Lab

# Debian keeps it where ordinary users do not look.
_SYSTEM_DIRECTORIES = ("/usr/sbin", "/sbin", "/usr/local/sbin")

_RULES = """\
table inet no_udp_{site} {{
  chain forward {{
    type filter hook forward priority filter; policy accept;
    meta l4proto udp iifname "{site}" drop
    meta l4proto udp oifname "{site}" drop
  }}
}}
"""


def executable() -> str:
    """Where nft is; raises UnreachableError naming the Debian package if it is not."""
    path = shutil.which("nft", path=os.pathsep.join((os.environ.get("PATH", ""), *_SYSTEM_DIRECTORIES)))
    if path is None:
        raise UnreachableError("nft: not found; install the Debian package nftables")
    return path


async def block_udp(lab: Lab, site: str) -> None:
    """From now on no UDP passes to or from a client site. EdgeError where the kernel has no such firewall."""
    await _change(lab, site, _RULES.format(site=site))


async def allow_udp(lab: Lab, site: str) -> None:
    """Undo `block_udp`."""
    await _change(lab, site, f"delete table inet no_udp_{site}\n")


async def _change(lab: Lab, site: str, rules: str) -> None:
    router = lab.topology.uplink(site).peer.node
    done = await lab.exec(router, [executable(), "-f", "-"], stdin=rules.encode())
    if done.returncode != 0:
        raise EdgeError(f"nft on {router}: {done.stderr.decode(errors='replace').strip()}")
