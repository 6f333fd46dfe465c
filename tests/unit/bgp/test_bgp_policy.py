"""The transition table row by row, then what no sequence of inputs may bring about."""

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgp.policy import KEPT_DECISIONS, TRANSITIONS, Decision, Policy, PolicyInput, PolicyParams, State

PARAMS = PolicyParams()
HEALTHY = PolicyInput(
    now=0.0, probes_passed=3, probes_failed=0, pressure=0.3, refusal_ratio=0.0, shedding=False, drained=False
)
BUSY = {"pressure": 0.93, "refusal_ratio": 0.042, "shedding": True}
BROKEN = {"probes_passed": 0, "probes_failed": 3}


def at(now: float, **changes: object) -> PolicyInput:
    values = {name: getattr(HEALTHY, name) for name in PolicyInput.__slots__}
    return PolicyInput(**(values | {"now": now} | changes))  # type: ignore[arg-type]


def announced() -> Policy:
    policy = Policy(PARAMS)
    policy.decide(at(0.0))
    assert policy.state is State.ANNOUNCED
    return policy


def withdrawn(*, jitter: float = 0.0) -> Policy:
    """Withdrawn for load at 30 s; the hold runs until 630 s without jitter."""
    policy = announced()
    policy.decide(at(0.0, **BUSY))
    decision = policy.decide(at(30.0, **BUSY), jitter)
    assert decision is not None
    assert decision.after is State.WITHDRAWN
    return policy


def test_nothing_is_announced_before_three_probes_in_a_row() -> None:
    policy = Policy(PARAMS)
    for passed in (0, 1, 2):
        assert policy.decide(at(passed, probes_passed=passed)) is None
        assert not policy.announce
    decision = policy.decide(at(3.0))
    assert decision is not None
    assert (decision.before, decision.after) == (State.STARTING, State.ANNOUNCED)
    assert decision.reason == "3 self-probes passed in a row (needed 3)"
    assert policy.announce


def test_sustained_overload_withdraws_and_says_by_how_much() -> None:
    policy = announced()
    assert policy.decide(at(10.0, **BUSY)) is None
    assert policy.decide(at(39.9, **BUSY)) is None
    decision = policy.decide(at(41.0, **BUSY))
    assert decision is not None
    assert decision.after is State.WITHDRAWN
    assert (
        decision.reason
        == "pressure 0.93 above 0.85 for 31.0 s (limit 30.0 s), refusing 4.2% of new connections"
    )
    assert not policy.announce


@pytest.mark.parametrize("relief", [{"pressure": 0.85}, {"refusal_ratio": 0.01}, {"shedding": False}])
def test_all_three_signs_must_last(relief: dict[str, object]) -> None:
    """Pressure alone is what shedding is for; a moment of relief starts the count again."""
    policy = announced()
    policy.decide(at(0.0, **BUSY))
    policy.decide(at(20.0, **(BUSY | relief)))
    assert policy.decide(at(40.0, **BUSY)) is None
    assert policy.decide(at(69.0, **BUSY)) is None
    assert policy.decide(at(70.0, **BUSY)) is not None


def test_it_comes_back_after_the_hold_and_two_calm_minutes() -> None:
    policy = withdrawn()
    assert policy.decide(at(31.0)) is None
    # Calm for long, but the hold runs.
    assert policy.decide(at(629.0)) is None
    decision = policy.decide(at(630.0))
    assert decision is not None
    assert decision.after is State.ANNOUNCED
    assert policy.announce


def test_a_hold_that_has_ended_does_not_replace_the_calm() -> None:
    policy = withdrawn()
    assert policy.decide(at(640.0, pressure=0.6)) is None
    assert policy.decide(at(700.0)) is None
    assert policy.decide(at(819.9)) is None
    assert policy.decide(at(820.0)) is not None


def test_nor_is_calm_enough_while_probes_fail() -> None:
    policy = withdrawn()
    policy.decide(at(500.0))
    assert policy.decide(at(640.0, probes_passed=2)) is None
    assert policy.decide(at(641.0, probes_passed=3)) is not None


