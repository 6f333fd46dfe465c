"""The fleet changes its keys while people talk: nobody notices, and in the end nothing of the old ones is left."""

import pytest
from sim.world import KEYS, Network, SimNode, Talk, World

from edge.cid import decode
from edge.forward import ReturnPath

ADDED = KEYS.add(bytes(32), KEYS.issuing.created)
USED = ADDED.use(1)
DROPPED = USED.drop(0)
RENEW_S = 0.25
NOT_OFFERED = {"preferred_v4": None, "preferred_v6": None}


def set_keys(node: SimNode, keys: object) -> None:
    node.endpoint.set_keys(keys)  # type: ignore[arg-type]
    node.forwarder.set_keys(keys)  # type: ignore[arg-type]


@pytest.mark.parametrize("pinned", [False, True])
def test_calls_go_on_through_a_rotation_and_a_flapping_route(world_seed: int, pinned: bool) -> None:
    world = World(
        Network(world_seed, delay=0.02, jitter=0.005, loss=0.03, reorder=0.03), forward=ReturnPath.DIRECT
    )
    nodes = [world.add_node(name, **(NOT_OFFERED if pinned else {})) for name in ("fra", "nrt")]
    talks = [Talk(world, count=140) for _ in range(10)]
    callers = [
        world.add_client(nodes[number % 2], on_event=talk, at=number * 0.1)
        for number, talk in enumerate(talks)
    ]
    for step, keys in enumerate((ADDED, USED)):
        for number, node in enumerate(nodes):  # one node has them a second before the other
            world.at(1.5 + 2 * step + number, lambda node=node, keys=keys: set_keys(node, keys))  # type: ignore[misc]
    for tick in range(8):
        world.at(1.0 + tick, lambda tick=tick: world.move_catchment(nodes[tick % 2]))  # type: ignore[misc]
    for tick in range(40):
        for node in nodes:

            def renew(node: SimNode = node) -> None:
                node.endpoint.renew(limit=1)
                world.pump(node)

            world.at(tick * RENEW_S, renew)
    world.run(until=7.0)
    for node in nodes:
        assert set(node.endpoint.generations()) == {1}, "nobody holds a connection ID of the old generation"
        set_keys(node, DROPPED)
    world.run(until=14.0)
    assert all(talk.heard(caller) for talk, caller in zip(talks, callers, strict=True))
    assert all(caller.closed is None for caller in callers)
    for node in nodes:
        assert node.endpoint.counters.resets_sent == node.endpoint.counters.dropped_unroutable == 0


def test_a_new_connection_id_takes_the_place_of_all_others() -> None:
    world = World(Network(seed=0, delay=0.02))
    node = world.add_node("fra")
    caller = world.add_client(node, on_event=Talk(world, count=100))
    world.run(until=1.0)
    assert node.endpoint.generations() == {0: 1}
    set_keys(node, USED)
    node.endpoint.renew(limit=10)
    world.pump(node)
    assert node.endpoint.generations() == {0: 1, 1: 1}
    world.run(until=2.0)
    assert node.endpoint.generations() == {1: 1}
    engine = caller.connection._engine
    for cid in (engine._peer_cid, *engine._peer_cid_available):
        assert decode([node.endpoint._secrets._ring._codecs[1].config], cid.cid).server_id == node.server_id  # type: ignore[union-attr]
    # Once is enough.
    issued = node.endpoint._secrets.issue
    before = issued()
    node.endpoint.renew(limit=10)
    world.pump(node)
    world.run(until=3.0)
    assert node.endpoint.generations() == {1: 1}
    assert len({before, issued()}) == 2
