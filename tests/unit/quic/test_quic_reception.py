"""Datagrams that belong to no connection: what is answered, what is passed on, what is dropped."""

import dataclasses

import pytest
from aioquic.buffer import Buffer
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated
from aioquic.quic.packet import QuicPacketType, pull_quic_header
from sim.direct import CLIENT, Direct
from sim.nodes import OTHER_ID, RESET_KEY, SERVER_ID, make_endpoint
from sim.world import ALPN, CID_CONFIG, KEYS, SERVICE_V4

from edge.cid import CidIssuer, UnroutableIssuer
from edge.overload import Verdict
from edge.quic import CidProfile, Endpoint, Event, PacketMisrouted, Path
from edge.quic.header import VERSION_1, VERSION_2
from edge.quic.reset import reset_token

PATH = Path(*CLIENT, local=SERVICE_V4)


def cid_of(server_id: bytes, worker: int = 0) -> bytes:
    return CidIssuer(CID_CONFIG, server_id, worker, nonce_start=1_000_000).issue()


def short_packet(cid: bytes, length: int = 60) -> bytes:
    return (b"\x40" + cid).ljust(length, b"\x55")


def long_packet(first: int, dcid: bytes, *, version: int = VERSION_1, length: int = 1200) -> bytes:
    """A packet with an empty token (only an Initial has one) that fills the datagram."""
    head = bytes((first,)) + version.to_bytes(4, "big") + bytes((len(dcid),)) + dcid + b"\x04scid"
    if first & 0x30 == 0:
        head += b"\x00"
    body = length - len(head) - 2
    return head + (0x4000 | body).to_bytes(2, "big") + b"\x55" * body


def receive(endpoint: Endpoint, data: bytes) -> tuple[list[bytes], list[Event]]:
    endpoint.receive_datagram(data, PATH, 0.0)
    events = []
    while (event := endpoint.next_event()) is not None:
        events.append(event)
    answers = endpoint.datagrams_to_send(0.0)
    assert all(path == PATH for _, path in answers)
    return [data for data, _ in answers], events


def dropped(endpoint: Endpoint) -> str:
    """The name of the one reason for which anything was dropped."""
    counters = dataclasses.asdict(endpoint.counters)
    (reason,) = (name for name, value in counters.items() if name.startswith("dropped") and value)
    return reason


def test_a_packet_of_a_dead_connection_of_ours_is_answered_with_its_reset() -> None:
    endpoint = make_endpoint()
    cid = cid_of(SERVER_ID)
    (reset,), events = receive(endpoint, short_packet(cid))
    assert reset.endswith(reset_token(RESET_KEY, cid))
    assert len(reset) < 60
    assert not events
    assert endpoint.counters.resets_sent == 1


@pytest.mark.parametrize(
    "packet",
    [short_packet(cid_of(OTHER_ID)), long_packet(0xE0, cid_of(OTHER_ID))],
    ids=["1-rtt", "handshake"],
)
def test_a_packet_of_another_node_is_handed_out_and_never_reset(packet: bytes) -> None:
    endpoint = make_endpoint()
    assert receive(endpoint, packet) == ([], [PacketMisrouted(PATH, OTHER_ID, 0, packet)])
    assert endpoint.counters.misrouted == 1
    assert endpoint.counters.resets_sent == 0


def test_an_initial_of_a_handshake_that_began_at_a_node_we_know_is_handed_out() -> None:
    packet = long_packet(0xC0, cid_of(OTHER_ID))
    assert receive(make_endpoint(peers={OTHER_ID}), packet) == (
        [],
        [PacketMisrouted(PATH, OTHER_ID, 0, packet)],
    )


@pytest.mark.parametrize(
    "packet",
    [
        short_packet(cid_of(SERVER_ID, worker=1)),
        long_packet(0xE0, cid_of(SERVER_ID, worker=1)),
        long_packet(0xC0, cid_of(SERVER_ID, worker=1)),
    ],
    ids=["1-rtt", "handshake", "initial"],
)
def test_a_packet_of_another_worker_is_handed_out(packet: bytes) -> None:
    assert receive(make_endpoint(), packet) == ([], [PacketMisrouted(PATH, SERVER_ID, 1, packet)])