@pytest.mark.parametrize("jitter, end", [(-1.0, 510.0), (1.0, 750.0)])
def test_jitter_moves_the_end_of_the_hold_by_a_fifth(jitter: float, end: float) -> None:
    policy = withdrawn(jitter=jitter)
    policy.decide(at(31.0))
    assert policy.decide(at(end - 0.1)) is None
    assert policy.decide(at(end)) is not None


def test_the_hold_also_keeps_it_from_leaving_again_too_soon() -> None:
    policy = withdrawn()
    policy.decide(at(31.0))
    policy.decide(at(630.0))
    policy.decide(at(640.0, **BUSY))
    assert policy.decide(at(1229.0, **BUSY)) is None
    assert policy.decide(at(1230.0, **BUSY)) is not None


def test_a_broken_node_goes_at_once_whatever_holds() -> None:
    policy = announced()
    assert policy.decide(at(1.0, probes_passed=0, probes_failed=2)) is None
    decision = policy.decide(at(2.0, **BROKEN))
    assert decision is not None
    assert decision.after is State.FENCED
    assert decision.reason == "3 self-probes failed in a row (limit 3)"
    assert not policy.announce
    assert policy.decide(at(3.0, probes_passed=2)) is None
    policy.decide(at(4.0))
    assert policy.announce


def test_a_fence_is_no_way_out_of_a_hold_for_load() -> None:
    policy = withdrawn()
    policy.decide(at(40.0, **BROKEN))
    assert policy.state is State.FENCED
    decision = policy.decide(at(50.0))
    assert decision is not None
    assert decision.after is State.WITHDRAWN
    assert decision.reason == "healthy again, but still away for load (hold left: 580.0 s)"
    assert policy.decide(at(629.0)) is None
    assert policy.decide(at(630.0)) is not None
    assert policy.state is State.ANNOUNCED


def test_the_operator_holds_from_any_state_and_release_means_a_new_proof() -> None:
    for policy in (Policy(PARAMS), announced(), withdrawn()):
        decision = policy.decide(at(100.0, drained=True))
        assert decision is not None
        assert decision.after is State.HELD
        assert not policy.announce
        assert policy.decide(at(101.0, drained=True, **BROKEN)) is None
        policy.decide(at(102.0, probes_passed=0))
        assert policy.state is State.STARTING


def test_observing_writes_down_the_withdrawal_and_keeps_the_route() -> None:
    policy = Policy(PARAMS, mode="observe")
    policy.decide(at(0.0))
    policy.decide(at(0.0, **BUSY))
    decision = policy.decide(at(30.0, **BUSY))
    assert decision is not None
    assert decision.after is State.WITHDRAWN
    assert not decision.carried_out
    assert policy.announce


@pytest.mark.parametrize("trouble, state", [(BROKEN, State.FENCED), ({"drained": True}, State.HELD)])
def test_observing_is_for_load_only(trouble: dict[str, object], state: State) -> None:
    policy = Policy(PARAMS, mode="observe")
    policy.decide(at(0.0))
    decision = policy.decide(at(1.0, **trouble))
    assert decision is not None
    assert decision.carried_out
    assert policy.state is state
    assert not policy.announce


def test_the_last_decisions_are_kept() -> None:
    policy = Policy(PARAMS)
    for turn in range(KEPT_DECISIONS):
        policy.decide(at(turn, drained=True))
        policy.decide(at(turn + 0.5))
    assert len(policy.decisions) == KEPT_DECISIONS
    assert policy.decisions[-1].at == KEPT_DECISIONS - 0.5


def test_scaling_changes_times_and_nothing_else() -> None:
    scaled = PARAMS.scaled(0.1)
    assert (scaled.sustain_s, scaled.calm_s, scaled.hold_s) == pytest.approx((3.0, 12.0, 60.0))
    assert scaled.probes_to_fence == PARAMS.probes_to_fence
    assert scaled.pressure_rise == PARAMS.pressure_rise


