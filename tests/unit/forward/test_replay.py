"""edge.forward.replay, against a set."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.forward.replay import WINDOW, ReplayWindow


@given(st.lists(st.integers(0, 3 * WINDOW)))
def test_as_a_set_that_forgets_what_is_far_behind(counters: list[int]) -> None:
    window, seen = ReplayWindow(), set[int]()
    for counter in counters:
        expected = counter not in seen and counter > max(seen, default=-1) - WINDOW
        assert window.accept(counter) == expected
        if expected:
            seen.add(counter)


def test_a_leap_of_any_size() -> None:
    window = ReplayWindow()
    assert window.accept(1_700_000_000_000_000_000)
    assert window.accept(2**64 - 1)
    assert not window.accept(1_700_000_000_000_000_000)
