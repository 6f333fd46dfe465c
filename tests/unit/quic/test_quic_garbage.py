"""Whatever arrives, nothing is raised and the neighbours' calls go on.

Four kinds of sender: one with random bytes, one who changes real packets, one who encrypts nonsense as any
stranger can (the keys of Initial packets are public), and one who has completed a handshake and then sends
nonsense with the keys of the connection.
"""

from functools import cache

import pytest
from aioquic.buffer import encode_uint_var
from aioquic.quic.crypto import CryptoPair
from aioquic.quic.packet import QuicFrameType
from aioquic.tls import Epoch
from hypothesis import given, settings
from hypothesis import strategies as st
from sim.direct import Direct
from sim.nodes import UNICAST_V4, make_endpoint
from sim.world import ALPN, PORT, SERVER_NAME, SERVICE_V4, make_identity

from edge.quic import (
    ClientConfig,
    ClientConnection,
    ConnectionClosed,
    Path,
    StreamDataReceived,
)
from edge.quic.header import VERSION_1, VERSION_2

STRANGER = ("192.0.2.66", 666)


class Neighbourhood:
    """An endpoint with one well-behaved connection, and the packets it took to get there."""

    def __init__(self) -> None:
        self.endpoint = make_endpoint(max_connections=10_000, max_handshakes=10_000)
        self.good = Direct(self.endpoint, to=UNICAST_V4).connect()
        self.good.client.send_stream_data(0, b"hello")
        self.good.exchange()
        self.good.pass_time(0.2)

    def receive(self, data: bytes, local: str = SERVICE_V4) -> None:
        """A datagram of a stranger, and everything an owner does after one."""
        now = self.good.now
        self.endpoint.receive_datagram(data, Path(*STRANGER, local=local), now)
        self.endpoint.datagrams_to_send(now)
        while self.endpoint.next_event() is not None:
            pass
        self.endpoint.get_timer()

    def still_serves(self) -> bool:
        good = self.good
        good.events.clear()
        good.client.send_stream_data(0, b"still there?")
        good.exchange()
        good.pass_time(1.0)
        return any(isinstance(event, StreamDataReceived) for event in good.events)


@cache
def neighbourhood() -> Neighbourhood:
    return Neighbourhood()


@given(st.binary(max_size=1500), st.sampled_from([SERVICE_V4, UNICAST_V4]))
def test_random_bytes(data: bytes, local: str) -> None:
    neighbourhood().receive(data, local)


def change(data: bytes, kind: str, position: int, value: int) -> bytes:
    """One of the things that faulty networks and curious people do to packets."""
    at = position % (len(data) + 1)
    match kind:
        case "flip":
            at = min(at, len(data) - 1)
            return data[:at] + bytes((data[at] ^ (value or 1),)) + data[at + 1 :]
        case "cut":
            return data[:at]
        case "stretch":
            return data[:at] + bytes((value,)) * (value + 1) + data[at:]
        case "repeat":
            return data + data[at:]
        case _:
            return data[at:] + data[:at]


CHANGES = st.tuples(
    st.sampled_from(["flip", "cut", "stretch", "repeat", "turn"]), st.integers(0, 1500), st.integers(0, 255)
)


@given(st.integers(0, 100), st.lists(CHANGES, min_size=1, max_size=4))
def test_real_packets_changed(which: int, changes: list[tuple[str, int, int]]) -> None:
    world = neighbourhood()
    data, local = world.good.sent[which % len(world.good.sent)]
    for kind, position, value in changes:
        data = change(data, kind, position, value) or b"\x00"
    world.receive(data, local)


FRAME_TYPES = st.sampled_from([bytes((int(kind),)) for kind in QuicFrameType])
# Small numbers are one-byte integers, so most of these get past the parser.
FRAMES = st.builds(
    lambda kind, fields: kind + bytes(fields), FRAME_TYPES, st.lists(st.integers(0, 63), max_size=6)
)
NONSENSE = st.lists(st.one_of(FRAMES, FRAMES, st.binary(max_size=20)), min_size=1, max_size=12).map(b"".join)


def encrypted_initial(payload: bytes, dcid: bytes, version: int = VERSION_1) -> bytes:
    """A client's first packet with frames of our choice."""
    keys = CryptoPair()
    keys.setup_initial(cid=dcid, is_client=True, version=version)
    payload = payload.ljust(1200 - 60, b"\x00")
    first = 0xC1 if version == VERSION_1 else 0xD1
    header = bytes((first,)) + version.to_bytes(4, "big") + bytes((len(dcid),)) + dcid + b"\x04scid\x00"
    header += (0x4000 | len(payload) + 2 + 16).to_bytes(2, "big") + b"\x00\x00"
    return keys.encrypt_packet(header, payload, 0).ljust(1200, b"\x00")


