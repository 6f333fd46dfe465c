"""Addresses and source routes in a real kernel: each scenario in a network namespace that dies with it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable

import pytest
from pyroute2 import AsyncIPRoute

from edge.errors import UnreachableError
from edge.lab import namespaces
from edge.runtime.netlink import OWNER, Netlink, SourceRoute
from edge.runtime.sockets import is_ipv6, open_udp

V4, V6 = "192.0.2.1", "2001:db8::1"
FAMILIES = pytest.mark.parametrize("address", [V4, V6])

Scenario = Callable[..., Awaitable[None]]


def run_in_namespace(scenario: Scenario, *arguments: str) -> None:
    """Run a coroutine of this file in a child process, in namespaces of its own."""
    command = [sys.executable, __file__, scenario.__name__, *arguments]
    child = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert child.returncode == 0, child.stderr


async def addresses(kernel: AsyncIPRoute) -> dict[str, int | None]:
    """Host address -> protocol number, of everything but the loopback addresses themselves."""
    return {
        message.get("address"): message.get("proto")
        async for message in await kernel.addr("dump")
        if message.get("address") not in ("127.0.0.1", "::1")
    }


async def put_twice_and_remove_twice(address: str) -> None:
    async with Netlink() as netlink, AsyncIPRoute() as kernel:
        await kernel.link("set", index=1, state="up")
        assert not await netlink.has_address(address)
        await netlink.put_address(address)
        await netlink.put_address(address)
        assert await netlink.has_address(address)
        assert await addresses(kernel) == {address: OWNER}
        open_udp(address, 0)[0].close()  # at once: no address is tentative
        await netlink.remove_address(address)
        await netlink.remove_address(address)
        assert await addresses(kernel) == {}


@FAMILIES
def test_put_and_remove_are_idempotent(address: str) -> None:
    run_in_namespace(put_twice_and_remove_twice, address)


async def operators_address_stays(address: str) -> None:
    async with Netlink() as netlink, AsyncIPRoute() as kernel:
        await kernel.addr("add", index=1, address=address, prefixlen=128 if is_ipv6(address) else 32)
        await netlink.put_address(address)
        await netlink.remove_address(address)
        assert list(await addresses(kernel)) == [address]


@FAMILIES
def test_an_address_the_operator_put_there_stays(address: str) -> None:
    run_in_namespace(operators_address_stays, address)


async def successor_removes() -> None:
    async with Netlink() as dead:
        await dead.put_address(V4)
    async with Netlink() as successor, AsyncIPRoute() as kernel:
        await successor.put_address(V4)
        await successor.remove_address(V4)
        assert await addresses(kernel) == {}


def test_a_successor_removes_what_a_dead_node_left() -> None:
    run_in_namespace(successor_removes)


async def many_at_once() -> None:
    wanted = [f"192.0.2.{host}" for host in range(1, 21)]
    async with Netlink() as netlink:
        await asyncio.gather(*map(netlink.put_address, wanted))
        assert all(await asyncio.gather(*map(netlink.has_address, wanted)))


def test_requests_may_overlap() -> None:
    """Two dumps at a time on one netlink socket fail with EBUSY."""
    run_in_namespace(many_at_once)


async def next_hop(kernel: AsyncIPRoute, source: str, destination: str) -> str:
    """The gateway that the kernel would choose."""
    [route] = await kernel.route("get", dst=destination, src=source)
    return str(route.get("gateway"))


async def source_routes() -> None:
    async with Netlink() as netlink, AsyncIPRoute() as kernel:
        await kernel.link("set", index=1, state="up")
        for uplink, network in (("up0", "198.51.100"), ("up1", "203.0.113")):
            await kernel.link("add", ifname=uplink, kind="veth", peer={"ifname": f"{uplink}-far"})
            [index] = await kernel.link_lookup(ifname=uplink)
            await kernel.link("set", index=index, state="up")
            await kernel.addr("add", index=index, address=f"{network}.2", prefixlen=24)
        await kernel.route("add", dst="default", gateway="198.51.100.1")
        await netlink.put_address(V4)

        routes = [
            SourceRoute("203.0.113.2", gateway="203.0.113.1", table=101),
            SourceRoute(V4, gateway="203.0.113.1", table=101),
        ]
        for _ in range(2):
            await netlink.put_source_routes(routes)
            assert await next_hop(kernel, V4, "192.0.2.200") == "203.0.113.1"
            assert await next_hop(kernel, "203.0.113.2", "192.0.2.200") == "203.0.113.1"
            assert await next_hop(kernel, "198.51.100.2", "192.0.2.200") == "198.51.100.1"
        for _ in range(2):
            await netlink.remove_source_routes(routes)
            assert await next_hop(kernel, V4, "192.0.2.200") == "198.51.100.1"


def test_replies_leave_by_the_uplink_of_their_source() -> None:
    run_in_namespace(source_routes)


async def gateway_out_of_reach() -> None:
    async with Netlink() as netlink:
        with pytest.raises(UnreachableError, match=r"203\.0\.113\.1: the gateway is on no network"):
            await netlink.put_source_routes([SourceRoute(V4, gateway="203.0.113.1", table=101)])


def test_a_gateway_that_cannot_be_reached() -> None:
    run_in_namespace(gateway_out_of_reach)


async def without_permission() -> None:
    # What a process may do to a network is decided in the user namespace that made the network: leave it.
    namespaces.unshare(namespaces.Kind.USER)
    async with Netlink() as netlink:
        with pytest.raises(UnreachableError, match=r"^cannot put 192.*CAP_NET_ADMIN[^\n]*$"):
            await netlink.put_address(V4)
        with pytest.raises(UnreachableError, match="CAP_NET_ADMIN"):
            await netlink.put_source_routes([SourceRoute(V4, gateway="203.0.113.1", table=101)])
        assert not await netlink.has_address(V4)  # reading needs nothing


def test_without_permission_the_remedy_is_named() -> None:
    run_in_namespace(without_permission)


if __name__ == "__main__":
    scenario, *scenario_arguments = sys.argv[1:]
    kinds = namespaces.Kind.NET
    if not namespaces.privileged():
        kinds |= namespaces.Kind.USER
    outside = os.getuid(), os.getgid()
    namespaces.unshare(kinds)
    if kinds & namespaces.Kind.USER:
        namespaces.become_root(*outside)
    asyncio.run(globals()[scenario](*scenario_arguments))
