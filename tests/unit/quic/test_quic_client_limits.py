"""What one client may take of an endpoint: connections, beginnings, packets, and answers it does not read."""

import pytest
from aioquic.h3.connection import H3Connection
from sim.direct import Direct
from sim.nodes import make_endpoint
from sim.world import PORT, SERVICE_V4

from edge.overload import Verdict
from edge.quic import ConnectionClosed, Endpoint, RequestReceived
from edge.quic import endpoint as endpoint_module
from edge.quic import http3 as http3_module
from edge.quic.packets import CONNECTION_REFUSED

OTHER = ("192.0.2.2", 40_000)
REQUEST = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"voice"), (b":path", b"/")]


def come(endpoint: Endpoint, address: tuple[str, int] | None = None, now: float = 0.0) -> Direct:
    """One more client; it stays as long as it may."""
    client = Direct(endpoint)
    client.now = now
    client.address = address or ("192.0.2.1", 40_000 + len(endpoint.connections))
    return client.connect()


def outcome(client: Direct) -> int | None:
    """The code it was closed with."""
    closing = client.client._close_event
    return None if closing is None else int(closing.error_code)


def test_an_address_has_its_share_and_others_theirs() -> None:
    endpoint = make_endpoint(per_address=3)
    first, *_ = [come(endpoint) for _ in range(3)]
    assert outcome(come(endpoint)) == CONNECTION_REFUSED
    assert endpoint.counters.crowded == endpoint.counters.refused == 1
    assert outcome(come(endpoint, OTHER)) is None
    first.client.close()
    first.exchange()
    first.pass_time(2.0)
    assert outcome(come(endpoint, now=10.0)) is None


def test_a_handshake_that_is_not_completed_takes_nobodys_share() -> None:
    """Anybody can put any address on an Initial: it must not cost whose address it is."""
    endpoint = make_endpoint(per_address=3)
    for _ in range(10):
        forged = Direct(endpoint)
        forged.client.connect((SERVICE_V4, PORT), 0.0)
        for data, _ in forged.client.datagrams_to_send(0.0):
            forged.deliver(data)
    assert outcome(come(endpoint)) is None
    assert endpoint.counters.crowded == 0


@pytest.mark.parametrize("proof", [True, False])
def test_who_comes_too_often_proves_its_address_and_is_then_refused(proof: bool) -> None:
    endpoint = make_endpoint(per_address=100, per_address_per_s=2.0, proof=proof)
    codes = []
    for _ in range(10):
        client = come(endpoint)
        codes.append(outcome(client))
        client.client.close()
        client.exchange()
    if proof:
        # Four without, four more with a Retry; both were counted, the second by an address that is real.
        assert codes == [None] * 8 + [CONNECTION_REFUSED] * 2
        assert endpoint.counters.retried == 6
        assert endpoint.counters.crowded == 2
    else:
        assert codes == [None] * 10


def test_the_verdict_of_overload_control_counts_as_before() -> None:
    endpoint = make_endpoint(per_address=4, admission=lambda _: Verdict.REFUSE)
    assert outcome(come(endpoint)) == CONNECTION_REFUSED
    assert endpoint.counters.crowded == 0


def test_packets_beyond_the_budget_are_dropped_and_that_is_all_a_dump_notices() -> None:
    """The sender takes it for a bad network: it slows down, and all of it arrives."""
    endpoint = make_endpoint(packets_per_s=200.0, packets_at_once=100)
    client = come(endpoint)
    stream = client.client.get_next_available_stream_id(is_unidirectional=True)
    client.client.send_stream_data(stream, bytes(500_000), True)
    client.exchange()
    client.pass_time(20.0)
    received = sum(len(event.data) for event in client.events if hasattr(event, "data"))
    assert received == 500_000
    assert endpoint.counters.dropped_excess > 0
    assert outcome(client) is None


def test_a_flood_of_packets_ends_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_module, "MAX_EXCESS", 200)
    endpoint = make_endpoint(packets_per_s=10.0, packets_at_once=50)
    client, neighbour = come(endpoint), come(endpoint, OTHER)
    client.client.send_ping(1)
    ((data, _),) = client.client.datagrams_to_send(client.now)
    for _ in range(400):
        client.deliver(data)
    closed = [event for event in client.events if isinstance(event, ConnectionClosed)]
    assert [(event.code, event.reason) for event in closed] == [(8, "more than 10 packets a second")]
    assert len(endpoint.connections) == 1
    neighbour.client.send_ping(1)
    neighbour.exchange()
    assert outcome(neighbour) is None


def test_who_asks_and_does_not_read_the_answers_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page is a hundred times longer than the request for it."""
    monkeypatch.setattr(http3_module, "MAX_UNSENT_BYTES", 100_000)
    client = Direct(make_endpoint(), alpn="h3", max_data=20_000)
    client.client._write_connection_limits = lambda *_, **__: None  # type: ignore[method-assign]
    client.connect()
    http = H3Connection(client.client)
    asked = 0
    for _ in range(30):
        stream = client.client.get_next_available_stream_id()
        http.send_headers(stream, REQUEST, end_stream=True)
        client.exchange()
        for event in client.events:
            if isinstance(event, RequestReceived):
                asked += 1
                client.endpoint.respond(event.connection, event.stream_id, 200, [], bytes(20_000))
        client.events.clear()
    assert 6 <= asked <= 7
    assert not client.endpoint.connections
