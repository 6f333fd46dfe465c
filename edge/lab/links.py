"""The lab's cables: interfaces and addresses by netlink, and the lab's end of the link emulator's control."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv6Interface
from pathlib import Path

import msgspec
from pyroute2 import AsyncIPRoute

from edge.lab import namespaces
from edge.lab.impairment import Impairment
from edge.lab.parts import Role
from edge.lab.topology import Topology
from edge.lab.wire import (
    MAX_MESSAGE,
    Answer,
    Cable,
    Count,
    Counted,
    Done,
    Impair,
    Lay,
    Request,
    Way,
    WayCounters,
)

WIRE = "wire"  # the namespace between the nodes, where the emulator lives

IFA_F_NODAD = 0x02
"""An IPv6 address is used at once, and not only when nobody else turns out to have it."""
_LOOPBACK = 1
_ADDR_GEN_NONE = 1
_NUD_PERMANENT = 0x80
_COMMON = {
    # Debian filters by reverse path in the namespace we came from, and IPv4 settings are inherited.
    "net/ipv4/conf/all/rp_filter": 0,
    "net/ipv4/conf/default/rp_filter": 0,
    # An address is usable at once, and nothing but the lab's own traffic is on the cables.
    "net/ipv6/conf/default/accept_dad": 0,
    "net/ipv6/conf/default/accept_ra": 0,
    "net/ipv6/conf/default/router_solicitations": 0,
    # The kernel would make up link-local addresses a second too late for the routers' first session.
    "net/ipv6/conf/default/addr_gen_mode": _ADDR_GEN_NONE,
}
_SYSCTLS = {
    Role.CLIENT: _COMMON,
    Role.EDGE: _COMMON,
    Role.REFLECTOR: _COMMON,
    Role.MIDDLEBOX: _COMMON | {"net/ipv4/ip_forward": 1},
    Role.ROUTER: _COMMON
    | {
        "net/ipv4/ip_forward": 1,
        "net/ipv6/conf/all/forwarding": 1,
        # A flow, not a pair of hosts, is what sticks to one of several next hops.
        "net/ipv4/fib_multipath_hash_policy": 1,
        "net/ipv6/fib_multipath_hash_policy": 1,
    },
}


@asynccontextmanager
async def netlink(netns: str) -> AsyncIterator[AsyncIPRoute]:
    """A route netlink socket of the namespace ``netns``."""
    async with AsyncIPRoute() as route:
        with namespaces.inside(netns):
            # The socket is made at first sight of it. Asked for a namespace by name, pyroute2 would fork.
            route.socket  # noqa: B018
        yield route


def write_sysctls(netns: str, values: dict[str, int]) -> None:
    """Set kernel parameters of a network namespace; keys are paths below ``/proc/sys``."""
    with namespaces.inside(netns):
        for key, value in values.items():
            Path("/proc/sys", key).write_text(str(value))


async def build(topology: Topology) -> tuple[Cable, ...]:
    """Make every namespace, interface, address and default route; what is left to the emulator is returned."""
    for node in topology.nodes:
        namespaces.create_netns(node.name)
        write_sysctls(node.name, _SYSCTLS[node.role])
    namespaces.create_netns(WIRE)
    write_sysctls(WIRE, {"net/ipv6/conf/default/disable_ipv6": 1})
    cables = []
    async with netlink(WIRE) as wire:
        for index, link in enumerate(topology.links):
            halves = f"w{index}a", f"w{index}b"
            for half, own, peer in zip(halves, link.ends, link.ends[::-1], strict=True):
                await wire.link(
                    "add",
                    ifname=half,
                    kind="veth",
                    peer={
                        "ifname": peer.node,
                        "net_ns_fd": str(namespaces.NETNS_DIR / own.node),
                        "address": _hardware_address(index, own is link.a),
                        # Each packet on a cable is one packet: its losses and counts would mean little else.
                        "gso_max_segs": 1,
                    },
                )
                await wire.link("set", index=await index_of(wire, half), state="up")
            cables.append(Cable(link.name, *halves, link.impairment))
    for node in topology.nodes:
        await _address(topology, node.name, node.role)
    return tuple(cables)


async def _address(topology: Topology, name: str, role: Role) -> None:
    async with netlink(name) as route:
        await route.link("set", index=_LOOPBACK, state="up")
        for link, own, peer in topology.adjacencies(name):
            index = await index_of(route, peer.node)
            number = topology.links.index(link)
            of_peer = _hardware_address(number, peer is link.a)
            await route.link("set", index=index, state="up")
            # Not the same on every link: FRR takes two such next hops for one, and shares nothing.
            link_locals = [IPv6Interface(f"fe80::{number + 1:x}:{end}/64") for end in (1, 2)]
            own_local, peer_local = link_locals if own is link.a else link_locals[::-1]
            for address in (own.v4, own.v6, own_local):
                await route.addr(
                    "add",
                    index=index,
                    address=str(address.ip),
                    prefixlen=address.network.prefixlen,
                    flags=IFA_F_NODAD if address.version == 6 else 0,
                )
            # Both ends know each other: to ask first would cost every link's first packet a round trip.
            for address in (peer.v4, peer.v6, peer_local):
                await route.neigh(
                    "add", dst=str(address.ip), lladdr=of_peer, ifindex=index, state=_NUD_PERMANENT
                )
        if role is not Role.ROUTER:
            router = topology.uplink(name).peer
            for gateway in (router.v4.ip, router.v6.ip):
                await route.route("add", dst="default", gateway=str(gateway))


def _hardware_address(link: int, is_a: bool) -> str:
    return f"02:00:00:00:{link:02x}:0{1 if is_a else 2}"


async def index_of(route: AsyncIPRoute, interface: str) -> int:
    """The number of an interface."""
    (index,) = await route.link_lookup(ifname=interface)
    return int(index)


class EmulatorControl:
    """Our end of the emulator's control socket; ``far_end`` is the emulator's."""

    def __init__(self) -> None:
        self._control, self.far_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setblocking(False)
        self._one_at_a_time = asyncio.Lock()

    async def lay(self, seed: int, cables: Sequence[Cable]) -> None:
        """Begin to carry frames."""
        await self._ask(Lay(seed, tuple(cables)))

    async def impair(self, link: str, ways: Sequence[Way], impairment: Impairment) -> None:
        """Change a link; in force for every packet that enters it after the return."""
        await self._ask(Impair(link, tuple(ways), impairment))

    async def count(self) -> tuple[WayCounters, ...]:
        """Both directions of every link."""
        answer = await self._ask(Count())
        assert isinstance(answer, Counted)
        return answer.counters

    def close(self) -> None:
        """End the emulator."""
        self._control.close()
        self.far_end.close()

    async def _ask(self, request: Request) -> Answer:
        loop = asyncio.get_running_loop()
        async with self._one_at_a_time:
            await loop.sock_sendall(self._control, msgspec.json.encode(request))
            packet = await loop.sock_recv(self._control, MAX_MESSAGE)
        if not packet:
            raise ConnectionResetError("the link emulator is gone")
        return msgspec.json.decode(packet, type=Done | Counted)
