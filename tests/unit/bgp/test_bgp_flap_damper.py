"""Penalties that grow, halve and are forgiven."""

import pytest

from bgp.flap_damper import FlapDamper


def test_it_takes_more_than_the_limit_and_half_of_it_to_be_forgiven() -> None:
    damper = FlapDamper(limit=4, half_life_s=100)
    for _ in range(4):
        damper.charge(1, 0)
    assert not damper.is_suppressed(0)
    damper.charge(1, 0)
    assert damper.is_suppressed(0)
    assert damper.is_suppressed(130)
    assert not damper.is_suppressed(133)


def test_what_happened_long_ago_weighs_less() -> None:
    damper = FlapDamper(limit=4, half_life_s=100)
    for now in range(0, 1000, 100):
        damper.charge(1.9, now)
        assert not damper.is_suppressed(now)


def test_two_half_lives_without_an_offence_forgive_anything() -> None:
    damper = FlapDamper(limit=4, half_life_s=100)
    damper.charge(1e9, 0)
    assert damper.is_suppressed(199.9)
    assert not damper.is_suppressed(200.1)


@pytest.mark.parametrize("looks", [[], [1, 2, 3, 50, 99]], ids=["never", "often"])
def test_a_lasting_offence_grows_however_often_somebody_looks(looks: list[float]) -> None:
    damper = FlapDamper(limit=4, half_life_s=100)
    damper.charge_per_s(0.05, 0)
    for now in looks:
        assert not damper.is_suppressed(now)
    # 7.21 is what it tends to, and half of that is reached in a half-life.
    assert not damper.is_suppressed(100)
    assert damper.is_suppressed(120)
    damper.charge_per_s(0, 120)
    assert not damper.is_suppressed(120 + 110)


def test_an_offence_below_the_limit_may_last_for_ever() -> None:
    damper = FlapDamper(limit=4, half_life_s=100)
    damper.charge_per_s(0.027, 0)
    assert not damper.is_suppressed(1e6)
