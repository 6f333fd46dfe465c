"""Who is one client, what each has, and how often it comes."""

import pytest

from edge.overload import clients as module
from edge.overload.clients import Rates, Shares, client_of


def test_an_ipv6_customer_is_its_64_and_an_ipv4_one_its_address() -> None:
    assert client_of("192.0.2.1") != client_of("192.0.2.2")
    assert client_of("2001:db8::1") == client_of("2001:db8:0:0:ffff::2") != client_of("2001:db8:0:1::1")


def test_a_share_is_given_back() -> None:
    shares = Shares(2)
    for _ in range(2):
        assert shares.has_room("a")
        shares.add("a")
    assert not shares.has_room("a")
    assert shares.has_room("b")
    shares.drop("a")
    assert shares.has_room("a")
    assert shares.total() == 1


def test_a_client_may_come_many_times_at_once_and_then_at_its_rate() -> None:
    rates = Rates(per_s=2.0, burst=3)
    assert [rates.take("a", 0.0) for _ in range(4)] == [True, True, True, False]
    assert rates.take("b", 0.0)
    assert [rates.take("a", 0.5), rates.take("a", 0.5)] == [True, False]


def test_only_so_many_clients_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses cost an attacker nothing; those that come no more than they may are forgotten first."""
    monkeypatch.setattr(module, "MAX_REMEMBERED", 10)
    rates = Rates(per_s=1.0, burst=2)
    assert [rates.take("busy", 0.0) for _ in range(3)] == [True, True, False]
    for number in range(1000):
        rates.take(f"{number}", 0.1 + number * 1e-6)
        assert len(rates._of) <= 10
    rates.take("other", 5.0)
    assert rates.take("busy", 5.0)
