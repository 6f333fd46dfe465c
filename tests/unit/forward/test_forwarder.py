"""edge.forward: strays find their owners; what is not authentic, not new or not ours goes nowhere."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.forward import Delivery, Forwarder, Member, ReturnPath, Sending
from edge.forward.forwarder import PER_CLIENT_PER_S, PER_NODE_PER_S
from edge.forward.packet import HEAD_BYTES, MAX_OVERHEAD, MAX_PAYLOAD
from edge.keys import KeyRing
from edge.quic import Path

RING = KeyRing.new(bytes(range(32)), datetime(2026, 11, 21, tzinfo=UTC))
NODES = {b"node-one": ("203.0.113.2", 4434), b"node-two": ("203.0.113.6", 4434)}
ONE, TWO = Member(b"node-one", 3), Member(b"node-two", 1)
SERVICE = frozenset({"198.51.100.1", "2001:db8:a::1"})
V4 = Path("192.0.2.7", 50_000, "198.51.100.1")
V6 = Path("2001:db8:1::7", 50_000, "2001:db8:a::1")


def forwarder(me: Member, **changes: Any) -> Forwarder:
    options = {"keys": RING, "owners": NODES, "local": SERVICE, "counter": 1_000_000} | changes
    return Forwarder(me, **options)


def passed_on(one: Forwarder, path: Path = V4, data: bytes = b"stray", to: Member = TWO) -> bytes:
    sent = one.pass_on(path, to, data, 0.0)
    assert sent is not None
    packet, address = sent
    assert address == NODES[to.server_id]
    return packet


@pytest.mark.parametrize("path", [V4, V6])
def test_a_stray_arrives_as_if_it_had_come_by_itself(path: Path) -> None:
    one, two = forwarder(ONE), forwarder(TWO)
    packet = passed_on(one, path, bytes(MAX_PAYLOAD))
    assert packet[0] == TWO.worker  # where a socket filter looks
    assert len(packet) <= MAX_PAYLOAD + MAX_OVERHEAD
    assert len(packet) + 8 + 40 <= 1500
    assert two.receive(packet, 0.0) == Delivery(path, bytes(MAX_PAYLOAD))
    assert two.answer(path, b"directly") is None
    assert (one.counters.strays_sent, two.counters.strays_received) == (1, 1)


def test_an_answer_goes_back_through_where_the_stray_had_arrived() -> None:
    one, two = forwarder(ONE), forwarder(TWO, return_path=ReturnPath.INGRESS)
    two.receive(passed_on(one), 0.0)
    sent = two.answer(V4, b"answer")
    assert sent is not None
    packet, address = sent
    assert address == NODES[ONE.server_id]
    assert packet[0] == ONE.worker
    assert one.receive(packet, 0.0) == Sending(V4, b"answer")
    # The caller's packets come here by themselves again.
    two.arrived(V4)
    assert two.answer(V4, b"answer") is None


def test_behind_a_balancer_each_stands_in_for_the_other_with_its_own_address() -> None:
    """The balancer has written the address of the wrong target into the stray; the answer has to leave from there."""
    first, second = "203.0.113.2", "203.0.113.6"
    one = forwarder(ONE, local=frozenset({first}), shared=False)
    two = forwarder(TWO, local=frozenset({second}), shared=False, return_path=ReturnPath.INGRESS)
    at_one, at_two = Path("192.0.2.7", 50_000, first), Path("192.0.2.7", 50_000, second)
    assert two.receive(passed_on(one, at_one), 0.0) == Delivery(at_two, b"stray")
    sent = two.answer(at_two, b"answer")
    assert sent is not None
    assert one.receive(sent[0], 0.0) == Sending(at_one, b"answer")
    # There is no IPv6 address to stand in with.
    assert two.receive(passed_on(one, V6), 0.0) is None
    assert two.counters.dropped_foreign == 1


def test_a_sibling_is_an_owner_and_never_an_ingress() -> None:
    """Both have the same addresses."""
    sibling = Member(ONE.server_id, 4)
    one, other = forwarder(ONE), forwarder(sibling, return_path=ReturnPath.INGRESS)
    assert other.receive(passed_on(one, to=sibling), 0.0) == Delivery(V4, b"stray")
    assert other.answer(V4, b"answer") is None


def test_a_copy_is_dropped_and_one_that_was_overtaken_is_not() -> None:
    one, two = forwarder(ONE), forwarder(TWO)
    packets = [passed_on(one, data=bytes([number])) for number in range(5)]
    assert [two.receive(packets[number], 0.0) for number in (4, 0, 2)] == [
        Delivery(V4, bytes([number])) for number in (4, 0, 2)
    ]
    assert [two.receive(packets[number], 0.0) for number in (4, 0, 2)] == [None] * 3
    assert two.counters.dropped_replayed == 3
    # Workers of one node count for themselves.
    assert two.receive(passed_on(forwarder(Member(ONE.server_id, 9))), 0.0) is not None


@given(st.integers(0), st.integers(1, 255))
def test_every_bit_is_authenticated(position: int, flip: int) -> None:
    one, two = forwarder(ONE), forwarder(TWO)
    packet = bytearray(passed_on(one))
    packet[position % len(packet)] ^= flip
    assert two.receive(bytes(packet), 0.0) is None
    dropped = two.counters
    assert dropped.dropped_forged + dropped.dropped_malformed == 1
    assert two.receive(passed_on(one), 0.0) is not None  # it has not used up a counter


@given(st.binary(max_size=1500))
def test_noise(packet: bytes) -> None:
    two = forwarder(TWO)
    assert two.receive(packet, 0.0) is None
    assert two.receive(bytes([1, 0x11, 0, 0]) + ONE.server_id + packet, 0.0) is None


def test_a_sender_cannot_speak_for_another() -> None:
    """Every node has all keys; what it cannot have is another's packet with its own name in it."""
    stranger = forwarder(Member(b"no-node!", 0))
    two = forwarder(TWO)
    assert two.receive(passed_on(stranger), 0.0) is None
    assert two.counters.dropped_forged == 1


