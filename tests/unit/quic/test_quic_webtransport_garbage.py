"""Ten thousand things that are nearly right: an error for that session at most, and nothing is raised."""

import random
from collections.abc import Iterator

import pytest
from aioquic.buffer import encode_uint_var
from sim.direct import Direct
from sim.nodes import make_endpoint
from sim.page import Page

from edge.quic import SessionRequested
from edge.quic.capsules import MAX_REASON_BYTES, CapsuleError, CapsuleReader, CloseSession
from edge.quic.webtransport_wire import StreamHeader, read_stream_header, stream_header

INPUTS = 10_000
STREAMS_AT_A_TIME = 25


def nearly_right(dice: random.Random, seeds: list[bytes]) -> bytes:
    """Something valid that is flipped, cut, doubled or stretched here and there; now and then pure noise."""
    data = bytearray(dice.choice(seeds) if dice.random() < 0.9 else dice.randbytes(dice.randrange(40)))
    for _ in range(dice.randrange(4)):
        at = dice.randrange(len(data) + 1)
        match dice.randrange(4):
            case 0 if at < len(data):
                data[at] ^= 1 << dice.randrange(8)
            case 1:
                del data[at:]
            case 2:
                data[at:at] = dice.randbytes(dice.randrange(1, 9))
            case _:
                data += dice.choice(seeds)
    return bytes(data)


def pieces(dice: random.Random, data: bytes) -> Iterator[bytes]:
    while data:
        size = dice.randrange(1, len(data) + 1)
        yield data[:size]
        data = data[size:]


CAPSULES = [
    b"",
    CloseSession(7, "bye").encode(),
    CloseSession(2**32 - 1, "x" * MAX_REASON_BYTES).encode(),
    encode_uint_var(0x2843) + b"\x04\x00\x00\x00\x01",
    encode_uint_var(0x78AE) + b"\x00",
    encode_uint_var(0x21 + 31 * 1000) + b"\x05abcde",
    encode_uint_var(0x00) + encode_uint_var(2**62 - 1),
]
HEADERS = [
    stream_header(2, 0) + b"speech",
    stream_header(0, 0) + b"control",
    stream_header(2, 4) + b"of another session",
    stream_header(2, 2**62 - 4),
    b"\x00\x04\x04\x01\x00\x06\x00",
    b"\x01\x02\x00\x00",
    b"\x21" + b"grease" * 3,
    b"\x02\x3f\xe1\x1f",
    b"\x03",
]


def test_the_parser_of_capsules() -> None:
    dice = random.Random(1)
    closed = refused = 0
    for _ in range(INPUTS):
        reader = CapsuleReader()
        for piece in pieces(dice, nearly_right(dice, CAPSULES)):
            try:
                found = reader.receive(piece)
            except CapsuleError:
                refused += 1
                break
            assert len(reader._unread) <= 16 + 4 + MAX_REASON_BYTES
            if found is not None:
                assert 0 <= found.code < 2**32
                closed += 1
                break
    assert closed > 500
    assert refused > 500


def test_how_capsules_are_cut_makes_no_difference() -> None:
    dice = random.Random(2)
    stream = CAPSULES[5] * 3 + CAPSULES[4] + CAPSULES[1]
    for _ in range(200):
        reader = CapsuleReader()
        *before, last = [reader.receive(piece) for piece in pieces(dice, stream)]
        assert before == [None] * len(before)
        assert last == CloseSession(7, "bye")


def test_a_reason_that_is_too_long_is_cut_between_characters() -> None:
    encoded = CloseSession(1, "\u20ac" * 1000).encode()
    closing = CapsuleReader().receive(encoded)
    assert closing == CloseSession(1, "\u20ac" * (MAX_REASON_BYTES // 3))


def test_the_parser_of_stream_headers() -> None:
    dice = random.Random(3)
    for _ in range(INPUTS):
        data = nearly_right(dice, HEADERS)
        stream_id = dice.randrange(0, 100, 2)
        header = read_stream_header(stream_id, data)
        assert header is None or header.size <= min(len(data), 16)
        if header is None:
            assert len(data) < 16
    assert read_stream_header(2, stream_header(2, 8) + b"x") == StreamHeader(8, 3)


class Visitor:
    """One of a crowd of bad pages on the same endpoint, each with a session that was accepted."""

    def __init__(self, endpoint: object) -> None:
        self.page = Page()
        self.direct = Direct(endpoint, alpn="h3")  # type: ignore[arg-type]
        self.direct.client = self.page  # type: ignore[assignment]
        self.direct.connect()
        self.page.ask()
        self.direct.exchange()
        (asked,) = [event for event in self.direct.events if isinstance(event, SessionRequested)]
        assert self.direct.endpoint.accept_session(asked.connection, asked.session)
        self.direct.exchange()

    @property
    def alive(self) -> bool:
        return self.page.closed is None and self.page.engine.termination is None


@pytest.mark.parametrize("what", ["streams", "capsules"])
def test_an_endpoint_goes_on_whatever_its_pages_write(what: str) -> None:
    endpoint = make_endpoint(max_connections=10**6)
    dice = random.Random(4)
    visitor = Visitor(endpoint)
    left = INPUTS if what == "streams" else INPUTS // 5  # a capsule that is wrong costs a handshake
    while left > 0:
        for _ in range(STREAMS_AT_A_TIME):
            left -= 1
            engine = visitor.page.engine
            if what == "capsules":
                if visitor.page.session in visitor.page.resets:
                    break
                visitor.page.send_capsules(nearly_right(dice, CAPSULES))
                continue
            stream_id = engine.get_next_available_stream_id(is_unidirectional=dice.random() < 0.8)
            engine.send_stream_data(stream_id, nearly_right(dice, HEADERS), dice.random() < 0.7)
            if dice.random() < 0.3:
                engine.reset_stream(stream_id, dice.randrange(2**40))
        visitor.direct.exchange()
        visitor.direct.events.clear()
        if not visitor.alive or what == "capsules":
            visitor = Visitor(endpoint)
    assert endpoint.counters.engine_errors == 0
    for record in endpoint._table:
        if record.http3 is not None:
            assert sum(map(len, record.http3._undecided.values())) < 16 * 256
            assert len(record.http3._held) <= 64
