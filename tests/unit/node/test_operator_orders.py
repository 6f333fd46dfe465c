"""What an operator orders: what is kept, what ends by itself, and what is refused."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from bgp.view import NO_VIEW, Others
from edge.errors import EdgeError, RefusedError, UsageError
from edge.node.orders import Orders
from edge.runtime.admin import AnnounceOrder, DrainOrder, WithdrawOrder
from edge.runtime.holds import Draining, Hold

NOON = 1_790_000_000.0
TWO_OTHERS = Others("", synced=True, announcing=2, spare=40.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hold.json"


@pytest.fixture
def orders(path: Path) -> Orders:
    return Orders("e1", path)


def withdraw(orders: Orders, order: WithdrawOrder, now: float = NOON, others: Others = TWO_OTHERS) -> None:
    orders.withdraw(order, now, announced=True, others=others)


def test_a_withdrawal_lasts_over_restarts_until_it_is_taken_back(orders: Orders, path: Path) -> None:
    assert orders.kind(NOON) == "none"
    withdraw(orders, WithdrawOrder("a new disk", "alice"))
    after_restart = Orders("e1", path)
    assert after_restart.kind(NOON + 1e6) == "withdraw"
    assert after_restart.hold(NOON + 1e6) == Hold("a new disk", NOON, "withdraw", "alice")
    after_restart.announce(AnnounceOrder(), NOON + 1e6)
    assert after_restart.hold(NOON + 1e6) is None
    assert Orders("e1", path).kind(NOON + 1e6) == "none"


def test_one_with_an_end_ends_while_running(
    orders: Orders, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    withdraw(orders, WithdrawOrder("a new disk", "alice", NOON + 60))
    assert orders.kind(NOON + 59) == "withdraw"
    assert orders.kind(NOON + 60) == "none"
    assert not path.exists()
    orders.kind(NOON + 61)
    assert caplog.text.count("event=hold_ended") == 1


def test_one_with_an_end_ends_while_the_node_is_down(orders: Orders, path: Path) -> None:
    withdraw(orders, WithdrawOrder("a new disk", "alice", NOON + 60))
    assert Orders("e1", path).kind(NOON + 59) == "withdraw"
    assert Orders("e1", path).kind(NOON + 60) == "none"


def test_a_hold_that_is_over_does_not_come_back_though_its_file_stays(orders: Orders, path: Path) -> None:
    """A read-only file system must not end the control loop, nor hold the node again at its next start."""
    withdraw(orders, WithdrawOrder("a new disk", "alice", NOON + 60))
    kept = path.read_bytes()
    path.unlink()
    (path / "in the way").mkdir(parents=True)
    assert orders.kind(NOON + 60) == "none"
    (path / "in the way").rmdir()
    path.rmdir()
    path.write_bytes(kept)
    assert Orders("e1", path).kind(NOON + 61) == "none"


@pytest.mark.parametrize("announced,force", [(False, False), (True, True)])
def test_a_withdrawal_that_takes_no_route_away_or_is_forced_asks_for_no_others(
    orders: Orders, announced: bool, force: bool
) -> None:
    orders.withdraw(WithdrawOrder(force=force), NOON, announced=announced, others=NO_VIEW)
    assert orders.kind(NOON) == "withdraw"


@pytest.mark.parametrize(
    "others,says",
    [
        (
            Others("", synced=True),
            r"e1 is the last to announce: no other node is seen announcing \(see edgectl bgp",
        ),
        (Others("both reflectors are down", announcing=5), "not known: both reflectors are down; --force"),
        (NO_VIEW, "not known: no neighbor has the role 'fleet'; --force"),
    ],
)
def test_the_last_that_is_known_to_announce_is_kept(
    orders: Orders, path: Path, others: Others, says: str
) -> None:
    with pytest.raises(RefusedError, match=says):
        withdraw(orders, WithdrawOrder("a new disk"), others=others)
    assert orders.kind(NOON) == "none"
    assert not path.exists()


def test_an_announcement_only_releases_unless_it_holds(orders: Orders) -> None:
    orders.announce(AnnounceOrder("the match", "bob", hold=True, until=NOON + 60), NOON)
    assert orders.hold(NOON) == Hold("the match", NOON, "announce", "bob", NOON + 60)
    withdraw(orders, WithdrawOrder(), NOON + 1)
    assert orders.kind(NOON + 1) == "withdraw"
    orders.announce(AnnounceOrder("the match is over"), NOON + 2)
    assert orders.kind(NOON + 2) == "none"


def test_an_end_that_has_passed_is_no_order(orders: Orders) -> None:
    with pytest.raises(UsageError, match="over already"):
        withdraw(orders, WithdrawOrder(until=NOON))
    with pytest.raises(UsageError, match="over already"):
        orders.announce(AnnounceOrder(hold=True, until=NOON - 1), NOON)
    assert orders.kind(NOON) == "none"


def test_what_is_said_again_without_a_word_keeps_who_said_it_first(orders: Orders) -> None:
    """A play that drains every node, drained or not, must not forget why one of them was."""
    withdraw(orders, WithdrawOrder("a new disk", "alice"))
    withdraw(orders, WithdrawOrder("", "ansible"), NOON + 60)
    assert orders.hold(NOON + 60) == Hold("a new disk", NOON, "withdraw", "alice")
    withdraw(orders, WithdrawOrder("", "bob", NOON + 600), NOON + 120)
    assert orders.hold(NOON + 120) == Hold("a new disk", NOON, "withdraw", "alice", NOON + 600)
    withdraw(orders, WithdrawOrder("a new kernel", "bob"), NOON + 180)
    assert orders.hold(NOON + 1e6) == Hold("a new kernel", NOON + 180, "withdraw", "bob")


def test_a_drain_is_kept_over_restarts_with_its_deadline(orders: Orders, path: Path) -> None:
    withdraw(orders, DrainOrder("a new disk", "alice", hand_over=False, deadline=NOON + 20))
    hold = Orders("e1", path).hold(NOON + 1e6)
    assert hold == Hold("a new disk", NOON, "withdraw", "alice", None, Draining(False, NOON + 20))


def test_said_again_a_drain_changes_what_becomes_of_the_calls_and_a_withdrawal_leaves_them(
    orders: Orders,
) -> None:
    withdraw(orders, WithdrawOrder("a new disk", "alice"))
    withdraw(orders, DrainOrder("", "bob"), NOON + 60)
    assert orders.hold(NOON + 60) == Hold("a new disk", NOON, "withdraw", "alice", None, Draining())
    withdraw(orders, DrainOrder("", "bob", deadline=NOON + 80), NOON + 61)
    assert orders.hold(NOON + 61) == Hold(
        "a new disk", NOON, "withdraw", "alice", None, Draining(True, NOON + 80)
    )
    withdraw(orders, WithdrawOrder("", "bob"), NOON + 62)
    assert orders.hold(NOON + 62) == Hold("a new disk", NOON, "withdraw", "alice")


def test_a_deadline_that_has_passed_is_no_order(orders: Orders) -> None:
    with pytest.raises(UsageError, match="'deadline' has passed"):
        withdraw(orders, DrainOrder(deadline=NOON))
    assert orders.kind(NOON) == "none"


def test_an_order_that_cannot_be_kept_changes_nothing(orders: Orders, path: Path) -> None:
    path.with_suffix(".new").mkdir()
    with pytest.raises(EdgeError, match="cannot keep the hold"):
        withdraw(orders, WithdrawOrder("a new disk"))
    assert orders.kind(NOON) == "none"


def test_a_damaged_file_holds_the_node_out_until_somebody_announces_it(path: Path) -> None:
    path.write_text("{")
    orders = Orders("e1", path)
    assert orders.kind(NOON) == "withdraw"
    orders.announce(AnnounceOrder(), NOON)
    assert orders.kind(NOON) == "none"
    assert not path.exists()


def test_a_new_order_takes_the_place_of_a_damaged_one(path: Path) -> None:
    path.write_text("{")
    orders = Orders("e1", path)
    withdraw(orders, WithdrawOrder("", "alice"))
    assert Orders("e1", path).hold(NOON) == Hold("", NOON, "withdraw", "alice")
