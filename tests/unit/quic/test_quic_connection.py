"""What is asked of the engine beyond what it offers, and that it is the engine this was written for."""

import ast
import inspect
from pathlib import Path as File
from typing import Any

import aioquic
import pytest
from aioquic import tls
from aioquic.buffer import Buffer
from aioquic.h3 import connection as h3
from aioquic.quic import connection as engine_module
from aioquic.quic import recovery, stream
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import DatagramFrameReceived, PingAcknowledged
from aioquic.quic.packet import QuicTransportParameters, pull_quic_transport_parameters
from aioquic.tls import ExtensionType
from sim.direct import Direct
from sim.nodes import RESET_KEY, SERVER_ID, UNICAST_V4, UNICAST_V6, make_endpoint
from sim.world import CID_CONFIG, PORT, SERVICE_V4

from edge.cid import decode
from edge.errors import EdgeError
from edge.quic import Outcome, connection, engine, http3, probing
from edge.quic import events as edge_events
from edge.quic.connection import HELD_CIDS, MAX_HELD_BYTES, MAX_STREAM_DATA, EdgeConnection
from edge.quic.engine import ACK_DELAY_S, DATAGRAM_OVERHEAD, MAX_DATAGRAMS_WAITING
from edge.quic.private_names import PRIVATE_NAMES, PrivateName, verify_engine
from edge.quic.probing import ProbingConnection
from edge.quic.reset import reset_token

# The engine is ours


def test_the_installed_engine_is_the_one_this_was_written_for() -> None:
    verify_engine()


@pytest.mark.parametrize("private", PRIVATE_NAMES, ids=lambda private: f"{private.owner}.{private.name}")
def test_the_table_quotes_the_line_of_each_private_name(private: PrivateName) -> None:
    modules = {
        "Context": tls,
        "H3Connection": h3,
        "QuicPacketRecovery": recovery,
        "QuicStream": stream,
        "QuicStreamSender": stream,
        "QuicStreamReceiver": stream,
    }
    lines = inspect.getsource(modules.get(private.owner, engine_module)).splitlines()
    line = lines[private.line - 1]
    assert f"self.{private.name}" in line or f"def {private.name}(" in line


def test_every_private_name_that_is_used_is_in_the_table() -> None:
    nodes = [
        node
        for module in (connection, engine, http3, probing)
        for node in ast.walk(ast.parse(File(module.__file__).read_text()))
    ]
    used = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    overridden = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    private = {name for name in used | overridden if name.startswith("_") and not name.endswith("__")}
    quic = QuicConnection(configuration=QuicConfiguration())
    owners = (quic, quic._loss, stream.QuicStream().sender, h3.H3Connection)
    theirs = {name for owner in owners for name in dir(owner)}
    assert private & theirs <= {entry.name for entry in PRIVATE_NAMES}


def test_another_version_of_the_engine_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioquic, "__version__", "1.8.0")
    with pytest.raises(EdgeError, match=r"aioquic 1\.8\.0: this build needs exactly 1\.7\.2"):
        verify_engine()


def test_a_missing_private_name_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(QuicConnection, "_replenish_connection_ids")
    with pytest.raises(EdgeError, match=r"lacks QuicConnection\._replenish_connection_ids"):
        verify_engine()


# What a client is told


def parameters(direct: Direct) -> QuicTransportParameters:
    (data,) = (
        data
        for kind, data in direct.client.tls.received_extensions or []
        if kind == ExtensionType.QUIC_TRANSPORT_PARAMETERS
    )
    return pull_quic_transport_parameters(Buffer(data=data))


def test_a_client_on_the_service_address_is_offered_both_unicast_addresses() -> None:
    told = parameters(Direct(make_endpoint(preferred_v6=(UNICAST_V6, 8443))).connect())
    offer = told.preferred_address
    assert offer is not None
    assert (offer.ipv4_address, offer.ipv6_address) == ((UNICAST_V4, PORT), (UNICAST_V6, 8443))
    assert decode([CID_CONFIG], offer.connection_id).server_id == SERVER_ID
    assert offer.stateless_reset_token == reset_token(RESET_KEY, offer.connection_id)


