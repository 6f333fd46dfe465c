"""Newcomers at a node that has had enough, or that pretend to be many."""

import pytest
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from sim.world import ALPN, KEYS, PORT, SERVICE_V4, Datagram, Network, SimClient, SimNode, Talk, World

from edge.overload import Verdict
from edge.quic import AddressTokenIssued, Path

RTT = 0.04
CLEAN = Network(seed=0, delay=RTT / 2)


def test_a_refused_caller_knows_at_once_and_is_welcome_elsewhere() -> None:
    world = World(CLEAN)
    full = world.add_node("fra", admission=lambda _now: Verdict.REFUSE)
    idle = world.add_node("nrt")
    caller = world.add_client(full)
    world.run(until=RTT + 0.001)
    assert caller.closed is not None
    assert (caller.closed.code, caller.closed.by_peer) == (0x02, True)
    assert not full.endpoint.connections
    talk = Talk(world)
    again = world.add_client(idle, on_event=talk)
    world.run(until=3.0)
    assert talk.heard(again)


def test_under_heavy_loss_everybody_hears_that_he_is_refused(world_seed: int) -> None:
    world = World(Network(world_seed, delay=RTT / 2, loss=0.1))
    full = world.add_node("fra", admission=lambda _now: Verdict.REFUSE)
    callers = [world.add_client(full) for _ in range(50)]
    world.run(until=30.0)
    assert all(caller.closed is not None and caller.closed.code == 0x02 for caller in callers)
    assert full.endpoint.counters.refused >= 50


def test_a_retry_costs_one_round_trip_and_calls_move_all_the_same() -> None:
    world = World(CLEAN)
    node = world.add_node("fra", admission=lambda _now: Verdict.RETRY)
    talk = Talk(world)
    caller = world.add_client(node, on_event=talk)
    world.run(until=3.0)
    assert talk.heard(caller)
    assert caller.completed_at == pytest.approx(2 * RTT)
    assert caller.connection.migrated_at == pytest.approx(4 * RTT)


def token_of(world: World, node: SimNode, host: str) -> bytes:
    """Of somebody who was here before."""
    caller = visit(world, node, host, b"")
    (token,) = {event.token for event in caller.events if isinstance(event, AddressTokenIssued)}
    return token


def visit(world: World, node: SimNode, host: str, token: bytes) -> SimClient:
    caller = world.add_client(node, address_token=token)
    world.rebind(caller, caller.address[1], host)
    world.run(until=world.now + 1.0)
    return caller


@pytest.mark.parametrize("loses", [0, 3])
def test_who_was_here_before_is_not_asked_again(loses: int) -> None:
    """Once for each token, on any node, whatever of the keys has changed; HANDSHAKE_DONE may come late."""
    world = World(CLEAN)
    lost: list[Datagram] = []

    def lose(datagram: Datagram) -> bool:
        is_late = world.now > 1.5 * RTT and datagram.source[0] == SERVICE_V4 and len(lost) < loses
        if is_late:
            lost.append(datagram)
        return is_late

    world.blocks.append(lose)
    first, second = (world.add_node(name, admission=lambda _now: Verdict.RETRY) for name in ("fra", "nrt"))
    token = token_of(world, first, "192.0.2.200")
    second.endpoint.set_keys(KEYS.add(bytes(32), KEYS.issuing.created).use(1))
    for node, used, expected in ((second, token, 1), (second, token, 2), (first, token, 1), (first, b"", 2)):
        began = world.now
        caller = visit(world, node, "192.0.2.200", used)
        assert caller.completed_at == pytest.approx(began + expected * RTT)
    assert len(lost) == loses


def test_another_address_costs_the_round_trip_and_nothing_else() -> None:
    world = World(CLEAN)
    node = world.add_node("fra", admission=lambda _now: Verdict.RETRY)
    token = token_of(world, node, "192.0.2.200")
    for host, used in (
        ("192.0.2.201", token),
        ("192.0.2.200", b"of another server"),
        ("192.0.2.200", token[:-1]),
    ):
        began = world.now
        caller = visit(world, node, host, used)
        assert caller.completed_at == pytest.approx(began + 2 * RTT)
        assert caller.closed is None
    # And it has not been used up by somebody who cannot use it.
    began = world.now
    assert visit(world, node, "192.0.2.200", token).completed_at == pytest.approx(began + RTT)


def test_calls_that_are_up_are_not_touched_by_what_newcomers_are_told() -> None:
    verdict = Verdict.ACCEPT
    world = World(CLEAN)
    node = world.add_node("fra", admission=lambda _now: verdict)
    talk = Talk(world, count=60)
    caller = world.add_client(node, on_event=talk)
    world.run(until=1.0)
    verdict = Verdict.REFUSE
    late = world.add_client(node)
    world.run(until=5.0)
    assert talk.heard(caller)
    assert late.closed is not None


def test_more_connections_than_allowed_are_refused_and_leave_room_when_they_end() -> None:
    world = World(CLEAN)
    node = world.add_node("fra", max_connections=3)
    callers = [world.add_client(node, at=i * 0.5) for i in range(5)]
    world.run(until=3.0)
    assert [caller.closed is None for caller in callers] == [True] * 3 + [False] * 2
    callers[0].connection.close()
    world.pump(callers[0])
    world.run(until=4.0)
    late = world.add_client(node)
    world.run(until=5.0)
    assert late.connection.established


def test_a_flood_from_forged_addresses_does_not_keep_callers_out() -> None:
    """Whoever cannot receive our Retry gets no further; up to half the limit he may hold handshakes open."""
    world = World(CLEAN)
    node = world.add_node("fra", max_handshakes=20, handshake_timeout=5.0)
    for number in range(500):
        forger = QuicConnection(configuration=QuicConfiguration(server_name="x", alpn_protocols=[ALPN]))
        forger.connect((SERVICE_V4, PORT), 0.0)
        ((data, _),) = forger.datagrams_to_send(0.0)
        node.endpoint.receive_datagram(data, Path("192.0.2.251", 1 + number, SERVICE_V4), 0.0)
    world.pump(node)
    counters = node.endpoint.counters
    assert (len(node.endpoint.connections), counters.retried, counters.refused) == (10, 490, 0)
    talk = Talk(world)
    caller = world.add_client(node, on_event=talk)
    world.run(until=3.0)
    assert talk.heard(caller)
    world.run(until=6.0)
    assert len(node.endpoint.connections) == 1
    assert counters.handshakes_failed == 10


def test_a_forged_sender_is_sent_no_more_than_three_times_what_he_sent() -> None:
    world = World(CLEAN)
    node = world.add_node("fra")
    forger = QuicConnection(configuration=QuicConfiguration(server_name="x", alpn_protocols=[ALPN]))
    forger.connect((SERVICE_V4, PORT), 0.0)
    ((data, _),) = forger.datagrams_to_send(0.0)
    victim = Path("192.0.2.252", 7, SERVICE_V4)
    sent_to_victim = 0

    def count(datagram: object) -> bool:
        nonlocal sent_to_victim
        sent_to_victim += len(datagram.data)  # type: ignore[attr-defined]
        return False

    world.blocks.append(count)
    node.endpoint.receive_datagram(data, victim, 0.0)
    world.pump(node)
    world.run(until=60.0)
    assert 0 < sent_to_victim <= 3 * len(data)