def test_a_fleet_with_another_secret() -> None:
    other = KeyRing.new(bytes(32), datetime(2026, 11, 21, tzinfo=UTC))
    two = forwarder(TWO)
    assert two.receive(passed_on(forwarder(ONE, keys=other)), 0.0) is None


def test_a_rotation_loses_nothing() -> None:
    one, two = forwarder(ONE), forwarder(TWO)
    before = passed_on(one)
    added = RING.add(bytes([1] * 32), datetime(2026, 11, 21, tzinfo=UTC))
    two.set_keys(added)
    assert two.receive(before, 0.0) is not None
    assert two.receive(passed_on(one), 0.0) is not None
    one.set_keys(added.use(1))
    late = passed_on(one)
    assert two.receive(late, 0.0) is not None
    assert two.receive(late, 0.0) is None
    one.set_keys(added)
    old = passed_on(one)
    two.set_keys(added.use(1).drop(0))
    assert two.receive(old, 0.0) is None


def test_what_is_not_for_us_to_deliver() -> None:
    one, two = forwarder(ONE), forwarder(TWO)
    elsewhere = V4._replace(local="203.0.113.99")
    assert two.receive(passed_on(one, elsewhere), 0.0) is None
    assert two.counters.dropped_foreign == 1


def test_what_is_not_passed_on() -> None:
    one = forwarder(ONE)
    assert one.pass_on(V4, Member(b"no-node!", 0), b"", 0.0) is None
    assert one.pass_on(V4, TWO, bytes(MAX_PAYLOAD + 1), 0.0) is None
    assert (one.counters.dropped_unknown_owner, one.counters.dropped_too_big) == (1, 1)


def test_one_address_cannot_use_up_what_is_there_for_all() -> None:
    one = forwarder(ONE)
    sent = sum(one.pass_on(V4, TWO, b"", 0.0) is not None for _ in range(2 * int(PER_CLIENT_PER_S)))
    assert sent == PER_CLIENT_PER_S
    assert one.pass_on(V6, TWO, b"", 0.0) is not None
    assert one.counters.dropped_limited == PER_CLIENT_PER_S


def test_a_node_that_leaves_the_fleet_is_not_heard_any_more() -> None:
    one, two = forwarder(ONE), forwarder(TWO, return_path=ReturnPath.INGRESS)
    two.receive(passed_on(one), 0.0)
    two.set_owners({TWO.server_id: NODES[TWO.server_id]})
    assert two.receive(passed_on(one), 1.0) is None
    assert two.answer(V4, b"answer") is None


THREE = Member(b"node-thr", 1)
FLEET = NODES | {THREE.server_id: ("203.0.113.10", 4434)}


def changed(packet: bytes, position: int, octets: bytes) -> bytes:
    return packet[:position] + octets + packet[position + len(octets) :]


