"""The policies of a fleet: who is asked, and what a claim and a return mean."""

import numpy as np
import pytest

from bgp.params import PolicyParams
from edge.simulate.contenders import Contender
from edge.simulate.fleet import Fleet, Signals
from edge.simulate.routers import DEPREFERRED, PLAIN
from edge.simulate.view import FleetView

STEP_S = 5.0
NODES = 4
CAPACITY = np.full(NODES, 100.0)
NOBODY = np.zeros(NODES, dtype=np.bool_)
ALL = ~NOBODY


class Four:
    """Four nodes, of which the second can be overloaded; the others carry ``load_of_others`` (a fraction)."""

    def __init__(self, **params: float) -> None:
        contender = Contender(PolicyParams(**params), keeps_ledger=True)
        self.fleet = Fleet(contender, "cisco", NODES, np.random.default_rng(3))
        self.view = FleetView(CAPACITY, 1.0, STEP_S)
        self.now = 0.0
        self.returned: list[int] = []

    def pass_time(self, seconds: float, *, overloaded: bool, load_of_others: float = 0.3) -> None:
        load = np.full(NODES, load_of_others)
        load[1] = 0.9 if overloaded else 0.2
        busy = NOBODY.copy()
        busy[1] = overloaded
        for _ in range(round(seconds / STEP_S)):
            self.view.publish(self.fleet.routes.copy(), load, self.fleet.claims.copy(), self.now)
            signals = Signals(load, busy * 0.5, busy, load * CAPACITY, NOBODY, NOBODY)
            self.returned += self.fleet.decide(signals, self.view, ALL, self.now).tolist()
            self.fleet.tell(self.fleet.routes, self.now)
            self.now += STEP_S

    @property
    def routes(self) -> list[int]:
        return self.fleet.routes.tolist()


def test_the_overloaded_node_steps_back_alone_and_returns_when_it_is_calm():
    four = Four()
    four.pass_time(60, overloaded=True)
    assert four.routes == [PLAIN, DEPREFERRED, PLAIN, PLAIN]
    four.pass_time(600, overloaded=False)
    assert four.routes == [PLAIN] * 4
    assert four.returned == [1]


def test_a_claim_is_dropped_when_the_others_have_no_room_any_more():
    four = Four(claim_spread_s=600)
    four.pass_time(45, overloaded=True)
    assert four.fleet.claims.tolist() == [False, True, False, False]
    four.pass_time(10, overloaded=True, load_of_others=0.8)
    assert not four.fleet.claims.any()
    assert four.routes == [PLAIN] * 4


def test_without_room_or_with_a_spent_ledger_it_stays():
    crowded = Four()
    crowded.pass_time(600, overloaded=True, load_of_others=0.8)
    assert crowded.routes == [PLAIN] * 4
    spent = Four()
    for _ in range(3):
        spent.fleet.tell(np.array([PLAIN, DEPREFERRED, PLAIN, PLAIN]), 0.0)
        spent.fleet.tell(np.full(NODES, PLAIN), 0.0)
    spent.pass_time(60, overloaded=True)
    assert spent.routes == [PLAIN] * 4


def test_a_node_that_restarts_comes_back_by_itself():
    four = Four()
    four.fleet.restart(np.array([2]))
    assert four.routes[2] != PLAIN
    four.pass_time(STEP_S, overloaded=False)
    assert four.routes == [PLAIN] * 4
    assert four.returned == [], "nothing to warm up: it was not away for load"


def test_who_returns_lets_callers_in_by_and_by(worlds):
    """Without it the whole catchment comes at once, and the node is overloaded again."""
    run = worlds.run(worlds.file(worlds.eventful, events=[]))
    before, returned = run.fleet.routes.copy(), 0
    for _ in range(2000):
        run.advance()
        back = (before == DEPREFERRED) & (run.fleet.routes == PLAIN)
        assert run._servers.gates.refuse_probability[back] == pytest.approx(1.0, abs=0.1)
        returned += int(back.sum())
        before = run.fleet.routes.copy()
    assert returned > 0
