"""The table as a whole, and what is said about it."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgp.condition import GuardName, amount, duration
from bgp.ladder import TRANSITIONS, Row, guards_of, rows_by_state
from bgp.ledger import Move
from bgp.params import HYSTERESIS, NAIVE, NONE, PolicyParams
from bgp.policy import Explanation, Policy, PolicyInput
from bgp.state import ANNOUNCING, State
from bgp.view import NO_VIEW, Others

OURS = PolicyParams()


def names(row: Row) -> set[str]:
    return {guard.name for guard in guards_of(row)}


def moving(sources: frozenset[State], target: State) -> Move | None:
    """What neighbors hear of a row; every row of the table has sources that are alike in this."""
    heard = {state: state in ANNOUNCING for state in State}
    if target is State.DEPREFERRED:
        return Move.CHANGE
    if heard[target]:
        return Move.CHANGE if sources <= ANNOUNCING else Move.ANNOUNCE
    return Move.WITHDRAW if sources & ANNOUNCING else None


def test_every_state_can_be_reached_and_left() -> None:
    for params in (OURS, PolicyParams(guard="off")):
        rows = rows_by_state(params)
        assert {row.target for row in itertools.chain(*rows.values())} | {State.STARTING} == set(State)
        assert all(any(row.target is not state for row in rows[state]) for state in State)


def test_a_voluntary_move_asks_the_ledger_for_what_it_costs_and_so_does_every_announcement() -> None:
    for row in TRANSITIONS:
        if row.voluntary or row.target is State.ANNOUNCED:
            assert row.move is moving(row.sources, row.target) is not None
            assert GuardName.LEDGER in names(row)
        else:
            assert row.move is None


def test_a_voluntary_move_begins_a_hold_and_only_the_next_rung_does_not_wait_for_one() -> None:
    for row in TRANSITIONS:
        assert (row.hold is not None) >= row.voluntary
        if row.voluntary and row.target is State.WITHDRAWN and row.sources == {State.DEPREFERRED}:
            assert GuardName.HOLD not in names(row)
        else:
            assert (GuardName.HOLD in names(row)) == row.voluntary


def test_leaving_for_load_asks_the_others_and_the_claim_is_looked_at_last() -> None:
    for row in TRANSITIONS:
        leaves = row.voluntary and row.target is not State.ANNOUNCED
        asked = {"view", "last_site", "spare", "settling", "mover", "claim", "operator"}
        assert (asked <= names(row)) == leaves
        # The policy relies on it.
        assert (
            [guard.name for guard in guards_of(row)].index(GuardName.CLAIM) == len(names(row)) - 1
            if leaves
            else True
        )


def test_nothing_is_announced_again_without_proof() -> None:
    for row in TRANSITIONS:
        if row.target is State.ANNOUNCED:
            assert row.trigger.name == "proven" or GuardName.PROOF in names(row)


def test_without_the_guard_no_row_depends_on_the_others() -> None:
    for params in (NAIVE, HYSTERESIS):
        for row in itertools.chain(*rows_by_state(params).values()):
            assert not any(condition.of_others for condition in (row.trigger, *row.guards))


@pytest.mark.parametrize("params", [OURS, NONE, NAIVE, HYSTERESIS, OURS.scaled(0.05)])
def test_every_rule_can_be_said_with_any_parameters(params: PolicyParams) -> None:
    for row in TRANSITIONS:
        for condition in (row.trigger, *guards_of(row)):
            assert condition.rule.format(p=params)


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0.0, "0 s"),
        (0.04, "0 s"),
        (1.5, "1.5 s"),
        (9.96, "10 s"),
        (31.4, "31 s"),
        (179.4, "179 s"),
        (180.0, "3 min"),
        (252.0, "4 min 12 s"),
        (3599.9, "1 h"),
        (7500.0, "2 h 5 min"),
        (float("inf"), "for ever"),
    ],
)
def test_times_are_said_as_one_would(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_calls_are_whole_where_a_tenth_is_nothing() -> None:
    assert [amount(number) for number in (24.0, 26.4, 0.0, 12345.6, float("inf"))] == [
        "24",
        "26.4",
        "0",
        "12,346",
        "inf",
    ]


# --- explanations --------------------------------------------------------------------------------------------

HEALTHY = {"probes_passed": 3, "probes_failed": 0, "pressure": 0.3, "refusal_ratio": 0.0, "shedding": False}
BUSY = HEALTHY | {"pressure": 0.93, "refusal_ratio": 0.042, "shedding": True, "load": 24.0}


def told(policy: Policy, now: float, **changes: object) -> Explanation:
    given = PolicyInput(now=now, **(HEALTHY | changes))
    explanation = policy.explain(given)
    policy.decide(given)
    return explanation


def test_before_its_first_decision_a_node_says_what_it_waits_for() -> None:
    policy = Policy(OURS)
    note = told(policy, 5.0, probes_passed=1, start_wait_s=290.0)
    assert (note.state, note.since_s, note.reason) == (State.STARTING, 0.0, "")
    assert note.held_by == ("not announced: 1 self-probe in a row passed (needs 3)",)
    (way,) = (way for way in note.ways if way.target is State.ANNOUNCED)
    assert not way.wanted
    assert [(one.name, one.left_s) for one in way.unmet] == [("proven", None), ("back_off", 290.0)]


def test_who_is_quiet_says_why_it_does_not_move() -> None:
    policy = Policy(OURS)
    told(policy, 0.0)
    note = told(policy, 10.0)
    assert note.since_s == 10.0
    assert note.reason == "3 self-probes in a row passed (needs 3)"
    assert note.held_by == (
        "not depreferred: not overloaded: pressure 0.30 (high from 0.85), none of new callers refused (limit 1.0%)",
    )


def test_a_refused_move_is_told_with_the_numbers_of_what_refuses() -> None:
    policy = Policy(OURS)
    told(policy, 0.0)
    crowded = BUSY | {"others": Others("", True, 1, 12.0)}
    told(policy, 10.0, **crowded)
    (held,) = told(policy, 58.0, **crowded).held_by
    assert held == (
        "would be depreferred: overloaded for 48 s (needs 30 s): pressure 0.93 (high from 0.85), 4.2% of new callers"
        " refused (limit 1.0%); but 1 other node announces (needs 2),"
        " and the others can take 12 calls (needs more than 1.1 x 24 = 26.4)"
    )


def test_a_view_with_a_problem_is_told_and_its_numbers_are_not() -> None:
    policy = Policy(OURS)
    told(policy, 0.0)
    unseen = BUSY | {"others": Others("both reflectors are down", True, 7, 4711.0)}
    told(policy, 10.0, **unseen)
    note = told(policy, 58.0, **unseen)
    assert note.held_by[0].endswith("; but no reliable view: both reflectors are down")
    assert "4711" not in str(note)


def test_the_last_one_that_is_kept_although_broken_says_so() -> None:
    policy = Policy(OURS)
    told(policy, 0.0)
    broken = {"probes_passed": 0, "probes_failed": 4, "unicast_failed": 1}
    last = Others("", synced=True, announcing=0)
    (held,) = told(policy, 10.0, **broken, others=last).held_by
    assert held == (
        "would be fenced: 4 self-probes in a row failed (limit 3); but nobody else announces,"
        " and 1 probe in a row of its unicast addresses failed (limit 3)"
    )
    doubtful = policy.explain(PolicyInput(now=11.0, **(HEALTHY | broken), others=Others("reflectors silent")))
    assert not any(way.unmet for way in doubtful.ways if way.wanted)


def test_how_long_is_left_is_told_where_waiting_helps() -> None:
    policy = Policy(OURS)
    room = {"others": Others("", True, 3, 1000.0)}
    told(policy, 0.0)
    for now in (10.0, 40.0, 41.0):
        told(policy, now, **BUSY, **room)
    assert policy.state is State.DEPREFERRED
    told(policy, 101.0, **room)
    note = told(policy, 201.0, **room)
    (back,) = (way for way in note.ways if way.target is State.ANNOUNCED and way.voluntary)
    assert {one.name: one.left_s for one in back.unmet} == {"calm": 20.0, "hold": 140.0}
    assert note.held_by[1] == "not announced: calm for 100 s (needs 120 s): pressure 0.30 (low below 0.60)"


def test_explaining_changes_nothing() -> None:
    asked, unasked = Policy(OURS), Policy(OURS)
    for tick in range(0, 400, 5):
        inputs = PolicyInput(now=float(tick), **(BUSY | {"others": Others("", True, 3, 1000.0)}))
        later = PolicyInput(now=tick + 1e6, **HEALTHY)
        assert asked.explain(inputs) == asked.explain(inputs)
        asked.explain(later)
        assert asked.decide(inputs) == unasked.decide(inputs)
    assert asked.state is State.WITHDRAWN


views = st.one_of(
    st.just(NO_VIEW),
    st.builds(
        Others,
        problem=st.sampled_from(["", "", "silent"]),
        synced=st.booleans(),
        announcing=st.integers(0, 5),
        spare=st.sampled_from([0.0, 30.0, float("inf")]),
        claimant=st.sampled_from(["", "203.0.113.1"]),
        settled_s=st.sampled_from([0.0, 29.0, float("inf")]),
    ),
)


@given(st.lists(st.tuples(st.sampled_from([HEALTHY, BUSY]), views, st.integers(1, 400)), max_size=10))
def test_a_move_that_is_explained_as_wanted_and_refused_by_nothing_is_taken(history) -> None:
    policy, now = Policy(OURS), 0.0
    for load, others, wait_s in history:
        now += wait_s
        inputs = PolicyInput(now=now, **(load | {"others": others}))
        before = policy.explain(inputs)
        free = [way for way in before.ways if not way.unmet]
        decision = policy.decide(inputs)
        assert (decision.after if decision else None) == (free[0].target if free else None)
        assert all(sentence for sentence in before.held_by)
