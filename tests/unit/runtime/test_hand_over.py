"""What becomes of asking callers to go elsewhere, without callers."""

from __future__ import annotations

from edge.runtime.hand_over import AGAIN_S, LEAST_S, UNASKED_S, HandOver, Request

DRAIN = Request("https://b.example:443", "drain", leave=True, at=100.0, until=120.0)

PINNED = Request.to_unicast("https://a.example:443", leave=False, now=1.0)


def asked(request: Request = DRAIN) -> HandOver:
    hand_over = HandOver()
    hand_over.plan(request)
    assert hand_over.ask(request.at, on_anycast=False) is request
    return hand_over


def test_a_caller_is_asked_once_and_at_its_moment() -> None:
    hand_over = HandOver()
    hand_over.plan(DRAIN)
    assert (hand_over.ask(99.9, on_anycast=False), hand_over.state, hand_over.get_timer()) == (
        None,
        "",
        100.0,
    )
    assert (hand_over.ask(105.0, on_anycast=False), hand_over.state) == (DRAIN, "asked")
    assert DRAIN.within_ms(105.0) == 15_000
    assert hand_over.ask(106.0, on_anycast=False) is None


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
    hand_over.left(116.5)
    assert (hand_over.state, hand_over.took_ms) == ("left", 16_500)
    hand_over.ended()
    assert hand_over.state == "moved"


def test_who_leaves_late_or_unasked_is_not_cut_at_once() -> None:
    hand_over = asked()
    hand_over.leave(119.0)
    assert hand_over.get_timer() == 119.0 + LEAST_S
    unasked = HandOver()
    unasked.leave(50.0)
    assert unasked.get_timer() == 50.0 + UNASKED_S


def test_who_comes_back_has_not_moved_and_is_asked_once_more() -> None:
    drained = asked()
    drained.leave(110.0)
    drained.left(111.0)
    drained.attached(112.0)
    assert (drained.state, drained.took_ms) == ("asked", None)
    assert drained.ask(113.0, on_anycast=False) is None
    again = drained.ask(112.0 + AGAIN_S, on_anycast=False)
    assert again is not None
    assert (again.url, again.until) == (DRAIN.url, DRAIN.until)


def test_who_comes_back_too_late_is_not_asked_again() -> None:
    drained = asked()
    drained.attached(119.5)
    assert drained.ask(121.5, on_anycast=False) is None
    assert (drained.state, drained.get_timer()) == ("refused", None)


def test_only_who_is_on_the_service_address_is_asked_to_leave_it() -> None:
    pinned = HandOver()
    pinned.plan(PINNED)
    assert pinned.ask(PINNED.at, on_anycast=False) is None
    assert pinned.ask(PINNED.at + 1, on_anycast=True) is None
    assert (pinned.state, pinned.get_timer()) == ("", None)


def test_from_the_service_address_to_the_nodes_own_is_moved() -> None:
    pinned = HandOver()
    pinned.plan(PINNED)
    assert pinned.ask(PINNED.at, on_anycast=True) is PINNED
    pinned.attached(5.0)
    assert (pinned.state, pinned.get_timer()) == ("moved", None)


def test_who_is_on_the_way_is_not_asked_again() -> None:
    hand_over = asked()
    hand_over.leave(110.0)
    hand_over.plan(DRAIN)
    assert hand_over.ask(111.0, on_anycast=False) is None


def test_who_leaves_before_its_moment_is_not_asked_on_its_way() -> None:
    """It was asked for another reason, or by nobody, and what was planned meanwhile comes due behind it."""
    unasked = HandOver()
    unasked.plan(DRAIN)
    unasked.leave(99.0)
    assert unasked.ask(100.5, on_anycast=False) is None
    unasked.left(101.0)
    assert unasked.ask(101.5, on_anycast=False) is None
    assert (unasked.state, unasked.get_timer()) == ("left", None)
    unasked.attached(102.0)  # nobody has taken it there
    assert unasked.ask(102.0, on_anycast=False) is DRAIN


def test_who_was_let_go_and_is_cut_has_not_moved() -> None:
    """It may have failed to go elsewhere, and nobody would know."""
    drained = asked()
    drained.leave(110.0)
    drained.left(111.0)
    drained.cut()
    drained.ended()
    assert drained.state == "refused"


def test_called_off_nobody_is_asked_and_who_comes_back_stays() -> None:
    waiting = HandOver()
    waiting.plan(DRAIN)
    waiting.call_off("reload")
    assert waiting.get_timer() == 100.0
    waiting.call_off("drain")
    assert (waiting.get_timer(), waiting.ask(101.0, on_anycast=False), waiting.state) == (None, None, "")
    away = asked()
    away.call_off("drain")
    away.leave(103.0)
    away.left(104.0)
    away.attached(105.0)
    assert (away.state, away.get_timer()) == ("", None)
    away.plan(DRAIN)
    assert away.ask(106.0, on_anycast=False) is DRAIN
