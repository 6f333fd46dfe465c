"""The ladder row by row: what moves a node, what refuses, and what nothing may bring about."""

import msgspec
import pytest

from bgp.ledger import Allowance, Move
from bgp.policy import (
    HYSTERESIS,
    KEPT_DECISIONS,
    NAIVE,
    NONE,
    Decision,
    GuardName,
    Policy,
    PolicyInput,
    PolicyParams,
    State,
)
from bgp.view import NO_VIEW, Others

PARAMS = PolicyParams()
WELCOMING = Others("", synced=True, announcing=2, spare=100.0)
HEALTHY = PolicyInput(
    now=0.0,
    probes_passed=3,
    probes_failed=0,
    pressure=0.3,
    refusal_ratio=0.0,
    shedding=False,
    load=24.0,
    others=WELCOMING,
)
BUSY = {"pressure": 0.93, "refusal_ratio": 0.042, "shedding": True}
BROKEN = {"probes_passed": 0, "probes_failed": 3}
LAST = {"others": Others("", synced=True, announcing=0)}
CLAIM_S = PARAMS.claim_min_s


def at(now: float, **changes: object) -> PolicyInput:
    return msgspec.structs.replace(HEALTHY, now=now, **changes)


def poor(**wait_s: float) -> dict[str, object]:
    """What the ledger says when ``change``, ``withdraw`` or ``announce`` must wait."""
    waits = {move: wait_s.get(move.value, 0.0) for move in Move}
    return {"allowance": Allowance(waits, 1200.0, 1500.0, "198.51.100.1")}


def announced(params: PolicyParams = PARAMS) -> Policy:
    policy = Policy(params)
    policy.decide(at(0.0))
    assert policy.state is State.ANNOUNCED
    return policy


def depreferred(*, jitter: float = 0.0) -> Policy:
    """At 31 s; without jitter the hold lasts until 331 s."""
    policy = announced()
    policy.decide(at(0.0, **BUSY))
    assert policy.decide(at(30.0, **BUSY)) is None
    assert decided(policy, 30.0 + CLAIM_S, jitter=jitter, **BUSY).after is State.DEPREFERRED
    return policy


def withdrawn(*, jitter: float = 0.0) -> Policy:
    """At 92 s; without jitter the hold lasts until 692 s."""
    policy = depreferred()
    assert policy.decide(at(91.0, **BUSY)) is None
    assert decided(policy, 91.0 + CLAIM_S, jitter=jitter, **BUSY).after is State.WITHDRAWN
    return policy


def decided(policy: Policy, now: float, *, jitter: float = 0.0, **changes: object) -> Decision:
    decision = policy.decide(at(now, **changes), jitter=jitter)
    assert decision is not None
    assert decision.after is policy.state
    return decision


# --- the first announcement ----------------------------------------------------------------------------------


def test_nothing_is_announced_before_three_probes_in_a_row() -> None:
    policy = Policy(PARAMS)
    assert policy.state is State.STARTING
    for passed in (0, 1, 2):
        assert policy.decide(at(passed, probes_passed=passed)) is None
        assert not policy.announce
    assert decided(policy, 3.0).reason == "3 self-probes in a row passed (needs 3)"
    assert policy.announce
    assert not policy.deprefer


@pytest.mark.parametrize(
    "obstacle, guard",
    [
        (poor(announce=5.0), GuardName.LEDGER),
        ({"start_wait_s": 5.0}, GuardName.BACK_OFF),
        ({"others": Others("nothing heard yet")}, GuardName.SYNC),
    ],
)
def test_a_node_that_starts_waits_for_what_can_harm_it(obstacle: dict[str, object], guard: GuardName) -> None:
    policy = Policy(PARAMS)
    assert policy.decide(at(0.0, **obstacle)) is None
    assert policy.refusals == {guard}
    assert policy.decide(at(5.0)) is not None


@pytest.mark.parametrize(
    "obstacle, says",
    [
        (
            poor(announce=482.0),
            "an announcement can be afforded in 8 min 2 s: penalty 1200 of 1500 at 198.51.100.1",
        ),
        ({"start_wait_s": 5.0}, "it kept dying after its start, and waits 5 s more"),
    ],
)
def test_who_has_proved_itself_and_is_kept_out_says_by_what(obstacle: dict[str, object], says: str) -> None:
    starts = Policy(PARAMS)
    told = starts.explain(at(0.0, **obstacle))
    assert told.kept_out_by == f"would be announced: 3 self-probes in a row passed (needs 3); but {says}"
    assert starts.explain(at(0.0, probes_passed=2, **obstacle)).kept_out_by == ""
    assert starts.explain(at(0.0)).kept_out_by == ""  # it announces at its next look


