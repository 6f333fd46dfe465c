"""Who is listened to, and for how long."""

from ipaddress import IPv4Address, IPv4Network
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bgp.neighbor import Neighbor, Role
from bgp.received import EndOfRib, Flooded, PathHeard, PathLost
from bgp.reception import Reception

R1, R2, UPSTREAM = (IPv4Address(f"198.51.100.{last}") for last in (1, 2, 9))
LIMIT = 3


def reception() -> Reception:
    """Listening to two neighbors of the fleet; the third is not of it."""
    own = IPv4Address("198.51.100.2")
    four = frozenset({4})
    fleet = [
        Neighbor(address, own, 64600, 64600, four, role=Role.FLEET, max_routes=LIMIT) for address in (R1, R2)
    ]
    subject = Reception([*fleet, Neighbor(UPSTREAM, own, 64600, 64501, four)])
    for address in (R1, R2, UPSTREAM):
        subject.session_up(address)
    return subject


def entry(number: int) -> dict[str, str]:
    return {"nlri": f"192.0.2.{number}/32", "path-information": "0.0.0.1"}


def announcement(*numbers: int, origin: str = "igp") -> dict[str, Any]:
    announced = {"ipv4 unicast": {"198.51.100.33": [entry(number) for number in numbers]}}
    return {"update": {"attribute": {"origin": origin}, "announce": announced}}


def withdrawal(*numbers: int) -> dict[str, Any]:
    return {"update": {"withdraw": {"ipv4 unicast": [entry(number) for number in numbers]}}}


END = {"eor": {"afi": "ipv4", "safi": "unicast"}}


def names(events: Any) -> list[str]:
    return [type(event).__name__ for event in events]


def test_paths_come_and_go() -> None:
    subject = reception()
    assert names(subject.update(R1, announcement(1, 2))) == ["PathHeard", "PathHeard"]
    assert list(subject.update(R1, withdrawal(1))) == [PathLost(R1, IPv4Network("192.0.2.1/32"), 1)]
    assert list(subject.update(R1, END)) == [EndOfRib(R1, 4)]


def test_a_withdrawal_of_what_never_stood_is_none() -> None:
    """BIRD sends one where it would have announced a route, and may not."""
    subject = reception()
    assert names(subject.update(R1, withdrawal(1))) == []
    subject.update(R2, announcement(1))
    assert names(subject.update(R1, withdrawal(1))) == []


def test_the_same_path_again_is_heard_but_not_counted() -> None:
    subject = reception()
    for _ in range(3):
        assert names(subject.update(R1, announcement(1, 2, 3))) == ["PathHeard"] * 3


def test_one_path_too_many_ends_it() -> None:
    subject = reception()
    events = list(subject.update(R1, announcement(1, 2, 3, 4, 5)))
    assert names(events) == ["PathHeard"] * 3 + ["Flooded"]
    assert events[-1] == Flooded(R1, "more than 3 routes")
    for more in (announcement(6), withdrawal(1, 2, 3), END, announcement(1)):
        assert names(subject.update(R1, more)) == []
    assert names(subject.update(R2, announcement(1))) == ["PathHeard"]


def test_its_next_session_is_another_chance() -> None:
    subject = reception()
    list(subject.update(R1, announcement(1, 2, 3, 4)))
    subject.session_down(R1)
    assert names(subject.update(R1, announcement(1))) == []
    subject.session_up(R1)
    assert names(subject.update(R1, announcement(1, 2, 3))) == ["PathHeard"] * 3


def test_a_session_begins_with_nothing() -> None:
    subject = reception()
    list(subject.update(R1, announcement(1, 2, 3)))
    subject.session_up(R1)
    assert names(subject.update(R1, announcement(4, 5, 6))) == ["PathHeard"] * 3
    assert names(subject.update(R1, withdrawal(1))) == []


def test_what_was_lost_on_the_way_is_said_once() -> None:
    subject = reception()
    assert names(subject.updates_dropped(R1)) == ["Flooded"]
    assert names(subject.updates_dropped(R1)) == []
    assert names(subject.update(R1, announcement(1))) == []
    assert names(subject.update(R2, announcement(1))) == ["PathHeard"]


def test_upstreams_are_not_listened_to() -> None:
    subject = reception()
    assert names(subject.update(UPSTREAM, announcement(1))) == []
    assert names(subject.updates_dropped(UPSTREAM)) == []


changes = st.one_of(
    st.builds(announcement, st.integers(1, 5), origin=st.sampled_from(["igp", "invalid"])),
    st.builds(withdrawal, st.integers(1, 5)),
    st.sampled_from(["up", "down"]),
)


@given(st.lists(changes, max_size=40))
def test_whoever_keeps_account_of_the_events_knows_what_stands(steps: list[Any]) -> None:
    """Never more than the limit, nothing taken back that was not given, and nothing once it is given up."""
    subject = reception()
    standing: set[str] | None = set()
    for step in steps:
        if step in ("up", "down"):
            (subject.session_up if step == "up" else subject.session_down)(R1)
            standing = set() if step == "up" else None
            continue
        for event in subject.update(R1, step):
            assert standing is not None
            match event:
                case PathHeard(path=path):
                    standing.add(str(path.prefix))
                case PathLost(prefix=prefix):
                    standing.remove(str(prefix))
                case Flooded():
                    standing = None
        assert standing is None or len(standing) <= LIMIT