@pytest.mark.parametrize(
    "change, reason",
    [
        (lambda packet: packet[:-1], "forged"),
        (lambda packet: packet[: HEAD_BYTES + 16], "forged"),
        (lambda packet: packet[: HEAD_BYTES + 15], "malformed"),
        (lambda packet: packet[:HEAD_BYTES], "malformed"),
        (lambda _: b"", "malformed"),
        (lambda packet: packet + b"x", "forged"),
        (lambda packet: packet + bytes(65_000), "forged"),
        (lambda packet: changed(packet, 0, b"\x05"), "forged"),
        (lambda packet: changed(packet, 1, b"\x12"), "forged"),
        (lambda packet: changed(packet, 1, b"\x13"), "malformed"),
        (lambda packet: changed(packet, 1, b"\x21"), "malformed"),
        (lambda packet: changed(packet, 2, b"\x01"), "forged"),
        (lambda packet: changed(packet, 2, b"\xff"), "forged"),
        (lambda packet: changed(packet, 3, b"\x04"), "forged"),
        (lambda packet: changed(packet, 4, b"no-node!"), "forged"),
        (lambda packet: changed(packet, 4, TWO.server_id), "forged"),
        (lambda packet: changed(packet, 4, THREE.server_id), "forged"),
        (lambda packet: changed(packet, 12, bytes(8)), "forged"),
    ],
    ids=[
        "an octet less",
        "the head and a tag",
        "less than that",
        "the head",
        "nothing",
        "an octet more",
        "all that UDP takes",
        "for another worker",
        "a stray as an answer",
        "an unknown kind",
        "an unknown version",
        "an unknown generation",
        "one that cannot be",
        "of another worker",
        "of an unknown node",
        "of ourselves",
        "of another node",
        "an earlier one",
    ],
)
def test_what_somebody_makes_of_a_packet_is_dropped_for_its_reason(change: Any, reason: str) -> None:
    one, two = (forwarder(member, owners=FLEET) for member in (ONE, TWO))
    packet = passed_on(one)
    assert two.receive(change(packet), 0.0) is None
    assert dropped(two) == {reason: 1}
    assert two.receive(packet, 0.0) == Delivery(V4, b"stray")


def dropped(who: Forwarder) -> dict[str, int]:
    return {
        name.removeprefix("dropped_"): value
        for name, value in asdict(who.counters).items()
        if name.startswith("dropped") and value
    }


@pytest.mark.parametrize("kind", ["stray", "answer"])
def test_a_copy_is_worth_nothing_to_anybody_but_its_receiver(kind: str) -> None:
    """Sent back to its sender it must not be a sibling's; sent to a third it must not be new there."""
    one, two, three = (
        forwarder(member, owners=FLEET, return_path=ReturnPath.INGRESS) for member in (ONE, TWO, THREE)
    )
    stray = passed_on(one)
    sender, receiver, packet = one, two, stray
    if kind == "answer":
        two.receive(stray, 0.0)
        sent = two.answer(V4, b"answer")
        assert sent is not None
        sender, receiver, packet = two, one, sent[0]
    sibling = forwarder(Member(sender._me.server_id, 77), owners=FLEET)
    for wrong in (sender, sibling, three):
        assert wrong.receive(packet, 0.0) is None
        assert dropped(wrong) == {"forged": 1}
        if kind == "stray":
            assert wrong.answer(V4, b"answer") is None, "nothing is known of the path"
    assert receiver.receive(packet, 0.0) is not None


def test_a_flood_of_one_node_is_cut_off_and_others_are_heard() -> None:
    one, two, three = (forwarder(member, owners=FLEET) for member in (ONE, TWO, THREE))
    flood = [passed_on(one, Path(f"192.0.2.{number % 100}", 7, V4.local)) for number in range(3000)]
    # As if all but the last thousand of a second had come already.
    two._peers[ONE.server_id].incoming.take(PER_NODE_PER_S - 1000, 0.0)
    assert sum(two.receive(packet, 0.0) is not None for packet in flood) == 1000
    assert dropped(two) == {"limited": len(flood) - 1000}
    assert two.receive(passed_on(three), 0.0) is not None


def test_what_is_forged_uses_up_nothing() -> None:
    one, two = forwarder(ONE), forwarder(TWO)
    genuine = [passed_on(one) for _ in range(3)]
    for packet in genuine:
        for number in range(1000):
            two.receive(packet[:-4] + number.to_bytes(4, "big"), 0.0)
    assert dropped(two) == {"forged": 3000}
    assert all(two.receive(packet, 0.0) is not None for packet in genuine)
    assert two._peers[ONE.server_id].windows.keys() == {(0, ONE.worker)}
