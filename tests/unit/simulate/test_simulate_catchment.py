"""Who goes where: preferences, prepends, the deaf, and the time it takes."""

import numpy as np
import pytest

from edge.simulate.catchment import Catchment, Journeys, Targets
from edge.simulate.routers import DEPREFERRED, NONE, PLAIN

THREE = [{"name": name, "capacity": 10} for name in ("a", "b", "c")]


def people(**keys):
    return {"name": "people", "calls": 10, "prefers": ["a", "b", "c"], "convergence_s": 0} | keys


@pytest.fixture
def catchment(worlds):
    def make(*populations):
        world = worlds.world(worlds.file(sites=THREE, populations=list(populations)))
        return Catchment(world, step_s=5.0)

    return make


@pytest.mark.parametrize(
    "routes, hearing, deaf",
    [
        ([PLAIN, PLAIN, PLAIN], 0, 0),
        ([NONE, PLAIN, PLAIN], 1, 1),
        ([DEPREFERRED, PLAIN, PLAIN], 1, 0),
        ([DEPREFERRED, NONE, PLAIN], 2, 0),
        ([NONE, DEPREFERRED, DEPREFERRED], 1, 1),
        ([NONE, NONE, NONE], -1, -1),
    ],
)
def test_a_depreferred_site_is_the_last_resort_and_a_withdrawn_one_is_none(catchment, routes, hearing, deaf):
    targets = catchment(people()).follow(np.array(routes))
    assert (targets.hearing[0], targets.deaf[0]) == (hearing, deaf)


def test_a_change_is_followed_after_the_convergence_time_and_not_before(catchment):
    slow_and_quick = catchment(people(convergence_s=15), people(name="quick"))
    gone = np.array([NONE, PLAIN, PLAIN])
    assert [list(slow_and_quick.follow(gone).hearing) for _ in range(5)] == [
        [0, 1], [0, 1], [0, 1], [1, 1], [1, 1],
    ]  # fmt: skip


def test_a_route_that_flaps_faster_than_convergence_is_seen_flapping_late(catchment):
    """Each change arrives, in order: a population must not miss one because another came soon after."""
    slow = catchment(people(convergence_s=10))
    up, down = np.array([PLAIN, PLAIN, PLAIN]), np.array([NONE, PLAIN, PLAIN])
    seen = [int(slow.follow(routes).hearing[0]) for routes in (down, up, down, up, up, up, up)]
    assert seen == [0, 0, 1, 0, 1, 0, 0]


def test_far_sites_are_found_when_all_near_ones_are_gone(worlds):
    """Rankings are searched in widening parts; the last part must be reached too."""
    file = worlds.file(
        sites=[{"name": "s", "count": 100, "capacity": 10, "position": [0, 0], "spread_deg": 9}],
        populations=[
            {"name": "p", "count": 7, "calls": 1, "position": [0, 0], "spread_deg": 9, "convergence_s": 0}
        ],
    )
    world = worlds.world(file)
    for place in (0, 3, 4, 15, 16, 63, 64, 98, 99):
        routes = np.full(100, NONE)
        left = world.ranking[:, place]
        routes[left] = PLAIN
        expected = [next(site for site in ranking if routes[site] == PLAIN) for ranking in world.ranking]
        assert list(Catchment(world, 5.0).follow(routes).hearing) == expected


def test_those_who_find_a_plain_site_far_away_prefer_it_to_a_depreferred_one_nearby(worlds):
    file = worlds.file(
        sites=[{"name": "s", "count": 50, "capacity": 10, "position": [0, 0], "spread_deg": 9}],
        populations=[{"name": "p", "calls": 1, "position": [0, 0], "convergence_s": 0}],
    )
    world = worlds.world(file)
    routes = np.full(50, DEPREFERRED)
    routes[world.ranking[0, 49]] = PLAIN
    targets = Catchment(world, 5.0).follow(routes)
    assert targets == Targets(world.ranking[:1, 49], world.ranking[:1, 0])


def test_named_sites_come_first_in_their_order_and_the_rest_by_distance(worlds):
    sites = [
        {"name": name, "capacity": 1, "position": [0, east]}
        for name, east in (("x", 0), ("y", 10), ("z", 30))
    ]
    nobody_near = {"name": "p", "calls": 1, "position": [0, 40]}
    file = worlds.file(sites=sites, populations=[nobody_near, nobody_near | {"name": "q", "prefers": ["x"]}])
    assert worlds.world(file).ranking.tolist() == [[2, 1, 0], [0, 2, 1]]


def test_calls_are_neither_made_nor_lost_on_the_way(worlds):
    file = worlds.file(sites=THREE, populations=[people(deaf_ratio=0.25), people(name="others", calls=4)])
    world = worlds.world(file)
    journeys = Journeys(world, Targets(np.array([1, -1]), np.array([0, -1])), np.array([8.0, 4.0]))
    assert journeys.arrivals().tolist() == [2, 6, 0]
    fates = journeys.fates(np.array([0.5, 0.25, 0]), np.array([0.5, 0.5, 0]))
    assert fates.refused.tolist() == [1 + 1.5, 0]
    assert fates.unanswered.tolist() == [1 + 3, 0]
    assert fates.no_route.tolist() == [0, 4]
    assert fates.away == 1.5