def test_what_fenced_a_node_is_not_what_keeps_it_out_once_it_is_well() -> None:
    policy = announced()
    decided(policy, 1.0, **BROKEN)
    assert policy.explain(at(2.0, **BROKEN)).kept_out_by == ""
    assert (
        "but an announcement can be afforded in 5 s"
        in policy.explain(at(2.0, **poor(announce=5.0))).kept_out_by
    )


def test_who_left_for_load_says_why_it_left() -> None:
    assert withdrawn().explain(at(500.0)).kept_out_by == ""


def test_it_waits_for_the_others_ten_seconds_and_where_there_are_none_not_at_all() -> None:
    silent = Others("nothing heard yet")
    policy = Policy(PARAMS)
    policy.decide(at(100.0, probes_passed=0, others=silent))
    assert policy.decide(at(109.9, others=silent)) is None
    assert policy.decide(at(110.0, others=silent)) is not None
    assert Policy(PARAMS).decide(at(0.0, others=NO_VIEW)) is not None


# --- the rungs -----------------------------------------------------------------------------------------------


def test_sustained_overload_deprefers_then_withdraws_and_says_by_how_much() -> None:
    policy = depreferred()
    assert policy.announce
    assert policy.deprefer
    assert policy.decisions[-1].reason == (
        "overloaded for 31 s (needs 30 s): pressure 0.93 (high from 0.85), 4.2% of new callers refused (limit 1.0%);"
        " 2 other nodes announce (needs 2);"
        " the others can take 100 calls (needs more than 1.1 x 24 = 26.4)"
    )
    policy = withdrawn()
    assert not policy.announce
    assert not policy.deprefer
    assert [one.voluntary for one in policy.decisions] == [False, True, True]


@pytest.mark.parametrize("relief", [{"pressure": 0.84}, {"refusal_ratio": 0.01}, {"shedding": False}])
def test_all_three_signs_must_last(relief: dict[str, object]) -> None:
    """Pressure alone is what shedding is for; a moment of relief starts the count again."""
    policy = announced()
    policy.decide(at(0.0, **BUSY))
    policy.decide(at(20.0, **(BUSY | relief)))
    policy.decide(at(40.0, **BUSY))
    policy.decide(at(69.9, **BUSY))
    assert not policy.wants_to_move
    policy.decide(at(70.0, **BUSY))
    assert policy.wants_to_move


def test_a_node_stays_less_preferred_when_that_has_moved_its_callers() -> None:
    """High pressure from the calls it still has is no reason to leave: nobody is refused any more."""
    policy = depreferred()
    for second in range(32, 1000):
        assert policy.decide(at(float(second), pressure=0.95, shedding=True)) is None
    assert policy.state is State.DEPREFERRED


def test_overload_before_the_first_rung_does_not_count_towards_the_second() -> None:
    policy = announced()
    policy.decide(at(0.0, **BUSY))
    policy.decide(at(1000.0, **BUSY))
    decided(policy, 1001.0, **BUSY)
    policy.decide(at(1060.9, **BUSY))
    assert not policy.wants_to_move
    policy.decide(at(1061.0, **BUSY))
    assert policy.wants_to_move


@pytest.mark.parametrize("make, ends_at", [(depreferred, 331.0), (withdrawn, 692.0)])
def test_it_comes_back_plain_after_the_hold_and_two_calm_minutes(make, ends_at: float) -> None:
    policy = make()
    policy.decide(at(100.0))
    assert policy.decide(at(ends_at - 0.1)) is None
    assert policy.refusals == {GuardName.HOLD}
    assert decided(policy, ends_at).after is State.ANNOUNCED
    assert policy.announce
    assert not policy.deprefer


def test_a_hold_that_has_ended_does_not_replace_the_calm() -> None:
    policy = withdrawn()
    policy.decide(at(700.0, pressure=0.6))
    policy.decide(at(750.0))
    assert policy.decide(at(869.9)) is None
    assert policy.decide(at(870.0)) is not None


