"""All connections of a worker: what is reported when, what a closed handle does, and what is left over."""

from collections.abc import Callable
from typing import Any

import pytest
from aioquic.buffer import Buffer
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated
from aioquic.quic.packet import QuicPacketType, pull_quic_header
from sim.direct import CLIENT, Direct
from sim.nodes import UNICAST_V4, make_endpoint
from sim.world import ALPN, PORT, SERVICE_V4, make_identity

from edge.overload import Verdict
from edge.quic import (
    ConnectionClosed,
    DatagramReceived,
    Endpoint,
    HandshakeCompleted,
    Identity,
    Outcome,
    Path,
    SendingStopped,
    StreamDataReceived,
    StreamReset,
)
from edge.quic.connection import EdgeConnection
from edge.quic.header import LONG_HEADER_BIT


def leftovers(endpoint: Endpoint) -> tuple[int, int, int]:
    return len(endpoint._table), len(endpoint._table.by_cid), endpoint._handshakes


def test_a_connection_from_first_packet_to_last() -> None:
    direct = Direct(make_endpoint(), to=UNICAST_V4, max_datagram_frame_size=65535).connect()
    client, endpoint = direct.client, direct.endpoint
    (completed,) = direct.events
    assert completed == HandshakeCompleted(
        1, Path(*CLIENT, local=UNICAST_V4), ALPN, early_data_accepted=False
    )
    direct.pass_time(0.5)
    direct.events.clear()
    up, other = (client.get_next_available_stream_id(is_unidirectional=True) + 4 * i for i in range(2))
    client.send_stream_data(up, b"hello", end_stream=True)
    client.send_stream_data(other, b"half")
    client.send_datagram_frame(b"datagram")
    direct.exchange()
    client.reset_stream(other, 7)
    down = endpoint.open_stream(1)
    endpoint.send_stream(1, down, b"answer")
    direct.exchange()
    client.stop_stream(down, 9)
    direct.exchange()
    assert direct.events == [
        DatagramReceived(1, b"datagram"),
        StreamDataReceived(1, up, b"hello", fin=True),
        StreamDataReceived(1, other, b"half", fin=False),
        StreamReset(1, other, 7),
        SendingStopped(1, down, 9),
    ]
    client.close(error_code=4, reason_phrase="bye")
    direct.exchange()
    assert direct.events[-1] == ConnectionClosed(1, 4, "bye", by_peer=True, by_application=True)
    direct.pass_time(5.0)
    assert leftovers(endpoint) == (0, 0, 0)


def test_closing_is_reported_at_once_and_reaches_the_client() -> None:
    direct = Direct(make_endpoint()).connect()
    direct.endpoint.close(1, 3, "session closed " * 200)
    event = direct.endpoint.next_event()
    assert isinstance(event, ConnectionClosed)
    assert (event.code, event.by_peer, event.by_application) == (3, False, True)
    assert direct.endpoint.connection(1) is None
    direct.exchange()
    direct.pass_time(5.0)
    (closed,) = (event for event in direct.client_events if isinstance(event, ConnectionTerminated))
    assert closed.error_code == 3
    assert closed.reason_phrase.startswith("session closed")
    assert leftovers(direct.endpoint) == (0, 0, 0)


@pytest.mark.parametrize("handle", [1, 99])
def test_no_verb_minds_a_connection_that_is_gone(handle: int) -> None:
    direct = Direct(make_endpoint()).connect()
    endpoint = direct.endpoint
    endpoint.close(1)
    assert endpoint.open_stream(handle) == -1
    refused = [
        endpoint.send_stream(handle, 3, b"x"),
        endpoint.reset_stream(handle, 3, 0),
        endpoint.stop_stream(handle, 2, 0),
        endpoint.send_datagram(handle, b"x"),
        endpoint.respond(handle, 0, 200, [], b""),
    ]
    assert refused == [False] * 5
    assert endpoint.unacknowledged(handle, 3) == 0
    assert endpoint.rtt_s(handle) is None
    assert endpoint.unsent_bytes(handle) == 0
    endpoint.close(handle)
    assert endpoint.connection(handle) is None


@pytest.mark.parametrize(
    "verb",
    [
        lambda endpoint: endpoint.send_stream(1, 2, b"to a stream only the peer writes"),
        lambda endpoint: endpoint.send_stream(1, 400, b"to a stream the peer has not opened"),
        lambda endpoint: endpoint.stop_stream(1, 3, 0),
        lambda endpoint: endpoint.stop_stream(1, 400, 0),
        lambda endpoint: endpoint.reset_stream(1, 400, 0),
    ],
)
def test_what_a_stream_cannot_do_is_refused_quietly(verb: Callable[[Endpoint], bool]) -> None:
    direct = Direct(make_endpoint()).connect()
    assert verb(direct.endpoint) is False
    direct.exchange()
    assert direct.endpoint.counters.engine_errors == 0


