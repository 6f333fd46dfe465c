"""What a node says of itself, there and back, and everything that must not be taken for it."""

import math
import re
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgp import received
from bgp.control_route import (
    CODES,
    LIMITS,
    MAX_CAPACITY,
    ControlState,
    Function,
    Publisher,
    Rejection,
    read,
)
from bgp.neighbor import Neighbor, Role
from bgp.route import NO_EXPORT, Audience, LargeCommunity, Route, RouteError
from bgp.state import State

FLEET_AS = 64600
NODE = ip_address("192.0.2.7")
ON_DUTY = ControlState(State.ANNOUNCED, claim=False, load_tenths=3, capacity=200)
PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "control-route.md"

states = st.builds(
    ControlState,
    state=st.sampled_from(State),
    claim=st.booleans(),
    load_tenths=st.integers(0, 20),
    capacity=st.integers(1, MAX_CAPACITY),
)


def heard(route: Route) -> received.Path:
    """The route as a neighbor of the fleet hears it."""
    neighbor = Neighbor(
        ip_address("198.51.100.1"),
        ip_address("198.51.100.7"),
        FLEET_AS,
        FLEET_AS,
        frozenset({4, 6}),
        next_hop_v6=ip_address("2001:db8::99"),  # type: ignore[arg-type]
        role=Role.FLEET,
    )
    said = neighbor.advertisement(route)
    assert said is not None
    return received.Path(
        said.prefix, 1, said.next_hop, said.as_path, said.communities, said.large_communities
    )


def path(**changes: object) -> received.Path:
    return replace(heard(ON_DUTY.route(NODE, FLEET_AS)), **changes)  # type: ignore[arg-type]


def communities(text: str) -> frozenset[LargeCommunity]:
    return frozenset(map(LargeCommunity.parse, text.split()))


@given(state=states, address=st.sampled_from([NODE, ip_address("2001:db8::7")]))
def test_what_is_said_is_what_is_read(state: ControlState, address: object) -> None:
    route = state.route(address, FLEET_AS)  # type: ignore[arg-type]
    assert route.audience is Audience.FLEET
    assert NO_EXPORT in heard(route).communities
    assert read(heard(route), FLEET_AS) == state


def test_functions_of_a_newer_version_are_passed_over() -> None:
    more = path().large_communities | communities("64600:5:1 64600:4294967295:7 64999:1:9")
    assert read(path(large_communities=more), FLEET_AS) == ON_DUTY


WHOLE = "64600:1:1 64600:2:0 64600:3:3 64600:4:200"


@pytest.mark.parametrize(
    "changes, why",
    [
        ({"prefix": ip_network("192.0.2.0/24")}, Rejection.FOREIGN),
        ({"prefix": ip_network("0.0.0.0/0")}, Rejection.FOREIGN),
        ({"large_communities": frozenset()}, Rejection.FOREIGN),
        ({"large_communities": communities(WHOLE.replace("64600", "64601"))}, Rejection.FOREIGN),
        ({"next_hop": ip_address("192.0.2.8")}, Rejection.NEXT_HOP),
        ({"next_hop": ip_address("2001:db8::7")}, Rejection.NEXT_HOP),
        ({"as_path": (64501,)}, Rejection.OTHER_AS),
        ({"large_communities": communities("64600:1:1 64600:3:3 64600:4:200")}, Rejection.INCOMPLETE),
        ({"large_communities": communities(WHOLE + " 64600:3:4")}, Rejection.CONTRADICTORY),
        ({"large_communities": communities(WHOLE.replace("1:1", "1:0"))}, Rejection.OUT_OF_RANGE),
        ({"large_communities": communities(WHOLE.replace("1:1", "1:7"))}, Rejection.OUT_OF_RANGE),
        ({"large_communities": communities(WHOLE.replace("2:0", "2:2"))}, Rejection.OUT_OF_RANGE),
        ({"large_communities": communities(WHOLE.replace("3:3", "3:21"))}, Rejection.OUT_OF_RANGE),
        ({"large_communities": communities(WHOLE.replace("4:200", "4:0"))}, Rejection.OUT_OF_RANGE),
        ({"large_communities": communities(WHOLE.replace("4:200", "4:4294967295"))}, Rejection.OUT_OF_RANGE),
    ],
)
def test_anything_else_is_no_control_route(changes: dict[str, object], why: Rejection) -> None:
    assert read(path(**changes), FLEET_AS) is why


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0",
        "127.0.0.1",
        "169.254.1.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:192.0.2.7",
        "fe80::1",
        "ff02::1",
    ],
)
def test_no_node_lives_at_a_special_address(text: str) -> None:
    address = ip_address(text)
    assert read(path(prefix=ip_network(address), next_hop=address), FLEET_AS) is Rejection.NOT_UNICAST