def test_nor_does_calm_replace_the_proof() -> None:
    policy = withdrawn()
    policy.decide(at(500.0))
    assert policy.decide(at(700.0, probes_passed=2)) is None
    assert policy.refusals == {GuardName.PROOF}
    assert policy.decide(at(701.0, probes_passed=3)) is not None


@pytest.mark.parametrize("jitter, ends_at", [(-1.0, 92 + 480.0), (1.0, 92 + 720.0)])
def test_jitter_moves_the_end_of_the_hold_by_a_fifth(jitter: float, ends_at: float) -> None:
    policy = withdrawn(jitter=jitter)
    policy.decide(at(100.0))
    assert policy.decide(at(ends_at - 0.1)) is None
    assert policy.decide(at(ends_at)) is not None


def test_after_a_return_it_stays_for_a_hold() -> None:
    policy = withdrawn()
    policy.decide(at(100.0))
    decided(policy, 700.0)
    policy.decide(at(710.0, **BUSY))
    assert policy.decide(at(999.9, **BUSY)) is None
    assert policy.refusals == {GuardName.HOLD}
    policy.decide(at(1000.0, **BUSY))
    assert decided(policy, 1000.0 + CLAIM_S, **BUSY).after is State.DEPREFERRED


def test_a_short_hold_does_not_cut_a_long_one() -> None:
    policy = Policy(PolicyParams(deprefer_hold_s=1000.0, withdraw_hold_s=10.0))
    for now in (0.0, 30.0, 31.0, 91.0, 92.0):
        policy.decide(at(now, **BUSY))
    assert policy.state is State.WITHDRAWN
    policy.decide(at(200.0))
    assert policy.decide(at(1030.9)) is None
    assert policy.decide(at(1031.0)) is not None


def test_without_the_rung_for_neighbors_that_ignore_it_a_node_withdraws_in_its_place() -> None:
    policy = announced(PolicyParams(deprefer=False))
    policy.decide(at(0.0, **BUSY))
    policy.decide(at(89.9, **BUSY))
    assert not policy.wants_to_move
    policy.decide(at(90.0, **BUSY))
    assert decided(policy, 91.0, **BUSY).after is State.WITHDRAWN


# --- what refuses a rung -------------------------------------------------------------------------------------

REFUSED = [
    ({"others": Others("reflectors silent for 9 s", True, 5, 1000.0)}, GuardName.VIEW),
    ({"others": NO_VIEW}, GuardName.VIEW),
    ({"others": Others("", True, 1, 1000.0)}, GuardName.LAST_SITE),
    ({"others": Others("", True, 5, 1.1 * 24)}, GuardName.SPARE),
    ({"others": Others("", True, 5, 1000.0, settled_s=29.9)}, GuardName.SETTLING),
    ({"others": Others("", True, 5, 1000.0, claimant="203.0.113.1")}, GuardName.MOVER),
    ({"hold": "announce"}, GuardName.OPERATOR),
]


@pytest.mark.parametrize("obstacle, guard", [*REFUSED, (poor(change=60.0), GuardName.LEDGER)])
def test_what_refuses_the_first_rung(obstacle: dict[str, object], guard: GuardName) -> None:
    policy = announced()
    for second in range(1000):
        assert policy.decide(at(float(second), **(BUSY | obstacle))) is None
        assert not policy.wants_to_move
    assert policy.refusals == {guard}
    policy.decide(at(1000.0, **BUSY))
    assert policy.wants_to_move


@pytest.mark.parametrize("obstacle, guard", [*REFUSED[:-1], (poor(withdraw=60.0), GuardName.LEDGER)])
def test_what_refuses_the_second_rung(obstacle: dict[str, object], guard: GuardName) -> None:
    policy = depreferred()
    for second in range(40, 1000):
        assert policy.decide(at(float(second), **(BUSY | obstacle))) is None
        assert not policy.wants_to_move
    assert policy.refusals == {guard}


@pytest.mark.parametrize("make, move", [(depreferred, "change"), (withdrawn, "announce")])
def test_the_ledger_can_delay_the_way_back(make, move: str) -> None:
    policy = make()
    policy.decide(at(100.0))
    assert policy.decide(at(900.0, **poor(**{move: 1.0}))) is None
    assert policy.refusals == {GuardName.LEDGER}
    # What the other moves would cost is another matter.
    others = {one.value: 1.0 for one in Move if one.value != move}
    assert policy.decide(at(901.0, **poor(**others))) is not None


