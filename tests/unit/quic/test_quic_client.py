"""One caller: whom it trusts, what it reports, and that it survives its server."""

from pathlib import Path as File
from typing import Any

import pytest
from sim.world import ALPN, PORT, SERVICE_V4, Network, SimClient, SimNode, World, make_identity

from edge.overload import Verdict
from edge.quic import (
    AddressTokenIssued,
    ClientConnection,
    ConnectionClosed,
    DatagramReceived,
    HandshakeCompleted,
    Path,
    PathChanged,
    SendingStopped,
    StreamDataReceived,
    StreamReset,
)
from edge.quic.engine import MAX_REASON
from edge.quic.probing import ProbingConnection

RTT = 0.02


def world_with_caller(*, on_event: Any = None, **changes: Any) -> tuple[World, SimNode, SimClient]:
    world = World(Network(seed=0, delay=RTT / 2))
    node = world.add_node("fra") if on_event is None else world.add_node("fra", on_event=on_event)
    return world, node, world.add_client(node, **changes)


def test_a_call_from_connect_to_close() -> None:
    world, node, caller = world_with_caller()
    world.run(until=1.0)
    connection = caller.connection
    completed, given, moved = caller.events
    assert completed == HandshakeCompleted(0, Path(SERVICE_V4, PORT, ""), ALPN, early_data_accepted=False)
    assert isinstance(given, AddressTokenIssued)
    assert moved == PathChanged(0, Path(node.v4, PORT, ""), on_service=False)
    assert caller.completed_at == pytest.approx(RTT)
    assert connection.migrated_at == pytest.approx(3 * RTT)
    assert connection.peer == (node.v4, PORT)
    assert connection.established
    assert RTT <= (connection.rtt_s or 0) < 2 * RTT
    stream_id = connection.open_stream(unidirectional=False)
    assert connection.send_stream(stream_id, b"hello", fin=True)
    assert connection.unacknowledged(stream_id) == 5
    world.pump(caller)
    world.run(until=2.0)
    assert caller.received[stream_id] == b"hello"
    assert connection.unacknowledged(stream_id) == 0
    connection.close(3, "done " * 1000)
    world.pump(caller)
    world.run(until=10.0)
    assert caller.events[-1] == ConnectionClosed(
        0, 3, ("done " * 1000)[:MAX_REASON], by_peer=False, by_application=True
    )
    closed = node.events[-1]
    assert isinstance(closed, ConnectionClosed)
    assert (closed.code, closed.by_peer) == (3, True)
    assert connection.closed
    assert connection.get_timer() is None


def test_what_the_server_does_to_streams_is_reported() -> None:
    def app(node: SimNode, event: Any) -> None:
        match event:
            case StreamDataReceived(connection, stream_id):
                node.endpoint.reset_stream(connection, stream_id, 5)
                node.endpoint.stop_stream(connection, stream_id, 6)
            case DatagramReceived(connection, data):
                node.endpoint.send_datagram(connection, data + b" back")
            case ConnectionClosed(connection):
                pass

    world, _node, caller = world_with_caller(on_event=app)
    world.run(until=1.0)
    stream_id = caller.connection.open_stream(unidirectional=False)
    caller.connection.send_stream(stream_id, b"x")
    assert caller.connection.send_datagram(b"there")
    world.pump(caller)
    world.run(until=2.0)
    assert StreamReset(0, stream_id, 5) in caller.events
    assert SendingStopped(0, stream_id, 6) in caller.events
    assert DatagramReceived(0, b"there back") in caller.events
    assert not caller.connection.send_stream(stream_id, b"more")
    assert not caller.connection.stop_stream(99, 0)


@pytest.mark.parametrize(
    "changes, code",
    [
        ({"ca_pem": make_identity("somebody else")[1]}, 0x100 + 42),
        ({"server_name": "other.example"}, 0x100 + 42),
        ({"alpn": ("smtp",)}, 0x100 + 120),
    ],
    ids=["unknown authority", "other name", "other protocol"],
)
def test_a_server_that_is_not_the_one_is_not_spoken_to(changes: dict[str, Any], code: int) -> None:
    world, node, caller = world_with_caller(**changes)
    world.run(until=5.0)
    assert caller.closed is not None
    assert caller.closed.code == code
    assert caller.completed_at is None
    assert node.events == []
    assert not node.endpoint.connections


def test_authorities_can_come_from_a_file_and_verification_can_be_waived(tmp_path: File) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_bytes(make_identity()[1])
    world, node, caller = world_with_caller(ca_pem=None, ca_file=str(authority))
    careless = world.add_client(node, ca_pem=make_identity("somebody else")[1], verify=False)
    world.run(until=1.0)
    assert caller.connection.established
    assert careless.connection.established


def test_before_it_connects_there_is_nothing_to_do() -> None:
    config = world_with_caller()[2].connection.config
    connection = ClientConnection(config)
    assert connection.get_timer() is None
    assert connection.datagrams_to_send(0.0) == []
    assert connection.peer is None
    assert not connection.migrated
    assert connection.rtt_s is None
    connection.handle_timer(1.0)
    connection.receive_datagram(b"\x40" * 50, (SERVICE_V4, PORT), 0.0)
    assert connection.next_event() is None


def test_after_it_closed_verbs_are_refused() -> None:
    world, _node, caller = world_with_caller()
    world.run(until=1.0)
    connection = caller.connection
    stream_id = connection.open_stream()
    connection.close()
    connection.close()
    refused = (
        connection.send_stream(stream_id, b"x"),
        connection.send_datagram(b"x"),
        connection.reset_stream(stream_id, 0),
    )
    assert refused == (False, False, False)
    world.pump(caller)
    assert sum(isinstance(event, ConnectionClosed) for event in caller.events) == 1


def test_a_refusal_is_known_within_a_round_trip() -> None:
    world = World(Network(seed=0, delay=RTT / 2))
    caller = world.add_client(world.add_node("fra", admission=lambda _now: Verdict.REFUSE))
    world.run(until=RTT + 0.001)
    assert caller.closed == ConnectionClosed(0, 2, "", by_peer=True, by_application=False)


def test_a_silent_server_ends_in_an_idle_timeout() -> None:
    world = World(Network(seed=0, loss=1.0))
    caller = world.add_client(world.add_node("fra"), idle_timeout=4.0)
    world.run(until=10.0)
    assert caller.closed is not None
    assert caller.closed.reason == "Idle timeout"


def test_an_error_in_the_engine_ends_the_call_and_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world, _node, caller = world_with_caller()
    world.run(until=1.0)

    def fail(*_: object) -> None:
        raise AssertionError("engine bug")

    monkeypatch.setattr(ProbingConnection, "receive_datagram", fail)
    caller.connection.receive_datagram(b"x", (SERVICE_V4, PORT), world.now)
    assert caller.connection.next_event() == ConnectionClosed(
        0, 1, "AssertionError: engine bug", by_peer=False, by_application=False
    )
    assert caller.connection.get_timer() is None
    assert caller.connection.datagrams_to_send(world.now) == []
    caller.connection.receive_datagram(b"x", (SERVICE_V4, PORT), world.now)