def test_a_packet_of_a_worker_that_is_gone_is_answered_with_its_reset_by_whoever_gets_it() -> None:
    """Its caller would wait for its idle timeout otherwise; the keys are the node's, so anybody can answer."""
    siblings = {0, 1}
    endpoint = make_endpoint(siblings=siblings)
    cid = cid_of(SERVER_ID, worker=1)
    assert receive(endpoint, short_packet(cid)) == (
        [],
        [PacketMisrouted(PATH, SERVER_ID, 1, short_packet(cid))],
    )
    siblings.remove(1)
    (reset,), events = receive(endpoint, short_packet(cid))
    assert reset.endswith(reset_token(RESET_KEY, cid))
    assert not events
    assert receive(endpoint, short_packet(cid_of(OTHER_ID, worker=1)))[0] == []


@pytest.mark.parametrize("profile", ["edge", "aws-nlb"])
def test_nobody_is_reset_by_another_worker_than_his_own(profile: CidProfile) -> None:
    own, other = (
        make_endpoint(worker=worker, siblings={0, 1}, profile=profile, nonce_start=7) for worker in (0, 1)
    )
    for _ in range(300):  # more than the nonces of one round of all lanes
        packet = short_packet(own._secrets.issue())
        assert receive(other, packet) == ([], [PacketMisrouted(PATH, SERVER_ID, 0, packet)])
    assert other.counters.resets_sent == 0


@pytest.mark.parametrize("cid", [cid_of(OTHER_ID), cid_of(SERVER_ID, worker=1)], ids=["node", "worker"])
@pytest.mark.parametrize("first", [0x40, 0xE0, 0xC0])
def test_what_was_passed_on_to_us_is_not_passed_on_again(cid: bytes, first: int) -> None:
    endpoint = make_endpoint(peers={OTHER_ID})
    packet = short_packet(cid) if first == 0x40 else long_packet(first, cid)
    endpoint.queue_datagram(packet, PATH, 0.0, forwarded=True)
    assert not endpoint.receive_waiting(0.0)
    assert endpoint.next_event() is None
    assert endpoint.datagrams_to_send(0.0) == []
    assert dropped(endpoint) == "dropped_looped"


def test_an_initial_whose_made_up_cid_looks_like_a_strangers_is_a_newcomer() -> None:
    endpoint = make_endpoint(peers={b"server 3"})
    assert receive(endpoint, long_packet(0xC0, cid_of(OTHER_ID))) == ([], [])
    assert endpoint.counters.initials == 1


