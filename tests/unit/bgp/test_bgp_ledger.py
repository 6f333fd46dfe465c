"""The ledger counts what a router would, and lets nothing voluntary go beyond the budget."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgp.damping import PROFILES
from bgp.ledger import UNLIMITED, Allowance, Ledger, Move
from bgp.neighbor import Advertisement
from bgp.route import GRACEFUL_SHUTDOWN, Address, parse_prefix

CISCO, JUNOS, RIPE, OFF, FLEET = (ip_address(f"198.51.100.{last}") for last in range(1, 6))
DAMPING = {CISCO: "cisco", JUNOS: "junos", RIPE: "ripe580", OFF: "off"}
V4, V6 = parse_prefix("192.0.2.0/24"), parse_prefix("2001:db8::/48")
NEXT_HOP = ip_address("198.51.100.99")
PLAIN = Advertisement(V4, NEXT_HOP, as_path=(64601,))
DEPREFERRED = Advertisement(V4, NEXT_HOP, as_path=(64601,) * 3, communities=frozenset({GRACEFUL_SHUTDOWN}))
HALF_LIFE_S = 900.0


def ledger(*neighbors: Address) -> Ledger:
    return Ledger({neighbor: DAMPING[neighbor] for neighbor in neighbors or DAMPING}, (V4, V6))


def after(neighbor: Address, *heard: Advertisement | None, now: float = 0.0) -> Ledger:
    """One that heard all of this at once."""
    fresh = ledger(neighbor)
    for advertisement in heard:
        fresh.heard(neighbor, V4, advertisement, now)
    return fresh


@pytest.mark.parametrize(
    "neighbor, heard, points",
    [
        (CISCO, [PLAIN], 0),
        (CISCO, [None, PLAIN], 0),
        (JUNOS, [None, PLAIN], 0),
        (CISCO, [PLAIN, PLAIN, PLAIN], 0),
        (CISCO, [PLAIN, None, None], 1000),
        (CISCO, [PLAIN, None, PLAIN], 1000),
        (JUNOS, [PLAIN, None, PLAIN], 2000),
        (RIPE, [PLAIN, None, PLAIN], 2000),
        (CISCO, [PLAIN, DEPREFERRED, PLAIN], 1000),
        # A trip down the ladder and back: the attributes come back with the route, which is no change.
        (CISCO, [PLAIN, DEPREFERRED, None, PLAIN], 1500),
        (JUNOS, [PLAIN, DEPREFERRED, None, PLAIN], 2500),
        (CISCO, [PLAIN, None] * 20, 12_000),
        (OFF, [PLAIN, None, PLAIN], 0),
    ],
)
def test_charges(neighbor: Address, heard: list[Advertisement | None], points: float) -> None:
    assert after(neighbor, *heard).penalty(neighbor, V4, 0.0) == points


def test_a_trip_of_two_separate_steps_down_would_be_suppressed() -> None:
    """Why prepend and community travel in one update."""
    prepended = Advertisement(V4, NEXT_HOP, as_path=(64601,) * 3)
    (v4, _) = after(CISCO, PLAIN, prepended, DEPREFERRED, None, PLAIN).standings(0.0)
    assert v4.penalty == 2000
    assert v4.reuse_in_s == pytest.approx(21.2 * 60, rel=0.01)


def test_accounts_are_kept_apart() -> None:
    both = ledger(CISCO, JUNOS)
    both.heard(CISCO, V4, PLAIN, 0.0)
    both.heard(CISCO, V4, None, 0.0)
    assert both.penalties(0.0) == {(CISCO, V4): 1000, (CISCO, V6): 0, (JUNOS, V4): 0, (JUNOS, V6): 0}


def test_heard_says_what_is_worth_keeping() -> None:
    fresh = ledger(CISCO, OFF)
    assert fresh.heard(CISCO, V4, PLAIN, 0.0)
    assert not fresh.heard(CISCO, V4, PLAIN, 1.0)
    assert not fresh.heard(OFF, V4, PLAIN, 1.0)
    assert not fresh.heard(FLEET, V4, PLAIN, 1.0)
    assert not fresh.heard(CISCO, parse_prefix("203.0.113.0/24"), PLAIN, 1.0)
    assert fresh.heard(CISCO, V4, None, 2.0)


def test_a_lost_session_is_a_withdrawal_of_what_was_heard_on_it() -> None:
    both = ledger(CISCO, JUNOS)
    both.heard(CISCO, V4, PLAIN, 0.0)
    both.heard(JUNOS, V4, PLAIN, 0.0)
    assert both.session_lost(CISCO, 0.0)
    assert not both.session_lost(CISCO, 0.0)
    assert both.penalties(0.0) == {(CISCO, V4): 1000, (CISCO, V6): 0, (JUNOS, V4): 0, (JUNOS, V6): 0}
    # The same again when it is back is no flap beyond that.
    assert both.heard(CISCO, V4, PLAIN, 0.0)
    assert both.penalty(CISCO, V4, 0.0) == 1000


def test_penalties_halve() -> None:
    flapped = after(CISCO, PLAIN, None, now=100.0)
    for halvings in (0, 1, 2, 10):
        now = 100.0 + halvings * HALF_LIFE_S
        assert flapped.penalty(CISCO, V4, now) == pytest.approx(1000 / 2**halvings)
    assert flapped.penalty(CISCO, V4, 1e9) == 0


def test_suppressed_until_it_has_sunk_below_reuse() -> None:
    flapped = after(CISCO, PLAIN, None, PLAIN, None)
    (v4, v6) = flapped.standings(0.0)
    assert (v4.neighbor, v4.prefix, v4.penalty, v4.budget) == (CISCO, V4, 2000, 1500)
    assert v6.reuse_in_s == 0
    # Far below the threshold that suppressed it, and still suppressed.
    later = v4.reuse_in_s - 60
    assert flapped.penalty(CISCO, V4, later) < 800
    assert flapped.standings(later)[0].reuse_in_s == pytest.approx(60)
    # A charge does not make it forget that it is.
    flapped.heard(CISCO, V4, PLAIN, later)
    flapped.heard(CISCO, V4, DEPREFERRED, later)
    assert flapped.standings(later)[0].reuse_in_s > 60
    assert flapped.standings(v4.reuse_in_s + HALF_LIFE_S)[0].reuse_in_s == 0
    # And once reused it takes the higher threshold again.
    flapped.heard(CISCO, V4, PLAIN, 3000.0)
    assert flapped.standings(3000.0)[0].reuse_in_s == 0


def test_suppressed_no_longer_than_the_router_allows() -> None:
    (v4, _) = after(CISCO, *[PLAIN, None] * 100).standings(0.0)
    assert v4.reuse_in_s == pytest.approx(3600)


def test_allowance_names_the_neighbor_that_is_nearest_to_its_budget() -> None:
    both = ledger(CISCO, JUNOS)
    assert both.allowance(0.0).wait_s == UNLIMITED.wait_s
    for neighbor in (CISCO, JUNOS):
        both.heard(neighbor, V4, PLAIN, 0.0)
        both.heard(neighbor, V4, None, 0.0)
    allowance = both.allowance(0.0)
    assert (allowance.penalty, allowance.budget) == (1000, 1500)
    assert allowance.where == "192.0.2.0/24 at 198.51.100.1"
    # Cisco has room for 500 more; JunOS's room of 1400 covers each of them.
    assert allowance.wait_s == {Move.CHANGE: 0.0, Move.WITHDRAW: HALF_LIFE_S, Move.ANNOUNCE: 0.0}


def test_a_router_that_charges_for_coming_back_makes_that_wait() -> None:
    allowance = after(JUNOS, PLAIN, DEPREFERRED, None).allowance(0.0)
    assert allowance.penalty == 1500
    assert allowance.wait_s[Move.ANNOUNCE] == pytest.approx(89.6, abs=0.1)


def test_who_counts_nothing_limits_nothing() -> None:
    assert ledger(OFF).allowance(0.0) == UNLIMITED == Allowance(dict.fromkeys(Move, 0.0))
    assert Ledger({}, (V4,)).allowance(0.0) == UNLIMITED


def test_without_memory_the_budget_is_used_up() -> None:
    worst = Ledger.assuming_the_worst(DAMPING, (V4, V6), now=50.0)
    assert {penalty for (neighbor, _), penalty in worst.penalties(50.0).items() if neighbor == CISCO} == {
        1500
    }
    allowance = worst.allowance(50.0)
    assert allowance.wait_s[Move.WITHDRAW] == pytest.approx(HALF_LIFE_S * 1.585, rel=1e-3)
    # JunOS would charge for this announcement, for it may be one of many.
    assert allowance.wait_s[Move.ANNOUNCE] == pytest.approx(HALF_LIFE_S * 0.778, rel=1e-3)


@pytest.mark.parametrize("name", PROFILES)
def test_every_budget_has_room_for_a_trip_and_none_for_a_suppression(name: str) -> None:
    profile = PROFILES[name]
    assert profile.change + profile.withdraw <= profile.budget < profile.suppress < profile.ceiling
    assert profile.ceiling == pytest.approx(12_000)
    assert profile.decay_s(profile.ceiling, profile.reuse) == pytest.approx(profile.max_suppress_s)


# --- properties --------------------------------------------------------------------------------------------

words = st.sampled_from([None, PLAIN, DEPREFERRED])
pauses = st.floats(min_value=0, max_value=5000)
stories = st.lists(st.tuples(pauses, words), max_size=12)
COST = {Move.CHANGE: "change", Move.WITHDRAW: "withdraw", Move.ANNOUNCE: "announce"}


def told(story: list[tuple[float, Advertisement | None]], neighbor: Address) -> tuple[Ledger, float]:
    fresh, now = ledger(neighbor), 0.0
    for pause, word in story:
        now += pause
        fresh.heard(neighbor, V4, word, now)
    return fresh, now


@given(stories)
def test_the_penalty_is_the_sum_of_all_charges_each_decayed_by_itself(
    story: list[tuple[float, Advertisement | None]],
) -> None:
    """Written the other way round than the ledger does it; true as long as the ceiling is not touched."""
    fresh, end = told(story, JUNOS)
    moments, charges, now, before = [], [], 0.0, None
    has_been_heard = False
    for pause, word in story:
        now += pause
        if word != before:
            points = 1000 if word is None or (before is None and has_been_heard) else 500
            charges.append(points if has_been_heard else 0)
            moments.append(now)
            has_been_heard = True
        before = word
    total = sum(points * 0.5 ** ((end - at) / 900) for at, points in zip(moments, charges, strict=True))
    assert fresh.penalty(JUNOS, V4, end) == pytest.approx(total)


@given(stories, st.lists(pauses, min_size=2, max_size=5), st.sampled_from([CISCO, JUNOS, RIPE]))
def test_left_alone_a_penalty_only_sinks(
    story: list[tuple[float, Advertisement | None]], looks: list[float], neighbor: Address
) -> None:
    fresh, end = told(story, neighbor)
    seen = [fresh.penalty(neighbor, V4, end + later) for later in sorted(looks)]
    assert seen == sorted(seen, reverse=True)
    assert 0 <= seen[-1] <= seen[0] <= PROFILES[DAMPING[neighbor]].ceiling


@given(stories, st.sampled_from([CISCO, JUNOS, RIPE]), st.sampled_from(Move))
def test_the_wait_is_exact(
    story: list[tuple[float, Advertisement | None]], neighbor: Address, move: Move
) -> None:
    fresh, end = told(story, neighbor)
    profile = PROFILES[DAMPING[neighbor]]
    room = profile.budget - getattr(profile, COST[move])
    wait_s = fresh.allowance(end).wait_s[move]
    assert fresh.allowance(end + wait_s).wait_s[move] == 0
    if wait_s == 0:
        assert fresh.penalty(neighbor, V4, end) <= room * (1 + 1e-9)
    else:
        assert fresh.penalty(neighbor, V4, end + wait_s) == pytest.approx(room)
