"""The share of refusals over a sliding window."""

import pytest

from edge.overload.ratio import SLOTS, SlidingRatio


def test_nothing_counted_is_zero() -> None:
    assert SlidingRatio(10.0).value(now=5.0) == 0.0


def test_counts_only_the_window() -> None:
    ratio = SlidingRatio(10.0)
    ratio.count(4, 4, now=0.0)
    ratio.count(0, 4, now=8.0)
    assert ratio.value(now=8.0) == 0.5
    assert ratio.value(now=10.5) == 0.0
    assert ratio.value(now=100.0) == 0.0


@pytest.mark.parametrize("start", [0.0, 1e9])
def test_one_in_a_hundred_is_one_percent(start: float) -> None:
    ratio = SlidingRatio(10.0)
    for tick in range(1_000):
        ratio.count(int(tick % 100 == 0), 1, now=start + tick / 100)
    assert ratio.value(now=start + 9.99) == pytest.approx(0.01)


def test_memory_is_bounded_by_the_window_not_by_the_traffic() -> None:
    ratio = SlidingRatio(1.0)
    for tick in range(10_000):
        ratio.count(1, 1, now=tick / 1_000)
    assert len(ratio._slots) <= SLOTS