@pytest.mark.parametrize("missing", ["preferred_v4", "preferred_v6"])
def test_one_address_family_can_be_offered_alone(missing: str) -> None:
    options: dict[str, Any] = {missing: None}
    offer = parameters(Direct(make_endpoint(**options)).connect()).preferred_address
    assert offer is not None
    assert [offer.ipv4_address is None, offer.ipv6_address is None] == [
        missing == "preferred_v4",
        missing == "preferred_v6",
    ]


def test_a_client_that_came_to_a_unicast_address_is_offered_nothing() -> None:
    direct = Direct(make_endpoint(), to=UNICAST_V4).connect()
    assert parameters(direct).preferred_address is None
    (info,) = direct.endpoint.connections.values()
    assert info.outcome is Outcome.DIRECT


def test_active_migration_is_never_forbidden() -> None:
    for to in (SERVICE_V4, UNICAST_V4):
        assert not parameters(Direct(make_endpoint(), to=to).connect()).disable_active_migration


def test_every_cid_is_ours_and_its_token_can_be_computed_by_whoever_has_the_key() -> None:
    direct = Direct(make_endpoint(worker=7)).connect()
    client = direct.client
    told = parameters(direct)
    assert told.stateless_reset_token == reset_token(RESET_KEY, told.initial_source_connection_id or b"")
    held = [client._peer_cid, *client._peer_cid_available]
    held += [path.peer_cid for path in client._network_paths if path.peer_cid is not None]
    for cid in held:
        decoded = decode([CID_CONFIG], cid.cid)
        assert (decoded.server_id, decoded.worker) == (SERVER_ID, 7)
        assert cid.stateless_reset_token == reset_token(RESET_KEY, cid.cid)


def test_the_preferred_addresss_cid_is_announced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    announced: list[int] = []
    original = EdgeConnection._write_new_connection_id_frame

    def write(engine: EdgeConnection, builder: Any, connection_id: Any) -> None:
        announced.append(connection_id.sequence_number)
        original(engine, builder, connection_id)

    monkeypatch.setattr(EdgeConnection, "_write_new_connection_id_frame", write)
    Direct(make_endpoint()).connect()
    # 0 and 1 are in the handshake; the client retires 0 as it moves, which makes room for another.
    assert announced == [2, 3, 4]


def test_a_retired_cid_is_replaced_by_another_of_ours() -> None:
    direct = Direct(make_endpoint(), to=UNICAST_V4).connect()
    before = direct.client._peer_cid.cid
    for _ in range(20):
        direct.client.change_connection_id()
        direct.client.send_ping(1)
        direct.exchange()
        direct.pass_time(0.1)
    assert len(direct.client._peer_cid_available) == HELD_CIDS - 1
    assert decode([CID_CONFIG], direct.client._peer_cid.cid).server_id == SERVER_ID
    assert direct.client._peer_cid.cid != before
    (record,) = direct.endpoint._table
    # Handshake's choice of the client, those it holds, and the last ones it gave back.
    assert len(record.cids) == 1 + HELD_CIDS + 8
    assert set(direct.endpoint._table.by_cid) == record.cids


# Paths


