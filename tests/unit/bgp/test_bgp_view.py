"""The view of the others: whom to believe, whom to count on, whom to wait for. Two reflectors, in virtual time."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network

import msgspec
import pytest

from bgp.control_route import ControlState, Rejection
from bgp.neighbor import Neighbor, Role
from bgp.received import EndOfRib, Flooded, Path, PathHeard, PathLost
from bgp.route import Address, LargeCommunity, Route, RouteError
from bgp.state import State
from bgp.table import NeighborChanged
from bgp.view import NO_VIEW, Others, View
from bgp.view_params import ViewParams

FLEET_AS = 64600
OWN = IPv4Address("192.0.2.50")
SERVICE = IPv4Network("203.0.113.0/24")
R1, R2 = IPv4Address("198.51.100.1"), IPv4Address("198.51.100.2")
ANNOUNCED = ControlState(State.ANNOUNCED, claim=False, load_tenths=4, capacity=100)
CLAIMING = replace(ANNOUNCED, claim=True)


def neighbor(address: Address, role: Role = Role.FLEET) -> Neighbor:
    return Neighbor(address, OWN, FLEET_AS, FLEET_AS, frozenset({4}), role=role)


def node(number: int) -> IPv4Address:
    return IPv4Address("192.0.2.0") + number


def control(number: int, state: ControlState = ANNOUNCED, *, path_id: int = 0) -> Path:
    route: Route = state.route(node(number), FLEET_AS)
    return Path(
        route.prefix,
        path_id or number,
        node(number),
        large_communities=route.large_communities,
        originator=node(number),
    )


def service(number: int, *, path_id: int = 0) -> Path:
    return Path(SERVICE, path_id or number, node(number), originator=node(number))


class Fleet:
    """A view and its reflectors. Times are those of the last call, and grow."""

    def __init__(self, *sources: Address, params: ViewParams | None = None) -> None:
        self.sources = sources or (R1, R2)
        self.view = View(
            params or ViewParams(), OWN, FLEET_AS, [SERVICE], [neighbor(address) for address in self.sources]
        )
        self.now = 0.0

    def up(self, *sources: Address) -> None:
        for source in sources or self.sources:
            self.view.take(NeighborChanged(source, is_up=True, reason=""), self.now)

    def down(self, *sources: Address) -> None:
        for source in sources or self.sources:
            self.view.take(NeighborChanged(source, is_up=False, reason="hold timer"), self.now)

    def synced(self, *sources: Address) -> None:
        for source in sources or self.sources:
            self.view.take(EndOfRib(source, 4), self.now)

    def tell(self, *paths: Path, by: tuple[Address, ...] = ()) -> None:
        for source in by or self.sources:
            for path in paths:
                self.view.take(PathHeard(source, path), self.now)

    def take_back(self, *paths: Path, by: tuple[Address, ...] = ()) -> None:
        for source in by or self.sources:
            for path in paths:
                self.view.take(PathLost(source, path.prefix, path.path_id), self.now)

    def after(self, seconds: float) -> Others:
        self.now += seconds
        return self.view.others(self.now)

    def whats_wrong_with(self, number: int) -> str:
        (problem,) = (seen.problem for seen in self.view.nodes(self.now) if seen.address == node(number))
        return problem


def fleet(*numbers: int, params: ViewParams | None = None) -> Fleet:
    """These nodes announce since long ago, and both reflectors tell of them."""
    fleet = Fleet(params=params)
    fleet.up()
    for number in numbers:
        fleet.tell(control(number), service(number))
    fleet.synced()
    fleet.after(1000)
    return fleet


# --- whom to believe ------------------------------------------------------------------------------------------


def test_a_node_without_a_fleet_has_no_view() -> None:
    view = View(ViewParams(), OWN, FLEET_AS, [SERVICE], [neighbor(R1, Role.UPSTREAM)])
    view.take(NeighborChanged(R1, is_up=True, reason=""), 0)
    assert view.others(1) is NO_VIEW


def test_a_view_needs_a_service_prefix_that_can_be_seen() -> None:
    with pytest.raises(RouteError, match="control route"):
        View(ViewParams(), OWN, FLEET_AS, [ip_network("2001:db8::/48")], [neighbor(R1)])


def test_nothing_is_known_before_a_reflector_has_told_everything() -> None:
    fleet = Fleet()
    assert fleet.after(0) == Others("198.51.100.1 is down, 198.51.100.2 is down")
    fleet.up(R1)
    fleet.tell(control(1), service(1), by=(R1,))
    others = fleet.after(1)
    assert not others.synced
    assert others.problem == "198.51.100.1 has not told everything yet, 198.51.100.2 is down"
    fleet.synced(R1)
    others = fleet.after(0)
    assert others.synced
    assert others.problem == "heard for less than 5 s"
    others = fleet.after(5)
    assert (others.problem, others.announcing) == ("", 1)


def test_the_end_of_another_family_is_not_the_end_of_ours() -> None:
    fleet = Fleet(R1)
    fleet.up()
    fleet.view.take(EndOfRib(R1, 6), 0)
    assert not fleet.after(1).synced


def test_a_reflector_that_never_says_it_is_done_is_given_ten_seconds() -> None:
    fleet = Fleet(R1)
    fleet.up()
    fleet.tell(control(1), service(1))
    assert not fleet.after(9.9).synced
    assert fleet.after(0.1).synced
    assert fleet.after(5).announcing == 1


def test_one_reflector_is_enough_and_none_is_not() -> None:
    fleet_ = fleet(1, 2)
    fleet_.down(R1)
    assert (fleet_.after(0).problem, fleet_.after(0).announcing) == ("", 2)
    fleet_.down(R2)
    assert fleet_.after(3).problem == "198.51.100.1 is down, 198.51.100.2 is down"
    assert fleet_.view.nodes(fleet_.now) == ()
    assert not fleet_.view.is_fresh(fleet_.now)
    assert fleet_.view.age_s(fleet_.now) == 3


def test_the_end_of_the_speaker_is_the_end_of_the_view() -> None:
    fleet_ = fleet(1)
    fleet_.view.speaker_lost(fleet_.now)
    assert fleet_.after(0).problem
    fleet_.up()
    fleet_.synced()
    assert (fleet_.after(6).problem, fleet_.after(0).announcing) == ("", 0)


def test_a_view_that_comes_back_is_not_believed_before_everybody_can_have_been_steady() -> None:
    """Or the last one of all would be thought to be alone while the others are counted."""
    fleet_ = fleet(1, 2)
    fleet_.down()
    fleet_.after(60)
    fleet_.up(R1)
    fleet_.tell(control(1), service(1), control(2), service(2), by=(R1,))
    fleet_.synced(R1)
    assert fleet_.after(4.9).problem
    others = fleet_.after(0.1)
    assert (others.problem, others.announcing) == ("", 2)


def test_a_flooded_reflector_does_not_count_until_its_session_comes_up_anew() -> None:
    fleet_ = fleet(1)
    fleet_.down(R2)
    fleet_.view.take(Flooded(R1, "more than 10000 routes"), fleet_.now)
    assert (
        fleet_.after(0).problem == "198.51.100.1 says too much: more than 10000 routes, 198.51.100.2 is down"
    )
    fleet_.tell(control(1), service(1), by=(R1,))
    fleet_.synced(R1)
    assert fleet_.after(10).problem
    fleet_.up(R1)
    fleet_.tell(control(1), service(1), by=(R1,))
    fleet_.synced(R1)
    assert fleet_.after(5).announcing == 1


def test_a_reflector_whose_session_flaps_does_not_count_and_costs_the_nodes_nothing() -> None:
    fleet_ = fleet(1)
    for _ in range(21):
        fleet_.down(R2)
        fleet_.up(R2)
        fleet_.tell(control(1), service(1), by=(R2,))
        fleet_.synced(R2)
        fleet_.after(1)
    fleet_.after(10)
    assert fleet_.view.nodes(fleet_.now)[0].sources == (R1,)
    fleet_.down(R1)
    assert fleet_.after(0).problem == "198.51.100.1 is down, 198.51.100.2 flaps"
    fleet_.after(1000)
    others = fleet_.after(5)
    assert (others.problem, others.announcing) == ("", 1)


# --- where they disagree --------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [control(1), service(1)], ids=["control", "service"])
def test_what_one_reflector_took_back_is_gone(lost: Path) -> None:
    fleet_ = fleet(1, 2)
    fleet_.take_back(lost, by=(R2,))
    assert fleet_.after(0).announcing == 1
    fleet_.tell(lost, by=(R2,))
    assert fleet_.after(4.9).announcing == 1
    assert fleet_.after(0.1).announcing == 2


def test_a_reflector_that_never_told_of_a_node_says_that_it_is_not_there() -> None:
    fleet_ = fleet(1)
    fleet_.tell(control(2), service(2), by=(R1,))
    assert fleet_.after(60).announcing == 1
    assert fleet_.whats_wrong_with(2) == "its service routes are not seen everywhere"


def test_the_worse_of_two_states_and_the_smaller_spare_count() -> None:
    fleet_ = fleet(1, 2)
    fleet_.tell(control(1, replace(ANNOUNCED, load_tenths=9)), by=(R2,))
    assert fleet_.after(0).spare == 10 + 60
    fleet_.tell(control(2, replace(ANNOUNCED, state=State.FENCED)), by=(R1,))
    others = fleet_.after(0)
    assert (others.announcing, others.spare) == (1, 10)
    assert [seen.state for seen in fleet_.view.nodes(fleet_.now)] == [State.ANNOUNCED, State.FENCED]


def test_of_several_copies_at_one_reflector_the_worst_counts_and_any_is_enough() -> None:
    fleet_ = fleet(1)
    fleet_.tell(control(1, replace(ANNOUNCED, load_tenths=9), path_id=77), service(1, path_id=77), by=(R1,))
    assert fleet_.after(0).spare == 10
    fleet_.take_back(control(1), service(1), by=(R1,))
    assert fleet_.after(0).announcing == 1


def test_direct_neighbors_have_no_opinion_about_others() -> None:
    """In a mesh each tells of itself, and no path has an originator."""
    fleet_ = Fleet(node(1), node(2))
    fleet_.up()
    for number in (1, 2):
        fleet_.tell(
            replace(control(number), originator=None),
            replace(service(number), originator=None),
            by=(node(number),),
        )
    fleet_.synced()
    assert fleet_.after(5).announcing == 2
    fleet_.down(node(1))
    assert fleet_.after(0).announcing == 1


# --- who counts -----------------------------------------------------------------------------------------------


def test_a_node_counts_when_it_was_seen_without_a_break() -> None:
    fleet_ = fleet(1)
    fleet_.tell(control(2), service(2))
    assert fleet_.after(4.9).announcing == 1
    assert fleet_.whats_wrong_with(2) == "announced for less than 5 s"
    fleet_.take_back(service(2), by=(R1,))
    fleet_.tell(service(2), by=(R1,))
    assert fleet_.after(4.9).announcing == 1
    assert fleet_.after(0.1).announcing == 2


def test_saying_so_is_not_enough() -> None:
    fleet_ = fleet(1)
    fleet_.tell(control(2), service(3))
    assert fleet_.after(60).announcing == 1
    fleet_.tell(replace(service(2), as_path=(64501,)))
    assert fleet_.after(60).announcing == 1
    assert fleet_.whats_wrong_with(2) == "its service routes are not seen everywhere"


def test_every_service_prefix_must_be_there() -> None:
    more = IPv4Network("203.0.113.77/32")
    view = View(
        ViewParams(),
        OWN,
        FLEET_AS,
        [SERVICE, more, ip_network("2001:db8::/48")],
        [neighbor(address) for address in (R1,)],
    )
    view.take(NeighborChanged(R1, is_up=True, reason=""), 0)
    view.take(EndOfRib(R1, 4), 0)
    view.take(PathHeard(R1, control(1)), 0)
    view.take(PathHeard(R1, service(1)), 0)
    assert view.others(10).announcing == 0
    view.take(PathHeard(R1, replace(service(1), prefix=more)), 10)
    assert view.others(15).announcing == 1


def test_who_asks_callers_to_stay_away_announces_and_has_no_spare() -> None:
    fleet_ = fleet(1)
    fleet_.tell(control(1, replace(ANNOUNCED, state=State.DEPREFERRED)))
    others = fleet_.after(0)
    assert (others.announcing, others.spare) == (1, 0)
    fleet_.tell(control(1))
    assert fleet_.after(0).spare == 60


@pytest.mark.parametrize("state", [State.WITHDRAWN, State.FENCED, State.HELD, State.STARTING])
def test_who_says_it_does_not_announce_is_not_counted(state: State) -> None:
    fleet_ = fleet(1, 2)
    fleet_.tell(control(1, replace(ANNOUNCED, state=state)))
    assert fleet_.after(60).announcing == 1
    assert fleet_.whats_wrong_with(1) == "is not announced"


def test_we_are_not_among_the_others() -> None:
    fleet_ = fleet(50)
    assert fleet_.after(0).announcing == 0
    assert fleet_.view.nodes(fleet_.now) == ()
    assert not fleet_.view.rejections


def test_what_a_node_says_no_more_it_does_not_say() -> None:
    """A malformed route in place of a good one must not leave the good one standing."""
    fleet_ = fleet(1)
    fleet_.tell(replace(control(1), large_communities=frozenset({LargeCommunity(FLEET_AS, 1, 1)})))
    assert fleet_.after(0).announcing == 0
    assert fleet_.view.rejections == {Rejection.INCOMPLETE: 2}


def test_a_network_that_begins_with_a_node_is_not_that_node() -> None:
    fleet_ = fleet(16)
    network = ip_network("192.0.2.16/28")
    fleet_.tell(replace(control(16), prefix=network))
    fleet_.take_back(replace(control(16), prefix=network))
    assert fleet_.after(0).announcing == 1


# --- whom to wait for -----------------------------------------------------------------------------------------


def test_the_lowest_of_those_below_us_goes_first() -> None:
    fleet_ = fleet(1, 2, 60)
    for number, claimant in ((60, ""), (2, "192.0.2.2"), (1, "192.0.2.1")):
        fleet_.tell(control(number, CLAIMING), by=(R2,))
        assert fleet_.after(0).claimant == claimant
    fleet_.tell(control(1), control(2), by=(R2,))
    assert fleet_.after(0).claimant == ""


def test_addresses_are_compared_as_numbers() -> None:
    """As text 192.0.2.9 would be above 192.0.2.50."""
    fleet_ = fleet(9, 10)
    fleet_.tell(control(9, CLAIMING), control(10, CLAIMING))
    assert fleet_.after(0).claimant == "192.0.2.9"


def test_who_has_left_does_not_hold_up_anybody() -> None:
    fleet_ = fleet(1)
    fleet_.tell(control(1, CLAIMING))
    fleet_.tell(control(1, replace(CLAIMING, state=State.WITHDRAWN)))
    assert fleet_.after(0).claimant == ""


@pytest.mark.parametrize("state", [State.WITHDRAWN, State.FENCED, State.DEPREFERRED])
def test_the_fleet_settles_after_every_move(state: State) -> None:
    fleet_ = fleet(1, 2)
    fleet_.tell(control(1, replace(ANNOUNCED, state=state)))
    assert fleet_.after(7).settled_s == 7
    fleet_.tell(control(1))
    assert fleet_.after(3).settled_s == 3


def test_the_fleet_settles_after_somebody_came_or_went() -> None:
    fleet_ = fleet(1)
    fleet_.tell(control(2), service(2))
    assert fleet_.after(7).settled_s == 7
    fleet_.take_back(control(2), service(2))
    assert fleet_.after(3).settled_s == 3


def test_load_and_the_ways_of_being_away_unsettle_nobody() -> None:
    fleet_ = fleet(1, 2)
    fleet_.tell(control(1, replace(ANNOUNCED, state=State.HELD)))
    fleet_.after(100)
    fleet_.tell(
        control(1, replace(ANNOUNCED, state=State.STARTING)), control(2, replace(ANNOUNCED, load_tenths=8))
    )
    fleet_.take_back(control(1))
    assert fleet_.after(0).settled_s == 100


# --- who is ignored -------------------------------------------------------------------------------------------


def flap(fleet_: Fleet, number: int, times: int) -> None:
    for _ in range(times):
        fleet_.tell(control(number, replace(ANNOUNCED, state=State.WITHDRAWN)))
        fleet_.after(3)
        fleet_.tell(control(number))
        fleet_.after(6)


def test_a_flapping_node_is_neither_counted_nor_waited_for() -> None:
    fleet_ = fleet(1, 2)
    flap(fleet_, 1, 10)
    others = fleet_.after(0)
    assert (others.announcing, others.settled_s) == (2, 6)
    flap(fleet_, 1, 2)
    fleet_.tell(control(1, CLAIMING))
    others = fleet_.after(0)
    assert (others.announcing, others.spare, others.claimant) == (1, 60, "")
    assert others.settled_s > 1000
    assert fleet_.whats_wrong_with(1) == "comes, goes or claims to leave too often"


def test_a_flapping_node_is_forgiven_when_it_has_been_quiet() -> None:
    fleet_ = fleet(1, 2)
    flap(fleet_, 1, 100)
    assert fleet_.after(1790).announcing == 1
    assert fleet_.after(10).announcing == 2


def test_leaving_altogether_wipes_nothing_out() -> None:
    fleet_ = fleet(1, 2)
    flap(fleet_, 1, 12)
    fleet_.take_back(control(1), service(1))
    fleet_.after(60)
    fleet_.tell(control(1), service(1))
    assert fleet_.after(60).announcing == 1


def test_flapping_just_below_the_limit_leaves_the_others_time_to_move() -> None:
    """A fleet that settles for 30 s is free for at least half of an hour, however clever the flapper."""
    fleet_ = fleet(1, 2)
    settled = 0
    for second in range(3600):
        others = fleet_.after(1)
        settled += others.settled_s >= 30
        if others.announcing == 2 and others.settled_s >= 1:
            fleet_.tell(
                control(1, replace(ANNOUNCED, state=State.DEPREFERRED if second % 2 else State.ANNOUNCED))
            )
    assert settled > 1800


def test_a_claim_that_stands_too_long_makes_way_and_its_node_is_not_counted_on() -> None:
    fleet_ = fleet(1, 2)
    fleet_.tell(control(1, CLAIMING))
    others = fleet_.after(100)
    assert (others.claimant, others.announcing) == ("192.0.2.1", 2)
    others = fleet_.after(10)
    assert (others.claimant, others.announcing) == ("", 1)
    fleet_.tell(control(1))
    assert fleet_.after(1000).announcing == 2


def test_claiming_and_not_leaving_again_and_again_is_flapping() -> None:
    fleet_ = fleet(1, 2)
    for _ in range(20):
        fleet_.tell(control(1, CLAIMING))
        fleet_.after(6)
        fleet_.tell(control(1))
        fleet_.after(5)
    assert fleet_.after(0).announcing == 1


def test_claims_that_come_and_go_to_disturb_those_of_others_are_flapping() -> None:
    fleet_ = fleet(1, 2)
    for _ in range(250):
        fleet_.tell(control(1, CLAIMING))
        fleet_.after(0.01)
        fleet_.tell(control(1))
        fleet_.after(1)
    assert fleet_.after(0).announcing == 1


def test_making_way_for_lower_nodes_hour_after_hour_is_not() -> None:
    """Everybody is overloaded: a round every 40 s, in which all claim and all but the lowest give in at once."""
    fleet_ = fleet(1, 2)
    for _ in range(180):
        fleet_.tell(control(1, CLAIMING))
        fleet_.after(0.5)
        fleet_.tell(control(1))
        fleet_.after(39.5)
    assert fleet_.after(0).announcing == 2


def test_members_are_believed_and_nobody_else() -> None:
    params = ViewParams(members=("192.0.2.1", "192.0.2.16/28", "2001:db8::/48"))
    fleet_ = fleet(1, 2, 15, 16, 31, 32, params=params)
    assert fleet_.after(0).announcing == 3
    assert fleet_.view.rejections == {Rejection.OUTSIDE: 6}


def test_a_node_of_the_other_family_is_outside() -> None:
    fleet_ = fleet(1)
    address = ip_address("2001:db8::1")
    route = ANNOUNCED.route(address, FLEET_AS)
    fleet_.tell(Path(route.prefix, 1, address, large_communities=route.large_communities))
    assert fleet_.after(0).announcing == 1
    assert fleet_.view.rejections == {Rejection.OUTSIDE: 2}


def test_a_hundred_thousand_strangers_move_nothing_and_take_no_room() -> None:
    params = ViewParams(max_nodes=100)
    fleet_ = fleet(*range(1, 31), params=params)
    route = ANNOUNCED.route(node(1), FLEET_AS)
    before = fleet_.after(0)
    for number in range(50_000):
        stranger = IPv4Address("198.18.0.0") + number
        prefix = IPv4Network((stranger, 32))
        for communities in (frozenset(), route.large_communities):
            path = Path(prefix, 1, stranger, large_communities=communities, originator=stranger)
            fleet_.view.take(PathHeard(R1, path), fleet_.now)
    assert fleet_.view.rejections[Rejection.FOREIGN] == 50_000
    assert fleet_.view.rejections[Rejection.TOO_MANY] == 50_000 - 70
    assert len(fleet_.view.nodes(fleet_.now)) == 100
    assert fleet_.after(0) == before


def test_nodes_that_are_gone_make_room_when_they_are_forgotten() -> None:
    fleet_ = fleet(1, 2, params=ViewParams(max_nodes=2))
    fleet_.take_back(control(1), service(1))
    fleet_.tell(control(3), service(3))
    assert fleet_.after(1799).announcing == 1
    fleet_.after(2)
    fleet_.tell(control(3), service(3))
    assert fleet_.after(5).announcing == 2


@pytest.mark.parametrize("path", [control(1), service(1)], ids=["control", "service"])
def test_copies_without_end_are_a_flood(path: Path) -> None:
    fleet_ = fleet(1, params=ViewParams(max_nodes=2))
    for path_id in range(100, 200):
        fleet_.tell(replace(path, path_id=path_id), by=(R2,))
    assert fleet_.after(0).problem == ""
    fleet_.down(R1)
    assert "says too much" in fleet_.after(0).problem


# --- for people -----------------------------------------------------------------------------------------------


def test_nodes_are_told_by_address_with_what_is_known_of_each() -> None:
    fleet_ = fleet(10, 9)
    fleet_.tell(control(9, replace(CLAIMING, state=State.DEPREFERRED, load_tenths=13)))
    fleet_.after(2)
    ninth, tenth = fleet_.view.nodes(fleet_.now)
    assert (ninth.address, ninth.state, ninth.claim) == (node(9), State.DEPREFERRED, True)
    assert (ninth.load, ninth.capacity, ninth.since_s) == (1.3, 100, 2)
    assert (tenth.address, tenth.since_s, tenth.sources, tenth.problem) == (node(10), 1002, (R1, R2), "")


def test_a_view_that_works_is_fresh() -> None:
    fleet_ = fleet(1)
    assert fleet_.view.is_fresh(fleet_.now)
    assert fleet_.view.age_s(fleet_.now) == 0
    assert Fleet().view.age_s(5) == float("inf")


def test_parameters_scale_but_for_what_is_a_matter_of_distance() -> None:
    scaled = ViewParams(members=("192.0.2.0/24",)).scaled(0.1)
    assert (scaled.steady_s, scaled.sync_s, scaled.flap_half_life_s) == (0.5, 1, 90)
    assert (scaled.claim_max_s, scaled.flap_limit, scaled.members) == (100, 20, ("192.0.2.0/24",))


@pytest.mark.parametrize("wrong", ['{"members": ["192.0.2.1/24"]}', '{"member": []}', '{"max_nodes": 0}'])
def test_parameters_are_checked_where_they_are_read(wrong: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(wrong, type=ViewParams)
