"""Flap damping as the routers do it to us."""

import numpy as np
import pytest

from edge.simulate.routers import DEPREFERRED, NONE, PLAIN, Routers

STEP_S = 5.0


def hear(routers: Routers, *routes: int) -> list[int]:
    return [int(routers.hear(np.array([route]))[0]) for route in routes]


def steps_until_used(routers: Routers) -> int:
    return next(step for step in range(10_000) if hear(routers, PLAIN) == [PLAIN])


def test_two_withdrawals_within_a_minute_are_not_yet_too_many_but_two_at_once_and_a_change_are():
    assert hear(Routers("cisco", 1, STEP_S), NONE, PLAIN, *[PLAIN] * 12, NONE, PLAIN) == (
        [NONE, PLAIN, *[PLAIN] * 12, NONE, PLAIN]
    )
    assert hear(Routers("cisco", 1, STEP_S), NONE, PLAIN, NONE, DEPREFERRED, PLAIN)[-1] == NONE


def test_a_suppressed_route_is_used_again_when_its_penalty_has_sunk_to_the_reuse_limit():
    routers = Routers("cisco", 1, STEP_S)
    hear(routers, NONE, PLAIN, NONE, PLAIN, NONE, PLAIN)
    # From just below 3000 to 750: two half-lives of 15 minutes.
    assert steps_until_used(routers) * STEP_S == pytest.approx(1800, abs=30)


def test_suppression_ends_after_an_hour_at_the_latest():
    routers = Routers("cisco", 1, STEP_S)
    hear(routers, *[NONE, PLAIN] * 100)
    assert steps_until_used(routers) * STEP_S <= 3600


@pytest.mark.parametrize("damping, flaps", [("cisco", 3), ("junos", 2), ("ripe580", 4)])
def test_profiles_differ_in_what_they_bear(damping, flaps):
    routers = Routers(damping, 1, STEP_S)
    suppressed = [hear(routers, NONE, PLAIN)[-1] == NONE for _ in range(flaps)]
    assert suppressed == [False] * (flaps - 1) + [True]


def test_routers_without_damping_use_whatever_is_announced():
    routers = Routers("off", 1, STEP_S)
    assert hear(routers, *[NONE, PLAIN] * 50) == [NONE, PLAIN] * 50
    assert routers.updates.tolist() == [100]