@pytest.mark.parametrize(
    "packet, reason",
    [
        (b"", "dropped_malformed"),
        (b"\x40", "dropped_malformed"),
        (b"\xc0\0\0\0\1", "dropped_malformed"),
        (b"\x00" + cid_of(SERVER_ID) + bytes(40), "dropped_malformed"),
        (short_packet(cid_of(SERVER_ID))[:15], "dropped_malformed"),
        (short_packet(b"\xff" * 18), "dropped_unroutable"),
        (short_packet(b"\x5f" * 18), "dropped_unroutable"),
        (short_packet(UnroutableIssuer(secret=b"s" * 16, cid_length=18).issue()), "dropped_unroutable"),
        (short_packet(cid_of(SERVER_ID), length=21), "dropped_dead"),
        (long_packet(0xE0, cid_of(SERVER_ID)), "dropped_dead"),
        (long_packet(0xE0, b"made up!"), "dropped_unroutable"),
        (long_packet(0xD0, b"made up!"), "dropped_unroutable"),
        (long_packet(0xF0, b"made up!"), "dropped_unroutable"),
        (long_packet(0x80, b"made up!", version=0), "dropped_unroutable"),
        (long_packet(0xC0, b"made up!", length=1199), "dropped_small_initial"),
        (long_packet(0xC0, b"7 bytes"), "dropped_small_initial"),
        (long_packet(0xC0, b"made up!", version=0x1A2A3A4A, length=1199), "dropped_small_initial"),
        (long_packet(0xC0, b"made up!"), "dropped_undecryptable"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_anything_else_is_dropped_in_silence(packet: bytes, reason: str) -> None:
    endpoint = make_endpoint()
    assert receive(endpoint, packet) == ([], [])
    assert dropped(endpoint) == reason
    assert not endpoint.connections


def test_resets_are_limited() -> None:
    endpoint = make_endpoint()
    answered = sum(bool(receive(endpoint, short_packet(cid_of(SERVER_ID)))[0]) for _ in range(300))
    assert answered == 100
    assert endpoint.counters.dropped_dead == 200


@pytest.mark.parametrize("length", [22, 23, 41, 42, 43, 44, 60, 200, 1200, 1372])
def test_a_reset_is_shorter_than_its_trigger_and_tells_nothing_by_its_length(length: int) -> None:
    """Whether the connection ID has ever been issued or was just made up with our server ID."""
    endpoint = make_endpoint(entropy=lambda count: b"\x00" * count)
    lengths = set()
    for cid in (endpoint._secrets.issue(), cid_of(SERVER_ID), cid_of(SERVER_ID)[:17] + b"\x00"):
        (reset,), _ = receive(endpoint, short_packet(cid, length))
        lengths.add(len(reset))
    assert lengths == {min(length - 1, 42)}


REPLIES = {
    "reset": (Verdict.ACCEPT, short_packet(cid_of(SERVER_ID), 1200)),
    "version negotiation": (Verdict.ACCEPT, None),
    "retry": (Verdict.RETRY, b""),
    "refusal": (Verdict.REFUSE, b""),
    "handshake": (Verdict.ACCEPT, b""),
}


OWNERS = {SERVER_ID: "203.0.113.1", OTHER_ID: "203.0.113.2"}


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize("source_cid", [b"", b"made up!", cid_of(OTHER_ID), cid_of(SERVER_ID)], ids=range(4))
@pytest.mark.parametrize("reply", REPLIES)
@pytest.mark.parametrize("forged", ["203.0.113.1", "203.0.113.2"], ids=["itself", "the other"])
def test_two_nodes_cannot_be_made_to_answer_each_other(
    forged: str, reply: str, source_cid: bytes, verdict: Verdict
) -> None:
    """The forged sender of a packet is a node: what is answered there is the last word."""
    own_verdict, packet = REPLIES[reply]
    fleet = {
        "203.0.113.1": make_endpoint(
            peers={OTHER_ID}, admission=lambda _: own_verdict, proof=True, entropy=bytes
        ),
        "203.0.113.2": make_endpoint(
            server_id=OTHER_ID, peers={SERVER_ID}, admission=lambda _: verdict, proof=True
        ),
    }
    if packet is None:
        packet = bytes([0xC0]) + b"\x1a\x2a\x3a\x4a\x08made up!" + bytes([len(source_cid)]) + source_cid
        packet = packet.ljust(1200, b"\x00")
    elif not packet:
        client = QuicConnection(configuration=QuicConfiguration(server_name="x", alpn_protocols=[ALPN]))
        client.host_cid = client._local_initial_source_connection_id = source_cid
        client.connect(("203.0.113.1", 443), 0.0)
        ((packet, _),) = client.datagrams_to_send(0.0)
    rounds: list[int] = []
    on_the_way = [("203.0.113.1", Path(forged, 443, "203.0.113.1"), packet)]
    while on_the_way:
        assert len(rounds) < 3
        rounds.append(sum(len(data) for *_, data in on_the_way))
        arriving, on_the_way = on_the_way, []
        for to, path, data in arriving:
            fleet[to].receive_datagram(data, path, 0.0)
            while (event := fleet[to].next_event()) is not None:
                if isinstance(event, PacketMisrouted) and event.server_id in OWNERS:
                    fleet[OWNERS[event.server_id]].receive_datagram(data, path, 0.0, forwarded=True)
            for endpoint in fleet.values():
                sent = endpoint.datagrams_to_send(0.0)
                on_the_way += [(path.host, Path(path.local, 443, path.host), data) for data, path in sent]
    # A first flight is an Initial of full size, which may be told to prove its address, or that nobody is in.
    is_handshake = reply == "handshake"
    assert rounds[1] <= (3 if is_handshake else 1) * rounds[0]
    assert len(rounds) == 2 or (is_handshake and rounds[2] < rounds[1])


def test_a_configuration_that_is_being_phased_out_is_still_read() -> None:
    endpoint = make_endpoint(keys=KEYS.add(bytes(32), KEYS.issuing.created).use(1))
    cid = cid_of(OTHER_ID)
    assert receive(endpoint, short_packet(cid))[1] == [PacketMisrouted(PATH, OTHER_ID, 0, short_packet(cid))]


@pytest.mark.parametrize("dcid", [b"made up!", b"d" * 255])
def test_a_version_nobody_speaks_is_answered_with_those_we_do(dcid: bytes) -> None:
    endpoint = make_endpoint()
    (answer,), _ = receive(endpoint, long_packet(0xC0, dcid, version=0x1A2A3A4A))
    assert answer[0] & 0xC0 == 0xC0
    assert answer[1:].startswith(bytes(4) + b"\x04scid" + bytes((len(dcid),)) + dcid)
    listed = answer[5 + 5 + 1 + len(dcid) :]
    versions = [int.from_bytes(listed[i : i + 4], "big") for i in range(0, len(listed), 4)]
    assert versions[1:] == [VERSION_1, VERSION_2]
    assert versions[0] & 0x0F0F0F0F == 0x0A0A0A0A
    assert endpoint.counters.version_negotiations == 1


def test_a_client_that_speaks_a_newer_version_as_well_gets_through() -> None:
    direct = Direct(
        make_endpoint(), supported_versions=[0x1A2A3A4A, VERSION_1], original_version=0x1A2A3A4A
    ).connect()
    assert direct.endpoint.counters.version_negotiations == 1
    assert direct.endpoint.counters.handshakes_completed == 1


@pytest.mark.parametrize("version", [VERSION_1, VERSION_2])
def test_a_refusal_is_one_small_packet_that_the_client_understands(version: int) -> None:
    endpoint = make_endpoint(admission=lambda _now: Verdict.REFUSE)
    direct = Direct(endpoint, supported_versions=[version]).connect()
    assert [len(data) < 100 for data, _ in direct.answers] == [True]
    direct.pass_time(2.0)
    (closed,) = (event for event in direct.client_events if isinstance(event, ConnectionTerminated))
    assert closed.error_code == 0x02
    assert endpoint.counters.refused == 1
    assert not endpoint.connections
    assert endpoint.get_timer() is None


@pytest.mark.parametrize("version", [VERSION_1, VERSION_2])
def test_a_retry_costs_one_round_trip_and_leaves_no_state(version: int) -> None:
    endpoint = make_endpoint(admission=lambda _now: Verdict.RETRY, proof=True)
    direct = Direct(endpoint, supported_versions=[version])
    direct.client.connect((SERVICE_V4, 443), 0.0)
    ((first, _),) = direct.client.datagrams_to_send(0.0)
    (answer,), _ = receive(endpoint, first)
    header = pull_quic_header(Buffer(data=answer), host_cid_length=8)
    assert header.packet_type is QuicPacketType.RETRY
    assert not endpoint.connections
    direct.client.receive_datagram(answer, (SERVICE_V4, 443), 0.0)
    direct.exchange()
    assert endpoint.counters.handshakes_completed == 1
    assert endpoint.counters.retried == 1


def test_a_token_that_was_stolen_gets_the_thief_a_clear_answer() -> None:
    endpoint = make_endpoint(admission=lambda _now: Verdict.RETRY, proof=True)
    direct = Direct(endpoint)
    direct.client.connect((SERVICE_V4, 443), 0.0)
    ((first, _),) = direct.client.datagrams_to_send(0.0)
    (answer,), _ = receive(endpoint, first)
    direct.client.receive_datagram(answer, (SERVICE_V4, 443), 0.0)
    direct.address = ("192.0.2.99", 1)
    direct.exchange()
    direct.pass_time(2.0)
    (closed,) = (event for event in direct.client_events if isinstance(event, ConnectionTerminated))
    assert closed.error_code == 0x0B