def test_a_stream_takes_nothing_after_its_end() -> None:
    direct = Direct(make_endpoint()).connect()
    finished, reset = direct.endpoint.open_stream(1), direct.endpoint.open_stream(1, unidirectional=False)
    assert direct.endpoint.send_stream(1, finished, b"end", fin=True)
    assert not direct.endpoint.send_stream(1, finished, b"more")
    assert direct.endpoint.reset_stream(1, reset, 5)
    assert not direct.endpoint.send_stream(1, reset, b"more")


def test_close_all_closes_every_connection_and_reports_each() -> None:
    endpoint = make_endpoint()
    directs = [Direct(endpoint) for _ in range(3)]
    for port, direct in enumerate(directs):
        direct.address = (CLIENT[0], port + 1)
        direct.connect()
    endpoint.close_all(4, "going away")
    codes = []
    while (event := endpoint.next_event()) is not None:
        assert isinstance(event, ConnectionClosed)
        codes.append(event.code)
    assert codes == [4, 4, 4]
    assert not endpoint.connections


def test_an_idle_connection_ends_and_is_reported() -> None:
    direct = Direct(make_endpoint(idle_timeout=5.0)).connect()
    direct.pass_time(20.0)
    closed = direct.events[-1]
    assert isinstance(closed, ConnectionClosed)
    assert (closed.reason, closed.by_peer, closed.by_application) == ("Idle timeout", False, False)
    assert leftovers(direct.endpoint) == (0, 0, 0)


def test_a_handshake_that_nobody_continues_is_forgotten_without_a_word() -> None:
    endpoint = make_endpoint(handshake_timeout=3.0)
    direct = Direct(endpoint)
    direct.client.connect((SERVICE_V4, PORT), 0.0)
    for data, _ in direct.client.datagrams_to_send(0.0):
        direct.deliver(data)
    assert leftovers(endpoint)[2] == 1
    endpoint.datagrams_to_send(0.0)
    now = 0.0
    while (timer := endpoint.get_timer()) is not None:
        now = timer
        endpoint.handle_timer(now)
        endpoint.datagrams_to_send(now)
    assert now == pytest.approx(3.0, abs=0.01)
    assert endpoint.next_event() is None
    assert endpoint.counters.handshakes_failed == 1
    assert leftovers(endpoint) == (0, 0, 0)


def test_a_client_with_the_wrong_alpn_is_counted_and_not_reported() -> None:
    direct = Direct(make_endpoint(), alpn="smtp").connect()
    direct.pass_time(5.0)
    assert direct.events == []
    assert direct.endpoint.counters.handshakes_failed == 1
    assert leftovers(direct.endpoint) == (0, 0, 0)
    (closed,) = (event for event in direct.client_events if isinstance(event, ConnectionTerminated))
    assert closed.error_code == 0x100 + 120


