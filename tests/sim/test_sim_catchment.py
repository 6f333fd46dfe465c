"""The route to the service address moves from one node to another, at every possible moment."""

from typing import Any

import pytest
from sim.world import KEYS, Network, SimNode, Talk, World

from edge.forward import ReturnPath
from edge.overload import Verdict
from edge.quic import HandshakeCompleted, Outcome, PacketMisrouted

RTT = 0.04
CLEAN = Network(seed=0, delay=RTT / 2)
NEXT_KEYS = KEYS.add(bytes(32), KEYS.issuing.created).use(1)
NOT_OFFERED: dict[str, Any] = {"preferred_v4": None, "preferred_v6": None}


def lossy(seed: int) -> Network:
    return Network(seed, delay=RTT / 2, jitter=0.005, loss=0.03, reorder=0.03)


def completed(node: SimNode) -> int:
    return sum(isinstance(event, HandshakeCompleted) for event in node.events)


def test_calls_that_have_moved_do_not_notice_a_flap(world_seed: int) -> None:
    world = World(lossy(world_seed))
    first, second = world.add_node("fra"), world.add_node("nrt")
    talks = [Talk(world, count=40) for _ in range(20)]
    callers = [world.add_client(first, on_event=talk) for talk in talks]
    world.run(until=1.5)
    assert all(caller.connection.migrated for caller in callers)
    for at in (1.5, 1.9, 2.3):
        world.at(at, lambda: world.move_catchment(second if callers[0].node is first else first))
    world.run(until=6.0)
    assert all(talk.heard(caller) for talk, caller in zip(talks, callers, strict=True))
    assert second.endpoint.counters.datagrams_in == 0


# The client's first packets pass the flap at 20 ms, 60 ms and 100 ms; in between they are on their way.
@pytest.mark.parametrize("moved_at_ms", range(5, 146, 10))
@pytest.mark.parametrize("forward", ReturnPath)
def test_a_handshake_is_finished_where_it_began_if_nodes_forward(
    moved_at_ms: int, forward: ReturnPath
) -> None:
    world = World(CLEAN, forward=forward)
    first, second = world.add_node("fra"), world.add_node("nrt")
    talk = Talk(world)
    caller = world.add_client(first, on_event=talk)
    world.at(moved_at_ms / 1000, lambda: world.move_catchment(second))
    world.run(until=5.0)
    assert talk.heard(caller)
    assert caller.connection.migrated
    began_at, other = (second, first) if moved_at_ms < 20 else (first, second)
    assert (completed(began_at), completed(other)) == (1, 0)
    assert caller.connection.peer == (began_at.v4, 443)


def test_handshakes_under_loss_while_the_route_flaps_all_end_well_if_nodes_forward(world_seed: int) -> None:
    world = World(lossy(world_seed), forward=ReturnPath.DIRECT)
    nodes = [world.add_node(name) for name in ("fra", "nrt", "iad")]
    talks = [Talk(world) for _ in range(30)]
    callers = [world.add_client(nodes[0], on_event=talk, at=i * 0.01) for i, talk in enumerate(talks)]
    for step in range(20):
        world.at(step * 0.025, lambda step=step: world.move_catchment(nodes[step % 3]))  # type: ignore[misc]
    world.run(until=8.0)
    assert all(talk.heard(caller) for talk, caller in zip(talks, callers, strict=True))
    assert sum(map(completed, nodes)) == 30
    assert all(node.endpoint.counters.resets_sent == 0 for node in nodes)


def test_without_forwarding_a_broken_handshake_leaves_nothing_and_the_next_one_succeeds() -> None:
    world = World(CLEAN)
    first, second = world.add_node("fra"), world.add_node("nrt")
    unlucky = world.add_client(first, idle_timeout=3.0)
    world.run(until=0.03)
    world.move_catchment(second)
    world.run(until=15.0)
    assert unlucky.closed is not None
    assert not first.endpoint.connections
    assert not second.endpoint.connections
    assert second.endpoint.counters.misrouted > 0
    assert second.endpoint.counters.initials == 0
    talk = Talk(world)
    again = world.add_client(second, on_event=talk)
    world.run(until=18.0)
    assert talk.heard(again)
    assert completed(second) == 1


@pytest.mark.parametrize("forward", ReturnPath)
def test_a_caller_that_cannot_move_keeps_its_call_if_nodes_forward(
    world_seed: int, forward: ReturnPath
) -> None:
    world = World(lossy(world_seed), forward=forward)
    first, second = world.add_node("fra", **NOT_OFFERED), world.add_node("nrt", **NOT_OFFERED)
    talk = Talk(world, count=60)
    caller = world.add_client(first, on_event=talk)
    world.at(1.0, lambda: world.move_catchment(second))
    world.run(until=6.0)
    assert talk.heard(caller)
    assert [info.outcome for info in first.endpoint.connections.values()] == [Outcome.ON_ANYCAST]


def test_a_stray_call_is_handed_out_and_never_reset() -> None:
    """The other node is alive and so is the call: a reset would kill it for nothing."""
    world = World(CLEAN)
    first, second = world.add_node("fra", **NOT_OFFERED), world.add_node("nrt", **NOT_OFFERED)
    caller = world.add_client(first, on_event=Talk(world, count=60))
    world.run(until=1.0)
    world.move_catchment(second)
    world.run(until=3.0)
    assert caller.closed is None
    strays = [event for event in second.events if isinstance(event, PacketMisrouted)]
    assert {stray.server_id for stray in strays} == {first.server_id}
    assert {stray.path[:2] for stray in strays} == {caller.address}
    assert second.endpoint.counters.resets_sent == 0
    assert not second.endpoint.connections


@pytest.mark.parametrize("clock_error", [-3.0, 0.0, 3.0])
@pytest.mark.parametrize("forward", [None, *ReturnPath])
def test_a_retry_of_one_node_is_honoured_by_the_next(clock_error: float, forward: ReturnPath | None) -> None:
    def retry(_now: float) -> Verdict:
        return Verdict.RETRY

    world = World(CLEAN, forward=forward)
    first = world.add_node("fra", admission=retry)
    second = world.add_node("nrt", admission=retry, clock_error=clock_error)
    talk = Talk(world)
    caller = world.add_client(first, on_event=talk)
    world.run(until=0.03)
    world.move_catchment(second)
    world.run(until=5.0)
    assert talk.heard(caller)
    assert (first.endpoint.counters.retried, completed(first), completed(second)) == (1, 0, 1)


def test_a_retry_that_only_its_own_node_can_read_is_passed_back_to_it() -> None:
    """Where connection IDs are not encrypted, and the next keys have not come to all nodes yet."""
    world = World(CLEAN, forward=ReturnPath.DIRECT)
    first = world.add_node("fra", admission=lambda _now: Verdict.RETRY, keys=NEXT_KEYS, profile="aws-nlb")
    second = world.add_node("nrt", profile="aws-nlb")
    talk = Talk(world)
    caller = world.add_client(first, on_event=talk)
    world.run(until=0.03)
    world.move_catchment(second)
    world.run(until=5.0)
    assert talk.heard(caller)
    assert (completed(first), completed(second)) == (1, 0)
