"""What a node has its workers do while it is drained, and what it tells of that."""

from __future__ import annotations

import asyncio
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from bgp.node_seen import NodeSeen
from bgp.state import State
from bgp.view import Others
from edge.config import NodeConfig, parse_config
from edge.config.fleet_file import FleetFile, parse_fleet
from edge.node.control import Control
from edge.node.drainer import Drainer
from edge.node.elsewhere import candidates
from edge.node.routing import Routing
from edge.runtime.holds import Draining, Hold
from edge.runtime.messages import CallRecord, HandOver
from edge.runtime.metrics import NodeMetrics
from edge.runtime.supervisor import Supervisor
from edge.voice.ledger import LedgerCount

WALL = 1_790_000_000.0
NODE = """
[node]
name = "e1"
site = "ams"
server_id = "0000000000000001"
[service]
addresses = ["198.51.100.1"]
[unicast]
addresses = ["203.0.113.2"]
[tls]
certificate = "cert.pem"
private_key = "key.pem"
[bgp]
router_id = "203.0.113.2"
local_as = 64600
prefixes = ["198.51.100.0/24"]
neighbors = [{address = "203.0.113.1", local_address = "203.0.113.2", peer_as = 64501}]
[drain]
settle_s = 4.0
within_s = 8.0
"""
FLEET = """
[[nodes]]
name = "e1"
site = "ams"
server_id = "0000000000000001"
addresses = ["203.0.113.2"]
[[nodes]]
name = "e2"
site = "fra"
server_id = "0000000000000002"
addresses = ["203.0.113.6", "2001:db8:22::2"]
[[nodes]]
name = "e3"
site = "fra"
server_id = "0000000000000003"
addresses = ["203.0.113.10"]
url = "https://e3.example:4433"
"""
NOTHING = LedgerCount(0, 0, "")
DRAIN = Hold("a new disk", WALL, "withdraw", "alice", None, Draining())
SERVED = "event=call_drained call=sess_1 fate=moved node=e2"


@pytest.fixture
def config() -> NodeConfig:
    return parse_config(NODE, Path("/"))


@pytest.fixture
def fleet() -> FleetFile:
    return parse_fleet(FLEET)


def seen(address: str, *, load: float = 0.5, state: State = State.ANNOUNCED, problem: str = "") -> NodeSeen:
    return NodeSeen(ip_address(address), state, False, load, 24, 60.0, (), problem)


class Workers:
    """Two of them, that note what they are told and have the calls that the test says."""

    def __init__(self) -> None:
        self.records: list[CallRecord] = []
        self.told: list[tuple[int, object]] = []
        self.silent: set[int] = set()
        self.workers = [
            SimpleNamespace(
                slot=number,
                process=SimpleNamespace(pid=100 + number),
                report=None,
                hand_over=lambda order, number=number: self.told.append((number, order)),
                call_off=lambda reason, number=number: self.told.append((number, ("call off", reason))),
                close_calls=lambda reason, number=number: self.told.append((number, reason)),
                calls=partial(self.calls, number),
            )
            for number in range(2)
        ]

    async def calls(self, number: int) -> list[CallRecord] | None:
        return None if number in self.silent else [one for one in self.records if one.worker == number]

    def call(self, number: int, *, worker: int = 0, ended: bool = False, **how: Any) -> None:
        """That call ``number`` is so now."""
        record = CallRecord(
            call_id=f"sess_{number}",
            worker=worker,
            carrier="quic",
            outcome="direct",
            age_s=1.0,
            ended=ended,
            heard=NOTHING,
            said=NOTHING,
            **how,
        )
        self.records = [one for one in self.records if one.call_id != record.call_id] + [record]


