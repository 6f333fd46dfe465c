"""Datagrams that are read at once, and those that wait for them: in order, in bounds, and never for nothing."""

from typing import Any

import pytest
from sim.direct import Direct
from sim.nodes import make_endpoint

from edge.quic import HandshakeCompleted, Path, StreamDataReceived
from edge.quic import lanes as module
from edge.quic.table import PROMPT_AT_ONCE


class Queued(Direct):
    """Hands what it sends to the queue, as a worker does; ``turns`` are how often it then took what waits."""

    turns = 0

    def deliver(self, data: bytes, to: str | None = None, **_: Any) -> None:
        self.endpoint.queue_datagram(data, Path(*self.address, local=to or self._to), self.now)
        self._drain()

    def catch_up(self) -> None:
        more = True
        while more:
            self.turns += 1
            more = self.endpoint.receive_waiting(self.now)
        self._drain()
        self.exchange()


def come(endpoint: Any, address: tuple[str, int] = ("192.0.2.1", 40_000)) -> Queued:
    client = Queued(endpoint)
    client.address = address
    client.connect()
    client.catch_up()
    return client


def received(client: Direct) -> bytes:
    return b"".join(event.data for event in client.events if isinstance(event, StreamDataReceived))


def test_a_handshake_that_was_passed_on_waits_its_turn_as_any() -> None:
    endpoint = make_endpoint()
    newcomer = Queued(endpoint)
    newcomer.client._peer_cid.cid = endpoint._secrets.issue()
    newcomer.client.connect(("198.51.100.1", 443), 0.0)
    ((data, _),) = newcomer.client.datagrams_to_send(0.0)
    endpoint.queue_datagram(data, Path(*newcomer.address, "198.51.100.1"), 0.0, forwarded=True)
    assert not endpoint.connections
    endpoint.receive_waiting(0.0)
    assert len(endpoint.connections) == 1


def test_a_handshake_waits_its_turn_and_a_call_does_not() -> None:
    endpoint = make_endpoint()
    caller = come(endpoint)
    assert any(isinstance(event, HandshakeCompleted) for event in caller.events)
    newcomers = [Queued(endpoint) for _ in range(5)]
    for number, newcomer in enumerate(newcomers):
        newcomer.address = ("192.0.2.2", 40_000 + number)
        newcomer.client.connect(("198.51.100.1", 443), 0.0)
        newcomer._client_to_endpoint()
    assert len(endpoint.connections) == 1
    stream = caller.client.get_next_available_stream_id(is_unidirectional=True)
    caller.client.send_stream_data(stream, b"at once", True)
    caller._client_to_endpoint()
    assert received(caller) == b"at once"
    for waiting in range(5, 0, -module.NEWCOMERS_A_TURN):
        assert endpoint.receive_waiting(0.0) == (waiting > module.NEWCOMERS_A_TURN)
    assert len(endpoint.connections) == 6


def test_what_a_busy_connection_sends_stays_in_order_and_arrives_whole() -> None:
    endpoint = make_endpoint()
    busy = come(endpoint)
    stream = busy.client.get_next_available_stream_id(is_unidirectional=True)
    speech = bytes(range(256)) * 4000
    busy.client.send_stream_data(stream, speech, True)
    for _ in range(2000):
        busy.exchange()
        busy.catch_up()
        busy.pass_time(0.001)
        if len(received(busy)) == len(speech):
            break
    assert received(busy) == speech
    assert busy.turns > 50
    assert endpoint.counters.dropped_excess == 0


def test_as_much_waits_as_may_and_the_rest_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_NEWCOMERS", 3)
    monkeypatch.setattr(module, "MAX_BUSY", 4)
    endpoint = make_endpoint()
    client = come(endpoint)
    client.client.send_ping(1)
    ((data, _),) = client.client.datagrams_to_send(client.now)
    for _ in range(int(PROMPT_AT_ONCE) + 10):
        client.deliver(data)
    assert endpoint.counters.dropped_excess >= 6
    for number in range(5):
        newcomer = Queued(endpoint)
        newcomer.address = ("192.0.2.3", 40_000 + number)
        newcomer.client.connect(("198.51.100.1", 443), 0.0)
        newcomer._client_to_endpoint()
    assert endpoint.counters.dropped_newcomers == 2


def test_what_waits_of_a_connection_that_is_gone_is_nobodys() -> None:
    endpoint = make_endpoint()
    client = come(endpoint)
    client.client.send_ping(1)
    ((data, _),) = client.client.datagrams_to_send(client.now)
    for _ in range(int(PROMPT_AT_ONCE) + 20):
        client.deliver(data)
    endpoint.close_all()
    client.pass_time(30.0)
    while endpoint.receive_waiting(client.now):
        pass
    assert not endpoint.connections
    assert endpoint.counters.engine_errors == 0


@pytest.mark.parametrize("rubbish", [b"", b"\x40", b"\xc0", b"\xff" * 30, b"\x00" * 40])
def test_rubbish_does_not_wait(rubbish: bytes) -> None:
    endpoint = make_endpoint()
    Queued(endpoint).deliver(rubbish)
    assert not endpoint.receive_waiting(0.0)