class Challenges:
    """Counts PATH_CHALLENGE frames by the local address they leave from."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.on: list[str] = []
        original = EdgeConnection._write_path_challenge_frame

        def write(engine: EdgeConnection, builder: Any, network_path: Any) -> None:
            self.on.append(network_path.addr.local)
            original(engine, builder, network_path)

        monkeypatch.setattr(EdgeConnection, "_write_path_challenge_frame", write)


class NeverDecides(ProbingConnection):
    """A client that validates the preferred address and goes on using the old one."""

    def _handle_path_response_frame(self, context: Any, frame_type: int, buf: Buffer) -> None:
        buf.pull_bytes(8)


@pytest.mark.parametrize("connection_id_length", [0, 8])
def test_a_path_that_is_only_probed_is_answered_and_not_challenged(
    monkeypatch: pytest.MonkeyPatch, connection_id_length: int
) -> None:
    challenges = Challenges(monkeypatch)
    endpoint = make_endpoint()
    direct = Direct(endpoint, client_class=NeverDecides, connection_id_length=connection_id_length).connect()
    direct.pass_time(0.5)
    assert UNICAST_V4 in [local for _, local in direct.answers]
    assert challenges.on == []
    (info,) = endpoint.connections.values()
    assert info.outcome is Outcome.ON_ANYCAST


@pytest.mark.parametrize("connection_id_length", [0, 8])
def test_a_client_that_decided_is_challenged_once_and_stays(
    monkeypatch: pytest.MonkeyPatch, connection_id_length: int
) -> None:
    challenges = Challenges(monkeypatch)
    endpoint = make_endpoint()
    direct = Direct(endpoint, connection_id_length=connection_id_length).connect()
    direct.pass_time(1.0)
    assert challenges.on == [UNICAST_V4]
    (info,) = endpoint.connections.values()
    assert info.outcome is Outcome.MIGRATED
    assert endpoint.counters.migrated == 1


class LosesItsFirstAnswer(ProbingConnection):
    """Acknowledges the server's first PATH_CHALLENGE, but its PATH_RESPONSE never arrives."""

    lost = False

    def _handle_path_challenge_frame(self, context: Any, frame_type: int, buf: Buffer) -> None:
        if self.lost:
            super()._handle_path_challenge_frame(context, frame_type, buf)
        else:
            self.lost = True
            buf.pull_bytes(8)


def test_a_lost_answer_to_the_servers_challenge_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    challenges = Challenges(monkeypatch)
    endpoint = make_endpoint()
    direct = Direct(endpoint, client_class=LosesItsFirstAnswer).connect()
    direct.pass_time(1.0)
    assert challenges.on == [UNICAST_V4, UNICAST_V4]
    (info,) = endpoint.connections.values()
    assert info.outcome is Outcome.MIGRATED


# Acknowledgments


def established() -> Direct:
    """A connection on which everything about the handshake has been said."""
    direct = Direct(make_endpoint(), to=UNICAST_V4, max_datagram_frame_size=65535).connect()
    direct.pass_time(1.0)
    direct.sent.clear()
    direct.answers.clear()
    return direct


def test_one_packet_is_acknowledged_within_what_is_advertised() -> None:
    direct = established()
    assert parameters(direct).max_ack_delay == 25
    direct.client.send_ping(1)
    direct.exchange()
    assert not direct.answers
    start = direct.now
    while not direct.answers:
        direct.pass_time(0.001)
    assert direct.now - start <= 0.025
    assert direct.now - start >= ACK_DELAY_S - 0.005


def test_the_second_packet_is_acknowledged_at_once() -> None:
    direct = established()
    for uid in range(2):
        direct.client.send_ping(uid)
        direct.exchange()
    assert len(direct.answers) == 1
    assert [event for event in direct.client_events if isinstance(event, PingAcknowledged)] == [
        PingAcknowledged(0),
        PingAcknowledged(1),
    ]


def test_a_gap_and_what_closes_it_are_acknowledged_at_once() -> None:
    direct = established()
    direct.client.send_ping(0)
    ((late, _),) = direct.client.datagrams_to_send(direct.now)
    direct.client.send_ping(1)
    direct.exchange()
    assert len(direct.answers) == 1
    direct.deliver(late)
    direct.exchange()
    assert len(direct.answers) == 2


def test_data_carries_the_acknowledgment() -> None:
    direct = established()
    stream_id = direct.client.get_next_available_stream_id()
    direct.client.send_stream_data(stream_id, b"question")
    direct.exchange()
    assert not direct.answers
    (event,) = (event for event in direct.events if isinstance(event, edge_events.StreamDataReceived))
    direct.endpoint.send_stream(event.connection, stream_id, b"answer")
    direct.exchange()
    assert len(direct.answers) == 1
    assert direct.client._loss.spaces[2].ack_eliciting_in_flight == 0


def test_a_call_takes_one_packet_each_way_for_a_frame_each_way() -> None:
    direct = established()
    (connection,) = direct.endpoint.connections
    for _ in range(50):
        direct.client.send_datagram_frame(b"u" * 80)
        direct.exchange()
        direct.pass_time(0.010)
        direct.endpoint.send_datagram(connection, b"d" * 80)
        direct.exchange()
        direct.pass_time(0.010)
    assert len(direct.sent) <= 55
    assert len(direct.answers) <= 55