def test_an_error_in_the_engine_ends_one_connection_only(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = make_endpoint()
    victim, neighbour = Direct(endpoint), Direct(endpoint)
    neighbour.address = (CLIENT[0], 1)
    victim.connect()
    neighbour.connect()
    original = EdgeConnection.receive_datagram

    def receive(engine: EdgeConnection, data: bytes, addr: Any, now: float) -> None:
        if addr.port == CLIENT[1]:
            raise AssertionError("engine bug")
        original(engine, data, addr, now)

    monkeypatch.setattr(EdgeConnection, "receive_datagram", receive)
    victim.client.send_ping(1)
    victim.exchange()
    closed = victim.events[-1]
    assert isinstance(closed, ConnectionClosed)
    assert (closed.code, closed.reason) == (1, "AssertionError: engine bug")
    assert endpoint.counters.engine_errors == 1
    neighbour.events.clear()
    neighbour.client.send_stream_data(0, b"still here", end_stream=True)
    neighbour.exchange()
    assert any(isinstance(event, StreamDataReceived) for event in neighbour.events)
    # What is left of the victim is a connection this node no longer knows.
    victim.client.send_ping(2)
    victim.exchange()
    assert endpoint.counters.resets_sent == 1
    assert victim.client._close_event is not None
    assert victim.client._close_event.reason_phrase == "stateless reset"


@pytest.mark.parametrize("method", ["datagrams_to_send", "get_timer", "handle_timer"])
def test_an_error_in_the_engine_while_sending_or_waiting_ends_that_connection(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    direct = Direct(make_endpoint()).connect()
    direct.endpoint.datagrams_to_send(direct.now)

    def fail(*_: object, **__: object) -> None:
        raise KeyError("engine bug")

    monkeypatch.setattr(EdgeConnection, method, fail)
    direct.endpoint.send_stream(1, direct.endpoint.open_stream(1), b"x")
    direct.pass_time(60.0)
    assert isinstance(direct.events[-1], ConnectionClosed)
    assert leftovers(direct.endpoint) == (0, 0, 0)


def test_a_copy_of_a_clients_first_packet_begins_nothing() -> None:
    direct = Direct(make_endpoint()).connect()
    direct.pass_time(0.5)
    first, _ = direct.sent[0]
    direct.deliver(first)
    direct.exchange()
    assert len(direct.endpoint.connections) == 1
    assert direct.endpoint.counters.initials == 1


def test_a_late_packet_to_a_retired_cid_is_not_answered_with_a_reset() -> None:
    direct = Direct(make_endpoint(), to=UNICAST_V4).connect()
    direct.client.send_ping(1)
    ((late, _),) = direct.client.datagrams_to_send(direct.now)
    direct.client.change_connection_id()
    direct.client.send_ping(2)
    direct.exchange()
    direct.pass_time(0.5)
    direct.deliver(late)
    assert direct.endpoint.counters.resets_sent == 0


def test_only_connections_with_something_to_say_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = make_endpoint()
    directs = [Direct(endpoint) for _ in range(20)]
    for port, direct in enumerate(directs):
        direct.address = (CLIENT[0], 1 + port)
        direct.connect()
    endpoint.datagrams_to_send(1.0)
    asked: list[EdgeConnection] = []
    for name in ("datagrams_to_send", "get_timer", "receive_datagram"):
        original = getattr(EdgeConnection, name)

        def note(engine: EdgeConnection, *arguments: Any, original: Any = original) -> Any:
            asked.append(engine)
            return original(engine, *arguments)

        monkeypatch.setattr(EdgeConnection, name, note)
    assert endpoint.datagrams_to_send(1.0) == []
    assert asked == []
    directs[7].client.send_ping(1)
    for data, _ in directs[7].client.datagrams_to_send(1.0):
        directs[7].deliver(data)
    endpoint.datagrams_to_send(1.0)
    assert len(set(asked)) == 1


def packet_types(datagram: bytes) -> list[QuicPacketType]:
    buffer, types = Buffer(data=datagram), []
    while not buffer.eof() and datagram[buffer.tell()] & LONG_HEADER_BIT:
        start = buffer.tell()
        header = pull_quic_header(buffer, host_cid_length=18)
        types.append(header.packet_type)
        buffer.seek(start + header.packet_length)
    return types


def test_packets_that_share_a_datagram_are_all_received() -> None:
    direct = Direct(make_endpoint()).connect()
    initial_and_handshake = [QuicPacketType.INITIAL, QuicPacketType.HANDSHAKE]
    assert packet_types(direct.answers[0][0]) == initial_and_handshake
    assert packet_types(direct.sent[1][0]) == initial_and_handshake
    assert direct.endpoint.counters.handshakes_completed == 1


def test_limits_hold_while_many_arrive_at_once() -> None:
    endpoint = make_endpoint(max_handshakes=5)
    for port in range(1, 11):
        client = QuicConnection(configuration=QuicConfiguration(server_name="x", alpn_protocols=[ALPN]))
        client.connect((SERVICE_V4, PORT), 0.0)
        for data, _ in client.datagrams_to_send(0.0):
            endpoint.receive_datagram(data, Path(CLIENT[0], port, SERVICE_V4), 0.0)
    assert endpoint.counters.refused == 5
    assert leftovers(endpoint)[2] == 5


def test_outcomes_are_words_that_go_into_json() -> None:
    assert [str(outcome) for outcome in Outcome] == ["migrated", "on_anycast", "direct"]


def long_chain() -> Identity:
    """An identity whose handshake does not fit into three times what a client sends first."""
    leaf, authority = make_identity()[0], make_identity("authority")[0]
    return Identity(leaf.certificate, (authority.certificate,) * 20, leaf.key)


def test_a_certificate_chain_is_sent_whole() -> None:
    direct = Direct(make_endpoint(identity=long_chain())).connect()
    assert len(direct.client.tls._peer_certificate_chain) == 20


@pytest.mark.parametrize("proof", [False, True])
def test_an_address_is_sent_more_than_it_sent_once_it_is_known_to_be_true(proof: bool) -> None:
    endpoint = make_endpoint(identity=long_chain(), admission=lambda _now: Verdict.RETRY, proof=proof)
    client = Direct(endpoint).client
    client.connect((SERVICE_V4, PORT), 0.0)
    sent = received = 0
    for _ in range(2 if proof else 1):
        sent = received = 0
        for data, _ in client.datagrams_to_send(0.0):
            endpoint.receive_datagram(data, Path(*CLIENT, local=SERVICE_V4), 0.0)
            sent += len(data)
        for data, path in endpoint.datagrams_to_send(0.0):
            client.receive_datagram(data, (path.local, PORT), 0.0)
            received += len(data)
    assert sent == 1200
    assert (received > 3 * sent) == proof