class Play:
    """A drainer that is looked after every half second."""

    def __init__(self, config: NodeConfig, fleet: FleetFile | None) -> None:
        self.metrics = NodeMetrics("0")
        self.control = Control(config, 0.0)
        self.drainer = Drainer(config, self.control, self.metrics)
        self.workers = Workers()
        self.fleet = fleet
        self.now = 0.0
        self.routing = SimpleNamespace(
            is_withdrawn=True,
            is_visible=lambda now: None,
            others=lambda now: Others("", announcing=2),
            nodes_seen=lambda now: (seen("203.0.113.6"), seen("203.0.113.10")),
        )

    def order(self, hold: Hold | None) -> None:
        self.drainer.follow(hold, now=self.now, wall=WALL + self.now)

    def live(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now += 0.5
            asyncio.run(
                self.drainer.look(
                    cast(Supervisor, self.workers), cast(Routing, self.routing), self.fleet, self.now
                )
            )

    @property
    def phase(self) -> str:
        return self.drainer.report(self.now).drain.phase

    def metric(self, line: str) -> bool:
        return line in self.metrics.render().decode().splitlines()


@pytest.fixture
def play(config: NodeConfig, fleet: FleetFile) -> Play:
    return Play(config, fleet)


def test_from_the_order_to_an_empty_node(play: Play, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    play.workers.call(1)
    play.workers.call(2, worker=1)
    play.order(DRAIN)
    play.live(3.5)
    assert (play.phase, play.control.gate.refuse_probability) == ("settling", 0.0)
    play.live(1.0)
    assert (play.phase, play.control.gate.refuse_probability) == ("handing-over", 1.0)
    assert play.drainer.problem() == "draining (handing-over): 2 calls left"
    (one, order), (other, other_order) = play.workers.told
    assert isinstance(order, HandOver)
    assert isinstance(other_order, HandOver)
    assert (one, other) == (0, 1)
    assert (order.reason, order.within_ms, order.leave) == ("drain", 8000, True)
    assert order.urls == ["https://203.0.113.6:443", "https://e3.example:4433"]
    assert order.urls_v6 == ["https://[2001:db8:22::2]:443", "https://e3.example:4433"]
    assert other_order.urls == order.urls[::-1]  # or the first calls of all workers would go to the same node
    went = {"hand_over": "moved", "hand_over_url": order.urls[0], "hand_over_ms": 250.0}
    play.workers.call(1, ended=True, frames_lost=3, **went)
    play.workers.call(2, worker=1, ended=True)
    play.live(1.0)
    assert play.phase == "empty"
    assert play.metric('edge_handovers_total{outcome="moved"} 1.0')
    assert play.metric('edge_handovers_total{outcome="ended"} 1.0')
    assert play.metric('edge_drain_phase{phase="empty"} 1.0')
    assert SERVED in caplog.text
    first, second = play.drainer.report(play.now).calls
    assert (first.fate, first.node, first.took_ms, first.frames_missing) == ("moved", "e2", 250.0, 3)
    assert (second.fate, second.node, second.took_ms, second.frames_missing) == ("ended", "", None, None)
    assert msgspec.json.encode(play.drainer.report(play.now))


def test_it_is_not_empty_while_its_status_still_counts_a_call(play: Play) -> None:
    """Workers report four times a second, and later when they are busy; ``edgectl drain --wait`` ends on empty."""
    play.order(DRAIN)
    play.workers.workers[1].report = SimpleNamespace(load=SimpleNamespace(calls=1.0))
    play.live(6.0)
    assert play.phase == "handing-over"
    play.workers.workers[1].report = SimpleNamespace(load=SimpleNamespace(calls=0.0))
    play.live(0.5)
    assert play.phase == "empty"


def test_undrained_it_lets_callers_in_whatever_it_was_about(play: Play) -> None:
    play.workers.call(1)
    play.order(DRAIN)
    play.live(6.0)
    assert play.control.gate.refuse_probability == 1.0
    play.order(None)
    play.live(2.0)
    assert play.control.gate.refuse_probability == 0.0
    assert (play.drainer.problem(), play.drainer.status(play.now), play.phase) == ("", None, "ended")
    assert play.metric('edge_drain_phase{phase="none"} 1.0')
    assert [call.fate for call in play.drainer.report(play.now).calls] == ["stays"]


@pytest.mark.parametrize("instead", [None, Draining(False)], ids=["undrained", "let end"])
def test_who_has_not_been_asked_by_then_is_not_asked_any_more(play: Play, instead: Draining | None) -> None:
    """Workers ask one after the other, and with many calls that takes minutes."""
    play.workers.call(1)
    play.order(DRAIN)
    play.live(6.0)
    assert len(play.workers.told) == 2
    play.order(None if instead is None else msgspec.structs.replace(DRAIN, drain=instead))
    play.live(3.0)
    assert play.workers.told[2:] == [(number, ("call off", "drain")) for number in range(2)]


def test_a_withdrawal_alone_drains_nobody(play: Play) -> None:
    play.order(Hold("a new disk", WALL))
    play.live(10.0)
    assert (play.phase, play.drainer.status(play.now)) == ("none", None)


def test_at_its_deadline_it_closes_what_is_left(play: Play) -> None:
    play.workers.call(1)
    play.order(msgspec.structs.replace(DRAIN, drain=Draining(False, WALL + 10)))
    play.live(9.0)
    assert (play.phase, play.workers.told) == ("ending", [])
    status = play.drainer.status(play.now)
    assert status is not None
    assert status.deadline_in_s == pytest.approx(1.0)
    play.live(1.5)
    assert play.phase == "closing"
    assert {number for number, _ in play.workers.told} == {0, 1}
    play.workers.call(1, ended=True)
    play.live(0.5)
    assert play.phase == "empty"
    assert play.metric('edge_handovers_total{outcome="closed"} 1.0')


def test_an_order_that_is_changed_is_the_same_drain(play: Play) -> None:
    play.workers.call(1)
    play.order(msgspec.structs.replace(DRAIN, drain=Draining(False)))
    play.live(6.0)
    play.order(DRAIN)
    play.live(0.5)
    assert play.phase == "handing-over"


def test_calls_go_with_their_worker_and_are_not_waited_for(play: Play) -> None:
    play.workers.call(1)
    play.workers.call(2, worker=1)
    play.order(DRAIN)
    play.live(1.0)
    play.workers.records = play.workers.records[1:]
    play.workers.silent.add(0)
    play.live(1.0)
    assert [call.fate for call in play.drainer.report(play.now).calls] == ["stays", "stays"]  # it may be slow
    play.workers.silent.clear()
    play.workers.workers[0].process = SimpleNamespace(pid=777)
    play.live(0.5)
    assert [call.fate for call in play.drainer.report(play.now).calls] == ["lost", "stays"]


def test_a_worker_that_is_too_slow_to_answer_is_not_taken_for_empty(play: Play) -> None:
    """Whoever waits for the drain would stop the node."""
    play.workers.call(1)
    play.workers.silent.add(0)
    play.workers.workers[0].report = SimpleNamespace(load=SimpleNamespace(calls=1.0))
    play.order(DRAIN)
    play.live(6.0)
    assert play.phase == "handing-over"
    play.workers.silent.clear()
    play.live(0.5)
    assert [call.fate for call in play.drainer.report(play.now).calls] == ["stays"]
    play.workers.call(1, ended=True)
    play.workers.workers[0].report = SimpleNamespace(load=SimpleNamespace(calls=0.0))
    play.live(0.5)
    assert play.phase == "empty"


def test_who_moved_within_the_node_before_is_up_and_who_hung_up_then_has_not_moved_away(play: Play) -> None:
    play.workers.call(1, hand_over="moved")
    play.order(DRAIN)
    play.live(1.0)
    assert [call.fate for call in play.drainer.report(play.now).calls] == ["stays"]
    play.workers.call(1, hand_over="moved", ended=True)
    play.live(0.5)
    assert [call.fate for call in play.drainer.report(play.now).calls] == ["ended"]


def test_without_a_fleet_the_service_address(config: NodeConfig) -> None:
    play = Play(config, None)
    play.workers.call(1)
    play.order(DRAIN)
    play.live(6.0)
    order = play.workers.told[0][1]
    assert isinstance(order, HandOver)
    assert (order.urls, order.urls_v6) == ([None], [None])


@pytest.mark.parametrize("behind_nlb", [True, False])
def test_without_routes_newcomers_are_served_for_as_long_as_somebody_sends_them(behind_nlb: bool) -> None:
    """A load balancer goes on until its health checks have failed; a node alone has nobody to wait for."""
    text = NODE[: NODE.index("[bgp]")] + NODE[NODE.index("[drain]") :]
    if behind_nlb:
        text += '[cid]\nprofile = "aws-nlb"\n'
    play = Play(parse_config(text, Path("/")), None)
    play.routing = cast(SimpleNamespace, None)
    play.workers.call(1)
    play.order(DRAIN)
    play.live(3.5)
    assert (play.phase == "settling", play.control.gate.refuse_probability) == (behind_nlb, 1.0 - behind_nlb)
    play.live(1.5)
    assert (play.phase, play.control.gate.refuse_probability) == ("handing-over", 1.0)


def test_who_is_not_seen_to_serve_gets_no_calls(config: NodeConfig, fleet: FleetFile) -> None:
    views = [
        (seen("203.0.113.6"), seen("203.0.113.10", state=State.HELD, problem="is not announced")),
        (seen("203.0.113.6"),),
    ]
    for view in views:
        e2, e3 = candidates(config, fleet, view, reliable=True)
        assert (e2.announces, e2.spare) == (True, 12.0)
        assert (e3.announces, e3.spare) == (False, 0.0)
    full, shy = candidates(
        config,
        fleet,
        (seen("203.0.113.6", load=1.5), seen("203.0.113.10", state=State.DEPREFERRED)),
        reliable=True,
    )
    assert (full.announces, full.spare, shy.announces, shy.spare) == (True, 0.0, True, 0.0)
    assert {(one.announces, one.spare) for one in candidates(config, fleet, (), reliable=False)} == {
        (None, None)
    }
