"""What becomes of asking callers to go elsewhere, without callers."""

from __future__ import annotations

from edge.runtime.hand_over import LEAST_S, UNASKED_S, HandOver, Request

DRAIN = Request("https://b.example:443", "drain", leave=True, at=100.0, until=120.0)


def asked(request: Request = DRAIN) -> HandOver:
    hand_over = HandOver()
    hand_over.plan(request)
    assert hand_over.ask(request.at) is request
    return hand_over


def test_a_caller_is_asked_once_and_at_its_moment() -> None:
    hand_over = HandOver()
    hand_over.plan(DRAIN)
    assert (hand_over.ask(99.9), hand_over.state, hand_over.get_timer()) == (None, "", 100.0)
    assert (hand_over.ask(105.0), hand_over.state) == (DRAIN, "asked")
    assert DRAIN.within_ms(105.0) == 15_000
    assert hand_over.ask(106.0) is None


def test_who_does_nothing_in_time_has_refused() -> None:
    hand_over = asked()
    hand_over.handle_timer(119.9)
    assert hand_over.state == "asked"
    hand_over.handle_timer(hand_over.get_timer() or 0.0)
    assert hand_over.state == "refused"


def test_who_leaves_may_hear_an_answer_to_its_end_and_still_has_time_to_go() -> None:
    hand_over = asked()
    hand_over.leave(110.0)
    assert not hand_over.may_cut(114.9)
    assert hand_over.may_cut(115.0)
    hand_over.handle_timer(125.0)
    hand_over.left()
    assert hand_over.state == "left"
    hand_over.ended()
    assert hand_over.state == "moved"


def test_who_leaves_late_or_unasked_is_not_cut_at_once() -> None:
    hand_over = asked()
    hand_over.leave(119.0)
    assert hand_over.get_timer() == 119.0 + LEAST_S
    unasked = HandOver()
    unasked.leave(50.0)
    assert unasked.get_timer() == 50.0 + UNASKED_S


def test_who_comes_back_has_not_moved_unless_that_was_asked_for() -> None:
    """On a node that drains it is still to go; from the service address to the node's own, it has gone."""
    drained = asked()
    drained.leave(110.0)
    drained.left()
    drained.attached()
    assert drained.state == "asked"
    pinned = asked(Request("https://a.example:443", "anycast", leave=False, at=1.0, until=11.0))
    pinned.attached()
    assert pinned.state == "moved"
    assert pinned.get_timer() is None


def test_who_is_on_the_way_is_not_asked_again() -> None:
    hand_over = asked()
    hand_over.leave(110.0)
    hand_over.plan(DRAIN)
    assert hand_over.ask(111.0) is None
