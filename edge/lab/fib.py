"""What a router's kernel does with a prefix, and since when: the truth that routing is about.

The kernel tells of most changes (rtnetlink(7)), but not of all: when an interface goes down its IPv4 routes
vanish in silence, and a route with several next hops changes in as many messages as the family likes. So a
message is taken only as the time at which *something* changed, and the route itself is read from the table.
"""

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Self

from pyroute2 import AsyncIPRoute

from edge.errors import DeadlineError
from edge.lab import namespaces
from edge.lab.links import netlink

Prefix = IPv4Network | IPv6Network

_RT_TABLE_MAIN = 254
_RTNH_F_DEAD = 0x1
_RTMGRP_LINK = 0x1
_RTMGRP_IPV4_ROUTE = 0x40
_RTMGRP_IPV6_ROUTE = 0x400
_ROUTE_EVENTS = ("RTM_NEWROUTE", "RTM_DELROUTE")


@dataclass(frozen=True, slots=True, order=True)
class NextHop:
    """Where packets go: an interface carries the name of the neighbour behind it."""

    interface: str
    gateway: str | None = None


@dataclass(frozen=True, slots=True)
class RouteChange:
    """From ``at`` (monotonic) on, ``node`` sends packets for ``prefix`` to ``next_hops``; () for nowhere."""

    at: float
    node: str
    prefix: Prefix
    next_hops: tuple[NextHop, ...]

    @property
    def neighbours(self) -> tuple[str, ...]:
        """The nodes that get the packets, sorted."""
        return tuple(hop.interface for hop in self.next_hops)


class FibWatcher:
    """Records how a router routes some prefixes, from the moment it is entered (``async with``).

    ``changes`` begins with the state found at the start and grows in order of time.
    """

    def __init__(self, node: str, prefixes: Sequence[Prefix]) -> None:
        self.node = node
        self.changes: list[RouteChange] = []
        self._prefixes = tuple(prefixes)
        self._changed = asyncio.Condition()
        self._resources = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._table = await self._resources.enter_async_context(netlink(self.node))
        events = await self._resources.enter_async_context(netlink(self.node))
        await events.bind(groups=_RTMGRP_LINK | _RTMGRP_IPV4_ROUTE | _RTMGRP_IPV6_ROUTE)
        await self._look(time.monotonic(), self._prefixes)
        self._task = asyncio.create_task(self._watch(events))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._resources.aclose()

    def current(self, prefix: Prefix) -> RouteChange:
        """The state of a prefix, with the time it began."""
        return next(change for change in reversed(self.changes) if change.prefix == prefix)

    def at(self, prefix: Prefix, moment: float) -> RouteChange:
        """The state of a prefix at a moment; for one before we watched, the first that is known."""
        changes = [change for change in self.changes if change.prefix == prefix]
        return next((change for change in reversed(changes) if change.at <= moment), changes[0])

    async def wait(
        self,
        prefix: Prefix,
        holds: Callable[[RouteChange], bool],
        *,
        since: float = 0.0,
        timeout: float = 10.0,
    ) -> RouteChange:
        """The first change at or after ``since`` for which ``holds``; DeadlineError after ``timeout`` seconds."""

        def found() -> RouteChange | None:
            fitting = (c for c in self.changes if c.prefix == prefix and c.at >= since and holds(c))
            return next(fitting, None)

        try:
            async with asyncio.timeout(timeout), self._changed:
                while (change := found()) is None:
                    await self._changed.wait()
                return change
        except TimeoutError:
            state = ", ".join(self.current(prefix).neighbours) or "nowhere"
            raise DeadlineError(f"{self.node}: after {timeout:g} s {prefix} still goes to {state}") from None

    async def _watch(self, events: AsyncIPRoute) -> None:
        while True:
            async for message in events.get():
                at = time.monotonic()
                prefixes = self._prefixes
                if message["event"] in _ROUTE_EVENTS:
                    touched = _destination(message)
                    prefixes = tuple(p for p in prefixes if (str(p.network_address), p.prefixlen) == touched)
                if prefixes:
                    await self._look(at, prefixes)

    async def _look(self, at: float, prefixes: Sequence[Prefix]) -> None:
        before = {change.prefix: change.next_hops for change in self.changes}
        for prefix in prefixes:
            now = await _read(self._table, self.node, prefix)
            if before.get(prefix) != now:
                self.changes.append(RouteChange(at, self.node, prefix, now))
        async with self._changed:
            self._changed.notify_all()


async def next_hops(node: str, prefix: Prefix) -> tuple[NextHop, ...]:
    """Where a node's kernel sends packets for a prefix at this moment, by the main table; () for nowhere."""
    async with netlink(node) as table:
        return await _read(table, node, prefix)


async def _read(table: AsyncIPRoute, node: str, prefix: Prefix) -> tuple[NextHop, ...]:
    family = socket.AF_INET if prefix.version == 4 else socket.AF_INET6
    hops = set()
    async for route in await table.get_routes(family=family, table=_RT_TABLE_MAIN):
        if _destination(route) == (str(prefix.network_address), prefix.prefixlen):
            paths = route.get_attr("RTA_MULTIPATH")
            indices = [(path["oif"], path) for path in paths or ()] or [(route.get_attr("RTA_OIF"), route)]
            hops |= {
                (i, path.get_attr("RTA_GATEWAY")) for i, path in indices if not path["flags"] & _RTNH_F_DEAD
            }
    if not hops:
        return ()
    with namespaces.inside(node):
        return tuple(sorted(NextHop(socket.if_indextoname(index), gateway) for index, gateway in hops))


def _destination(route: Any) -> tuple[str | None, int]:
    return route.get_attr("RTA_DST"), route["dst_len"]