@pytest.mark.parametrize(
    "toml, complaint",
    [
        ("pressure_fall = 0.9", "below pressure_rise"),
        ("probes_to_fence = 0", r"probes_to_fence"),
        ("sustain = 3", "unknown field"),
        ("hold_s = -1.0", "hold_s"),
    ],
)
def test_parameters_that_make_no_sense(toml: str, complaint: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=complaint):
        msgspec.toml.decode(toml, type=PolicyParams)


# --- the table as a whole ----------------------------------------------------------------------------------


def test_every_state_can_be_reached_and_left() -> None:
    for state in State:
        assert any(state in row.sources and row.target is not state for row in TRANSITIONS)
    assert {row.target for row in TRANSITIONS} == set(State)


PROBES = [{"probes_passed": passed} for passed in (0, 2, 3)] + [
    {"probes_passed": passed, "probes_failed": failed} for passed, failed in ((0, 2), (0, 3), (3, 3))
]
LOADS = [{}, {"pressure": 0.7}, {"pressure": 0.95}, BUSY, BUSY]
DRAINED = [{}, {}, {}, {"drained": True}]
# Each input lasts for some steps of 10 s, or loads would never be sustained.
situations = st.tuples(st.sampled_from(PROBES), st.sampled_from(LOADS), st.sampled_from(DRAINED))
histories = st.lists(st.tuples(situations, st.integers(1, 80), st.floats(-1, 1)), min_size=1, max_size=15)


@given(histories)
def test_no_history_breaks_the_rules(history: list[tuple[tuple[dict[str, object], ...], int, float]]) -> None:
    policy = Policy(PARAMS)
    now = 0.0
    taken: list[Decision] = []
    for (probes, load, drained), steps, jitter in history:
        for _ in range(steps):
            now += 10.0
            situation = at(now, **(probes | load | drained))
            decision = policy.decide(situation, jitter)
            if decision is not None:
                taken.append(decision)
            # Who is announced is neither held, nor fenced, nor known to be broken.
            if policy.announce:
                assert policy.state is State.ANNOUNCED
                assert not situation.drained
                assert situation.probes_failed < PARAMS.probes_to_fence
            if decision is not None and decision.after is State.ANNOUNCED:
                assert situation.probes_passed >= PARAMS.probes_to_announce
    for_load = [one for one in taken if {one.before, one.after} == {State.ANNOUNCED, State.WITHDRAWN}]
    shortest = PARAMS.hold_s * (1 - PARAMS.hold_jitter_ratio)
    for earlier, later in itertools.pairwise(for_load):
        assert later.at - earlier.at >= shortest - 1e-6
    # After a withdrawal for load the way back leads through its hold, with fences and drains or without.
    away_since = None
    for one in taken:
        if (one.before, one.after) == (State.ANNOUNCED, State.WITHDRAWN):
            away_since = one.at
        elif one.after is State.ANNOUNCED:
            assert away_since is None or one.at - away_since >= shortest - 1e-6
            away_since = None


def test_a_defect_fences_whatever_the_probes_say_and_keeps_the_node_out() -> None:
    """An expired certificate: the node's own probe does not look at it, every caller does."""
    policy = Policy(PolicyParams())

    def given(now: float, defect: str) -> PolicyInput:
        return PolicyInput(
            now=now,
            probes_passed=9,
            probes_failed=0,
            pressure=0.1,
            refusal_ratio=0.0,
            shedding=False,
            drained=False,
            defect=defect,
        )

    policy.decide(given(0.0, ""))
    assert policy.announce
    decision = policy.decide(given(1.0, "the certificate expired"))
    assert decision is not None
    assert (decision.after, decision.reason) == (State.FENCED, "the certificate expired")
    assert policy.decide(given(2.0, "the certificate expired")) is None
    assert not policy.announce
    policy.decide(given(3.0, ""))
    assert policy.announce
