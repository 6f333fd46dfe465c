"""A fleet whose nodes know of each other by what reflectors tell: what they believe, and when they leave."""

import itertools

import pytest
from sim.fleet import Fleet, Node

from bgp.policy import PolicyParams
from bgp.state import State

SETTLE_S = PolicyParams().settle_s


def believed(node: Node, now: float) -> set[object]:
    """Whom a node counts on; nobody when it does not trust its own eyes."""
    if node.view.others(now).problem:
        return set()
    return {seen.address for seen in node.view.nodes(now) if not seen.problem}


def leaves(fleet: Fleet) -> list[float]:
    return sorted(
        move.at
        for node in fleet.nodes
        for move in node.moves
        if move.voluntary and move.after in {State.DEPREFERRED, State.WITHDRAWN}
    )


def test_everybody_comes_to_know_everybody(world_seed: int) -> None:
    fleet = Fleet(8, world_seed)
    for node in fleet.nodes:
        node.busy = False
    fleet.clock.run(until=30)
    assert fleet.announcing == 8
    for node in fleet.nodes:
        others = node.view.others(fleet.clock.now)
        assert (others.problem, others.announcing, others.spare) == ("", 7, 350)


def test_no_two_leave_within_the_time_in_which_the_fleet_settles(world_seed: int) -> None:
    fleet = Fleet(8, world_seed)
    fleet.clock.run(until=1800)
    times = leaves(fleet)
    assert len(times) > 5
    # Who sees that another has left sees it after the time of two messages; that much less has passed for it.
    assert min(later - earlier for earlier, later in itertools.pairwise(times)) >= SETTLE_S
    assert fleet.announcing >= 2


def test_a_node_that_vanishes_is_seen_to_vanish(world_seed: int) -> None:
    fleet = Fleet(4, world_seed)
    fleet.clock.run(until=20)
    for session in fleet.nodes[0].sessions:
        session.cut(for_s=1000)
    fleet.clock.run(until=20 + fleet.hold_s + 2 * fleet.delay_s)
    for node in fleet.nodes[1:]:
        assert fleet.nodes[0].address not in believed(node, fleet.clock.now)
    assert fleet.nodes[0].view.others(fleet.clock.now).problem


@pytest.mark.parametrize("cuts", [5, 40])
def test_nobody_believes_in_more_than_there_are(world_seed: int, cuts: int) -> None:
    """Whatever is cut and for how long, and whoever breaks and recovers: but for what is still on its way."""
    fleet = Fleet(8, world_seed)
    dice = fleet.clock.dice
    in_flight_s = fleet.hold_s + 3 * fleet.delay_s

    def cut() -> None:
        dice.choice(fleet.sessions).cut(for_s=dice.uniform(0, 60))

    def breaks() -> None:
        node = dice.choice(fleet.nodes)
        node.broken = not node.broken

    checked = 0

    def check() -> None:
        nonlocal checked
        now = fleet.clock.now
        announced = {node.address for node in fleet.nodes if node.announced_until >= now - in_flight_s}
        for node in fleet.nodes:
            seen = believed(node, now)
            assert seen <= announced - {node.address}
            checked += len(seen)

    fleet.every(600 / cuts, cut)
    fleet.every(37, breaks)
    fleet.every(1, check)
    fleet.clock.run(until=600)
    assert checked > 1000


def test_nobody_moves_for_load_while_it_is_cut_off(world_seed: int) -> None:
    """All are overloaded, and the reflectors are gone: fail static."""
    fleet = Fleet(6, world_seed)
    fleet.clock.run(until=10)
    for session in fleet.sessions:
        session.cut(for_s=1000)
    fleet.clock.run(until=900)
    assert leaves(fleet) == []
    assert fleet.announcing == 6


def test_a_fleet_that_is_cut_in_two_never_goes_dark_on_either_side(world_seed: int) -> None:
    """Each half has a reflector to itself, and each half keeps somebody."""
    fleet = Fleet(8, world_seed)
    halves = fleet.nodes[::2], fleet.nodes[1::2]
    fleet.clock.run(until=15)
    for half, reflector in zip(halves, reversed(fleet.reflectors), strict=True):
        for node in half:
            for session in node.sessions:
                if session.other(node) is reflector:
                    session.cut(for_s=10_000)
    fleet.sessions[-1].cut(for_s=10_000)
    fleet.clock.run(until=2400)
    assert leaves(fleet)
    for half in halves:
        assert sum(node.announces for node in half) >= 2


def test_a_node_that_flaps_neither_stops_the_others_nor_is_relied_on(world_seed: int) -> None:
    fleet = Fleet(8, world_seed)
    flapper = fleet.nodes[0]

    def flap() -> None:
        flapper.broken = not flapper.broken

    fleet.every(3, flap)
    fleet.clock.run(until=600)
    assert len(leaves(fleet)) > 5
    assert all(flapper.address not in believed(node, 600) for node in fleet.nodes)
