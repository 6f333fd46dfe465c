"""The bytes of audio streams and datagrams: golden values, round trips in any chunks, and every way to be wrong."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.voice import varint
from edge.voice.errors import WireError
from edge.voice.frame import PAYLOAD_SIZES, Codec
from edge.voice.wire import (
    AudioDatagram,
    AudioStream,
    GroupHeader,
    ItemHeader,
    PlayoutReport,
    decode_datagram,
    encode_datagram,
    encode_header,
    encode_packet,
)

numbers = st.integers(0, varint.MAX_VARINT)
codecs = st.sampled_from(Codec)
opus = st.binary(min_size=1, max_size=1276)
group_headers = st.builds(GroupHeader, numbers, numbers, numbers, codecs)
item_headers = st.builds(ItemHeader, numbers, numbers, numbers, numbers, codecs)
datagrams = st.one_of(
    st.builds(AudioDatagram, numbers, numbers, numbers, st.lists(opus, min_size=1, max_size=2).map(tuple)),
    st.builds(PlayoutReport, *[numbers] * 6),
)


def packets_of(codec: Codec, most: int) -> st.SearchStrategy[list[bytes]]:
    sizes = PAYLOAD_SIZES[codec]
    return st.lists(st.binary(min_size=sizes[0], max_size=sizes[-1]), min_size=1, max_size=most)


@st.composite
def streams(draw: st.DrawFn) -> tuple[GroupHeader | ItemHeader, list[bytes]]:
    header = draw(group_headers | item_headers)
    return header, draw(packets_of(header.codec, most=5))


def encode(header: GroupHeader | ItemHeader, packets: list[bytes]) -> bytes:
    return encode_header(header) + b"".join(encode_packet(packet, header.codec) for packet in packets)


# Written by hand from the layout: another implementation must produce and accept exactly these.
GOLDEN_STREAMS = [
    (GroupHeader(1, 0, 0, Codec.OPUS), [b"\x01\x02", b"\x03"], "01010000010201020103"),
    (GroupHeader(70, 300, 30_000, Codec.OPUS), [b"\xff"], "014046412c8000753001 01ff"),
    (ItemHeader(2, 2, 0, 0, Codec.OPUS), [bytes(64)], "020202000001 4040" + "00" * 64),
]
GOLDEN_DATAGRAMS = [
    (PlayoutReport(1, 1240, 760, 2, 12, 5000), "0401 44d8 42f8 02 0c 5388"),
    (AudioDatagram(1, 7, 140, (b"\xaa\xbb",)), "0301 07 408c 00 02aabb"),
    (AudioDatagram(1, 7, 140, (b"\xaa\xbb", b"\xcc")), "0301 07 408c 01 02aabb 01cc"),
]


@pytest.mark.parametrize("header,packets,golden", GOLDEN_STREAMS)
def test_streams_on_the_wire(header: GroupHeader | ItemHeader, packets: list[bytes], golden: str) -> None:
    assert encode(header, packets).hex() == golden.replace(" ", "")


@pytest.mark.parametrize("datagram,golden", GOLDEN_DATAGRAMS)
def test_datagrams_on_the_wire(datagram: AudioDatagram | PlayoutReport, golden: str) -> None:
    assert encode_datagram(datagram).hex() == golden.replace(" ", "")


@given(streams(), st.data())
def test_a_stream_reads_the_same_in_any_chunks(
    stream: tuple[GroupHeader | ItemHeader, list[bytes]], data: st.DataObject
) -> None:
    header, packets = stream
    rest = encode(header, packets)
    parser = AudioStream(type(header), "stream 2")
    received: list[bytes] = []
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        fin = size == len(rest) and data.draw(st.booleans())
        received += parser.receive(rest[:size], fin)
        rest = rest[size:]
    if not parser.finished:
        received += parser.receive(b"", True)
    assert (parser.header, received, parser.finished) == (header, packets, True)


@given(datagrams)
def test_datagram_round_trip(datagram: AudioDatagram | PlayoutReport) -> None:
    assert decode_datagram(encode_datagram(datagram)) == datagram


def read(expected: type[GroupHeader | ItemHeader], chunks: list[bytes]) -> tuple[object, ...]:
    """Everything a parser says about ``chunks``, the last of which ends the stream."""
    parser = AudioStream(expected, "stream 2")
    packets: list[bytes] = []
    try:
        for chunk in chunks:
            packets += parser.receive(chunk, False)
        parser.receive(b"", True)
    except WireError as error:
        return (str(error),)
    return parser.header, packets


@given(st.sampled_from([GroupHeader, ItemHeader]), st.lists(st.binary(max_size=40)))
def test_garbage_is_a_wire_error_and_the_same_one_in_any_chunks(
    expected: type[GroupHeader | ItemHeader], chunks: list[bytes]
) -> None:
    assert read(expected, chunks) == read(expected, [b"".join(chunks)])


@given(streams(), st.data())
def test_a_mutated_stream_is_parsed_or_refused(
    stream: tuple[GroupHeader | ItemHeader, list[bytes]], data: st.DataObject
) -> None:
    encoded = bytearray(encode(*stream))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    del encoded[data.draw(st.integers(1, len(encoded))) :]
    read(type(stream[0]), [bytes(encoded)])


@given(st.binary(max_size=60) | datagrams.map(encode_datagram).flatmap(lambda d: st.just(d[:-1])))
def test_any_datagram_is_parsed_or_refused(data: bytes) -> None:
    with suppress(WireError):
        datagram = decode_datagram(data)
        assert decode_datagram(encode_datagram(datagram)) == datagram


GROUP = encode_header(GroupHeader(1, 0, 0, Codec.OPUS))
WRONG_GROUPS = {
    "another type": (encode_header(ItemHeader(1, 1, 0, 0, Codec.OPUS)), "stream 2: stream of type 2, 1"),
    "unknown codec": (b"\x01\x01\x00\x00\x04", "stream 2: codec 4 is unknown"),
    "no packet": (GROUP, "stream 2: a group without a packet"),
    "empty packet": (GROUP + b"\x00", "stream 2, packet 0: 0 bytes of OPUS, 1 to 1276"),
    "packet too large": (GROUP + varint.encode(1277), "stream 2, packet 0: 1277 bytes of OPUS"),
    "packet of gigabytes": (GROUP + varint.encode(2**61), "packet 0: 2305843009213693952 bytes"),
    "six packets": (GROUP + b"\x01x" * 6, "stream 2, packet 5: one more than a group holds"),
    "half a packet": (GROUP + b"\x01x\x03yy", "stream 2, packet 1: ends before it is complete"),
    "half a length": (GROUP + b"\x01x\x40", "stream 2, packet 1: ends before it is complete"),
    "half a header": (GROUP[:-1], "stream 2, header: ends before it is complete"),
    "nothing": (b"", "stream 2, header: ends before it is complete"),
    "part of a PCM frame": (
        encode_header(GroupHeader(1, 0, 0, Codec.PCM16_24K)) + varint.encode(958),
        "stream 2, packet 0: 958 bytes of PCM16_24K, 960 expected",
    ),
}


@pytest.mark.parametrize("data,message", WRONG_GROUPS.values(), ids=WRONG_GROUPS.keys())
def test_a_wrong_group_is_named_with_its_place(data: bytes, message: str) -> None:
    with pytest.raises(WireError, match=message):
        AudioStream(GroupHeader, "stream 2").receive(data, True)


@given(streams())
def test_where_both_kinds_may_come_the_first_byte_decides(
    stream: tuple[GroupHeader | ItemHeader, list[bytes]],
) -> None:
    header, packets = stream
    parser = AudioStream[GroupHeader | ItemHeader]((GroupHeader, ItemHeader), "stream 2")
    assert (parser.receive(encode(header, packets), True), parser.header) == (packets, header)


def test_a_kind_that_may_not_come_is_told_from_those_that_may() -> None:
    parser = AudioStream[GroupHeader | ItemHeader]((GroupHeader, ItemHeader), "stream 2")
    with pytest.raises(WireError, match="stream of type 3, 1 or 2 expected"):
        parser.receive(b"\x03", False)


def test_headers_say_which_frame_comes_first() -> None:
    assert GroupHeader(4, 3, 320, Codec.OPUS).first == (4, 15, 320)
    assert ItemHeader(4, 4, 0, 320, Codec.OPUS).first == (4, 16, 320)


def test_nothing_follows_the_end() -> None:
    parser = AudioStream(GroupHeader, "stream 2")
    parser.receive(GROUP + b"\x01x", True)
    with pytest.raises(WireError, match="data behind its end"):
        parser.receive(b"\x01y", False)


def test_an_oversized_packet_is_refused_before_it_is_held() -> None:
    """A length is judged when it is read, so nobody can make us wait for, and keep, what we would not take."""
    parser = AudioStream(GroupHeader, "stream 2")
    with pytest.raises(WireError):
        parser.receive(GROUP + varint.encode(100_000), False)


WRONG_DATAGRAMS = {
    "empty": ("", "byte 0: ends before"),
    "unknown type": ("05", "of type 5"),
    "a stream's type": ("01010000010102", "of type 1"),
    "short report": ("0401 01 01 01 01", "byte 6: ends before"),
    "long report": ("0401 01 01 01 01 01 00", "byte 7: 1 bytes too many"),
    "too much redundancy": ("0301 00 00 02 01aa 01bb 01cc", "repeats 2 packets"),
    "missing redundancy": ("0301 00 00 01 01aa", "byte 7: ends before"),
    "empty packet": ("0301 00 00 00 00", "no packet of 0 bytes"),
    "packet beyond the end": ("0301 00 00 00 05aa", "no packet of 5 bytes"),
    "trailing bytes": ("0301 00 00 00 01aa ff", "1 bytes too many"),
}


@pytest.mark.parametrize("data,message", WRONG_DATAGRAMS.values(), ids=WRONG_DATAGRAMS.keys())
def test_a_wrong_datagram_is_named_with_its_place(data: str, message: str) -> None:
    with pytest.raises(WireError, match=message):
        decode_datagram(bytes.fromhex(data))


@pytest.mark.parametrize("codec,size", [(Codec.OPUS, 0), (Codec.OPUS, 1277), (Codec.PCMU, 159)])
def test_what_no_peer_would_accept_is_not_sent(codec: Codec, size: int) -> None:
    with pytest.raises(ValueError, match=f"{size} bytes of {codec.name}"):
        encode_packet(bytes(size), codec)
