"""Answers to a newcomer that need no state: Version Negotiation, Retry and a refusal.

Each is smaller than the datagram it answers (1200 bytes at least), so nobody can use this node to flood a
third party.
"""

from collections.abc import Callable

from aioquic.quic.crypto import CryptoPair
from aioquic.quic.packet import QuicErrorCode, QuicFrameType, QuicPacketType, encode_quic_retry
from aioquic.quic.packet_builder import QuicPacketBuilder

from edge.quic.header import (
    FIXED_BIT,
    LONG_HEADER_BIT,
    MIN_INITIAL_DATAGRAM,
    SUPPORTED_VERSIONS,
    VERSION_NEGOTIATION,
    LongHeader,
)

CONNECTION_REFUSED = int(QuicErrorCode.CONNECTION_REFUSED)
INVALID_TOKEN = int(QuicErrorCode.INVALID_TOKEN)


def version_negotiation(header: LongHeader, entropy: Callable[[int], bytes]) -> bytes:
    """Say which versions are spoken here (RFC 9000 section 17.2.1).

    One version in the list is a reserved one (0x?a?a?a?a), so that no client comes to rely on a list of
    versions it knows (RFC 9368 section 6).
    """
    noise = entropy(5)
    reserved = int.from_bytes(noise[1:], "big") & 0xF0F0F0F0 | 0x0A0A0A0A
    return b"".join(
        (
            bytes((noise[0] | LONG_HEADER_BIT | FIXED_BIT,)),
            VERSION_NEGOTIATION.to_bytes(4, "big"),
            _with_length(header.source_cid),
            _with_length(header.destination_cid),
            *(version.to_bytes(4, "big") for version in (reserved, *SUPPORTED_VERSIONS)),
        )
    )


def retry(header: LongHeader, source_cid: bytes, token: bytes) -> bytes:
    """Ask a client to come back with ``token`` and to ``source_cid`` (RFC 9000 section 17.2.5)."""
    return encode_quic_retry(
        version=header.version,
        source_cid=source_cid,
        destination_cid=header.source_cid,
        original_destination_cid=header.destination_cid,
        retry_token=token,
    )


def refusal(header: LongHeader, code: int) -> bytes:
    """CONNECTION_CLOSE in an Initial packet: the client knows at once and need not wait for a timeout.

    The keys of Initial packets follow from the client's own connection ID (RFC 9001 section 5.2).
    """
    keys = CryptoPair()
    keys.setup_initial(cid=header.destination_cid, is_client=False, version=header.version)
    builder = QuicPacketBuilder(
        host_cid=header.destination_cid,
        peer_cid=header.source_cid,
        version=header.version,
        is_client=False,
        max_datagram_size=MIN_INITIAL_DATAGRAM,
    )
    builder.start_packet(QuicPacketType.INITIAL, keys)
    frame = builder.start_frame(QuicFrameType.TRANSPORT_CLOSE, capacity=16)
    frame.push_uint_var(code)
    frame.push_uint_var(QuicFrameType.PADDING)
    frame.push_uint_var(0)
    datagrams, _ = builder.flush()
    return datagrams[0]


def _with_length(cid: bytes) -> bytes:
    return bytes((len(cid),)) + cid