def test_a_claim_stands_for_a_while_and_is_then_looked_at_again() -> None:
    policy = announced()
    policy.decide(at(0.0, **BUSY))
    policy.decide(at(30.0, **BUSY), delay=0.5)
    assert policy.wants_to_move
    assert policy.refusals == {GuardName.CLAIM}
    # The throw counts when the claim is made, not afterwards.
    assert policy.decide(at(35.9, **BUSY), delay=0.0) is None
    assert policy.decide(at(36.0, **BUSY), delay=1.0) is not None
    assert not policy.wants_to_move


def test_whoever_sees_another_go_first_drops_the_claim_and_makes_a_new_one() -> None:
    policy = announced()
    policy.decide(at(0.0, **BUSY))
    policy.decide(at(30.0, **BUSY))
    ahead = Others("", True, 3, 1000.0, claimant="203.0.113.1")
    assert policy.decide(at(30.5, others=ahead, **BUSY)) is None
    assert not policy.wants_to_move
    assert policy.decide(at(31.0, **BUSY)) is None
    assert policy.wants_to_move
    assert policy.decide(at(31.9, **BUSY)) is None
    assert policy.decide(at(32.0, **BUSY)) is not None


def test_of_two_that_want_to_leave_at_once_one_does_where_there_is_room_for_one() -> None:
    """Both are right when they look. What one does the other sees 0.2 s later."""
    policies = {"203.0.113.1": announced(), "203.0.113.2": announced()}
    claims: list[bool] = []
    left: list[tuple[str, float]] = []
    for tick in range(2000):
        now = tick / 10
        claims.append(policies["203.0.113.1"].wants_to_move)
        for address, policy in policies.items():
            seen = [at for name, at in left if name != address and at <= now - 0.2]
            goes_first = address != "203.0.113.1" and claims[max(0, tick - 2)]
            others = Others(
                "",
                synced=True,
                announcing=3,
                spare=6.0 if seen else 30.0,
                claimant="203.0.113.1" if goes_first else "",
                settled_s=now - seen[-1] if seen else float("inf"),
            )
            if policy.decide(at(now, others=others, **BUSY)) is not None:
                left.append((address, now))
    assert {address for address, _ in left} == {"203.0.113.1"}


# --- broken is not busy --------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [announced, depreferred, withdrawn])
def test_a_broken_node_goes_at_once_whatever_holds_and_whatever_it_costs(make) -> None:
    policy = make()
    hopeless = {"others": NO_VIEW, "hold": "announce"} | poor(change=60.0, withdraw=60.0, announce=60.0)
    policy.decide(at(100.0, probes_passed=0, probes_failed=2))
    assert policy.state is not State.FENCED
    decision = decided(policy, 101.0, **(BROKEN | hopeless))
    assert (decision.after, decision.voluntary) == (State.FENCED, False)
    assert decision.reason == "3 self-probes in a row failed (limit 3)"
    assert not policy.announce


def test_the_way_back_from_a_fence_needs_the_proof_and_the_ledger() -> None:
    policy = announced()
    decided(policy, 2.0, **BROKEN)
    assert policy.decide(at(3.0, probes_passed=2)) is None
    assert policy.decide(at(4.0, **poor(announce=600.0))) is None
    assert policy.refusals == {GuardName.LEDGER}
    assert decided(policy, 604.0).after is State.ANNOUNCED


def test_a_defect_fences_whatever_the_probes_say_and_keeps_the_node_out() -> None:
    """An expired certificate: the node's own probe does not look at it, every caller does. Also as the last one."""
    policy = announced()
    decision = decided(policy, 1.0, defect="the certificate expired", **LAST)
    assert (decision.after, decision.reason) == (State.FENCED, "the certificate expired")
    assert policy.decide(at(2.0, defect="the certificate expired")) is None
    assert not policy.announce
    assert decided(policy, 3.0).after is State.ANNOUNCED


def test_a_fence_is_no_way_out_of_a_withdrawal_for_load() -> None:
    policy = withdrawn()
    decided(policy, 100.0, **BROKEN)
    decision = decided(policy, 142.0)
    assert decision.after is State.WITHDRAWN
    assert (
        decision.reason
        == "3 self-probes in a row passed (needs 3); still away for load (hold left: 9 min 10 s)"
    )
    assert policy.decide(at(691.0)) is None
    assert decided(policy, 692.0).after is State.ANNOUNCED


