"""What happens to a caller's own network: it walks out of reach, is given other addresses, or has none for a while.

Two things make a client site reachable: addresses on a link, and a way out over it. A site with several links uses one
of them at a time, as a telephone does. `leave` and `join` are what its operating system would do; what the programs on
it make of that is their affair.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from edge.lab.lab import Lab
from edge.lab.links import IFA_F_NODAD, index_of, netlink
from edge.lab.parts import VERSIONS, Adjacency


async def leave(lab: Lab, site: str, router: str, versions: Sequence[str] = VERSIONS) -> None:
    """Give up the addresses on the link to ``router``, and the way out over it, of one family or both."""
    link = _adjacency(lab, site, router)
    async with netlink(site) as route:
        for version in versions:
            with contextlib.suppress(NetlinkError):  # it was not the link in use
                await route.route("del", dst="default", gateway=str(getattr(link.peer, version).ip))
            await _address(route, "del", link, version)


async def join(lab: Lab, site: str, router: str, versions: Sequence[str] = VERSIONS) -> None:
    """Have addresses on the link to ``router``, and the way out over it."""
    link = _adjacency(lab, site, router)
    async with netlink(site) as route:
        for version in versions:
            await _address(route, "replace", link, version)
            await route.route("replace", dst="default", gateway=str(getattr(link.peer, version).ip))


def _adjacency(lab: Lab, site: str, router: str) -> Adjacency:
    return next(one for one in lab.topology.adjacencies(site) if one.peer.node == router)


async def _address(route: AsyncIPRoute, command: str, link: Adjacency, version: str) -> None:
    own = getattr(link.own, version)
    await route.addr(
        command,
        index=await index_of(route, link.peer.node),
        address=str(own.ip),
        prefixlen=own.network.prefixlen,
        flags=IFA_F_NODAD if own.version == 6 else 0,
    )