@given(NONSENSE, st.binary(min_size=8, max_size=20), st.sampled_from([VERSION_1, VERSION_2]))
def test_nonsense_encrypted_as_any_stranger_can(payload: bytes, dcid: bytes, version: int) -> None:
    neighbourhood().receive(encrypted_initial(payload, dcid, version))


def test_a_stranger_cannot_make_us_reserve_memory() -> None:
    endpoint = make_endpoint()
    far_away = encode_uint_var(400_000)
    endpoint.receive_datagram(
        encrypted_initial(b"\x06" + far_away + b"\x01x", b"made up!"),
        Path(*STRANGER, local=SERVICE_V4),
        0.0,
    )
    (record,) = endpoint._table
    assert record.closed
    now = 0.0
    while (timer := endpoint.get_timer()) is not None or endpoint.datagrams_to_send(now):
        now = timer or now
        endpoint.handle_timer(now)
        endpoint.datagrams_to_send(now)
    assert now < 2.0
    assert len(endpoint._table) == 0


@settings(max_examples=60)
@given(st.lists(NONSENSE, min_size=1, max_size=5))
@pytest.mark.parametrize("alpn", [ALPN, "h3"])
def test_nonsense_of_somebody_we_know(alpn: str, payloads: list[bytes]) -> None:
    """A client that completed a handshake may send any frames; it may lose its own connection by it."""
    endpoint = neighbourhood().endpoint
    hostile = Direct(endpoint, alpn=alpn, to=UNICAST_V4)
    hostile.address = STRANGER
    hostile.connect()
    keys = hostile.client._cryptos[Epoch.ONE_RTT]
    for payload in payloads:
        number = hostile.client._packet_number
        hostile.client._packet_number += 1
        header = b"\x41" + hostile.client._peer_cid.cid + (number & 0xFFFF).to_bytes(2, "big")
        hostile.deliver(keys.encrypt_packet(header, payload.ljust(20, b"\x00"), number))
        endpoint.datagrams_to_send(hostile.now)
    assert endpoint.counters.engine_errors == 0


def http3_nonsense() -> st.SearchStrategy[list[tuple[int, bytes, bool]]]:
    starts = st.sampled_from([bytes((kind,)) for kind in (0, 1, 2, 3, 4, 5, 7, 0x0D, 0x21, 0x40, 0x54)])
    data = st.lists(st.one_of(starts, st.binary(max_size=12)), max_size=8).map(b"".join)
    return st.lists(st.tuples(st.sampled_from([0, 2, 4, 6, 10, 14]), data, st.booleans()), max_size=8)


@settings(max_examples=60)
@given(http3_nonsense())
def test_nonsense_in_http3(writes: list[tuple[int, bytes, bool]]) -> None:
    endpoint = neighbourhood().endpoint
    hostile = Direct(endpoint, alpn="h3", to=UNICAST_V4)
    hostile.address = STRANGER
    hostile.connect()
    for stream_id, data, fin in writes:
        try:
            hostile.client.send_stream_data(stream_id, data, fin)
        except (ValueError, RuntimeError):
            continue
        hostile.exchange()
    hostile.client.close()
    hostile.exchange()
    assert endpoint.counters.engine_errors == 0


def test_a_client_is_not_brought_down_either() -> None:
    @given(st.integers(0, 100), st.lists(CHANGES, max_size=3), st.binary(max_size=100))
    def receive(which: int, changes: list[tuple[str, int, int]], noise: bytes) -> None:
        data = answers[which % len(answers)][0]
        for kind, position, value in changes:
            data = change(data, kind, position, value) or b"\x00"
        for datagram in (data, noise):
            client.receive_datagram(datagram, (SERVICE_V4, PORT), now)
            client.datagrams_to_send(now)
            client.get_timer()

    answers, now = neighbourhood().good.answers, 0.0
    config = ClientConfig(server_name=SERVER_NAME, alpn=(ALPN,), ca_pem=make_identity()[1])
    client = ClientConnection(config)
    client.receive_datagram(b"before anything", (SERVICE_V4, PORT), now)
    client.connect((SERVICE_V4, PORT), now)
    client.datagrams_to_send(now)
    receive()
    while (event := client.next_event()) is not None:
        assert not (isinstance(event, ConnectionClosed) and event.code == 1), event


def test_the_neighbour_has_not_noticed() -> None:
    """After all of the above."""
    assert neighbourhood().still_serves()
    assert neighbourhood().endpoint.counters.engine_errors == 0