def test_what_was_away_for_load_stays_fenced_until_it_has_proved_itself() -> None:
    policy = withdrawn()
    decided(policy, 100.0, **BROKEN)
    for second in range(101, 110):
        assert policy.decide(at(float(second), **BROKEN)) is None
    assert policy.decide(at(110.0, defect="the certificate expired")) is None
    assert policy.state is State.FENCED


def test_nor_does_it_let_a_node_leave_again_within_its_hold() -> None:
    policy = depreferred()
    decided(policy, 40.0, **BROKEN)
    assert decided(policy, 50.0).after is State.ANNOUNCED
    policy.decide(at(51.0, **BUSY))
    assert policy.decide(at(330.0, **BUSY)) is None
    assert policy.refusals == {GuardName.HOLD}


@pytest.mark.parametrize("make", [announced, depreferred])
def test_the_last_one_is_kept_while_its_unicast_addresses_answer(make) -> None:
    policy = make()
    before = policy.state
    assert policy.decide(at(100.0, unicast_failed=2, **BROKEN, **LAST)) is None
    assert policy.state is before
    assert policy.refusals == {GuardName.LAST_SITE_BROKEN}
    assert decided(policy, 101.0, unicast_failed=3, **BROKEN, **LAST).after is State.FENCED


@pytest.mark.parametrize(
    "others", [NO_VIEW, Others("all sessions down", True), Others("", synced=False), Others("", True, 1)]
)
def test_only_a_view_that_is_sure_makes_it_the_last_one(others: Others) -> None:
    assert decided(announced(), 1.0, others=others, **BROKEN).after is State.FENCED


def test_an_operator_may_prefer_no_answer_to_a_doubtful_one() -> None:
    policy = announced(PolicyParams(last_site_broken="withdraw"))
    assert decided(policy, 1.0, **BROKEN, **LAST).after is State.FENCED


def test_when_the_last_of_the_others_is_gone_it_comes_back_early() -> None:
    policy = withdrawn()
    assert policy.decide(at(100.0, **BUSY, others=Others("all sessions down", True))) is None
    assert policy.decide(at(101.0, **BUSY, **LAST, **poor(announce=9.0))) is None
    decision = decided(policy, 110.0, **BUSY, **LAST)
    assert (decision.after, decision.reason) == (State.ANNOUNCED, "nobody else announces")
    # And stays for a hold, however busy it is when the others are back.
    policy.decide(at(111.0, **BUSY))
    assert policy.decide(at(409.0, **BUSY)) is None
    assert policy.refusals == {GuardName.HOLD}


# --- the operator --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda: Policy(PARAMS), announced, depreferred, withdrawn])
def test_the_operator_holds_from_any_state_and_release_means_a_new_proof(make) -> None:
    policy = make()
    assert decided(policy, 100.0, hold="withdraw", **poor(withdraw=60.0)).after is State.HELD
    assert not policy.announce
    assert policy.decide(at(101.0, hold="withdraw", **BROKEN)) is None
    assert decided(policy, 102.0, probes_passed=0).after is State.STARTING
    assert not policy.announce


def test_what_was_away_for_load_is_away_again_after_the_operator() -> None:
    policy = withdrawn()
    decided(policy, 100.0, hold="withdraw")
    decided(policy, 110.0)
    assert decided(policy, 111.0).after is State.WITHDRAWN


@pytest.mark.parametrize("make, move", [(depreferred, "change"), (withdrawn, "announce")])
def test_announcing_by_hand_ends_a_move_for_load_whatever_it_costs(make, move: str) -> None:
    policy = make()
    assert policy.decide(at(101.0, hold="announce", **(BUSY | {"probes_passed": 2}))) is None
    decision = decided(policy, 109.0, hold="announce", **BUSY, **poor(**{move: 9.0}))
    assert (decision.after, decision.reason) == (State.ANNOUNCED, "kept announced by the operator")


def test_announcing_by_hand_comes_back_from_a_fence_plain() -> None:
    policy = withdrawn()
    decided(policy, 100.0, hold="announce", **BROKEN)
    assert decided(policy, 101.0, hold="announce").after is State.ANNOUNCED


