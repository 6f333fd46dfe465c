"""Who is left when nodes leave, by what all say of themselves."""

from __future__ import annotations

from edge.fleet.last_announcer import nobody_left
from edge.fleet.sighting import Observed, silent

V4, V6 = "192.0.2.0/24", "2001:db8:1::/48"
BOTH = Observed(serves=frozenset({V4, V6}))
ONLY_V4 = Observed(serves=frozenset({V4}))
OUT = Observed()


def test_one_that_serves_the_same_is_enough() -> None:
    assert nobody_left(["a"], {"a": BOTH, "b": BOTH}) == ""


def test_each_prefix_counts() -> None:
    assert (
        nobody_left(["a"], {"a": BOTH, "b": ONLY_V4}) == f"a would leave {V6} without any node that announces"
    )


def test_who_leaves_together_does_not_count() -> None:
    fleet = {"a": ONLY_V4, "b": ONLY_V4, "c": OUT}
    assert nobody_left(["a", "b"], fleet).startswith("a and b would leave")


def test_who_does_not_answer_is_not_counted_upon_and_named() -> None:
    assert "(b did not answer)" in nobody_left(["a"], {"a": ONLY_V4, "b": silent("no route", None)})


def test_who_serves_nothing_may_leave() -> None:
    assert nobody_left(["a"], {"a": OUT}) == ""
