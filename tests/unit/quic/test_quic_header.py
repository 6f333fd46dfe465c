"""Reading what is not encrypted: any bytes, of any version."""

import pytest
from aioquic.buffer import Buffer
from aioquic.quic.packet import pull_quic_header
from hypothesis import given
from hypothesis import strategies as st

from edge.quic.header import (
    VERSION_1,
    VERSION_2,
    LongHeader,
    PacketType,
    is_long,
    parse_long_header,
)

DCID, SCID = b"destination!", b"source"


def long_packet(first: int, version: int, dcid: bytes = DCID, scid: bytes = SCID, rest: bytes = b"") -> bytes:
    return (
        bytes((first,))
        + version.to_bytes(4, "big")
        + bytes((len(dcid),))
        + dcid
        + bytes((len(scid),))
        + scid
        + rest
    )


@pytest.mark.parametrize(
    "first, version, expected",
    [
        (0xC0, VERSION_1, PacketType.INITIAL),
        (0xD0, VERSION_1, PacketType.ZERO_RTT),
        (0xE0, VERSION_1, PacketType.HANDSHAKE),
        (0xF0, VERSION_1, PacketType.RETRY),
        (0xD0, VERSION_2, PacketType.INITIAL),
        (0xE0, VERSION_2, PacketType.ZERO_RTT),
        (0xF0, VERSION_2, PacketType.HANDSHAKE),
        (0xC0, VERSION_2, PacketType.RETRY),
        (0x80, 0, PacketType.VERSION_NEGOTIATION),
        (0xC0, 0x0A1A2A3A, PacketType.UNSUPPORTED),
        (0x80, 0x0A1A2A3A, PacketType.UNSUPPORTED),
    ],
)
def test_the_type_depends_on_the_version(first: int, version: int, expected: PacketType) -> None:
    header = parse_long_header(long_packet(first, version, rest=b"\x00"))
    assert header == LongHeader(expected, version, DCID, SCID, b"")


@pytest.mark.parametrize(
    "encoded, token",
    [(b"\x00", b""), (b"\x03abc", b"abc"), (b"\x40\x03abc", b"abc"), (b"\x80\x00\x00\x03abcd", b"abc")],
)
def test_the_token_of_an_initial_is_read_whatever_form_its_length_takes(encoded: bytes, token: bytes) -> None:
    header = parse_long_header(long_packet(0xC0, VERSION_1, rest=encoded))
    assert header is not None
    assert header.token == token


@pytest.mark.parametrize("rest", [b"", b"\x03ab", b"\x40", b"\xff" * 8])
def test_an_initial_whose_token_is_cut_off_is_none(rest: bytes) -> None:
    assert parse_long_header(long_packet(0xC0, VERSION_1, rest=rest)) is None


def test_cids_of_255_bytes_are_read_in_versions_to_come_and_in_no_version_of_ours() -> None:
    dcid, scid = b"d" * 255, b"s" * 255
    header = parse_long_header(long_packet(0xC0, 0x0A1A2A3A, dcid, scid))
    assert header == LongHeader(PacketType.UNSUPPORTED, 0x0A1A2A3A, dcid, scid, b"")
    assert parse_long_header(long_packet(0xC0, VERSION_1, dcid, b"", b"\x00")) is None
    assert parse_long_header(long_packet(0xC0, VERSION_1, b"", b"s" * 21, b"\x00")) is None


def test_a_cleared_fixed_bit_is_no_packet_of_ours() -> None:
    assert parse_long_header(long_packet(0x80, VERSION_1, rest=b"\x00")) is None


@given(
    st.binary(max_size=60), st.sampled_from([b"", b"\xc0\0\0\0\1", b"\xd0\x6b\x33\x43\xcf", b"\x80\0\0\0\0"])
)
def test_any_bytes_are_a_header_or_none(noise: bytes, start: bytes) -> None:
    data = start + noise
    header = parse_long_header(data)
    if header is not None:
        prefix = data[:5] + bytes((len(header.destination_cid),)) + header.destination_cid
        assert data.startswith(prefix + bytes((len(header.source_cid),)) + header.source_cid)


@given(st.binary(min_size=1, max_size=60), st.sampled_from([VERSION_1, VERSION_2]))
def test_what_the_engine_reads_we_read_alike(noise: bytes, version: int) -> None:
    """Otherwise a datagram would be routed to one connection and taken for another's there."""
    data = bytes((noise[0] | 0xC0,)) + version.to_bytes(4, "big") + noise[1:]
    try:
        engine = pull_quic_header(Buffer(data=data), host_cid_length=18)
    except ValueError:
        return
    ours = parse_long_header(data)
    assert ours is not None
    assert (ours.destination_cid, ours.source_cid) == (engine.destination_cid, engine.source_cid)
    assert ours.type.name == engine.packet_type.name
    if ours.type is PacketType.INITIAL:
        assert ours.token == engine.token


def test_long_or_short_is_the_first_bit() -> None:
    assert is_long(b"\x80")
    assert not is_long(b"\x7f")
