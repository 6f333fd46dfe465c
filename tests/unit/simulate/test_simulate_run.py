"""A run as a whole: nothing is lost, nothing is made, the short cut is none, and chance is the seed's."""

import msgspec
import numpy as np
import pytest

from edge.simulate.contenders import NAMES
from edge.simulate.run import steps_of
from edge.simulate.world import build


@pytest.fixture(scope="module")
def eventful(worlds):
    return worlds.report(worlds.file(worlds.eventful), "naive", "ours")


@pytest.mark.parametrize("retry_ratio", [0.0, 0.7])
@pytest.mark.parametrize("policy", NAMES)
def test_every_caller_is_accounted_for_once(worlds, policy, retry_ratio):
    file = worlds.file(worlds.eventful, calls={"retry_ratio": retry_ratio, "retry_after_s": 20})
    run = worlds.run(file, policy)
    steps = [run.advance() for _ in range(steps_of(file))]
    ends = ("carried", "refused", "unanswered", "no_route")
    lost_or_carried = sum(getattr(step, end) for step in steps for end in ends)
    assert lost_or_carried + run._redial.waiting == pytest.approx(sum(step.offered for step in steps))
    assert sum(step.refused for step in steps) > 0


def test_calls_in_progress_are_what_was_carried_and_has_not_ended(worlds):
    """Unicast survival: however often routes change, calls end by themselves or with their node."""
    file = worlds.file(worlds.eventful)
    run = worlds.run(file, "naive")
    stays = np.exp(-file.step_s / file.calls.duration_s)
    stays_of_new = (1 - stays) * file.calls.duration_s / file.step_s
    for _ in range(steps_of(file)):
        before = run._servers.calls.sum()
        step = run.advance()
        assert run._servers.calls.sum() == pytest.approx(
            (before - step.cut) * stays + step.carried * stays_of_new
        )


@pytest.mark.parametrize("policy", NAMES)
def test_to_ask_only_those_who_could_move_decides_the_same(worlds, policy):
    file = worlds.file(worlds.eventful)
    quick, thorough = (worlds.run(file, policy, ask_always=always) for always in (False, True))
    changes = 0
    for step in range(steps_of(file)):
        before = quick.fleet.routes.copy()
        quick.advance()
        thorough.advance()
        assert quick.fleet.routes.tolist() == thorough.fleet.routes.tolist(), step
        assert quick.fleet.claims.tolist() == thorough.fleet.claims.tolist(), step
        changes += int(np.count_nonzero(before != quick.fleet.routes))
    assert changes > 1, "this world does not show what it is made to show"


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_world(worlds, eventful):
    file = worlds.file(worlds.eventful)
    assert msgspec.json.encode(worlds.report(file, "naive", "ours")) == msgspec.json.encode(eventful)
    capacities = [build(file, np.random.default_rng(seed)).capacity.tolist() for seed in (7, 8)]
    assert capacities[0] != capacities[1]


def test_a_policy_meets_the_same_world_alone_or_in_company(worlds, eventful):
    alone = worlds.outcome(worlds.file(worlds.eventful), "ours")
    assert alone == eventful.policies[1]


def test_refused_callers_who_dial_again_are_lost_later_or_not_at_all(worlds):
    base = {"populations": [{"name": "all", "calls": 200, "prefers": ["one"]}]}
    patient = worlds.outcome(worlds.file(**base, calls={"retry_ratio": 0.9}), "none").calls
    impatient = worlds.outcome(worlds.file(**base), "none").calls
    assert patient.offered == impatient.offered
    assert patient.dropped_ratio < impatient.dropped_ratio


def test_a_dead_site_loses_its_calls_and_those_who_come_until_its_hold_time_is_over(worlds):
    event = {"kind": "site-down", "sites": ["one"], "start_h": 0.5, "lasts_h": 0.25}
    file = worlds.file(events=[event], network={"hold_time_s": 10})
    calls = worlds.outcome(file, "none").calls
    per_step = 50 * 5 / 180
    assert calls.cut == 50
    assert calls.unanswered == round(2 * per_step)
    # Until it is announced again the other site serves them all.
    assert calls.away_ratio == pytest.approx(0.25, abs=0.01)


def test_a_broken_node_is_fenced_by_every_policy(worlds):
    event = {"kind": "broken", "sites": ["one"], "start_h": 0.5, "lasts_h": 0.25}
    for outcome in worlds.report(worlds.file(events=[event])).policies:
        assert outcome.routing.withdrawals == 1, outcome.policy
        assert outcome.calls.unanswered == 0


def test_a_flapping_link_is_suppressed_and_then_its_site_is_not_reached_though_it_is_up(worlds):
    flap = {
        "kind": "link-flap",
        "sites": ["one"],
        "start_h": 0.1,
        "lasts_h": 0.2,
        "every_s": 120,
        "down_s": 30,
    }
    damped = worlds.outcome(worlds.file(events=[flap]), "none")
    undamped = worlds.outcome(worlds.file(events=[flap], damping={"routers": "off"}), "none")
    assert damped.routing.suppressed_nodes == 1
    assert damped.routing.suppressed_h > 0.3
    assert damped.calls.away_ratio > 2 * undamped.calls.away_ratio


def test_nodes_of_one_site_share_and_cover_for_each_other(worlds):
    sites = [{"name": "one", "capacity": 50, "nodes": 3}]
    file = worlds.file(sites=sites, populations=[{"name": "all", "calls": 60, "prefers": ["one"]}])
    run = worlds.run(file, "none")
    for _ in range(200):
        run.advance()
    assert run._servers.calls == pytest.approx([20, 20, 20], rel=0.01)
    run.fleet.routes[0] = 0
    for _ in range(400):
        step = run.advance()
    assert run._servers.calls == pytest.approx([0, 30, 30], abs=0.1)
    assert step.refused + step.no_route == 0


def test_a_fleet_that_cannot_see_the_others_stays_where_it_is(worlds):
    """Fail static, in the same world in which the fleet with a view moves."""
    lost = {"kind": "view-lost", "sites": ["*"], "start_h": 0, "lasts_h": 3}
    seeing = worlds.file(worlds.eventful, events=[])
    blind = worlds.file(worlds.eventful, events=[lost])
    assert worlds.outcome(seeing).routing.updates > 0
    assert worlds.outcome(blind).routing.updates == 0
