"""The token bucket, by the clock that the test holds."""

import pytest

from edge.bucket import TokenBucket


def test_a_burst_at_once_and_then_the_rate() -> None:
    bucket = TokenBucket(rate=10, burst=3)
    assert [bucket.take(1, 100.0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.take(1, 100.05)  # what was refused was not taken
    assert bucket.take(1, 100.125)
    assert not bucket.take(1, 100.125)


def test_rest_fills_it_to_the_burst_and_no_further() -> None:
    bucket = TokenBucket(rate=10, burst=3)
    assert bucket.is_full(0.0)
    assert not bucket.take(4, 1000.0)
    assert bucket.take(3, 1000.0)
    assert not bucket.is_full(1000.25)
    assert bucket.is_full(1000.3125)


def test_a_bucket_lets_a_burst_through_and_then_its_rate() -> None:
    bucket = TokenBucket(rate=10.0, burst=5.0)
    assert [bucket.take(1, 0.0) for _ in range(6)] == [True] * 5 + [False]
    assert bucket.take(1, 0.1)
    assert not bucket.take(1, 0.15)
    assert [bucket.take(1, 100.0) for _ in range(6)] == [True] * 5 + [False]


@pytest.mark.parametrize("first", [0.0, 1e9])
def test_a_bucket_is_full_whenever_the_clock_begins(first: float) -> None:
    assert TokenBucket(rate=1.0, burst=1.0).take(1, first)
