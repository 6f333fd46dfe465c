"""A drain in virtual time: what it waits for, and when it gives up waiting."""

from __future__ import annotations

import itertools

import pytest

from edge.drain import Ask, Close, Drain, DrainParams, Evidence, Phase
from edge.drain.phases import ASKED_OVER, BETWEEN_S, SEEN_GONE_S, STILL_SEEN_S, UNCONFIRMED_S

PARAMS = DrainParams(settle_s=10.0, within_s=30.0)
TICK_S = 0.25

ANNOUNCED = Evidence(withdrawn=False, visible=True, calls=3)
WITHDRAWN = Evidence(withdrawn=True, visible=True, calls=3)
GONE = Evidence(withdrawn=True, visible=False, calls=3)
UNSEEN = Evidence(withdrawn=True, visible=None, calls=3)
EMPTY = Evidence(withdrawn=True, visible=False, calls=0)


class Play:
    """A drain that is asked four times a second."""

    def __init__(self, *, hand_over: bool = True, deadline: float | None = None) -> None:
        self.drain = Drain(PARAMS, 0.0, hand_over=hand_over, deadline=deadline)
        self.now = 0.0
        self.done: list[tuple[float, Ask | Close]] = []

    def live(self, evidence: Evidence, seconds: float) -> Phase:
        until = self.now + seconds
        while self.now < until:
            self.now += TICK_S
            if (what := self.drain.update(evidence, self.now)) is not None:
                self.done.append((self.now, what))
        return self.drain.phase

    def time_to(self, phase: Phase, evidence: Evidence, patience_s: float = 60.0) -> float:
        began = self.now
        while self.live(evidence, TICK_S) is not phase:
            assert self.now < began + patience_s
        return self.now - began


def test_calls_are_asked_once_the_routes_are_seen_gone_and_newcomers_are_served_until_then() -> None:
    play = Play()
    assert play.live(ANNOUNCED, 1.0) is Phase.WITHDRAWING
    assert play.live(WITHDRAWN, 3.0) is Phase.SETTLING
    assert play.drain.admits
    assert play.done == []
    assert play.time_to(Phase.HANDING_OVER, GONE) == pytest.approx(SEEN_GONE_S, abs=2 * TICK_S)
    assert not play.drain.admits
    assert [what for _, what in play.done] == [Ask(PARAMS.within_s)]
    assert play.live(EMPTY, TICK_S) is Phase.EMPTY
    assert not play.drain.admits


def test_routes_that_are_seen_again_have_not_settled() -> None:
    play = Play()
    play.live(GONE, SEEN_GONE_S - TICK_S)
    play.live(WITHDRAWN, TICK_S)
    assert play.live(GONE, SEEN_GONE_S - TICK_S) is Phase.SETTLING


def test_without_reflectors_the_time_that_is_configured_has_to_do() -> None:
    assert Play().time_to(Phase.HANDING_OVER, UNSEEN) == pytest.approx(PARAMS.settle_s, abs=2 * TICK_S)


def test_a_route_that_stays_in_sight_does_not_hold_the_drain_for_ever() -> None:
    assert Play().time_to(Phase.HANDING_OVER, WITHDRAWN) == pytest.approx(STILL_SEEN_S, abs=2 * TICK_S)


def test_neither_does_a_speaker_that_confirms_nothing() -> None:
    play = Play()
    assert play.time_to(Phase.SETTLING, ANNOUNCED) == pytest.approx(UNCONFIRMED_S, abs=2 * TICK_S)


def test_who_stays_is_asked_again_but_not_before_the_time_it_was_given_is_over() -> None:
    play = Play()
    play.live(GONE, 100.0)
    times = [at for at, _ in play.done]
    assert len(times) == 4
    assert all(later - earlier == PARAMS.within_s + BETWEEN_S for earlier, later in itertools.pairwise(times))


def test_many_are_not_asked_all_at_once_and_have_the_longer_for_it() -> None:
    play = Play()
    many = Evidence(withdrawn=True, visible=False, calls=1000)
    play.live(many, 5.0)
    assert [what for _, what in play.done] == [Ask(1000 / PARAMS.calls_per_s / ASKED_OVER)]


def test_with_a_deadline_there_is_time_to_ask_twice_and_then_what_is_left_is_closed() -> None:
    play = Play(deadline=20.0)
    play.live(GONE, 19.5)
    asked = [(at, what.within_s) for at, what in play.done if isinstance(what, Ask)]
    assert len(asked) >= 2
    assert all(at + within_s <= 20.0 for at, within_s in asked)
    assert play.time_to(Phase.CLOSING, GONE) <= 1.0
    assert play.done[-1][1] == Close()
    assert play.live(EMPTY, TICK_S) is Phase.EMPTY


def test_a_deadline_that_passes_while_it_settles_is_one_all_the_same() -> None:
    play = Play(deadline=3.0)
    assert play.time_to(Phase.CLOSING, WITHDRAWN) == pytest.approx(3.0, abs=2 * TICK_S)
    assert not play.drain.admits


def test_to_let_end_asks_nobody() -> None:
    play = Play(hand_over=False)
    assert play.live(GONE, 100.0) is Phase.ENDING
    assert play.done == []
    play.drain.hand_over = True
    assert play.live(GONE, TICK_S) is Phase.HANDING_OVER
    assert len(play.done) == 1


def test_an_empty_node_waits_for_the_routers_too() -> None:
    """Callers still come to it."""
    play = Play()
    nobody = Evidence(withdrawn=True, visible=True, calls=0)
    assert play.live(nobody, 3.0) is Phase.SETTLING
    assert play.time_to(Phase.EMPTY, EMPTY) <= SEEN_GONE_S + TICK_S


def test_a_call_that_slipped_in_while_the_gate_closed_is_handed_over_too() -> None:
    play = Play()
    play.live(EMPTY, 2.0)
    assert play.drain.phase is Phase.EMPTY
    assert play.live(GONE, TICK_S) is Phase.HANDING_OVER
    assert len(play.done) == 1


def test_the_deadline_can_be_moved() -> None:
    play = Play(deadline=5.0)
    play.live(GONE, 4.0)
    play.drain.deadline = None
    assert play.live(GONE, 60.0) is Phase.HANDING_OVER
