"""Where the stand-in for AWS's balancer sends packets: by the server ID in a connection ID, and only else by the flow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.cid import encode, profile_aws, profile_edge
from edge.lab.balancing import DRAINING_S, IDLE_S, Balancer, Target
from edge.lab.rewriting import TCP, UDP, Address, Packet

LISTENER = ("198.51.100.1", 443)
TARGETS = [Target((f"203.0.113.{number}", 443), number.to_bytes(8, "big")) for number in (1, 2, 3)]
CLIENT = ("192.0.2.7", 50_000)
VECTORS = json.loads(Path(__file__).parents[2].joinpath("vectors", "quic-lb.json").read_text())


def balancer() -> Balancer:
    made = Balancer(LISTENER)
    for target in TARGETS:
        made.register(target)
    return made


def udp(payload: bytes, source: Address = CLIENT) -> Packet:
    return Packet(UDP, source, LISTENER, payload, opens=False)


def tcp(source: Address = CLIENT, *, opens: bool = False) -> Packet:
    return Packet(TCP, source, LISTENER, b"", opens)


def long_header(kind: int, cid: bytes, version: int = 1) -> bytes:
    """``kind``: 0 Initial, 1 0-RTT, 2 Handshake (RFC 9000 section 17.2)."""
    first = bytes([0xC0 | kind << 4])
    return first + version.to_bytes(4, "big") + bytes([len(cid)]) + cid + b"\0" + bytes(1200)


def cid_of(target: Target) -> bytes:
    return b"\x0f" + target.server_id + b"nonce 1"


SHORT = b"\x4f"


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "packet",
    [
        lambda cid: SHORT + cid + bytes(30),
        lambda cid: long_header(2, cid),
        lambda cid: long_header(0, cid),  # the second Initial, and one that answers a Retry
    ],
)
def test_a_server_id_is_followed_from_wherever_it_comes(target: Target, packet: object) -> None:
    made = balancer()
    for port in range(50):
        found = made.route(udp(packet(cid_of(target)), ("192.0.2.8", 40_000 + port)), 0.0)  # type: ignore[operator]
        assert found == target
    assert made.counters.by_server_id == 50


@pytest.mark.parametrize("worker", [0, 3, 255])
def test_connection_ids_of_every_worker_name_their_node(worker: int) -> None:
    cid = encode(profile_aws(), TARGETS[2].server_id, b"6bytes", worker)
    assert balancer().route(udp(SHORT + cid + bytes(30)), 0.0) == TARGETS[2]


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("cid", [b"8 random", b"sixteen random..", bytes(20)])
def test_who_names_no_target_is_spread_and_stays_while_the_flow_lasts(kind: int, cid: bytes) -> None:
    made = balancer()
    found = {}
    for port in range(60):
        found[port] = made.route(udp(long_header(kind, cid), ("192.0.2.8", port)), 0.0)
    assert set(found.values()) == set(TARGETS)
    made.deregister(TARGETS[0].server_id, 0.0)  # the hash is another now
    for port, target in found.items():
        assert made.route(udp(long_header(kind, cid), ("192.0.2.8", port)), IDLE_S[UDP]) == target
    later = {made.route(udp(long_header(kind, cid), ("192.0.2.8", port)), 250.0) for port in found}
    assert later == set(TARGETS[1:])


@pytest.mark.parametrize(
    "payload",
    [
        SHORT + b"\x0fnobody'snonce 1" + bytes(30),
        SHORT + encode(profile_edge(0, bytes(16)), TARGETS[0].server_id, bytes(8)) + bytes(30),
        SHORT + b"\x20" + cid_of(TARGETS[0])[1:] + bytes(30),  # another configuration
        SHORT + cid_of(TARGETS[0])[:-1],
        long_header(2, cid_of(TARGETS[0])[:-1]),
        long_header(2, b""),
        b"",
    ],
)
def test_what_names_nobody_and_begins_nothing_is_dropped(payload: bytes) -> None:
    made = balancer()
    made.route(udp(long_header(0, b"8 random")), 0.0)
    assert made.route(udp(payload), 0.0) is None
    assert made.counters.unknown_server_id == 1


def test_other_versions_are_dropped() -> None:
    made = balancer()
    assert made.route(udp(long_header(0, cid_of(TARGETS[0]), version=0x6B3343CF)), 0.0) is None
    assert made.route(udp(b"\xc0\0\0"), 0.0) is None
    assert made.counters.other_version == 2


def test_one_that_leaves_keeps_what_it_has_for_five_minutes() -> None:
    made, leaving = balancer(), TARGETS[1]
    opened = {port: made.route(tcp(("192.0.2.8", port), opens=True), 0.0) for port in range(60)}
    made.deregister(leaving.server_id, 10.0)
    short = udp(SHORT + cid_of(leaving) + bytes(30))
    assert made.route(short, 10.0 + DRAINING_S - 1) == leaving
    for port, target in opened.items():
        assert made.route(tcp(("192.0.2.8", port)), 10.0) == target
        assert made.route(tcp(("192.0.2.9", port), opens=True), 10.0) != leaving
    assert made.route(short, 10.0 + DRAINING_S) is None
    made.register(leaving)
    assert made.route(short, 10.0 + DRAINING_S) == leaving


def test_the_unhealthy_get_no_newcomers_and_keep_their_callers() -> None:
    made = balancer()
    for target in TARGETS[:2]:
        made.set_health(target.server_id, False)
    found = {made.route(udp(long_header(0, b"8 random"), ("192.0.2.8", port)), 0.0) for port in range(20)}
    assert found == {TARGETS[2]}
    assert made.route(udp(SHORT + cid_of(TARGETS[0])), 0.0) == TARGETS[0]
    made.set_health(TARGETS[2].server_id, False)
    assert made.route(udp(long_header(0, b"8 random"), ("192.0.2.9", 1)), 0.0) is None
    assert made.counters.refused == 1


def test_a_tcp_connection_that_never_began_goes_nowhere() -> None:
    made = balancer()
    assert made.route(tcp(), 0.0) is None
    target = made.route(tcp(opens=True), 0.0)
    assert made.route(tcp(), 1.0) == target is not None


def test_as_a_balancer_of_plain_udp_it_reads_no_connection_id() -> None:
    made = balancer()
    made.reads_connection_ids = False
    payload = SHORT + cid_of(TARGETS[0]) + bytes(30)
    found = {made.route(udp(payload, ("192.0.2.8", port)), 0.0) for port in range(60)}
    assert found == set(TARGETS)


def test_two_targets_have_two_server_ids_of_8_bytes() -> None:
    made = balancer()
    with pytest.raises(ValueError, match="is registered"):
        made.register(Target(("203.0.113.9", 443), TARGETS[0].server_id))
    with pytest.raises(ValueError, match="AWS takes 8"):
        made.register(Target(("203.0.113.9", 443), b"seven by"[:7]))


def test_of_the_drafts_plaintext_examples_none_is_taken_for_a_targets() -> None:
    """They have other lengths; AWS fixes 8 and 7."""
    for row in VECTORS:
        cid = bytes.fromhex(row["cid"])
        if row["key"] is None and len(cid) != 16:
            made = balancer()
            made.register(Target(("203.0.113.9", 443), (cid[1:] + bytes(8))[:8]))
            assert made.route(udp(long_header(2, cid)), 0.0) is None
