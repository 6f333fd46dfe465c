"""Our own routes as they come back: what is measured, what alarms, and when the speaker has to die."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest

from bgp.echo import Alarm, Converged, Echo, EchoEvent, EchoParams, KillSpeaker
from bgp.neighbor import Neighbor, Role
from bgp.received import EndOfRib, Flooded, Path, PathHeard, PathLost
from bgp.table import NeighborChanged

OWN = IPv4Address("192.0.2.7")
ROUTER_ID = IPv4Address("192.0.2.207")
SERVICE = IPv4Network("203.0.113.0/24")
SERVICE_V6 = IPv6Network("2001:db8:5::/48")
R1, R2 = IPv4Address("198.51.100.1"), IPv4Address("198.51.100.2")
OURS = Path(SERVICE, 3, OWN)
UP = [NeighborChanged(address, is_up=True, reason="") for address in (R1, R2)]
DOWN = [NeighborChanged(address, is_up=False, reason="") for address in (R1, R2)]


class Reflected:
    """An echo with two reflectors that are up and have told everything."""

    def __init__(self, *, role: Role = Role.FLEET) -> None:
        neighbors = [Neighbor(address, OWN, 64600, 64600, frozenset({4}), role=role) for address in (R1, R2)]
        self.echo = Echo(EchoParams(), frozenset({OWN, ROUTER_ID}), [SERVICE, SERVICE_V6], neighbors)
        for address in (R1, R2):
            self.up(address, 0)

    def up(self, address: IPv4Address, now: float) -> None:
        self.echo.take(NeighborChanged(address, is_up=True, reason=""), now)
        self.echo.take(EndOfRib(address, 4), now)

    def back(self, now: float, *addresses: IPv4Address, path: Path = OURS) -> None:
        for address in addresses or (R1, R2):
            self.echo.take(PathHeard(address, path), now)

    def gone(self, now: float, *addresses: IPv4Address) -> None:
        for address in addresses or (R1, R2):
            self.echo.take(PathLost(address, SERVICE, OURS.path_id), now)

    def announced(self) -> tuple[EchoEvent, ...]:
        """Announced at 10, back a moment later."""
        self.echo.desire({SERVICE}, 10)
        self.back(10.5)
        return self.echo.events(11)


def test_an_announcement_is_timed_until_it_comes_back() -> None:
    fleet = Reflected()
    assert not fleet.echo.is_available
    assert fleet.announced() == (Converged(SERVICE, True, 0.5),)
    assert fleet.echo.is_available
    assert fleet.echo.events(1000) == ()


def test_a_withdrawal_is_timed_until_the_last_copy_is_gone() -> None:
    fleet = Reflected()
    fleet.announced()
    fleet.echo.desire(set(), 20)
    fleet.gone(20.25, R1)
    assert fleet.echo.events(21) == ()
    fleet.gone(21.5, R2)
    assert fleet.echo.events(22) == (Converged(SERVICE, False, 1.5),)


def test_what_is_withdrawn_is_visible_until_the_last_copy_is_gone() -> None:
    neighbors = [
        Neighbor(address, OWN, 64600, 64600, frozenset({4}), role=Role.FLEET) for address in (R1, R2)
    ]
    fleet = Reflected()
    fleet.echo = Echo(EchoParams(), frozenset({OWN}), [SERVICE], neighbors)
    for address in (R1, R2):
        fleet.up(address, 0)
    assert fleet.echo.is_visible(1) is None  # nobody has ever told it back
    fleet.announced()
    assert fleet.echo.is_visible(19) is None  # it is to be seen
    fleet.echo.desire(set(), 20)
    fleet.gone(20.25, R1)
    assert fleet.echo.is_visible(21) is True
    fleet.gone(21.5, R2)
    assert fleet.echo.is_visible(22) is False
    for event in DOWN:
        fleet.echo.take(event, 23)
    assert fleet.echo.is_visible(24) is None


def test_a_family_that_nobody_tells_of_makes_it_unknown_whether_the_route_is_gone() -> None:
    fleet = Reflected()
    fleet.announced()
    fleet.echo.desire(set(), 20)
    fleet.gone(21)
    assert fleet.echo.is_visible(22) is None


def test_every_copy_of_a_reflector_counts() -> None:
    fleet = Reflected()
    fleet.announced()
    fleet.back(12, R1, path=replace(OURS, path_id=9))
    fleet.echo.desire(set(), 20)
    fleet.gone(20)
    assert [type(event) for event in fleet.echo.events(25)] == [Alarm]


def test_a_withdrawn_route_that_is_still_there_alarms_once_and_then_costs_the_speaker_its_life_once() -> None:
    fleet = Reflected()
    fleet.announced()
    fleet.echo.desire(set(), 20)
    fleet.gone(20.1, R1)
    assert fleet.echo.events(24.9) == ()
    assert fleet.echo.events(25) == (Alarm(SERVICE, False, (R2,), 5),)
    assert fleet.echo.events(29.9) == ()
    assert fleet.echo.events(30) == (KillSpeaker(SERVICE, (R2,), 10),)
    fleet.echo.desire(set(), 31)
    assert fleet.echo.events(1000) == ()


def test_a_copy_that_outlives_the_speaker_alarms_and_kills_no_more() -> None:
    fleet = Reflected()
    fleet.announced()
    fleet.echo.desire(set(), 20)
    fleet.echo.events(25)
    fleet.echo.events(30)
    fleet.echo.speaker_lost(31)
    fleet.up(R1, 35)
    fleet.back(35, R1)
    assert fleet.echo.events(100) == (Alarm(SERVICE, False, (R1,), 65),)


def test_a_later_withdrawal_may_kill_again() -> None:
    fleet = Reflected()
    for start in (0, 100):
        fleet.echo.desire({SERVICE}, start)
        fleet.back(start)
        fleet.echo.desire(set(), start + 20)
        assert [type(event) for event in fleet.echo.events(start + 30)][-2:] == [Alarm, KillSpeaker]
        fleet.gone(start + 40)


def test_a_withdrawn_route_that_comes_back_alarms() -> None:
    """A zombie: an old copy that wanders about between the reflectors."""
    fleet = Reflected()
    fleet.announced()
    fleet.echo.desire(set(), 20)
    fleet.gone(20.1)
    fleet.echo.events(20.1)
    fleet.back(500, R2)
    assert fleet.echo.events(505) == (Alarm(SERVICE, False, (R2,), 5),)


def test_an_announcement_that_does_not_come_back_alarms_and_kills_nobody() -> None:
    fleet = Reflected()
    fleet.announced()
    fleet.echo.desire(set(), 20)
    fleet.gone(20)
    fleet.echo.desire({SERVICE}, 30)
    fleet.back(31, R1)
    assert fleet.echo.events(35)[-1] == Alarm(SERVICE, True, (R2,), 5)
    assert fleet.echo.events(100) == ()
    fleet.back(101, R2)
    assert fleet.echo.events(101) == (Converged(SERVICE, True, 71),)


def test_an_announced_route_that_is_lost_later_alarms() -> None:
    fleet = Reflected()
    fleet.announced()
    fleet.gone(500)
    assert fleet.echo.events(505) == (Alarm(SERVICE, True, (R1, R2), 5),)


def test_with_one_reflector_down_the_other_has_nothing_to_send_back() -> None:
    fleet = Reflected()
    fleet.announced()
    fleet.echo.take(DOWN[0], 20)
    fleet.gone(20, R2)
    assert fleet.echo.events(100) == ()


def test_who_never_echoed_is_not_expected_to() -> None:
    fleet = Reflected()
    fleet.echo.desire({SERVICE}, 10)
    assert fleet.echo.events(100) == ()
    fleet.echo.desire(set(), 100)
    assert fleet.echo.events(200) == ()
    assert not fleet.echo.is_available


@pytest.mark.parametrize(
    "path",
    [replace(OURS, next_hop=R1, originator=ROUTER_ID), replace(OURS, originator=ROUTER_ID)],
    ids=["reflector-as-next-hop", "both"],
)
def test_our_route_is_known_by_its_originator_too(path: Path) -> None:
    fleet = Reflected()
    fleet.echo.desire({SERVICE}, 10)
    fleet.back(11, path=path)
    assert fleet.echo.events(11) == (Converged(SERVICE, True, 1),)


@pytest.mark.parametrize(
    "path",
    [
        replace(OURS, next_hop=IPv4Address("192.0.2.8"), originator=IPv4Address("192.0.2.208")),
        replace(OURS, prefix=IPv4Network("192.0.2.7/32")),
        Path(SERVICE_V6, 3, IPv6Address("2001:db8::7"), originator=ROUTER_ID),
    ],
    ids=["another-node", "another-prefix", "a-family-that-is-not-carried"],
)
def test_routes_of_others_are_none_of_its_business(path: Path) -> None:
    fleet = Reflected()
    fleet.back(1, path=path)
    assert fleet.echo.events(100) == ()
    assert not fleet.echo.is_available


def test_a_path_that_becomes_somebody_elses_is_ours_no_more() -> None:
    fleet = Reflected()
    fleet.announced()
    fleet.echo.desire(set(), 20)
    fleet.back(21, path=replace(OURS, next_hop=IPv4Address("192.0.2.8")))
    assert fleet.echo.events(100) == (Converged(SERVICE, False, 1),)


def test_a_session_that_changes_meanwhile_spoils_the_measurement() -> None:
    fleet = Reflected()
    fleet.announced()
    fleet.echo.desire(set(), 20)
    fleet.echo.take(DOWN[0], 21)
    fleet.gone(22, R2)
    assert fleet.echo.events(100) == ()


def test_a_decision_that_is_taken_back_on_the_way_measures_nothing_false() -> None:
    fleet = Reflected()
    fleet.announced()
    fleet.echo.desire(set(), 20)
    fleet.echo.desire({SERVICE}, 20.1)
    assert fleet.echo.events(21) == ()


def test_what_a_flooded_neighbor_said_is_not_held_against_us() -> None:
    fleet = Reflected()
    fleet.announced()
    fleet.echo.desire(set(), 20)
    for address in (R1, R2):
        fleet.echo.take(Flooded(address, "too many routes"), 21)
    fleet.back(22)
    assert fleet.echo.events(100) == ()


def test_a_neighbor_that_has_not_told_everything_is_not_asked_yet() -> None:
    fleet = Reflected()
    fleet.announced()
    fleet.echo.take(UP[1], 20)
    assert fleet.echo.events(29.9) == ()
    assert fleet.echo.events(30) == ()
    assert fleet.echo.events(35) == (Alarm(SERVICE, True, (R2,), 5),)


def test_upstreams_echo_nothing() -> None:
    fleet = Reflected(role=Role.UPSTREAM)
    fleet.echo.desire({SERVICE}, 1)
    fleet.back(2)
    assert fleet.echo.events(100) == ()
