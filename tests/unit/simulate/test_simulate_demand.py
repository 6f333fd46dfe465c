"""When people call: days, time zones, surges, and second attempts."""

import numpy as np
import pytest

from edge.simulate.demand import Demand, Redial
from edge.simulate.schema import Calls


def demand(worlds, **keys):
    file = worlds.file(**keys)
    return Demand(file, worlds.world(file))


def population(**keys):
    return {"name": "all", "calls": 100, "prefers": ["one"]} | keys


def test_a_flat_day_keeps_as_many_calls_up_as_the_population_has(worlds):
    flat = demand(worlds, populations=[population()], calls={"duration_s": 200}, step_s=10)
    assert {float(flat.new_calls(hour * 3600.0)[0]) for hour in range(24)} == {100 * 10 / 200}


@pytest.mark.parametrize(
    "place, peak_utc_h",
    [({"utc_offset_h": -5}, 1), ({"utc_offset_h": 9}, 11), ({"position": [0, 60]}, 16), ({}, 20)],
)
def test_the_peak_is_at_the_local_hour_and_the_trough_half_a_day_later(worlds, place, peak_utc_h):
    day = demand(worlds, populations=[population(trough_ratio=0.2, **place)])
    load = [float(day.day(hour * 3600.0)[0]) for hour in range(24)]
    assert load[peak_utc_h] == max(load) == pytest.approx(1)
    assert load[(peak_utc_h + 12) % 24] == min(load) == pytest.approx(0.2)


def test_the_simulation_may_begin_at_another_hour(worlds):
    early, late = (
        demand(worlds, populations=[population(trough_ratio=0.2)], start_hour=hour) for hour in (0, 6)
    )
    assert late.day(0.0) == pytest.approx(early.day(6 * 3600.0))


def test_a_surge_rises_lasts_and_falls_and_is_for_those_it_names(worlds):
    surge = {"populations": ["here-*"], "start_h": 1, "lasts_h": 2, "factor": 3, "ramp_h": 0.5}
    people = [population(name="here", count=2), population(name="there")]
    surging = demand(worlds, populations=people, surges=[surge])
    usual = surging.new_calls(0.0)
    factors = [
        (surging.new_calls(hours * 3600.0) / usual).round(9).tolist() for hours in (0.9, 1.25, 2, 2.75, 3.1)
    ]
    assert factors == [[1, 1, 1], [2, 2, 1], [3, 3, 1], [2, 2, 1], [1, 1, 1]]


def test_those_who_dial_again_come_back_once_after_the_wait(worlds):
    redial = Redial(Calls(retry_ratio=0.5, retry_after_s=10), 5.0, 1)
    given_up, came_back = [], []
    for failed in (8, 0, 4, 0, 0):
        came_back.append(float(redial.due()[0]))
        given_up.append(float(redial.give_up(np.array([failed]))[0]))
    assert given_up == [4, 0, 2, 0, 0]
    assert came_back == [0, 0, 4, 0, 2]
    assert redial.waiting == 0
