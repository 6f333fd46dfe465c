"""IPv4 packets that change their addresses on the way, as in a NAT: read, written anew, with their checksums. Pure.

Nothing else of a packet changes. Fragments have no ports, and what is neither UDP nor TCP has none either: they are not
read.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address
from typing import Final, NamedTuple

TCP, UDP = 6, 17
_SYN, _ACK = 0x02, 0x10
_FRAGMENT = 0x3FFF  # the offset, and the flag that more follow (RFC 791 section 3.1)
_CHECKSUM_AT: Final = {TCP: 16, UDP: 6}
_HEADER_BYTES: Final = {TCP: 20, UDP: 8}
_IP_HEADER_BYTES: Final = 20
_IP_CHECKSUM_AT: Final = 10

Address = tuple[str, int]


class Packet(NamedTuple):
    """``payload`` is UDP's, of TCP it is empty; ``opens``: it is the first packet of a TCP connection."""

    protocol: int
    source: Address
    destination: Address
    payload: bytes
    opens: bool


def read(data: bytes) -> Packet | None:
    """What a packet says of itself; None if it is not read (see the module)."""
    if len(data) < _IP_HEADER_BYTES or data[0] >> 4 != 4:
        return None
    start, protocol = (data[0] & 0xF) * 4, data[9]
    if start < _IP_HEADER_BYTES or int.from_bytes(data[6:8], "big") & _FRAGMENT:
        return None
    if protocol not in _HEADER_BYTES or len(data) < start + _HEADER_BYTES[protocol]:
        return None
    source_port, destination_port = struct.unpack_from("!HH", data, start)
    flags = data[start + 13] if protocol == TCP else 0
    return Packet(
        protocol,
        (str(IPv4Address(data[12:16])), source_port),
        (str(IPv4Address(data[16:20])), destination_port),
        data[start + _HEADER_BYTES[UDP] :] if protocol == UDP else b"",
        flags & (_SYN | _ACK) == _SYN,
    )


def readdressed(data: bytes, *, source: Address | None = None, destination: Address | None = None) -> bytes:
    """The same packet, that `read` has read, from or to another address."""
    start, protocol = (data[0] & 0xF) * 4, data[9]
    packet = bytearray(data[: int.from_bytes(data[2:4], "big")])  # a short frame is padded
    for offset, address in ((0, source), (1, destination)):
        if address is not None:
            packet[12 + 4 * offset : 16 + 4 * offset] = IPv4Address(address[0]).packed
            struct.pack_into("!H", packet, start + 2 * offset, address[1])
    _put_checksum(packet, 0, start, _IP_CHECKSUM_AT, b"")
    pseudo_header = bytes(packet[12:20]) + struct.pack("!HH", protocol, len(packet) - start)
    _put_checksum(packet, start, len(packet), start + _CHECKSUM_AT[protocol], pseudo_header)
    return bytes(packet)


def _put_checksum(packet: bytearray, start: int, end: int, at: int, beside: bytes) -> None:
    """RFC 1071. The sum of 16-bit words with end-around carry is what remains of division by 0xFFFF."""
    packet[at : at + 2] = bytes(2)
    words = beside + packet[start:end] + bytes((end - start) % 2)
    # UDP has 0 for "no checksum"; both stand for the same number.
    checksum = 0xFFFF - int.from_bytes(words, "big") % 0xFFFF
    packet[at : at + 2] = checksum.to_bytes(2, "big")
