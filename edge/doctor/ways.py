"""The ways out of this machine: how big a packet they carry, and whether an answer comes back over them.

A node reaches its own addresses over loopback, whatever the network does. What goes to another machine and is answered
has left by an interface and come back by one. That shows that the unicast address is reached from there; whether a
firewall lets strangers in is shown only by callers that came.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from edge.config import NodeConfig
from edge.config.fleet_file import FleetNode
from edge.config.values import Address
from edge.doctor.finding import Finding, fail, ok, warn
from edge.errors import EdgeError
from edge.runtime.dialer import ServerBusy, Target, dial

LEAST_MTU: Final = 1280  # QUIC's 1200 bytes (RFC 9000, section 14) with headers; also IPv6's least
USUAL_MTU: Final = 1500
ASKED: Final = 3  # other nodes, for each of our addresses
TIMEOUT_S: Final = 2.0

_IP_MTU: Final = 14  # ip(7); the socket module has no name for it
_IPV6_MTU: Final = 24
_ALPN: Final = "h3"  # a question is no call


@dataclass(frozen=True, slots=True)
class Way:
    """From one of our addresses to somebody; ``mtu`` in bytes as the kernel knows it, or ``problem``: why there is no way."""

    source: str
    to: str
    mtu: int = 0
    problem: str = ""


def find_way(source: str, to: str) -> Way:
    """Asks the kernel's routes; nothing is sent."""
    is_v6 = ":" in to
    try:
        with socket.socket(socket.AF_INET6 if is_v6 else socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((source, 0))
            sock.connect((to, 9))
            mtu = sock.getsockopt(
                socket.IPPROTO_IPV6 if is_v6 else socket.IPPROTO_IP, _IPV6_MTU if is_v6 else _IP_MTU
            )
    except OSError as error:
        return Way(source, to, problem=error.strerror or errno.errorcode.get(error.errno or 0, "unknown"))
    return Way(source, to, mtu)


def upstream_ways(config: NodeConfig) -> list[Way]:
    """To each BGP neighbor, from the address that we speak to it from."""
    return [
        find_way(str(neighbor.local_address), str(neighbor.address))
        for neighbor in (config.bgp.sessions() if config.bgp else ())
    ]


def check_mtu(ways: Sequence[Way]) -> Iterator[Finding]:
    check = "MTU"
    for way in ways:
        to = f"to {way.to} from {way.source}"
        if way.problem:
            yield fail(
                check,
                f"{to}: no way: {way.problem}",
                "look at the addresses and routes: ip address; ip route",
            )
        elif way.mtu < LEAST_MTU:
            yield fail(
                check,
                f"{to}: {way.mtu} bytes, and QUIC needs {LEAST_MTU}",
                "raise it: ip link set DEV mtu 1500",
            )
        elif way.mtu < USUAL_MTU:
            found = f"{to}: {way.mtu} bytes; calls fit, large packets of others to this node may not"
            yield warn(check, found, "a tunnel? then nothing; else raise it: ip link set DEV mtu 1500")
        else:
            yield ok(check, f"{to}: {way.mtu} bytes")


@dataclass(frozen=True, slots=True)
class Answered:
    """Whether ``node`` answered to ``source``."""

    source: str
    node: str
    problem: str = ""


async def ask_others(config: NodeConfig, others: Sequence[FleetNode]) -> list[Answered]:
    """A QUIC handshake with a few other nodes from each of our unicast addresses; who is too busy has answered, too."""

    async def ask(source: Address, node: FleetNode, to: Address) -> Answered:
        target = Target(host=str(to), port=config.service.port, source=str(source), insecure=True)
        try:
            dialed = await dial(
                target,
                stack=lambda connection: connection,
                on_event=lambda _: None,
                alpn=_ALPN,
                timeout_s=TIMEOUT_S,
            )
        except ServerBusy:
            return Answered(str(source), str(node.name))
        except EdgeError as error:
            return Answered(str(source), str(node.name), str(error))
        dialed.stack.close()
        dialed.driver.leave()
        return Answered(str(source), str(node.name))

    questions = [
        ask(source, node, to)
        for source in config.unicast.addresses
        for node, to in [
            (node, to)
            for node in others
            if node.name != config.node.name
            for to in node.addresses
            if to.version == source.version
        ][:ASKED]
    ]
    return list(await asyncio.gather(*questions))


def check_reach(config: NodeConfig, answers: Sequence[Answered], arrived: int | None) -> Iterator[Finding]:
    """``arrived``: connections of callers that the node has on its unicast addresses; None if it does not run."""
    check = "reach"
    if all(ip_address(address).is_loopback for address in config.unicast.addresses):
        return
    for source in map(str, config.unicast.addresses):
        asked = [answer for answer in answers if answer.source == source]
        heard = [answer.node for answer in asked if not answer.problem]
        if heard:
            yield ok(check, f"{source}: {', '.join(heard)} answered to it, over the network and not over lo")
        elif asked:
            first = asked[0]
            yield fail(
                check,
                f"{source}: none of {', '.join(answer.node for answer in asked)} answered to it ({first.node}: {first.problem})",
                f"is it routed to this machine, and UDP {config.service.port} open? ip route get TO from {source}",
            )
        else:
            yield warn(
                check,
                f"{source}: nobody to ask, so what can be known from here is only that it is on an interface",
                "name the members of the fleet in fleet.file, or call it from another machine: edgectl call",
            )
    if arrived:
        yield ok(check, f"{arrived} callers are on the unicast addresses now: strangers get in")
    elif arrived == 0:
        found = "no caller is on a unicast address now; that a firewall lets strangers in cannot be known from here"
        yield warn(check, found, f"call it from outside: edgectl call {config.unicast.addresses[0]}")
