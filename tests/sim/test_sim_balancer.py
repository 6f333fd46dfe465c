"""Nodes behind a balancer that reads connection IDs: a caller's packets find its node, whatever changes on the way."""

from __future__ import annotations

import pytest
from sim.world import (
    ALPN,
    KEYS,
    PORT,
    SERVICE_V4,
    Datagram,
    Network,
    SimClient,
    SimNode,
    Talk,
    World,
)

from edge.forward import ReturnPath
from edge.keys import KeyRing
from edge.lab.balancing import DRAINING_S, Balancer
from edge.overload import Verdict
from edge.quic import HandshakeCompleted, TicketIssued

NAMES = ("a", "b", "c")
CALLERS = 12
BAD = {"delay": 0.02, "jitter": 0.005, "loss": 0.02, "reorder": 0.02}


def a_world(network: Network, *, forward: ReturnPath | None = None, **of_nodes: object) -> World:
    world = World(network, forward=forward, balancer=Balancer((SERVICE_V4, PORT), seed=network.seed))
    for name in NAMES:
        world.add_node(name, **of_nodes)  # type: ignore[arg-type]
    return world


def talking(world: World, count: int = 100) -> list[tuple[Talk, SimClient]]:
    talks = [Talk(world, count=count) for _ in range(CALLERS)]
    return [
        (talk, world.add_client(world.nodes[0], on_event=talk, at=number * 0.05))
        for number, talk in enumerate(talks)
    ]


def rebind_all(world: World, callers: list[tuple[Talk, SimClient]], port: int) -> None:
    for number, (_, caller) in enumerate(callers):
        world.rebind(caller, port + number)


def strays(world: World) -> int:
    return sum(node.forwarder.counters.strays_sent for node in world.nodes)


def carried(world: World) -> int:
    return sum(bool(node.endpoint.connections) for node in world.nodes)


def test_callers_keep_their_node_when_their_port_changes(world_seed: int) -> None:
    world = a_world(Network(world_seed, **BAD), forward=ReturnPath.INGRESS)
    callers = talking(world)
    for time in (1.5, 2.5, 3.5):
        world.at(time, lambda time=time: rebind_all(world, callers, int(10_000 * time)))  # type: ignore[misc]
    world.run(until=2.0)
    assert carried(world) >= 2, "newcomers are spread"
    world.run(until=14.0)
    assert all(talk.heard(caller) for talk, caller in callers)
    assert world.balancer is not None
    assert world.balancer.counters.unknown_server_id == strays(world) == 0
    assert world.balancer.counters.other_version == 0, "nobody changes to a version that the balancer drops"
    assert world.balancer.counters.by_server_id > world.balancer.counters.by_flow


@pytest.mark.parametrize("forward", [ReturnPath.INGRESS, None])
def test_a_balancer_of_plain_udp_needs_nodes_that_pass_on(forward: ReturnPath | None) -> None:
    world = a_world(Network(seed=3, delay=0.02), forward=forward)
    assert world.balancer is not None
    world.balancer.reads_connection_ids = False
    callers = talking(world)
    world.at(2.0, lambda: rebind_all(world, callers, 20_000))
    world.run(until=40.0)
    heard = sum(talk.heard(caller) for talk, caller in callers)
    if forward is None:
        assert heard < CALLERS
    else:
        assert heard == CALLERS
        assert strays(world) > 0
        assert sum(node.forwarder.counters.dropped_foreign for node in world.nodes) == 0


def test_retry_comes_back_to_the_node_that_asked() -> None:
    world = a_world(Network(seed=5, delay=0.02), admission=lambda _: Verdict.RETRY)
    callers = talking(world, count=10)
    world.run(until=8.0)
    assert all(talk.heard(caller) for talk, caller in callers)
    assert sum(node.endpoint.counters.retried for node in world.nodes) == CALLERS
    assert strays(world) == 0


def test_early_data_is_taken_by_whichever_node_it_reaches() -> None:
    world = a_world(Network(seed=7, delay=0.02), early_data_alpn=ALPN)
    first = world.add_client(world.nodes[0])
    world.run(until=2.0)
    (ticket,) = [event.ticket for event in first.events if isinstance(event, TicketIssued)]
    (before,) = [node for node in world.nodes if node.endpoint.connections]
    elsewhere = False
    while not elsewhere:
        caller = world.add_client(world.nodes[0], ticket=ticket)
        counts = [len(node.endpoint.connections) for node in world.nodes]
        world.at(world.now, lambda caller=caller: speak(world, caller))  # type: ignore[misc]
        world.run(until=world.now + 2.0)
        (node,) = [
            node
            for node, count in zip(world.nodes, counts, strict=True)
            if len(node.endpoint.connections) > count
        ]
        elsewhere = node is not before
        if elsewhere:
            assert any(isinstance(one, HandshakeCompleted) and one.early_data_accepted for one in node.events)


def speak(world: World, caller: SimClient) -> None:
    caller.connection.send_stream(caller.connection.open_stream(), b"early", fin=True)
    world.pump(caller)


def set_keys(world: World, keys: KeyRing) -> None:
    for node in world.nodes:
        node.endpoint.set_keys(keys)
        node.forwarder.set_keys(keys)


def renew(world: World) -> None:
    for node in world.nodes:
        node.endpoint.renew(limit=CALLERS)
        world.pump(node)


def generations(node: SimNode) -> set[int]:
    return set(node.endpoint.generations())


def test_a_rotation_gives_every_caller_new_connection_ids_and_a_reset_it_believes() -> None:
    """Their first octet is the same with all keys, so it is the connection that knows."""
    world = a_world(Network(seed=9, delay=0.02), forward=ReturnPath.INGRESS)
    callers = talking(world, count=200)
    added = KEYS.add(bytes(32), KEYS.issuing.created)
    used = added.use(1)
    world.run(until=2.0)
    set_keys(world, added)
    set_keys(world, used)
    assert set().union(*map(generations, world.nodes)) == {0}, "nobody may drop the old keys yet"
    renew(world)
    world.run(until=4.0)
    assert set().union(*map(generations, world.nodes)) == {1}
    set_keys(world, used.drop(0))
    rebind_all(world, callers, 30_000)
    world.run(until=6.0)
    assert all(caller.closed is None for _, caller in callers)
    for node in world.nodes:
        world.restart(node)
        node.endpoint.set_keys(used.drop(0))
    world.run(until=7.5)
    assert all(caller.closed is not None for _, caller in callers), "resets were not believed"


def test_a_node_that_leaves_keeps_its_callers_while_it_is_drained() -> None:
    world = a_world(Network(seed=11, delay=0.02))
    callers = talking(world, count=60)
    world.run(until=1.5)
    leaving = max(world.nodes, key=lambda node: len(node.endpoint.connections))
    kept = len(leaving.endpoint.connections)
    assert world.balancer is not None
    world.balancer.deregister(leaving.server_id, world.now)
    rebind_all(world, callers, 30_000)
    late = [world.add_client(world.nodes[0]) for _ in range(CALLERS)]
    world.run(until=8.0)
    assert all(talk.heard(caller) for talk, caller in callers)
    assert len(leaving.endpoint.connections) == kept > 0
    assert all(caller.completed_at is not None for caller in late)
    # What still comes for it once it is gone goes nowhere.
    assert world.balancer.counters.unknown_server_id == 0
    world.now += DRAINING_S
    cid = leaving.endpoint._secrets.issue()
    world._arrive(Datagram(("192.0.2.99", 4), (SERVICE_V4, PORT), b"\x40" + cid + bytes(20)))
    assert world.balancer.counters.unknown_server_id == 1
