"""The kernel's addresses and source routes, as far as a node manages them itself.

Everything put here carries `OWNER` as its protocol number, so the kernel remembers what is ours even if this
process dies: a successor takes down what it did not put up, and nothing that an operator put there.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final, Self

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from edge.errors import UnreachableError
from edge.runtime.sockets import is_ipv6

OWNER: Final = 237  # IFA_PROTO, FRA_PROTOCOL and rtm_protocol of what is ours; not in iproute2's rt_protos
RULE_PRIORITY: Final = 1000  # before the main table (32766)

_LOOPBACK_INDEX = 1  # of `lo`, in every network namespace
_IFA_F_NODAD = 0x02  # duplicate address detection has no point on lo, and no bind succeeds while it runs


@dataclass(frozen=True, slots=True)
class SourceRoute:
    """Packets from ``source`` leave through ``gateway``, whatever the main table says.

    For hosts with several uplinks, each of which drops what does not come from its own addresses. ``table`` is
    the number of a routing table that nothing else uses; sources with the same gateway may share it.
    """

    source: str
    gateway: str
    table: int


class Netlink:
    """An open netlink socket; use it as ``async with Netlink() as netlink``.

    Methods raise `UnreachableError` when the kernel says no.
    """

    def __init__(self) -> None:
        self._kernel = AsyncIPRoute()
        # A second dump on the same socket fails with EBUSY while the first one runs.
        self._one_dump = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._kernel.close()

    async def has_address(self, address: str) -> bool:
        """Whether ``address`` is on any interface, whoever put it there."""
        return bool(await self._addresses(family=_family(address), address=address))

    async def interfaces(self) -> dict[str, str]:
        """Every address of this host, and the name of the interface that has it."""
        return {
            str(ip_address(found.get("local") or found.get("address"))): socket.if_indextoname(found["index"])
            for found in await self._addresses()
        }

    async def put_address(self, address: str) -> None:
        """Have ``address`` on ``lo`` as a host address; nothing changes if this host has it already."""
        if await self.has_address(address):
            return
        flags = _IFA_F_NODAD if is_ipv6(address) else 0
        with _explained(f"put {address} on lo", tolerate=(errno.EEXIST,)):
            await self._kernel.addr(
                "add", index=_LOOPBACK_INDEX, proto=OWNER, flags=flags, **_address_fields(address)
            )

    async def remove_address(self, address: str) -> None:
        """Take ``address`` off ``lo`` if a node put it there; nothing changes if it is gone, or not ours."""
        fields = {"index": _LOOPBACK_INDEX, **_address_fields(address)}
        if not any(found.get("proto") == OWNER for found in await self._addresses(**fields)):
            return
        with _explained(f"take {address} off lo", tolerate=(errno.EADDRNOTAVAIL,)):
            await self._kernel.addr("del", **fields)

    async def put_source_routes(self, routes: Sequence[SourceRoute]) -> None:
        """Have all of ``routes``; those that are there already stay as they are."""
        for route in routes:
            # First the table, then what leads to it: a packet never meets an empty table.
            with _explained(f"route from {route.source} through {route.gateway}"):
                await self._kernel.route("replace", **_default_route(route))
            with _explained(f"add a rule for packets from {route.source}", tolerate=(errno.EEXIST,)):
                await self._kernel.rule("add", **_rule(route))

    async def remove_source_routes(self, routes: Sequence[SourceRoute]) -> None:
        """Remove all of ``routes``; those that are gone already do not matter."""
        for route in routes:
            with _explained(f"remove the rule for {route.source}", tolerate=(errno.ENOENT, errno.ESRCH)):
                await self._kernel.rule("del", **_rule(route))
        for route in routes:
            with _explained(f"remove the route through {route.gateway}", tolerate=(errno.ESRCH,)):
                await self._kernel.route("del", **_default_route(route))

    async def _addresses(self, **match: object) -> list[Any]:
        with _explained("read the addresses of this host"):
            async with self._one_dump:
                return [message async for message in await self._kernel.addr("dump", **match)]


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if is_ipv6(address) else socket.AF_INET


def _host_length(address: str) -> int:
    return 128 if is_ipv6(address) else 32


def _address_fields(address: str) -> dict[str, object]:
    return {"family": _family(address), "address": address, "prefixlen": _host_length(address)}


def _default_route(route: SourceRoute) -> dict[str, object]:
    return {
        "family": _family(route.source),
        "dst": "default",
        "gateway": route.gateway,
        "table": route.table,
        "proto": OWNER,
    }


def _rule(route: SourceRoute) -> dict[str, object]:
    return {
        "family": _family(route.source),
        "src": route.source,
        "src_len": _host_length(route.source),
        "table": route.table,
        "priority": RULE_PRIORITY,
        "protocol": OWNER,
    }


@contextlib.contextmanager
def _explained(attempt: str, *, tolerate: tuple[int, ...] = ()) -> Iterator[None]:
    """Turn the kernel's refusal to ``attempt`` into one line with a remedy; errnos in ``tolerate`` are fine."""
    try:
        yield
    except NetlinkError as error:
        if error.code in tolerate:
            return
        if error.code in (errno.EPERM, errno.EACCES):
            remedy = (
                "no permission; grant CAP_NET_ADMIN, or set it up outside the node and put "
                "'manage_addresses = false' in [service]"
            )
        elif error.code == errno.ENETUNREACH:
            remedy = "the gateway is on no network this host is connected to"
        else:
            remedy = error.args[1]
        raise UnreachableError(f"cannot {attempt}: {remedy}") from error
