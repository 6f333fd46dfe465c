"""The framing of a call on a WebSocket: what it says, what it refuses, and what it remembers of a hostile peer."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.voice import mux, varint
from edge.voice.errors import Code, WireError
from edge.voice.mux import (
    CONTROL_STREAM,
    MAX_DATA,
    MAX_MESSAGE,
    MAX_OPEN_STREAMS,
    MAX_REASON,
    Close,
    DatagramFrame,
    Frame,
    Inbound,
    Role,
    StreamData,
    StreamReset,
    StreamStopped,
    decode,
    encode,
)

# Written out by hand from the table at the top of the module: what another implementation must send.
VECTORS: list[tuple[str, Frame]] = [
    ("08 00 7b7d", StreamData(0, b"{}", fin=False)),
    ("09 02", StreamData(2, b"", fin=True)),
    ("09 4042 616263", StreamData(66, b"abc", fin=True)),
    ("04 03 01", StreamReset(3, 1)),
    ("05 07 4100", StreamStopped(7, 256)),
    ("30 0400", DatagramFrame(b"\x04\x00")),
    ("30", DatagramFrame(b"")),
    ("1d 10 c3a9", Close(16, "é")),
]

numbers = st.integers(0, varint.MAX_VARINT)
frames = st.one_of(
    st.builds(StreamData, numbers, st.binary(max_size=2000), st.booleans()),
    st.builds(StreamReset, numbers, numbers),
    st.builds(StreamStopped, numbers, numbers),
    st.builds(DatagramFrame, st.binary(max_size=2000)),
    st.builds(Close, numbers, st.text(max_size=200)),
)


@pytest.mark.parametrize("message,frame", VECTORS)
def test_frames_are_these_bytes(message: str, frame: Frame) -> None:
    assert encode(frame) == bytes.fromhex(message)
    assert decode(bytes.fromhex(message)) == frame


@given(frames)
def test_what_is_encoded_is_what_is_decoded(frame: Frame) -> None:
    assert decode(encode(frame)) == frame


@pytest.mark.parametrize(
    "message,says",
    [
        ("", "is empty"),
        ("06 00", "type 0x06"),
        ("4008 00", "type 0x40"),  # STREAM, longer than it need be: RFC 9000 section 12.4
        ("08", "STREAM ends before it is complete"),
        ("08 80", "STREAM ends before it is complete"),
        ("04 02", "RESET ends before it is complete"),
        ("05 03 00 ff", "1 bytes in STOP_SENDING, at most 0"),
        ("1d", "CLOSE ends before it is complete"),
        ("1d 00 ff", "is not UTF-8"),
        ("1d 00" + "61" * (MAX_REASON + 1), f"{MAX_REASON + 1} bytes in CLOSE"),
        ("30" + "00" * (MAX_DATA + 1), f"{MAX_DATA + 1} bytes in DATAGRAM"),
    ],
)
def test_malformed_messages_are_named(message: str, says: str) -> None:
    with pytest.raises(WireError, match=says) as raised:
        decode(bytes.fromhex(message))
    assert raised.value.code is Code.PROTOCOL_ERROR


def test_the_largest_frame_fits_the_largest_message() -> None:
    assert len(encode(StreamData(varint.MAX_VARINT, bytes(MAX_DATA), fin=True))) <= MAX_MESSAGE
    with pytest.raises(ValueError, match="at most"):
        encode(DatagramFrame(bytes(MAX_DATA + 1)))


def test_a_long_reason_is_cut_between_characters() -> None:
    frame = decode(encode(Close(8, "é" * MAX_REASON)))
    assert frame == Close(8, "é" * (MAX_REASON // 2))


def test_streams_begin_in_order_and_end_once() -> None:
    inbound = Inbound(Role.CALLER)
    for frame in (
        StreamData(CONTROL_STREAM, b"{}", fin=False),
        StreamData(2, b"a", fin=False),
        StreamData(6, b"b", fin=True),
        StreamReset(10, 2),  # given up before anything of it left
        StreamData(2, b"c", fin=True),
        StreamData(14, b"", fin=False),
    ):
        assert inbound.receive(encode(frame), 0) == frame


@pytest.mark.parametrize(
    "before,frame,says",
    [
        ([], StreamData(6, b"", fin=False), "stream 6: begins before stream 2"),
        ([], StreamReset(6, 0), "stream 6: begins before stream 2"),
        ([], StreamData(3, b"", fin=False), "stream 3: is not the sender's"),
        ([], StreamData(4, b"", fin=False), "stream 4: is not the sender's"),  # a second bidirectional one
        ([], StreamReset(CONTROL_STREAM, 0), "stream 0: is not the sender's"),
        ([StreamData(2, b"", fin=True)], StreamData(2, b"x", fin=False), "stream 2: data behind its end"),
        ([StreamReset(2, 0)], StreamData(2, b"x", fin=True), "stream 2: data behind its end"),
        (
            [StreamData(CONTROL_STREAM, b"", fin=True)],
            StreamData(CONTROL_STREAM, b"x", fin=False),
            "control stream: data behind its end",
        ),
        ([], StreamStopped(2, 1), "stream 2: is asked to stop"),  # its own
        ([], StreamStopped(CONTROL_STREAM, 1), "stream 0: is asked to stop"),
        ([], StreamStopped(7, 1), "stream 7: is asked to stop"),  # only stream 3 has begun
    ],
)
def test_a_broken_rule_is_named(before: list[Frame], frame: Frame, says: str) -> None:
    inbound = Inbound(Role.CALLER)
    for earlier in before:
        inbound.receive(encode(earlier), 1)
    with pytest.raises(WireError, match=says):
        inbound.receive(encode(frame), 1)


def test_what_crosses_an_end_is_no_offence() -> None:
    """A reset behind the end says nothing new; a stop is passed on, for the stream it names did begin."""
    inbound = Inbound(Role.EDGE)
    inbound.receive(encode(StreamData(3, b"x", fin=True)), 1)
    assert inbound.receive(encode(StreamReset(3, 1)), 1) is None
    stopped = StreamStopped(2, 1)
    assert inbound.receive(encode(stopped), 1) == stopped


def test_a_peer_that_opens_every_stream_meets_a_limit() -> None:
    inbound = Inbound(Role.CALLER)
    for number in range(MAX_OPEN_STREAMS):
        inbound.receive(encode(StreamData(Role.CALLER.stream_id(number), b"", fin=False)), 0)
    following = Role.CALLER.stream_id(MAX_OPEN_STREAMS)
    with pytest.raises(WireError, match="128 others are open") as raised:
        inbound.receive(encode(StreamData(following, b"", fin=False)), 0)
    assert raised.value.code is Code.LIMIT
    inbound.receive(encode(StreamReset(2, 0)), 0)  # one less
    inbound.receive(encode(StreamData(following, b"", fin=False)), 0)


def test_sessions_and_wire_agree_on_numbers() -> None:
    assert [Role.CALLER.stream_id(number) for number in range(3)] == [2, 6, 10]
    assert [Role.EDGE.stream_id(number) for number in range(3)] == [3, 7, 11]


def test_ten_thousand_inputs_are_a_frame_or_a_wire_error() -> None:
    """Random bytes, and good messages with bytes changed, cut, doubled: nothing else comes out, and little is kept."""
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    inbound = Inbound(Role.CALLER)
    good = [bytes.fromhex(message) for message, _ in VECTORS] + [
        encode(StreamData(Role.CALLER.stream_id(number), bytes(40), fin=False)) for number in range(300)
    ]
    errors = 0
    for _ in range(10_000):
        message = dice.choice((dice.randbytes(dice.randrange(40)), mutated(dice.choice(good), dice)))
        try:
            inbound.receive(message, 2)
        except WireError:
            errors += 1
        except Exception as error:
            raise AssertionError(f"seed {seed}, message {message.hex()}") from error
    assert 1000 < errors < 10_000, seed
    assert len(inbound._open) <= MAX_OPEN_STREAMS


def mutated(message: bytes, dice: random.Random) -> bytes:
    data = bytearray(message)
    for _ in range(dice.randrange(3)):
        match dice.randrange(4):
            case 0 if data:
                data[dice.randrange(len(data))] = dice.randrange(256)
            case 1:
                del data[dice.randrange(len(data) + 1) :]
            case 2:
                data *= 2
            case _:
                data.insert(dice.randrange(len(data) + 1), dice.randrange(256))
    return bytes(data)


def test_every_frame_of_quic_has_quics_number() -> None:
    """RFC 9000 section 19 and RFC 9221 section 4: 0x08 with the FIN bit 0x01, RESET_STREAM, STOP_SENDING, ..."""
    assert {kind.name: kind.value for kind in mux._Type} == {
        "RESET": 0x04,
        "STOP_SENDING": 0x05,
        "STREAM": 0x08,
        "STREAM_FIN": 0x09,
        "CLOSE": 0x1D,
        "DATAGRAM": 0x30,
    }
