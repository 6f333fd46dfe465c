"""The bed's namespaces, cables and addresses."""

from __future__ import annotations

from typing import Final

from bed.plan import PLACES, ROUTER, Place
from bed.router import SYSCTLS

from edge.errors import EdgeError
from edge.lab import namespaces, programs
from edge.lab.links import IFA_F_NODAD, index_of, netlink, write_sysctls
from edge.lab.process import complete

OWN_END: Final = "eth0"
_LOOPBACK: Final = 1
_NFT_S: Final = 30.0
_COMMON: Final = {
    # Inherited from wherever we came: Debian's has it on, and an anycast answer may well leave another way.
    "net/ipv4/conf/all/rp_filter": 0,
    "net/ipv4/conf/default/rp_filter": 0,
    "net/ipv6/conf/default/accept_dad": 0,
    "net/ipv6/conf/default/accept_ra": 0,
}


async def build() -> None:
    """Everybody can reach everybody's unicast addresses when this returns."""
    for name in (ROUTER, *(place.name for place in PLACES)):
        namespaces.create_netns(name)
        write_sysctls(name, _COMMON)
        async with netlink(name) as route:
            await route.link("set", index=_LOOPBACK, state="up")
    write_sysctls(ROUTER, SYSCTLS)
    for place in PLACES:
        await _connect(place)


async def plug(name: str, *, connected: bool) -> None:
    """Put the router's end of a cable in, or pull it: both ends lose their carrier."""
    async with netlink(ROUTER) as route:
        await route.link("set", index=await index_of(route, name), state="up" if connected else "down")
        if connected:
            place = next(place for place in PLACES if place.name == name)
            # A link that goes down takes its IPv6 addresses along.
            await route.addr(
                "replace",
                index=await index_of(route, name),
                address=str(place.router_v6),
                prefixlen=place.v6.network.prefixlen,
                flags=IFA_F_NODAD,
            )


async def clear(name: str) -> None:
    """Take away what a machine would lose with its power: here its network namespace outlives it.

    That is addresses on the loopback and firewall rules.
    """
    flushed = await complete(
        name, [programs.find("nft", "nftables"), "flush", "ruleset"], env=None, stdin=b"", timeout=_NFT_S
    )
    if flushed.returncode != 0:
        raise EdgeError(f"nft at {name}: {flushed.stderr.decode().strip()}")
    async with netlink(name) as route:
        for address in [one async for one in await route.addr("dump", index=_LOOPBACK)]:
            found = address.get("address") or address.get("local")
            if found not in ("127.0.0.1", "::1"):
                await route.addr("delete", index=_LOOPBACK, address=found, prefixlen=address["prefixlen"])


async def _connect(place: Place) -> None:
    router_end = place.name
    async with netlink(ROUTER) as route:
        peer = {"ifname": OWN_END, "net_ns_fd": str(namespaces.NETNS_DIR / place.name)}
        await route.link("add", ifname=router_end, kind="veth", peer=peer)
        await _raise(
            route, router_end, (place.router_v4, place.router_v6), (place.v4.network, place.v6.network)
        )
    async with netlink(place.name) as route:
        await _raise(route, OWN_END, place.addresses, (place.v4.network, place.v6.network))
        for gateway in (place.router_v4, place.router_v6):
            await route.route("add", dst="default", gateway=str(gateway))


async def _raise(route, interface, addresses, networks):
    index = await index_of(route, interface)
    await route.link("set", index=index, state="up")
    for address, network in zip(addresses, networks, strict=True):
        await route.addr(
            "add",
            index=index,
            address=str(address),
            prefixlen=network.prefixlen,
            flags=IFA_F_NODAD if address.version == 6 else 0,
        )
