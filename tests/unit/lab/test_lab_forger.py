"""Packets that a middlebox makes up: they have to be what they pretend to be, or the test they are for tests nothing."""

from __future__ import annotations

import struct

import pytest

from edge.lab.forger import Flow, datagram, flow_of
from edge.lab.rewriting import UDP, read

V4 = Flow("198.51.100.1", 443, "192.0.2.11", 40_000)
V6 = Flow("2001:db8:a::1", 443, "2001:db8:11::2", 40_000)


def verified(data: bytes) -> bool:
    """Whether the one's complement sum of ``data``, checksum and all, is 0xFFFF (RFC 1071)."""
    total = 0
    for (word,) in struct.iter_unpack("!H", data + bytes(len(data) % 2)):
        total += word
        total = (total & 0xFFFF) + (total >> 16)
    return total == 0xFFFF


@pytest.mark.parametrize("flow", [V4, V6])
@pytest.mark.parametrize("payload", [b"", b"x", bytes(range(41))])
def test_what_is_made_up_is_of_the_same_flow_and_whole(flow: Flow, payload: bytes) -> None:
    packet = datagram(flow, payload)
    assert flow_of(packet) == flow
    start, addresses = (20, packet[12:20]) if flow is V4 else (40, packet[8:40])
    assert packet[start + 8 :] == payload
    assert verified(addresses + struct.pack("!II", 8 + len(payload), UDP) + packet[start:])


def test_it_is_read_as_others_read_it() -> None:
    packet = read(datagram(V4, b"payload"))
    assert packet is not None
    assert (packet.source, packet.destination) == (("198.51.100.1", 443), ("192.0.2.11", 40_000))
    assert packet.payload == b"payload"


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\x45",
        b"\x00" * 40,
        datagram(V4, b"")[:27],
        datagram(V6, b"")[:47],
        datagram(V4, b"x").replace(b"\x40\x11", b"\x40\x06"),  # TCP
    ],
)
def test_what_is_no_udp_is_no_flow(packet: bytes) -> None:
    assert flow_of(packet) is None