def test_after_an_exchange_both_ends_go_to_sleep() -> None:
    direct = established()
    direct.client.send_stream_data(direct.client.get_next_available_stream_id(), b"x", end_stream=True)
    direct.exchange()
    direct.pass_time(1.0)
    woken = 0
    while (timer := direct.endpoint.get_timer()) is not None and timer < direct.now + 20.0:
        woken += 1
        direct.endpoint.handle_timer(timer)
        assert direct.endpoint.datagrams_to_send(timer) == []
    assert woken <= 3
    client_timer = direct.client.get_timer()
    assert client_timer is not None
    assert client_timer > direct.now + 20.0


# Credit


def test_a_peer_that_takes_memory_by_leaving_gaps_is_closed() -> None:
    direct = established()
    client, (record,) = direct.client, direct.endpoint._table
    sent = 0
    # One byte at the highest offset allowed, stream after stream: each makes the engine reserve all below it.
    while not record.closed and sent < 100:
        stream_id = client.get_next_available_stream_id()
        client.send_stream_data(stream_id, b"")
        sender = client._streams[stream_id].sender
        allowed = client._remote_max_data - client._remote_max_data_used
        sender.highest_offset = min(client._streams[stream_id].max_stream_data_remote, allowed) - 1
        sender._buffer_start = sender._buffer_stop = sender.highest_offset
        client._remote_max_data_used += sender.highest_offset
        sender.write(b"x")
        direct.exchange()
        direct.pass_time(0.1)
        sent += 1
    assert direct.endpoint.counters.engine_errors == 0
    assert (
        sum(len(stream.receiver._buffer) for stream in record.engine._streams.values()) <= MAX_HELD_BYTES * 2
    )
    assert sent <= MAX_HELD_BYTES // MAX_STREAM_DATA + 2


def test_a_peer_that_lost_a_packet_is_not_mistaken_for_one() -> None:
    direct = established()
    stream_id = direct.client.get_next_available_stream_id()
    sent = bytes(range(256)) * 12_000
    direct.client.send_stream_data(stream_id, sent, end_stream=True)
    _lost, *rest = direct.client.datagrams_to_send(direct.now)
    for data, _ in rest:
        direct.deliver(data)
    direct.pass_time(30.0)
    received = b"".join(
        event.data for event in direct.events if isinstance(event, edge_events.StreamDataReceived)
    )
    assert received == sent


# Small services


def test_a_datagram_that_cannot_be_sent_is_refused_instead_of_blocking_the_others() -> None:
    direct = established()
    (connection,) = direct.endpoint.connections
    assert not direct.endpoint.send_datagram(connection, b"x" * 1200)
    longest = 1200 - DATAGRAM_OVERHEAD
    assert direct.endpoint.send_datagram(connection, b"x" * longest)
    direct.exchange()
    assert [
        len(event.data) for event in direct.client_events if isinstance(event, DatagramFrameReceived)
    ] == [longest]
    assert sum(direct.endpoint.send_datagram(connection, b"x") for _ in range(100)) == MAX_DATAGRAMS_WAITING


def test_a_peer_that_takes_no_datagrams_gets_none() -> None:
    direct = Direct(make_endpoint(), max_datagram_frame_size=None).connect()
    (connection,) = direct.endpoint.connections
    assert not direct.endpoint.send_datagram(connection, b"x")


def test_unacknowledged_counts_down_as_the_peer_answers() -> None:
    direct = established()
    (connection,) = direct.endpoint.connections
    stream_id = direct.endpoint.open_stream(connection)
    assert direct.endpoint.open_stream(connection) == stream_id + 4
    assert direct.endpoint.send_stream(connection, stream_id, b"x" * 700, fin=True)
    assert direct.endpoint.unacknowledged(connection, stream_id) == 700
    direct.exchange()
    direct.pass_time(0.1)
    assert direct.endpoint.unacknowledged(connection, stream_id) == 0
    assert 0 < (direct.endpoint.rtt_s(connection) or 0) < 0.1
