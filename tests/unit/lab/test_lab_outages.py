"""How long callers heard nothing: what counts for a change of their network, and what does not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from edge.lab.callers import Silence
from edge.lab.scenarios.outages import Change, p95, waits_s


def caller(*silences: Silence) -> Any:
    return SimpleNamespace(finished=dict.fromkeys(("a", "b")), silences=list(silences))


@pytest.mark.parametrize(
    "silence, wait_s",
    [
        (Silence("a", 9.9, 15.3), 0.3),  # over an outage from 10 to 15
        (Silence("a", 15.5, 16.5), 0.0),  # begun later, for another reason
        (Silence("a", 5.0, 9.0), 0.0),  # over before
        (Silence("a", 9.9, 12.0), 0.0),  # heard again before the network worked: another way was found
        (Silence("lost", 9.9, 20.0), 0.0),  # of a call that is counted elsewhere
    ],
)
def test_an_outage_is_waited_out_from_when_the_network_works(silence: Silence, wait_s: float) -> None:
    assert waits_s(caller(silence), Change(10.0, 15.0)) == [pytest.approx(wait_s), 0.0]


def test_the_longest_of_several_silences_counts() -> None:
    silences = (Silence("a", 9.9, 15.3), Silence("a", 14.9, 16.0))
    assert waits_s(caller(*silences), Change(10.0, 15.0)) == [1.0, 0.0]


@pytest.mark.parametrize(
    "values, expected", [([], None), ([1.0], 1.0), ([0.0] * 19 + [5.0], 0.0), ([0.0] * 18 + [4.0, 5.0], 4.0)]
)
def test_of_twenty_the_worst_may_be_bad(values: list[float], expected: float | None) -> None:
    assert p95(values) == expected
