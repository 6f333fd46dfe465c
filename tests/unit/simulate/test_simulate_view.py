"""What the nodes know of each other in a simulation, beside what they would be told on a network."""

import numpy as np
import pytest

from bgp.control_route import Publisher
from bgp.route import parse_address
from bgp.state import State
from edge.simulate.routers import DEPREFERRED, NONE, PLAIN
from edge.simulate.view import FleetView, _tenths

CAPACITY = np.array([100.0, 200.0, 300.0])
NOBODY = np.zeros(3, dtype=np.bool_)


def view(*, delay_s: float = 5.0) -> FleetView:
    made = FleetView(CAPACITY, delay_s, step_s=5.0)
    made.publish(np.full(3, PLAIN), np.zeros(3), NOBODY, 0.0)
    return made


def test_others_are_all_but_oneself():
    seen = view()
    seen.publish(np.array([PLAIN, DEPREFERRED, NONE]), np.array([0.5, 0.75, 0.1]), NOBODY, 5.0)
    others = [seen.others(node, 10.0, lost=False) for node in range(3)]
    assert [one.announcing for one in others] == [1, 1, 2]
    assert [one.spare for one in others] == [40, 50, 90]
    assert seen.announcing().tolist() == [1, 1, 2]
    assert seen.spare().tolist() == [40, 50, 90]


def test_the_lowest_claim_goes_first_and_nobody_waits_for_oneself():
    seen = view()
    seen.publish(np.full(3, PLAIN), np.zeros(3), np.array([False, True, True]), 5.0)
    assert [seen.others(node, 10.0, lost=False).claimant for node in range(3)] == ["", "", "node 1"]


def test_who_moved_waits_for_the_move_before_and_the_others_for_the_last():
    seen = view()
    seen.publish(np.array([DEPREFERRED, PLAIN, PLAIN]), np.zeros(3), NOBODY, 5.0)
    seen.publish(np.array([DEPREFERRED, PLAIN, NONE]), np.zeros(3), NOBODY, 20.0)
    assert [seen.others(node, 30.0, lost=False).settled_s for node in range(3)] == [10, 10, 25]


def test_what_is_published_is_known_after_the_delay():
    seen = view(delay_s=15.0)
    announcing = []
    for step in range(1, 5):
        seen.publish(np.array([PLAIN, NONE, NONE]), np.zeros(3), NOBODY, step * 5.0)
        announcing.append(seen.others(0, step * 5.0, lost=False).announcing)
    assert announcing == [2, 2, 0, 0]


def test_who_hears_nothing_has_a_problem():
    assert view().others(0, 0.0, lost=True).problem


def test_load_is_told_in_the_same_steps_as_on_the_control_route():
    loads = np.random.default_rng(1).uniform(0, 1.5, 300)
    publisher = Publisher(parse_address("192.0.2.1"), 64600)
    told, spoken = np.zeros(1), 0
    for second, load in enumerate(loads):
        told = _tenths(np.array([load]), told)
        route = publisher.update(
            state=State.ANNOUNCED, claim=False, load=float(load), capacity=100, now=float(second)
        )
        if route is not None:
            spoken = next(one.parameter for one in route.large_communities if one.function == 3)
        assert told[0] == pytest.approx(spoken)
