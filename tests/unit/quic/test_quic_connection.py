"""What is asked of the engine beyond what it offers, and that it is the engine this was written for."""

import ast
import inspect
from pathlib import Path as File

import aioquic
import pytest
from aioquic.buffer import Buffer
from aioquic.quic import connection as engine_module
from aioquic.quic import recovery, stream
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionIdRetired, StreamDataReceived
from aioquic.quic.packet import QuicTransportParameters, pull_quic_transport_parameters
from aioquic.tls import Epoch, ExtensionType

from edge.errors import EdgeError
from edge.quic import HandshakeCompleted, Outcome, connection
from edge.quic.connection import (
    ACK_DELAY_S,
    HELD_BYTES,
    HELD_CIDS,
    PRIVATE_NAMES,
    EdgeConnection,
    ProbingConnection,
    verify_engine,
)
from edge.quic.reset import reset_token
from sim.direct import Direct
from sim.nodes import RESET_KEY, SERVER_ID, UNICAST_V4, UNICAST_V6, make_endpoint
from sim.world import CID_CONFIG, PORT, SERVICE_V4
from edge.cid import decode

# The engine is ours


def test_the_installed_engine_is_the_one_this_was_written_for() -> None:
    verify_engine()


@pytest.mark.parametrize("private", PRIVATE_NAMES, ids=lambda private: f"{private.owner}.{private.name}")
def test_the_table_quotes_the_line_of_each_private_name(private: connection.PrivateName) -> None:
    modules = {"QuicPacketRecovery": recovery, "QuicStreamSender": stream}
    lines = inspect.getsource(modules.get(private.owner, engine_module)).splitlines()
    line = lines[private.line - 1]
    assert f"self.{private.name}" in line or f"def {private.name}(" in line


def test_every_private_name_that_is_used_is_in_the_table() -> None:
    tree = ast.parse(File(connection.__file__).read_text())
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__")
    }
    overridden = {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("_")
    }
    engine = set(vars(QuicConnection)) | {name for _, name, *_ in PRIVATE_NAMES}
    quic = QuicConnection(configuration=aioquic.quic.configuration.QuicConfiguration())
    engine |= set(vars(quic))
    ours = {name for name in used | overridden if name not in engine}
    assert (used | overridden) - ours <= {name for _, name, *_ in PRIVATE_NAMES}


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
    offer = parameters(Direct(make_endpoint(**{missing: None})).connect()).preferred_address
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

        def write(engine: EdgeConnection, builder: object, network_path: object) -> None:
            self.on.append(network_path.addr.local)  # type: ignore[attr-defined]
            original(engine, builder, network_path)  # type: ignore[arg-type]

        monkeypatch.setattr(EdgeConnection, "_write_path_challenge_frame", write)


class NeverDecides(QuicConnection):
    """A client that validates the preferred address and goes on using the old one."""

    def _handle_path_response_frame(self, context: object, frame_type: int, buf: Buffer) -> None:
        buf.pull_bytes(8)


@pytest.mark.parametrize("connection_id_length", [0, 8])
def test_a_path_that_is_only_probed_is_answered_and_not_challenged(
    monkeypatch: pytest.MonkeyPatch, connection_id_length: int
) -> None:
    challenges = Challenges(monkeypatch)
    endpoint = make_endpoint()
    # A stock client without CIDs would issue empty ones, which no server accepts.
    monkeypatch.setattr(NeverDecides, "_replenish_connection_ids", lambda _self: None)
    direct = Direct(endpoint, client_class=NeverDecides, connection_id_length=connection_id_length).connect()
    direct.pass_time(0.5)
    assert [local for _, local in direct.answers].count(UNICAST_V4) == 1
    assert challenges.on == []
    (info,) = endpoint.connections.values()
    assert info.outcome is Outcome.ON_ANYCAST


@pytest.mark.parametrize("connection_id_length", [0, 8])
def test_a_client_that_decided_is_challenged_once_and_stays(
    monkeypatch: pytest.MonkeyPatch, connection_id_length: int
) -> None:
    challenges = Challenges(monkeypatch)
    endpoint = make_endpoint()
    direct = Direct(
        endpoint, client_class=ProbingConnection, connection_id_length=connection_id_length
    ).connect()
    direct.pass_time(1.0)
    assert challenges.on == [UNICAST_V4]
    (info,) = endpoint.connections.values()
    assert info.outcome is Outcome.MIGRATED
    assert endpoint.counters.migrated == 1


def test_a_lost_answer_to_the_servers_challenge_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    challenges = Challenges(monkeypatch)
    lost: list[bytes] = []

    def lose_first_challenge(data: bytes) -> bool:
        # The client acknowledges what it receives, so losing the packet alone would bring it again anyway.
        return False

    endpoint = make_endpoint()
    direct = Direct(endpoint, client_class=ForgetsFirstChallenge, lose=lose_first_challenge).connect()
    direct.pass_time(1.0)
    assert challenges.on == [UNICAST_V4, UNICAST_V4]
    (info,) = endpoint.connections.values()
    assert info.outcome is Outcome.MIGRATED
    assert not lost


class ForgetsFirstChallenge(ProbingConnection):
    """Acknowledges the server's first PATH_CHALLENGE, but its PATH_RESPONSE never arrives."""

    forgotten = False

    def _handle_path_challenge_frame(self, context: object, frame_type: int, buf: Buffer) -> None:
        if self.forgotten:
            super()._handle_path_challenge_frame(context, frame_type, buf)  # type: ignore[arg-type]
        else:
            self.forgotten = True
            buf.pull_bytes(8)
