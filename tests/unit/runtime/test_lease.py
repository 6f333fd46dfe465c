"""One operator at a time: who may, who is told to wait, and what a token of yesterday is worth."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import RefusedError
from edge.runtime.lease import LONGEST_S, Grant, LeaseRequest, check, take

NOON = 1_790_000_000.0
ALICE = LeaseRequest("alice", "upgrade to 0.2.0", 60.0)
BOB = LeaseRequest("bob", "drain ams-1", 60.0)


def granted() -> Grant:
    grant, token = take(None, ALICE, NOON, "alices")
    assert token == "alices"
    return grant


def test_the_second_is_told_who_has_it_since_when_and_until_when() -> None:
    with pytest.raises(RefusedError) as refused:
        take(granted(), BOB, NOON + 20, "bobs")
    assert str(refused.value) == (
        "alice has the lease since 2026-09-21 14:13:20 UTC until 2026-09-21 14:14:20 UTC (40 s from now), "
        "for: upgrade to 0.2.0; wait until then, or ask them to finish"
    )
    assert "alices" not in repr(granted())


def test_it_is_renewed_by_its_token_also_when_it_is_over_but_not_when_another_took_it() -> None:
    again = LeaseRequest("alice", "the second node", 60.0, "alices")
    renewed, token = take(granted(), again, NOON + 50, "fresh")
    assert (token, renewed.since, renewed.until, renewed.what) == (
        "alices",
        NOON,
        NOON + 110,
        "the second node",
    )
    late, token = take(renewed, again, NOON + 500, "fresh")
    assert (token, late.since) == ("alices", NOON)
    bobs, token = take(granted(), BOB, NOON + 60, "bobs")
    assert (token, bobs.since) == ("bobs", NOON + 60)
    with pytest.raises(RefusedError, match="bob has the lease"):
        take(bobs, again, NOON + 61, "fresh")


def test_a_token_that_fits_nothing_renews_nothing() -> None:
    with pytest.raises(RefusedError):
        take(granted(), LeaseRequest("bob", "", 60.0, "guessed"), NOON, "bobs")
    grant, token = take(None, LeaseRequest("bob", "", 60.0, "of yesterday"), NOON, "bobs")
    assert (token, grant.who) == ("bobs", "bob")


def test_orders_are_for_who_has_it() -> None:
    check(None, None, NOON)
    check(granted(), "alices", NOON)
    with pytest.raises(RefusedError, match=r"alice has the lease since .*--force"):
        check(granted(), None, NOON + 59)
    check(granted(), None, NOON + 60)


@pytest.mark.parametrize("grant", [None, granted()])
def test_an_order_under_a_lease_that_is_gone_is_refused(grant: Grant | None) -> None:
    """Who was away too long believes to be alone, and another may be at work."""
    with pytest.raises(RefusedError, match="another's now, or none"):
        check(grant, "bobs", NOON)
    with pytest.raises(RefusedError, match="ended at 2026-09-21 14:14:20 UTC"):
        check(granted(), "alices", NOON + 60)


@given(st.floats(-1e6, 1e6), st.floats(0.1, LONGEST_S))
def test_whatever_happens_to_the_clock_it_lasts_no_longer_than_was_asked(
    moved_s: float, ttl_s: float
) -> None:
    grant, _ = take(None, LeaseRequest("alice", "", ttl_s), NOON, "alices")
    now = NOON + moved_s
    left_s = grant.at(now).until - now
    assert left_s <= ttl_s + 1e-6
    assert grant.at(now).is_over(now + LONGEST_S)
