"""Rifts: two nodes that cannot reach each other, while every link is up and everybody else goes on talking.

A link that is cut parts a node from everybody. What parts it from some only lies further away, where a lab has no
routers; here it is a route to nowhere, at one of the two. A session between them ends when its hold time is over.
"""

from __future__ import annotations

from edge.lab.lab import Lab
from edge.lab.links import netlink


async def tear(lab: Lab, node: str, other: str) -> None:
    """From now on nothing that ``node`` sends reaches the unicast addresses of ``other``."""
    await _route("add", lab, node, other)


async def heal(lab: Lab, node: str, other: str) -> None:
    """Undo `tear`."""
    await _route("del", lab, node, other)


async def _route(command: str, lab: Lab, node: str, other: str) -> None:
    async with netlink(node) as table:
        for address in lab.addresses(other):
            await table.route(command, dst=f"{address}/{address.max_prefixlen}", type="unreachable")