# --- observing -----------------------------------------------------------------------------------------------


def observing() -> Policy:
    policy = Policy(PARAMS, mode="observe")
    for now in (0.0, 30.0):
        policy.decide(at(now, **BUSY))
    return policy


def test_observing_writes_down_the_moves_and_keeps_the_route_plain() -> None:
    policy = observing()
    # A claim that is not meant would keep the others from leaving.
    assert not policy.wants_to_move
    for now, state in ((31.0, State.DEPREFERRED), (92.0, State.WITHDRAWN)):
        policy.decide(at(now - 1, **BUSY))
        decision = decided(policy, now, **BUSY)
        assert (decision.after, decision.carried_out) == (state, False)
        assert policy.in_effect is State.ANNOUNCED
        assert policy.announce
        assert not policy.deprefer


@pytest.mark.parametrize("trouble, state", [(BROKEN, State.FENCED), ({"hold": "withdraw"}, State.HELD)])
def test_observing_is_for_load_only(trouble: dict[str, object], state: State) -> None:
    policy = observing()
    for now in (31.0, 91.0, 92.0):
        policy.decide(at(now, **BUSY))
    assert policy.state is State.WITHDRAWN
    decision = decided(policy, 93.0, **trouble)
    assert decision.carried_out
    assert policy.in_effect is policy.state is state
    # Nor has it been away for load: it had not left.
    for now in (94.0, 95.0):
        policy.decide(at(now))
    assert policy.state is State.ANNOUNCED


# --- the policies that others use ----------------------------------------------------------------------------


def moves(params: PolicyParams, inputs: list[tuple[float, dict[str, object]]]) -> list[tuple[float, State]]:
    policy = announced(params)
    return [(now, policy.state) for now, changes in inputs if policy.decide(at(now, **changes)) is not None]


HOT = {"pressure": 0.9, "others": NO_VIEW}
COLD = {"pressure": 0.1, "others": NO_VIEW}


def test_the_naive_policy_follows_the_threshold() -> None:
    inputs = [(float(now), HOT if now % 2 else COLD) for now in range(1, 7)]
    assert moves(NAIVE, inputs) == [
        (float(now), State.WITHDRAWN if now % 2 else State.ANNOUNCED) for now in range(1, 7)
    ]


def test_hysteresis_waits_and_looks_at_nobody() -> None:
    inputs = [(float(now), HOT) for now in range(1, 200)] + [(float(now), COLD) for now in range(200, 1000)]
    assert moves(HYSTERESIS, inputs) == [(91.0, State.WITHDRAWN), (691.0, State.ANNOUNCED)]


def test_the_policy_that_never_moves_still_fences() -> None:
    inputs = [(float(now), BUSY | {"pressure": 5.0}) for now in range(1, 200)] + [(200.0, BROKEN)]
    assert moves(NONE, inputs) == [(200.0, State.FENCED)]


# --- parameters ----------------------------------------------------------------------------------------------


def test_the_last_decisions_are_kept() -> None:
    policy = Policy(PARAMS)
    for turn in range(KEPT_DECISIONS):
        policy.decide(at(turn, hold="withdraw"))
        policy.decide(at(turn + 0.5))
    assert len(policy.decisions) == KEPT_DECISIONS
    assert policy.decisions[-1].at == KEPT_DECISIONS - 0.5


def test_scaling_changes_every_time_but_the_speed_of_news() -> None:
    scaled = PARAMS.scaled(0.1)
    for name in PolicyParams.__struct_fields__:
        before, after = getattr(PARAMS, name), getattr(scaled, name)
        factor = 0.1 if name.endswith("_s") and name != "claim_min_s" else 1
        assert after == (pytest.approx(before * factor) if isinstance(before, float) else before), name


@pytest.mark.parametrize(
    "toml, complaint",
    [
        ("pressure_fall = 0.9", "below pressure_rise"),
        ("probes_to_fence = 0", "probes_to_fence"),
        ("sustain = 3", "unknown field"),
        ("withdraw_hold_s = -1.0", "withdraw_hold_s"),
        ("min_announcing = 0", "min_announcing"),
        ("spare_ratio = 0.5", "spare_ratio"),
        ("guard = 'maybe'", "guard"),
    ],
)
def test_parameters_that_make_no_sense(toml: str, complaint: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=complaint):
        msgspec.toml.decode(toml, type=PolicyParams)
