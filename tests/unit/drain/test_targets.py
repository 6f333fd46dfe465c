"""Where calls are sent: by room, and never to whom nobody is sent."""

from __future__ import annotations

import itertools
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from edge.drain import Candidate, Target, spread
from edge.drain.targets import MOST, SERVICE


def target(name: str) -> Target:
    return Target(name, f"https://{name}.example", f"https://{name}.example")


def candidate(name: str, spare: float | None, *, announces: bool | None = True) -> Candidate:
    return Candidate(target(name), announces, spare)


def shares(*candidates: Candidate) -> Counter[str]:
    return Counter(one.node for one in spread(candidates))


def test_by_room_and_in_turn() -> None:
    chosen = spread([candidate("a", 30.0), candidate("b", 10.0), candidate("c", 20.0)])
    assert Counter(one.node for one in chosen) == {"a": 3, "b": 1, "c": 2}
    assert all(one != other for one, other in itertools.pairwise(chosen))


def test_who_does_not_announce_gets_none_however_empty() -> None:
    assert shares(candidate("a", 1.0), candidate("b", 1000.0, announces=False)).keys() == {"a"}


def test_who_is_full_gets_none_while_another_is_not() -> None:
    assert shares(candidate("a", 5.0), candidate("b", 0.0)).keys() == {"a"}
    assert shares(candidate("a", 0.0), candidate("b", 0.0)) == {"a": 1, "b": 1}


def test_without_a_view_all_that_the_file_names_alike() -> None:
    assert shares(candidate("a", None, announces=None), candidate("b", None, announces=None)) == {
        "a": 1,
        "b": 1,
    }


def test_where_nobody_is_known_the_service_address() -> None:
    assert spread([]) == [SERVICE]
    assert spread([candidate("a", 10.0, announces=False)]) == [SERVICE]


@given(st.lists(st.floats(0.0, 1e6), min_size=1, max_size=40))
def test_shares_are_as_room_is(room: list[float]) -> None:
    chosen = spread(candidate(str(number), spare) for number, spare in enumerate(room))
    assert 1 <= len(chosen) <= MOST
    if not any(room):
        return
    counts = Counter(one.node for one in chosen)
    for number, spare in enumerate(room):
        assert abs(counts[str(number)] - len(chosen) * spare / sum(room)) <= len(room)
        assert spare or not counts[str(number)]
