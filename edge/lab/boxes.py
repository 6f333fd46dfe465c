"""The middleboxes of a lab, as a scenario handles them; the other end is `edge.lab.middlebox`.

What a box is to see is routed into one end of a veth pair on its node, by the kernel's own rules:

    balancer    packets to the listener's address; those that come from a target, from its port
    home        packets to the address outside; all that come from inside
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any, Final, Self

import msgspec

from edge.lab import middlebox as box
from edge.lab.lab import Lab
from edge.lab.links import netlink
from edge.lab.nodes import HEALTH_PORT, SERVICE_PORT, server_id
from edge.lab.parts import Role

OUTSIDE: Final = IPv4Address("192.0.2.100")
"""The first home has the address after it outside, the second the next, and so on."""

_TABLE: Final = 100  # with one route in it: into the box
_POLL_S: Final = 0.05
_IFF_UP, _IFF_NOARP = 0x1, 0x80

_Selector = dict[str, Any]
_ALL: Final[list[_Selector]] = [{}]
_FROM_TARGETS: Final[list[_Selector]] = [
    {"ip_proto": protocol, "sport_range": f"{SERVICE_PORT}:{SERVICE_PORT}", "priority": _TABLE + protocol}
    for protocol in (socket.IPPROTO_TCP, socket.IPPROTO_UDP)
]


class Box:
    """One middlebox. ``node`` is its name in the topology."""

    def __init__(self, lab: Lab, node: str) -> None:
        self.node = node
        self._lab = lab
        self._one_at_a_time = asyncio.Lock()

    async def _start(self, be: box.Request, address: IPv4Address, inward: dict[str, list[_Selector]]) -> None:
        """``address`` leads into the box; so does what comes from the neighbours ``inward`` and fits a selector."""
        async with netlink(self.node) as route:
            await route.link(
                "add",
                ifname=box.INNER,
                kind="veth",
                address=box.INNER_HARDWARE,
                gso_max_segs=1,  # a packet is one packet
                peer={"ifname": box.OUTER, "address": box.OUTER_HARDWARE, "gso_max_segs": 1},
            )
            (inner,), (outer,) = [await route.link_lookup(ifname=name) for name in (box.INNER, box.OUTER)]
            # Nobody answers ARP at the other end, and nobody has to.
            flags = _IFF_UP | _IFF_NOARP
            for index in (inner, outer):
                await route.link("set", index=index, flags=flags, change=flags)
            await route.route("add", dst=f"{address}/32", oif=inner)
            await route.route("add", dst="default", oif=inner, table=_TABLE, family=socket.AF_INET)
            for neighbour, selectors in inward.items():
                for selector in selectors:
                    await route.rule(
                        "add", family=socket.AF_INET, table=_TABLE, iifname=neighbour, **selector
                    )
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setblocking(False)
        with theirs:
            argv = [sys.executable, "-P", "-m", "edge.lab.middlebox", str(theirs.fileno())]
            await self._lab.spawn(self.node, argv, name="middlebox", pass_fds=[theirs.fileno()])
        await self._ask(be)

    async def counters(self) -> dict[str, int]:
        """See `Counted`."""
        answer = await self._ask(box.Ask())
        assert isinstance(answer, box.Counted)
        return answer.counters

    async def _ask(self, request: box.Request) -> box.Answer:
        loop = asyncio.get_running_loop()
        async with self._one_at_a_time:
            await loop.sock_sendall(self._control, msgspec.json.encode(request))
            answer = await loop.sock_recv(self._control, box.MAX_MESSAGE)
        if not answer:
            raise ConnectionResetError(f"the middlebox on {self.node} is gone")
        decoded: box.Answer = msgspec.json.decode(answer, type=box.Answer)
        return decoded

    def _neighbours(self, wanted: Callable[[Role], bool]) -> list[str]:
        topology = self._lab.topology
        names = [one.peer.node for one in topology.adjacencies(self.node)]
        return [name for name in names if wanted(topology.node(name).role)]


class BalancerBox(Box):
    """The balancer, with the service address of the topology. Every edge that is joined to it is a target."""

    async def start(self, seed: int) -> Self:
        listener = self._lab.topology.service_v4.ip
        edges = self._neighbours(lambda role: role is Role.EDGE)
        be = box.BeBalancer((str(listener), SERVICE_PORT), seed)
        await self._start(be, listener, dict.fromkeys(edges, _FROM_TARGETS))
        for edge in edges:
            address = str(self._lab.topology.addresses(edge).v4), SERVICE_PORT
            await self._ask(box.Register(address, HEALTH_PORT, self._server_id(edge)))
        return self

    async def until_healthy(self, targets: int, timeout_s: float) -> bool:
        """Whether so many targets came to be healthy, and no more, in time."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    if (await self.counters())["healthy"] == targets:
                        return True
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            return False

    async def reach(self, home: HomeBox) -> None:
        """Know the way to what is behind a home."""
        own_end = next(
            one for one in self._lab.topology.adjacencies(home.node) if one.peer.node == self.node
        ).own
        async with netlink(self.node) as route:
            await route.route("add", dst=f"{home.outside}/32", gateway=str(own_end.v4.ip))

    async def deregister(self, edge: str) -> None:
        """It gets no newcomers any more."""
        await self._ask(box.Deregister(self._server_id(edge)))

    async def read_connection_ids(self, yes: bool) -> None:
        """Go by connection IDs, or by flows alone, as a balancer that knows nothing of QUIC."""
        await self._ask(box.ReadConnectionIds(yes))

    def _server_id(self, edge: str) -> str:
        return server_id(1 + self._lab.topology.names(Role.EDGE).index(edge)).hex()


class HomeBox(Box):
    """A home. All clients that are joined to it are inside; the balancer is outside."""

    outside: IPv4Address

    async def start(self, number: int) -> Self:
        """The ``number``-th home, from 1 on."""
        self.outside = OUTSIDE + number
        inside = self._neighbours(lambda role: role is Role.CLIENT)
        await self._start(box.BeHome(str(self.outside)), self.outside, dict.fromkeys(inside, _ALL))
        return self

    async def rebind(self) -> None:
        """Forget every UDP binding: the next packet of each caller comes from another port."""
        await self._ask(box.Rebind())
