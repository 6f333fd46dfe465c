"""A middlebox that forges stateless resets: whoever sees packets pass can make up others, but not what only their sender
knows.

It listens on a router, on the link to a site. To each datagram that passes towards the site it adds one that looks like a
reset of the same sender for the same connection, but for the token (RFC 9000, section 10.3).
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Final, NamedTuple

from edge.lab import namespaces
from edge.quic.reset import MAX_LENGTH, stateless_reset

_ETH_P_ALL: Final = 3
_PACKET_OUTGOING: Final = 4
_IPV6_HDRINCL: Final = 36
_UDP: Final = 17
_HOPS: Final = 64
_MIN_HEADER: Final = 20
_MAX_PACKET: Final = 65535
_BURST: Final = 64


class Flow(NamedTuple):
    """A UDP flow in one direction."""

    source: str
    source_port: int
    target: str
    target_port: int


class Forger:
    """``forged`` counts."""

    def __init__(self, port: int) -> None:
        self.forged = 0
        self._port = port

    @contextmanager
    def at(self, router: str, site: str) -> Iterator[None]:
        """Forge while the block lasts, whatever passes from ``port`` of anybody to the site."""
        with namespaces.inside(router):
            ear = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
            mouths = {
                4: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW),
                6: socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW),
            }
        with ear, mouths[4], mouths[6]:
            mouths[6].setsockopt(socket.IPPROTO_IPV6, _IPV6_HDRINCL, 1)
            ear.setblocking(False)
            ear.bind((site, _ETH_P_ALL))
            loop = asyncio.get_running_loop()
            loop.add_reader(ear, self._listen, ear, mouths)
            try:
                yield
            finally:
                loop.remove_reader(ear)

    def _listen(self, ear: socket.socket, mouths: dict[int, socket.socket]) -> None:
        for _ in range(_BURST):
            try:
                packet, (_, _, kind, *_) = ear.recvfrom(_MAX_PACKET)
            except BlockingIOError:
                return
            flow = flow_of(packet)
            # One of its own is no longer than a reset can be, and would bring forth the next.
            if kind != _PACKET_OUTGOING or flow is None or flow.source_port != self._port:
                continue
            if len(packet) <= len(datagram(flow, bytes(MAX_LENGTH))):
                continue
            reset = stateless_reset(os.urandom(16), len(packet), os.urandom)
            mouths[packet[0] >> 4].sendto(datagram(flow, reset), (flow.target, 0))
            self.forged += 1


def flow_of(packet: bytes) -> Flow | None:
    """Of an IP packet, if it is UDP, and no fragment or option hides that."""
    if len(packet) < _MIN_HEADER:
        return None
    match packet[0] >> 4:
        case 4:
            start, protocol = (packet[0] & 15) * 4, packet[9]
            source, target = packet[12:16], packet[16:20]
        case 6:
            start, protocol = 40, packet[6]
            source, target = packet[8:24], packet[24:40]
        case _:
            return None
    if protocol != _UDP or len(packet) < start + 8:
        return None
    source_port, target_port = struct.unpack_from("!HH", packet, start)
    return Flow(str(ip_address(source)), source_port, str(ip_address(target)), target_port)


def datagram(flow: Flow, payload: bytes) -> bytes:
    """An IP packet with ``payload`` in it."""
    source, target = ip_address(flow.source).packed, ip_address(flow.target).packed
    length = 8 + len(payload)
    udp = struct.pack("!HHHH", flow.source_port, flow.target_port, length, 0) + payload
    checksum = _checksum(source + target + struct.pack("!II", length, _UDP) + udp)
    udp = udp[:6] + checksum.to_bytes(2, "big") + udp[8:]
    if len(source) == 16:
        return struct.pack("!IHBB", 6 << 28, length, _UDP, _HOPS) + source + target + udp
    # The kernel fills in length and checksum of an IPv4 header (raw(7)).
    return struct.pack("!BBHHHBBH", 0x45, 0, 0, 0, 0, _HOPS, _UDP, 0) + source + target + udp


def _checksum(data: bytes) -> int:
    """RFC 1071. The sum of 16-bit words with end-around carry is what remains of division by 0xFFFF; UDP has no 0."""
    return 0xFFFF - int.from_bytes(data + bytes(len(data) % 2), "big") % 0xFFFF