@pytest.mark.parametrize("field, value", [("load_tenths", 21), ("load_tenths", -1), ("capacity", 0)])
def test_a_node_does_not_say_what_others_would_not_believe(field: str, value: int) -> None:
    with pytest.raises(RouteError, match="out of range"):
        replace(ON_DUTY, **{field: value})  # type: ignore[arg-type]


def test_who_is_overloaded_has_nothing_to_spare() -> None:
    assert ON_DUTY.spare == 140
    assert replace(ON_DUTY, load_tenths=13).spare == 0


# --- when it is told ------------------------------------------------------------------------------------------


class Told:
    """A publisher on duty, with what it has told so far."""

    def __init__(self) -> None:
        self.publisher = Publisher(NODE, FLEET_AS)

    def update(self, now: float, load: float, **changes: object) -> ControlState | None:
        values: dict[str, object] = {"state": State.ANNOUNCED, "claim": False, "capacity": 200} | changes
        route = self.publisher.update(load=load, now=now, **values)  # type: ignore[arg-type]
        if route is None:
            return None
        state = read(heard(route), FLEET_AS)
        assert isinstance(state, ControlState)
        return state


def test_load_is_told_in_steps_rounded_up() -> None:
    told = Told()
    assert told.update(0, 0.21) == ON_DUTY
    assert told.update(5, 0.30) is None
    assert told.update(10, 0.31) == replace(ON_DUTY, load_tenths=4)


def test_load_has_to_leave_a_step_to_be_told_lower() -> None:
    told = Told()
    told.update(0, 0.31)
    assert told.update(5, 0.29) is None
    assert told.update(10, 0.26) is None
    assert told.update(15, 0.25) == ON_DUTY
    assert told.update(20, 0.31) == replace(ON_DUTY, load_tenths=4)


def test_load_is_told_once_a_second_at_most() -> None:
    told = Told()
    told.update(0, 0.3)
    assert told.update(0.9, 0.9) is None
    assert told.update(1.0, 0.9) == replace(ON_DUTY, load_tenths=9)


@pytest.mark.parametrize("change", [{"state": State.DEPREFERRED}, {"claim": True}])
def test_what_others_wait_for_is_told_at_once_and_brings_the_load_along(change: dict[str, object]) -> None:
    told = Told()
    told.update(0, 0.3)
    assert told.update(0.1, 0.9, **change) == replace(ON_DUTY, load_tenths=9, **change)  # type: ignore[arg-type]


def test_what_is_beyond_the_scale_is_clipped() -> None:
    told = Told().update(0, math.inf, capacity=10**9)
    assert told == replace(ON_DUTY, load_tenths=20, capacity=MAX_CAPACITY)
    assert Told().update(0, -0.1, capacity=0) == replace(ON_DUTY, load_tenths=0, capacity=1)


@given(st.lists(st.tuples(st.sampled_from([0.25, 1.0, 4.0]), st.floats(0, 2.5)), min_size=1, max_size=60))
def test_the_fleet_is_never_told_less_than_the_load_of_a_second_ago(ticks: list[tuple[float, float]]) -> None:
    told, now, last, last_at = Told(), 0.0, ON_DUTY, -math.inf
    for wait_s, load in ticks:
        now += wait_s
        state = told.update(now, load)
        if state is not None:
            assert now - last_at >= 1.0
            last, last_at = state, now
        if now - last_at >= 1.0 or state is not None:
            assert last.load_tenths >= round(min(load, 2.0) * 10, 5)
            assert last.load_tenths <= load * 10 + 1.5 + 1e-6


# --- the page that says so ------------------------------------------------------------------------------------


def test_the_reference_names_every_function_and_state() -> None:
    text = PAGE.read_text()
    functions = re.findall(r"^\| (\d) \| (\w+) \| (\d+) to (\d+) \|", text, re.MULTILINE)
    assert functions == [
        (str(function.value), function.name.lower(), str(limits[0]), str(limits[-1]))
        for function, limits in LIMITS.items()
    ]
    assert len(functions) == len(Function)
    assert re.findall(r"^\| (\d) \| `(\w+)` \|", text, re.MULTILINE) == [
        (str(code), state.value) for state, code in CODES.items()
    ]
    assert set(re.findall(r"^\| `([\w-]+)` \|", text, re.MULTILINE)) == {reason.value for reason in Rejection}
