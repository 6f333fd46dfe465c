"""The part of a packet that is not encrypted: enough to know whose it is and whether it may be answered.

A short header carries nothing but a connection ID of a length only its issuer knows, so there is nothing to
parse. A long header has a version-independent part (RFC 8999 section 5.1) that must be understood for
versions nobody has invented yet, and a packet type that depends on the version.
"""

from dataclasses import dataclass
from enum import Enum

LONG_HEADER_BIT = 0x80
FIXED_BIT = 0x40

VERSION_NEGOTIATION = 0x00000000
VERSION_1 = 0x00000001
VERSION_2 = 0x6B3343CF
SUPPORTED_VERSIONS = (VERSION_1, VERSION_2)

MIN_INITIAL_DATAGRAM = 1200
"""Bytes of a UDP payload that may carry an Initial packet (RFC 9000 section 14.1)."""
MIN_CHOSEN_CID = 8
"""Bytes of a destination connection ID that a client made up (RFC 9000 section 7.2)."""
MAX_CID = 20
"""Bytes of a connection ID in versions 1 and 2 (RFC 9000 section 17.2); other versions go up to 255."""


class PacketType(Enum):
    INITIAL = "initial"
    ZERO_RTT = "0-rtt"
    HANDSHAKE = "handshake"
    RETRY = "retry"
    VERSION_NEGOTIATION = "version negotiation"
    UNSUPPORTED = "unsupported version"


_TYPES = {
    # The two bits below the fixed bit: RFC 9000 section 17.2, RFC 9369 section 3.2.
    VERSION_1: (PacketType.INITIAL, PacketType.ZERO_RTT, PacketType.HANDSHAKE, PacketType.RETRY),
    VERSION_2: (PacketType.RETRY, PacketType.INITIAL, PacketType.ZERO_RTT, PacketType.HANDSHAKE),
}


@dataclass(frozen=True, slots=True)
class LongHeader:
    """``token`` is empty on everything but an Initial."""

    type: PacketType
    version: int
    destination_cid: bytes
    source_cid: bytes
    token: bytes


def is_long(data: bytes) -> bool:
    """Whether a datagram, not empty, begins with a long header."""
    return data[0] & LONG_HEADER_BIT != 0


def parse_long_header(data: bytes) -> LongHeader | None:
    """Read the first long header of a datagram; None when these bytes are not one."""
    if len(data) < 7:
        return None
    version = int.from_bytes(data[1:5], "big")
    destination_end = 6 + data[5]
    if destination_end >= len(data):
        return None
    source_start = destination_end + 1
    source_end = source_start + data[destination_end]
    if source_end > len(data):
        return None
    destination_cid = data[6:destination_end]
    source_cid = data[source_start:source_end]
    packet_type = _packet_type(data[0], version)
    if version in _TYPES and (
        not data[0] & FIXED_BIT or max(len(destination_cid), len(source_cid)) > MAX_CID
    ):
        return None
    token = _token(data, source_end) if packet_type is PacketType.INITIAL else b""
    if token is None:
        return None
    return LongHeader(packet_type, version, destination_cid, source_cid, token)


def _packet_type(first_octet: int, version: int) -> PacketType:
    if version == VERSION_NEGOTIATION:
        return PacketType.VERSION_NEGOTIATION
    types = _TYPES.get(version)
    return PacketType.UNSUPPORTED if types is None else types[first_octet >> 4 & 0b11]


def _token(data: bytes, offset: int) -> bytes | None:
    """The token of an Initial, behind its length as a variable-length integer (RFC 9000 section 16)."""
    if offset >= len(data):
        return None
    size = 1 << (data[offset] >> 6)
    start = offset + size
    length = int.from_bytes(data[offset:start], "big") & (1 << 8 * size - 2) - 1
    if start + length > len(data):
        return None
    return data[start : start + length]
